package mapping

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// maxContext is the most bytes of the context of a status: GitHub takes no more.
const maxContext = 255

// contexts name the statuses of a job on commits. They never change, whatever becomes of a
// build: a status under another name would stay beside the first one for ever. A tag has one
// of its own, because its commit may be that of a branch.
type contexts struct{ push, tag string }

func (c *contexts) of(kind Kind) string {
	if kind == Tag {
		return c.tag
	}
	return c.push
}

// reporters are the sources by name: whose hosts can be told of builds, and those that are
// told where a rule says nothing.
type reporters struct {
	all         map[string]*Source
	able, asked map[string]bool
}

func (l *loader) reporters() reporters {
	r := reporters{map[string]*Source{}, map[string]bool{}, map[string]bool{}}
	for _, source := range l.sources {
		r.all[source.Name] = source
		if l.unable(source) != "" {
			continue
		}
		r.able[source.Name] = true
		if source.Report {
			r.asked[source.Name] = true
		}
	}
	return r
}

// unable says why no status can be set at a source, "" if that is possible, or not known
// because of a fault.
func (s scope) unable(source *Source) string {
	switch provider := s.providers.find(source.Provider); {
	case provider != nil && !provider.Statuses:
		return fmt.Sprintf("source %q is of %s, which has no statuses on commits", source.Name, provider.Name)
	case source.API == nil:
		return fmt.Sprintf("source %q has no api: add one to it", source.Name)
	default:
		return ""
	}
}

// resolveReport finds the sources whose commits get statuses of a rule, and names these.
func (l *loader) resolveReport(r draft, from reporters, targets map[string]*Target) {
	reports := from.asked
	if doc := r.report; doc != nil {
		if doc.On.At.Known() && !doc.On.Value {
			return
		}
		reports = from.able
		l.checkReporters(r, from)
	}
	// Without the field `source` every source counts. An event of another one than it names
	// does not match.
	if len(r.sources) == 0 && len(reports) > 0 || slices.ContainsFunc(r.sources, func(t yamldoc.Text) bool { return reports[t.Value] }) {
		r.rule.reports = reports
		r.nameContexts()
		r.warnUnfollowed(targets)
	}
}

// warnUnfollowed finds jobs with statuses whose builds are not followed.
func (r draft) warnUnfollowed(targets map[string]*Target) {
	for i := range r.rule.jobs {
		if target := targets[r.rule.jobs[i].target]; target != nil && !target.Follow {
			r.warn(r.jobs[i].At, fmt.Sprintf("jobs[%d].target", i),
				"target %q has follow: false: of its builds only those that are not started get a status on the commit", target.Name)
		}
	}
}

// checkReporters says which sources of a rule with report cannot be told of its builds.
func (l *loader) checkReporters(r draft, from reporters) {
	if len(r.sources) == 0 && len(from.able) == 0 && len(l.refusedSources) == 0 {
		why := "there is no source with api at a host that has statuses on commits"
		if len(l.sources) == 1 {
			why = l.unable(l.sources[0])
		}
		r.fault(r.report.At, "report", "%s", why)
	}
	for _, t := range r.sources {
		source := from.all[t.Value]
		if source == nil {
			continue // there is none
		}
		if why := l.unable(source); why != "" {
			r.fault(r.report.At, "report", "%s", why)
		}
	}
}

// nameContexts names the statuses of the jobs of a rule.
func (r draft) nameContexts() {
	base := "buildbridge/" + r.rule.name
	if r.report != nil && r.report.Context.At.Known() {
		base = r.report.Context.Value
	}
	longest := ""
	taken := map[string]int{}
	for i := range r.rule.jobs {
		j := &r.rule.jobs[i]
		j.contexts.push = base
		if len(r.rule.jobs) > 1 {
			j.contexts.push += "/" + cmp.Or(j.name, j.id)
		}
		j.contexts.tag = j.contexts.push + "/tag"
		for _, context := range r.rule.contexts(j) {
			if len(context) > len(longest) {
				longest = context
			}
			if k, twice := taken[foldContext(context)]; twice {
				r.fault(r.jobs[i].At, fmt.Sprintf("jobs[%d].name", i),
					"its statuses have the context of those of jobs[%d], %q: give the jobs names of their own", k, clip(context))
				break
			}
			taken[foldContext(context)] = i
		}
	}
	if len(longest) > maxContext && (r.report == nil || !r.report.Context.Bad) {
		at, field := r.contextPlace()
		r.fault(at, field,
			"the context of its statuses has %d bytes, and at most %d are allowed: %q; write a shorter one under report: {context: …}",
			len(longest), maxContext, clip(longest))
	}
}

// contextPlace is where the context of a rule comes from.
func (r draft) contextPlace() (at yamldoc.Position, field string) {
	if r.report != nil && r.report.Context.At.Known() {
		return r.report.Context.At, "report.context"
	}
	return r.name, "name"
}

// contexts gives the contexts that a job of the rule uses.
func (r *rule) contexts(j *job) []string {
	var used []string
	if r.push != nil {
		used = append(used, j.contexts.push)
	}
	if r.tag != nil {
		used = append(used, j.contexts.tag)
	}
	return used
}

// foldContext makes contexts equal that are the same to a host: GitHub compares them without
// case.
func foldContext(context string) string { return strings.ToLower(context) }
