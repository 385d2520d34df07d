package mapping

import (
	"fmt"

	"buildbridge/mapping/printable"
)

// rule is a checked rule.
type rule struct {
	name      string
	clauses   []clause
	condition *condition // nil means true
	jobs      []job
	newest    bool
}

// compile checks a rule as a whole. What it refers to is resolved when all files are
// read.
func (s scope) compile(doc *ruleDocument) *rule {
	r := &rule{
		name: doc.Name.Value, clauses: s.clauses(doc), condition: s.condition(doc.If),
		newest: doc.Concurrency.Value == "newest",
	}
	when := r.when()
	for i := range doc.Jobs {
		r.jobs = append(r.jobs, s.job(&doc.Jobs[i], i, when))
	}
	if r.newest && when.push == nil && when.tag != nil {
		s.warn(doc.Concurrency.At, "concurrency", "without effect: a build of a tag is never replaced, and this rule is for tags only")
	}
	return r
}

func (r *rule) when() *whenClause { return find[*whenClause](r.clauses) }

// repository gives the patterns of the repository; nil means all.
func (r *rule) repository() globs {
	if c := find[*repositoryClause](r.clauses); c != nil {
		return c.globs
	}
	return nil
}

// matches says whether the rule builds an event. An error is the condition's: the rule
// matches, and its builds are dead.
func (r *rule) matches(m *meter, ev subject) (bool, error) {
	if firstFailed(r.clauses, ev) != nil {
		return false, nil
	}
	if r.condition == nil {
		return true, nil
	}
	ok, err := r.condition.holds(m, ev.Event)
	return ok || err != nil, err
}

// verdict says whether the rule matches an event, and if not, why.
func (r *rule) verdict(ev subject) Verdict {
	v := Verdict{Rule: r.name}
	if failed := firstFailed(r.clauses, ev); failed != nil {
		v.Reason = printable.Text(failed.why(ev))
	} else if v.Matched, _ = r.matches(new(meter), ev); !v.Matched {
		v.Reason = printable.Text(r.condition.why())
	}
	return v
}

// builds adds the builds of an event that the rule matches. failed is why the condition
// could not be evaluated, nil if it could.
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
		dead := ""
		switch {
		case failed != nil:
			dead = fmt.Sprintf("if: %v", failed)
		case ev.Kind == Tag && b.Tag == "":
			dead = "event.tag: the tag has no name"
		case unsendable(b.Tag) != "":
			dead = "event.tag: " + unsendable(b.Tag)
		case ev.Kind == Push && b.Commit == "":
			dead = "event.commit: the host named no commit to build"
		default:
			var err error
			if b.Parameters, err = j.evaluate(m, ev); err != nil {
				dead = fmt.Sprintf("jobs[%d].%v", i, err)
			}
		}
		if dead != "" {
			b.Dead = fmt.Sprintf("rule %q: %s", r.name, dead)
		}
		out = append(out, b)
	}
	return out
}
