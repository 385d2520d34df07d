package mapping

import (
	"fmt"
	"slices"
)

// maxTwins bounds the patterns of repositories that are compared to find twins.
const maxTwins = 1_000_000

// warnTwins finds jobs that two rules, or two entries of one rule, run for the same
// event, where that is plain to see.
func warnTwins(rules []draft) {
	left := maxTwins
	type target struct{ name, job string }
	groups := map[target][]*rule{}
	for _, d := range rules {
		r := d.rule
		if meet(r, r) == "" {
			continue // it never matches, and its patterns were told already
		}
		for i := range r.jobs {
			j := &r.jobs[i]
			field := fmt.Sprintf("jobs[%d].job_id", i)
			if k := slices.IndexFunc(r.jobs[:i], func(earlier job) bool { return j.sameBuild(&earlier) }); k >= 0 {
				d.warn(d.jobs[i].At, field, "jobs[%d] runs the same job with the same parameters: every event makes two builds", k)
			}
			key := target{j.target, j.id}
			for _, other := range groups[key] {
				if left -= 1 + len(r.repository())*len(other.repository()); left < 0 {
					return
				}
				if other == r {
					continue
				}
				if event := meet(r, other); event != "" {
					d.warn(d.jobs[i].At, field, "rule %q runs the same job for %s: that makes two builds", other.name, event)
					break
				}
			}
			groups[key] = append(groups[key], r)
		}
	}
}

// meet names an event that both rules match, "" if none is plain to see.
func meet(r, o *rule) string {
	if r.condition != nil && o.condition != nil && r.condition.text != o.condition.text {
		return ""
	}
	repositories, ok := both(r.repository(), o.repository())
	if !ok {
		return ""
	}
	for _, kind := range []struct {
		r, o                      []clause
		field, all, literal, list string
	}{
		{r.push, o.push, "when.push.branches", "any push", "a push to ", "a push to a branch that matches "},
		{r.tag, o.tag, "when.tag.tags", "any tag", "the tag ", "a tag that matches "},
	} {
		names, ok := both(patterns(kind.r, kind.field), patterns(kind.o, kind.field))
		if ok && agree(kind.r, kind.o) {
			return names.describe(kind.all, kind.literal, kind.list) + " of " +
				repositories.describe("any repository", "", "a repository that matches ")
		}
	}
	return ""
}

// describe says which names a list takes: all, one, or those that match it.
func (gs globs) describe(all, literal, list string) string {
	switch {
	case gs == nil:
		return all
	case len(gs) == 1 && gs[0].literal:
		return literal + gs[0].pattern
	default:
		return list + gs.String()
	}
}

// agree says whether it is plain to see that some event passes the clauses of both lists.
func agree(a, b []clause) bool {
	for _, c := range a {
		for _, d := range b {
			if !c.meets(d) {
				return false
			}
		}
	}
	return a != nil && b != nil
}

// both gives a list of names that both lists take: one name, if that is plain to see.
// False means that there may be none.
func both(a, b globs) (globs, bool) {
	if a.empty() || b.empty() {
		return nil, false
	}
	for _, pair := range [][2]globs{{a, b}, {b, a}} {
		for _, g := range pair[0] {
			// The other list is asked first: usually it does not match.
			if g.literal && !g.exclude && !g.misses && pair[1].match(g.pattern) && pair[0].match(g.pattern) {
				return globs{g}, true
			}
		}
	}
	switch {
	case a == nil:
		return b, true
	case b == nil || slices.Equal(a, b):
		return a, true
	}
	return nil, false
}
