package mapping

import (
	"fmt"
	"reflect"
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
	if !agree(r.clauses, o.clauses) || r.condition != nil && o.condition != nil && r.condition.text != o.condition.text {
		return ""
	}
	repository, ok := common(r.repository(), o.repository())
	if !ok {
		return ""
	}
	of := " of " + repository.name("any repository", "", "a repository that matches ")
	a, b := r.when(), o.when()
	if agree(a.push, b.push) {
		if both, ok := common(a.branches(), b.branches()); ok {
			return both.name("any push", "a push to ", "a push to a branch that matches ") + of
		}
	}
	if agree(a.tag, b.tag) {
		if both, ok := common(a.tags(), b.tags()); ok {
			return both.name("any tag", "the tag ", "a tag that matches ") + of
		}
	}
	return ""
}

// agree says whether it is plain to see that some event passes the clauses of both lists.
func agree(a, b []clause) bool {
	for _, c := range a {
		for _, d := range b {
			if reflect.TypeOf(c) == reflect.TypeOf(d) && !c.meets(d) {
				return false
			}
		}
	}
	return a != nil && b != nil
}

// overlap is what two lists both take.
type overlap struct {
	literal string // one name, if that is plain to see
	list    globs  // nil means all
}

// name describes the overlap: all names, one name, or those that a list takes.
func (o overlap) name(all, literal, list string) string {
	switch {
	case o.literal != "":
		return literal + o.literal
	case o.list == nil:
		return all
	default:
		return list + o.list.String()
	}
}

// common finds what both lists take.
func common(a, b globs) (overlap, bool) {
	if a.empty() || b.empty() {
		return overlap{}, false
	}
	for _, pair := range [][2]globs{{a, b}, {b, a}} {
		for _, g := range pair[0] {
			// The other list is asked first: usually it does not match.
			if g.literal && !g.exclude && !g.misses && pair[1].match(g.pattern) && pair[0].match(g.pattern) {
				return overlap{literal: g.pattern}, true
			}
		}
	}
	switch {
	case a == nil:
		return overlap{list: b}, true
	case b == nil || slices.Equal(a, b):
		return overlap{list: a}, true
	}
	return overlap{}, false
}
