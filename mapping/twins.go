package mapping

import (
	"fmt"
	"slices"
)

// maxTwins bounds the patterns of repositories that are compared in one group of rules.
const maxTwins = 1_000_000

// twinKey is what the rules of a group share: the job that they run or the context of their
// statuses, and a repository that each of them names, or anyRepository or namedRepository.
type twinKey struct{ target, job, context, repository string }

const (
	anyRepository   = ""  // rules with a glob, or without patterns
	namedRepository = "*" // all other rules: they only name repositories
)

// twinGroup is the rules of a [twinKey].
type twinGroup struct {
	rules []*rule
	left  int // of maxTwins
}

// meeting names something that concerns both rules, "" if nothing is plain to see. Both
// take the repositories.
type meeting func(repositories globs, r, o *rule) string

// twins are the rules that were seen, in groups.
type twins map[twinKey]*twinGroup

// warnTwins finds jobs that two rules, or two entries of one rule, run for the same
// event, and statuses of two rules that hide each other, where that is plain to see.
func warnTwins(rules []draft) {
	seen := twins{}
	for _, d := range rules {
		r := d.rule
		if meet(r, r, sameEvent) == "" {
			continue // it never matches: a warning of its patterns says so
		}
		// A rule that only names repositories is compared with rules that name one of
		// them, and with rules for any repository. Those are compared with all rules.
		compared, member := []string{anyRepository, namedRepository}, []string{anyRepository}
		if names := r.repository().names(); names != nil {
			compared, member = append(slices.Clone(names), anyRepository), append(names, namedRepository)
		}
		for i := range r.jobs {
			j := &r.jobs[i]
			field := fmt.Sprintf("jobs[%d].job_id", i)
			if k := slices.IndexFunc(r.jobs[:i], func(earlier job) bool { return j.sameBuild(&earlier) }); k >= 0 {
				d.warn(d.jobs[i].At, field, "jobs[%d] runs the same job with the same parameters: every event makes two builds", k)
			}
			if other, event := seen.find(r, twinKey{target: j.target, job: j.id}, compared, sameEvent); other != nil {
				d.warn(d.jobs[i].At, field, "rule %q runs the same job for %s: that makes two builds", other.name, event)
			}
			seen.add(r, twinKey{target: j.target, job: j.id}, member)
		}
		d.warnContexts(seen, compared, member)
	}
}

// warnContexts finds a rule whose statuses hide those of the rule, or are hidden by them.
func (r draft) warnContexts(seen twins, compared, member []string) {
	if r.rule.reports == nil {
		return
	}
	warned := false
	for i := range r.rule.jobs {
		for _, context := range r.rule.contexts(&r.rule.jobs[i]) {
			key := twinKey{context: foldContext(context)}
			if other, commit := seen.find(r.rule, key, compared, sameCommit); other != nil && !warned {
				at, field := r.contextPlace()
				r.warn(at, field, "rule %q sets statuses of the context %q too, on %s: one hides the other", other.name, clip(context), commit)
				warned = true
			}
			seen.add(r.rule, key, member)
		}
	}
}

// find gives the first rule of the groups of the repositories that meets r, and what they
// meet in.
func (t twins) find(r *rule, key twinKey, repositories []string, meets meeting) (other *rule, what string) {
	for _, key.repository = range repositories {
		if other, what = t[key].find(r, key.repository, meets); other != nil {
			break
		}
	}
	return other, what
}

func (t twins) add(r *rule, key twinKey, repositories []string) {
	for _, key.repository = range repositories {
		if t[key] == nil {
			t[key] = &twinGroup{left: maxTwins}
		}
		t[key].rules = append(t[key].rules, r)
	}
}

// find gives the first rule of the group that meets r, and what they meet in. repository is
// that of the group's key.
func (g *twinGroup) find(r *rule, repository string, meets meeting) (other *rule, what string) {
	if g == nil {
		return nil, ""
	}
	for _, other := range g.rules {
		if other == r {
			continue
		}
		if repository != anyRepository && repository != namedRepository {
			g.left--
			what = meets(globs{{pattern: repository, literal: true}}, r, other)
		} else if g.left -= 1 + len(r.repository())*len(other.repository()); g.left >= 0 {
			what = meet(r, other, meets)
		}
		if g.left < 0 {
			break
		}
		if what != "" {
			return other, what
		}
	}
	return nil, ""
}

// names gives the names that the list takes, nil if it may take others: it has a glob, or
// takes all names that it does not exclude.
func (gs globs) names() []string {
	if gs.startsFromAll() {
		return nil
	}
	excludes := slices.ContainsFunc(gs, func(g glob) bool { return g.exclude })
	var names []string
	for _, g := range gs {
		switch {
		case g.exclude || g.misses || g.literal && excludes && !gs.match(g.pattern):
		case g.literal:
			names = append(names, g.pattern)
		default:
			return nil
		}
	}
	return names
}

// meet names what both rules meet in, "" if nothing is plain to see.
func meet(r, o *rule, meets meeting) string {
	repositories, ok := both(r.repository(), o.repository())
	if !ok {
		return ""
	}
	return meets(repositories, r, o)
}

// sameCommit is the meeting of rules that both may build one commit, at different branches
// or tags too.
func sameCommit(repositories globs, r, o *rule) string {
	if !agree(r.every, o.every) {
		return ""
	}
	return "a commit of " + repositories.describe("any repository", "", "a repository that matches ")
}

// sameEvent is the meeting of rules that both match one event.
func sameEvent(repositories globs, r, o *rule) string {
	if r.condition != nil && o.condition != nil && r.condition.text != o.condition.text {
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

// agree says whether it is plain to see that some event of a repository that both lists
// take passes the other clauses of both.
func agree(a, b []clause) bool {
	for _, c := range a {
		if names, ok := c.(*namesClause); ok && names.field == repositoryField {
			continue
		}
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
