package mapping

import (
	"cmp"
	"slices"
)

// Use is how a rule runs a job, whatever the event.
type Use struct {
	Job

	Parameters []string // names of those that it sends, in order; the marker is the last
	BuildType  bool     // it sends scm.build_type
	Push, Tag  bool     // for which events
}

// Uses gives every job of every rule, in order.
func (rs *Ruleset) Uses() []Use {
	var out []Use
	for _, r := range rs.rules {
		for i := range r.jobs {
			j := &r.jobs[i]
			use := Use{
				Job:       Job{Rule: r.name, Target: j.target, JobID: j.id},
				BuildType: j.buildType, Push: r.push != nil, Tag: r.tag != nil,
			}
			for _, p := range j.parameters {
				use.Parameters = append(use.Parameters, p.name)
			}
			if j.marker != "" {
				use.Parameters = append(use.Parameters, j.marker)
			}
			out = append(out, use)
		}
	}
	return out
}

// Named is a repository that rules name exactly, for one source.
type Named struct {
	Repository string // as the first of the rules writes it
	Push, Tag  bool   // the events of it that some rule is for
}

// Named gives the repositories of a source that rules name exactly, by their name: not those
// that only a glob matches, and none that a rule excludes again.
func (rs *Ruleset) Named(source string) []Named {
	var out []Named
	place := map[string]int{} // in out, by the name in lower case
	for _, r := range rs.rules {
		if !r.takes(source) {
			continue
		}
		repository := r.repository()
		for _, g := range repository {
			if g.exclude || !g.literal || g.misses || !repository.match(g.pattern) {
				continue
			}
			i, known := place[g.pattern]
			if !known {
				i = len(out)
				place[g.pattern] = i
				out = append(out, Named{Repository: cmp.Or(g.written, g.pattern)})
			}
			out[i].Push = out[i].Push || r.push != nil
			out[i].Tag = out[i].Tag || r.tag != nil
		}
	}
	slices.SortFunc(out, func(a, b Named) int { return cmp.Compare(a.Repository, b.Repository) })
	return out
}

// takes says whether the rule is for events of a source.
func (r *rule) takes(source string) bool {
	for _, c := range r.every {
		if s, ok := c.(*sourceClause); ok && !slices.Contains(s.names, source) {
			return false
		}
	}
	return true
}
