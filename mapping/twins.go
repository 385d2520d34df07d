package mapping

import (
	"fmt"
	"slices"
	"strings"
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

// twin is a rule, and one of its jobs.
type twin struct {
	*rule

	job        *job
	paths      []*pathsClause // of both
	conditions []*condition   // of both
}

func newTwin(r *rule, j *job) twin {
	t := twin{rule: r, job: j}
	for _, c := range r.push {
		if c, ok := c.(*pathsClause); ok {
			t.paths = append(t.paths, c)
		}
	}
	if j.asks.paths != nil {
		t.paths = append(t.paths, j.asks.paths)
	}
	for _, c := range []*condition{r.condition, j.asks.condition} {
		if c != nil {
			t.conditions = append(t.conditions, c)
		}
	}
	return t
}

// twinGroup is the rules of a [twinKey].
type twinGroup struct {
	twins []twin
	left  int // of maxTwins
}

// meeting names something that concerns both, "" if nothing is plain to see. Both take the
// repositories.
type meeting func(repositories globs, r, o twin) string

// twins are the rules that were seen, in groups.
type twins map[twinKey]*twinGroup

// warnTwins finds jobs that two rules, or two entries of one rule, run for the same
// event, and statuses of two rules that hide each other, where that is plain to see.
func warnTwins(rules []draft) {
	seen := twins{}
	for _, d := range rules {
		r := d.rule
		if never := newTwin(r, new(job)); meet(never, never, sameEvent) == "" {
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
			field := fmt.Sprintf("jobs[%d].%s", i, j.action.idField())
			self := newTwin(r, j)
			if k, what := self.earlier(); what != "" {
				d.warn(d.jobs[i].At, field, "jobs[%d] runs the same %s with the same %s%s", k, j.action, j.action.ParametersField(), what)
			}
			if other, what := seen.find(self, twinKey{target: j.target, job: j.id}, compared, sameEvent); other != nil {
				d.warn(d.jobs[i].At, field, "rule %q runs the same %s %s", other.name, j.action, what)
			}
			seen.add(self, twinKey{target: j.target, job: j.id}, member)
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
		self := newTwin(r.rule, &r.rule.jobs[i])
		for _, context := range r.rule.contexts(self.job) {
			key := twinKey{context: foldContext(context)}
			if other, commit := seen.find(self, key, compared, sameCommit); other != nil && !warned {
				at, field := r.contextPlace()
				r.warn(at, field, "rule %q sets statuses of the context %q too, on %s: one hides the other", other.name, clip(context), commit)
				warned = true
			}
			seen.add(self, key, member)
		}
	}
}

// find gives the first rule of the groups of the repositories that meets r, and what they
// meet in.
func (t twins) find(r twin, key twinKey, repositories []string, meets meeting) (other *rule, what string) {
	for _, key.repository = range repositories {
		if other, what = t[key].find(r, key.repository, meets); other != nil {
			break
		}
	}
	return other, what
}

func (t twins) add(r twin, key twinKey, repositories []string) {
	for _, key.repository = range repositories {
		if t[key] == nil {
			t[key] = &twinGroup{left: maxTwins}
		}
		t[key].twins = append(t[key].twins, r)
	}
}

// find gives the first rule of the group that meets r, and what they meet in. repository is
// that of the group's key.
func (g *twinGroup) find(r twin, repository string, meets meeting) (other *rule, what string) {
	if g == nil {
		return nil, ""
	}
	for _, other := range g.twins {
		if other.rule == r.rule {
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
			return other.rule, what
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
func meet(r, o twin, meets meeting) string {
	repositories, ok := both(r.repository(), o.repository())
	if !ok {
		return ""
	}
	return meets(repositories, r, o)
}

// sameCommit is the meeting of rules that both may build one commit, at different branches
// or tags too.
func sameCommit(repositories globs, r, o twin) string {
	if !agree(r.every, o.every) {
		return ""
	}
	return "a commit of " + repositories.describe("any repository", "", "a repository that matches ")
}

// copied is said of jobs of different folders that are one job: each would have its own.
func (a Action) copied() string {
	return fmt.Sprintf("was the %s copied? If not, give one %s both lists of paths, or send a %s that tells them apart",
		a.idField(), a, strings.TrimSuffix(a.ParametersField(), "s"))
}

// sameEvent is the meeting of jobs that both are started by one event. Different paths never
// keep jobs apart, because a push can change files of both: they are meant where the job is told.
func sameEvent(repositories globs, r, o twin) string {
	if !compatible(r.conditions, o.conditions, sameText) {
		return ""
	}
	other := ""
	for _, kind := range []struct {
		r, o                      []clause
		paths, others             []*pathsClause
		field, all, literal, list string
	}{
		{r.push, o.push, r.paths, o.paths, "when.push.branches", "any push", "a push to ", "a push to a branch that matches "},
		{r.tag, o.tag, nil, nil, "when.tag.tags", "any tag", "the tag ", "a tag that matches "},
	} {
		names, ok := both(patterns(kind.r, kind.field), patterns(kind.o, kind.field))
		if !ok || !agree(kind.r, kind.o) {
			continue
		}
		same := compatible(kind.paths, kind.others, samePaths)
		if !same && (!r.job.sameBuild(o.job) || !mayPass(kind.paths) || !mayPass(kind.others)) {
			continue
		}
		event := names.describe(kind.all, kind.literal, kind.list) + " of " +
			repositories.describe("any repository", "", "a repository that matches ")
		if same {
			return "for " + event + ": that makes two builds"
		}
		other = fmt.Sprintf("with the same %s for other paths, and %s that changes both makes two builds: %s",
			r.job.action.ParametersField(), event, r.job.action.copied())
	}
	return other
}

// mayPass says whether it is not plain to see that no file passes.
func mayPass(list []*pathsClause) bool {
	return !slices.ContainsFunc(list, func(c *pathsClause) bool { return c.paths.empty() })
}

// earlier finds an earlier entry of the rule that makes the same builds as the job, and says
// for which events, "" if there is none.
func (t twin) earlier() (k int, what string) {
	for k := range t.jobs {
		o := &t.jobs[k]
		if o == t.job {
			break
		}
		if !t.job.sameBuild(o) {
			continue
		}
		other := newTwin(t.rule, o)
		if !compatible(t.conditions, other.conditions, sameText) {
			continue
		}
		switch meets := compatible(t.paths, other.paths, samePaths); {
		case meets && t.job.asks == (jobClauses{}) && o.asks == (jobClauses{}):
			return k, ": every event makes two builds"
		case meets && t.push != nil:
			return k, ": an event that both take makes two builds"
		case t.tag != nil:
			return k, ": every tag that both take makes two builds"
		case mayPass(t.paths) && mayPass(other.paths):
			return k, " for other paths, and a push that changes both makes two builds: " + t.job.action.copied()
		}
	}
	return 0, ""
}

func samePaths(a, b *pathsClause) bool {
	return slices.Equal(a.paths, b.paths) && slices.Equal(a.ignore, b.ignore)
}

func sameText(a, b *condition) bool { return a.written() == b.written() }

// compatible says whether it is plain to see that what passes all of one list can pass all of
// the other: one of them has nothing that the other has not.
func compatible[T any](a, b []T, same func(T, T) bool) bool {
	within := func(a, b []T) bool {
		return !slices.ContainsFunc(a, func(x T) bool { return !slices.ContainsFunc(b, func(y T) bool { return same(x, y) }) })
	}
	return within(a, b) || within(b, a)
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
