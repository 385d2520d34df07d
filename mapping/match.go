package mapping

import "fmt"

// clause is a clause of a rule that an event failed.
type clause int

const (
	matched clause = iota
	clauseSource
	clauseRepository
	clauseKind
	clauseBranches
	clauseUnknownPaths
	clauseNoFiles
	clauseIgnored
	clausePaths
	clauseTags
	clauseVersion
	clauseSemver
	clauseIf
)

// check finds the first clause that the event fails. repository is the event's
// in lower case. An error is one of the condition: the rule matches, and what it
// builds is dead.
func (r *rule) check(m *meter, ev *Event, repository string) (clause, error) {
	if !r.hasSource(ev.Source) {
		return clauseSource, nil
	}
	if !r.repository.match(repository) {
		return clauseRepository, nil
	}
	failed := clauseKind
	switch {
	case ev.Kind == Push && r.push != nil:
		failed = r.push.check(ev)
	case ev.Kind == Tag && r.tag != nil:
		failed = r.tag.check(ev)
	}
	if failed != matched || r.condition == nil {
		return failed, nil
	}
	ok, err := m.truth(r.condition, ev)
	if err == nil && !ok {
		return clauseIf, nil
	}
	return matched, err
}

func (p *pushClause) check(ev *Event) clause {
	if !p.branches.match(ev.Branch) {
		return clauseBranches
	}
	if p.paths == nil && p.ignore == nil {
		return matched
	}
	if !ev.FilesComplete {
		if p.skipUnknown {
			return clauseUnknownPaths
		}
		return matched
	}
	if len(ev.Files) == 0 {
		return clauseNoFiles
	}
	left := 0
	for _, f := range ev.Files {
		if p.ignored(f) {
			continue
		}
		left++
		if p.paths.match(f) {
			return matched
		}
	}
	if left == 0 {
		return clauseIgnored
	}
	return clausePaths
}

func (p *pushClause) ignored(file string) bool { return p.ignore != nil && p.ignore.match(file) }

func (t *tagClause) check(ev *Event) clause {
	if !t.tags.match(ev.Tag) {
		return clauseTags
	}
	if t.constraint == nil {
		return matched
	}
	v, ok := version(ev.Tag)
	switch {
	case !ok:
		return clauseVersion
	case !t.constraint.check.Check(v):
		return clauseSemver
	}
	return matched
}

// builds makes the builds of a rule that matches. failed is why its condition
// could not be evaluated, if so.
func (r *rule) builds(m *meter, ev *Event, failed error, out []Build) []Build {
	for i := range r.jobs {
		j := &r.jobs[i]
		b := Build{
			Rule: r.name, Target: j.target, JobID: j.id,
			Repository: ev.Repository, Ref: ev.Ref,
			BuildType: j.buildType, Marker: j.marker,
			Newest: r.newest && ev.Kind == Push,
		}
		if ev.Kind == Tag {
			b.Tag = ev.Tag
		} else {
			b.Commit = ev.Commit
		}
		switch {
		case failed != nil:
			b.Dead = fmt.Sprintf("rule %q: if: %v", r.name, failed)
		case ev.Kind == Tag && b.Tag == "":
			b.Dead = fmt.Sprintf("rule %q: event.tag: the tag has no name", r.name)
		case neverSent(b.Tag) != "":
			b.Dead = fmt.Sprintf("rule %q: event.tag: %s", r.name, neverSent(b.Tag))
		case ev.Kind == Push && b.Commit == "":
			b.Dead = fmt.Sprintf("rule %q: event.commit: the host named no commit to build", r.name)
		default:
			b.Parameters, b.Dead = r.parameters(m, ev, i)
		}
		out = append(out, b)
	}
	return out
}

// parameters evaluates those of a job, or says why it cannot.
func (r *rule) parameters(m *meter, ev *Event, i int) ([]Parameter, string) {
	j := &r.jobs[i]
	if len(j.parameters) == 0 {
		return nil, ""
	}
	out := make([]Parameter, len(j.parameters))
	for k, p := range j.parameters {
		v, err := p.value.value(m, ev)
		if err != nil {
			return nil, fmt.Sprintf("rule %q: jobs[%d].parameters.%s: %v", r.name, i, p.name, err)
		}
		out[k] = Parameter{Name: p.name, Value: v}
	}
	return out, ""
}
