package mapping

import (
	"cmp"
	"slices"
	"strings"
)

// Use is how a rule runs a job, whatever the event.
type Use struct {
	Job

	Parameters []string     // names of those that it sends, in order; the marker is the last
	BuildType  bool         // it sends scm.build_type
	Sources    []CodeSource // of a pipeline, as its rule has them; none if it sends none
	Push, Tag  bool         // for which events
}

// Uses gives every job of every rule, in order.
func (rs *Ruleset) Uses() []Use {
	var out []Use
	for _, r := range rs.rules {
		for i := range r.jobs {
			j := &r.jobs[i]
			use := Use{
				Job:       j.use(r.name),
				BuildType: j.buildType, Sources: j.sources, Push: r.push != nil, Tag: r.tag != nil,
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

// Named is [Ruleset.NamedRepositories] with the events that rules are for, by name.
func (rs *Ruleset) Named(source string) []Named {
	names := rs.NamedRepositories(source)
	out, place := make([]Named, len(names)), make(map[string]int, len(names))
	for i, name := range names {
		out[i].Repository, place[strings.ToLower(name)] = name, i
	}
	for _, r := range rs.rules {
		if !r.takes(source) {
			continue
		}
		for _, name := range r.named {
			n := &out[place[strings.ToLower(name)]]
			n.Push, n.Tag = n.Push || r.push != nil, n.Tag || r.tag != nil
		}
	}
	slices.SortFunc(out, func(a, b Named) int { return cmp.Compare(a.Repository, b.Repository) })
	return out
}
