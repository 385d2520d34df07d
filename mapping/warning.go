package mapping

import (
	"fmt"
	"slices"
)

// warnRule looks for what makes a rule contradict itself.
func (s scope) warnRule(r *rule, doc *ruleDocument) {
	if p := r.push; p != nil {
		unknown := doc.When.Push.UnknownPaths
		if unknown.at.present() && p.paths == nil && p.ignore == nil {
			s.warn(unknown.at, "when.push.unknown_paths", "without effect: there are neither paths nor paths_ignore")
		}
	}
	if r.newest && r.push == nil && r.tag != nil {
		s.warn(doc.Concurrency.at, "concurrency", "without effect: a build of a tag is never replaced, and this rule is for tags only")
	}
	s.warnParameters(r, doc, func(e *expression) bool { return e.lines },
		"event.message may have several lines, and a value with a line break is not sent: event.title is the first line")
	if (r.push == nil) == (r.tag == nil) {
		return
	}
	empty, only := "tag", "pushes"
	if r.push == nil {
		empty, only = "branch", "tags"
	}
	s.warnParameters(r, doc, func(e *expression) bool { return e.reads(empty) }, `event.%s is always "": this rule is for %s only`, empty, only)
}

// warnParameters warns of each parameter that has an expression of a kind.
func (s scope) warnParameters(r *rule, doc *ruleDocument, has func(*expression) bool, format string, args ...any) {
	for i := range r.jobs {
		for k, p := range r.jobs[i].parameters {
			if slices.ContainsFunc(p.value, func(part part) bool { return part.expression != nil && has(part.expression) }) {
				s.warn(doc.Jobs[i].Parameters[k].Value.at, fmt.Sprintf("jobs[%d].parameters.%s", i, p.name), format, args...)
			}
		}
	}
}

// warnSet looks for what is odd about the set as a whole.
func (l *loader) warnSet(rs *Ruleset, files []File) {
	if len(rs.rules) == 0 {
		l.warnings = append(l.warnings, Fault{
			File: files[0].Name, Line: 1, Column: 1, Field: "rules", Warning: true,
			Message: "there is no rule: nothing will ever be built",
		})
	}
	l.warnTwins(rs)
	warnMarkers(rs)
}

// warnMarkers recommends a marker for jobs whose builds nothing but the time tells from
// those that a person starts: once, for all of them.
func warnMarkers(rs *Ruleset) {
	var (
		first *rule
		where int
		more  int
	)
	for _, r := range rs.rules {
		for i := range r.jobs {
			j := &r.jobs[i]
			switch {
			case j.marker != "" || slices.ContainsFunc(j.parameters, parameter.varies):
			case first == nil:
				first, where = r, i
			default:
				more++
			}
		}
	}
	if first == nil {
		return
	}
	others := ""
	if more > 0 {
		others = fmt.Sprintf(" (and %d more jobs)", more)
	}
	first.scope.warn(first.jobs[where].at, fmt.Sprintf("jobs[%d].marker", where),
		"neither marker nor a parameter from the event%s: if the answer to a call is lost, a person's build of the same commit may be taken for this one. Name a parameter of the job here",
		others)
}

// varies tells whether the value comes from the event.
func (p parameter) varies() bool {
	return slices.ContainsFunc(p.value, func(s part) bool { return s.expression != nil })
}

// twin is one job of one rule.
type twin struct {
	rule *rule
	job  int
}

// twinKey is what twins have in common: the job, and a repository that both name
// literally, or one of the two below.
type twinKey struct{ repository, target, job string }

const (
	wide    = ""   // those that name no repository literally: by a glob, or not at all
	literal = "**" // those that do
)

// warnTwins finds jobs that two rules, or two entries of one, run for the same
// event, where that is plain to see. Rules that match nothing were told already.
func (l *loader) warnTwins(rs *Ruleset) {
	const most = 50 // compared with each: the rest of a large group is not looked at
	groups := map[twinKey][]twin{}
	for _, r := range rs.rules {
		if r.repository.empty() || r.meets(r) == "" {
			continue
		}
		names := r.literalRepositories()
		for i := range r.jobs {
			j := &r.jobs[i]
			r.warnEntries(i, most)
			add := func(repository string) {
				key := twinKey{repository, j.target, j.id}
				if group := groups[key]; len(group) < most {
					groups[key] = append(group, twin{rule: r, job: i})
				}
			}
			for _, name := range names {
				r.warnTwin(i, groups[twinKey{name, j.target, j.id}], name)
				add(name)
			}
			r.warnTwin(i, groups[twinKey{wide, j.target, j.id}], "")
			if len(names) > 0 {
				add(literal)
				continue
			}
			r.warnTwin(i, groups[twinKey{literal, j.target, j.id}], "")
			add(wide)
		}
	}
}

// literalRepositories are the names among the patterns, in lower case. A list can
// have thousands of them: each is compared only with the patterns that are none.
func (r *rule) literalRepositories() []string {
	last := map[string]int{} // where a name is written last
	var others []int
	for i, g := range r.repository {
		if g.literal {
			last[g.pattern] = i
		} else {
			others = append(others, i)
		}
	}
	var names []string
	for i, g := range r.repository {
		if !g.literal || g.exclude || g.misses || last[g.pattern] != i {
			continue
		}
		by := i
		for _, k := range slices.Backward(others) {
			if k < i || r.repository[k].match(g.pattern) {
				by = max(i, k)
				break
			}
		}
		if !r.repository[by].exclude {
			names = append(names, g.pattern)
		}
	}
	return names
}

// warnEntries looks for what job i repeats among those before it in its rule.
func (r *rule) warnEntries(i, most int) {
	j := &r.jobs[i]
	for k := range r.jobs[:min(i, most)] {
		o := &r.jobs[k]
		if o.id == j.id && o.target == j.target && slices.EqualFunc(o.parameters, j.parameters, sameParameter) {
			r.scope.warn(j.at, fmt.Sprintf("jobs[%d].job_id", i), "jobs[%d] runs the same job with the same parameters: every event makes two builds", k)
			return
		}
	}
}

// warnTwin looks for the first of the others that meets job i: in the repository
// that both name, or where that is "", in one that both take.
func (r *rule) warnTwin(i int, others []twin, repository string) {
	for _, other := range others {
		if other.rule == r {
			continue
		}
		where := repository
		if where == "" {
			both, ok := common(r.repository, other.rule.repository)
			if !ok {
				continue
			}
			where = both.name("any repository", "", "a repository that matches ")
		}
		if event := r.meets(other.rule); event != "" {
			r.scope.warn(r.jobs[i].at, fmt.Sprintf("jobs[%d].job_id", i),
				"rule %q runs the same job for %s of %s: that makes two builds", other.rule.name, event, where)
			return
		}
	}
}

// meets names an event that both rules match, "" if none is plain to see.
func (r *rule) meets(o *rule) string {
	if r.sources != nil && o.sources != nil && !slices.ContainsFunc(r.sources, func(s string) bool { return slices.Contains(o.sources, s) }) {
		return ""
	}
	if r.condition != nil && o.condition != nil && r.condition.text != o.condition.text {
		return ""
	}
	if a, b := r.push, o.push; a != nil && b != nil && !a.paths.empty() && !b.paths.empty() && samePaths(a, b) {
		if both, ok := common(a.branches, b.branches); ok {
			return both.name("any push", "a push to ", "a push to a branch that matches ")
		}
	}
	if a, b := r.tag, o.tag; a != nil && b != nil && (a.constraint == nil || b.constraint == nil || a.constraint == b.constraint) {
		if both, ok := common(a.tags, b.tags); ok {
			return both.name("any tag", "the tag ", "a tag that matches ")
		}
	}
	return ""
}

// samePaths says whether it is plain to see that some push matches the paths of
// both.
func samePaths(a, b *pushClause) bool {
	none := func(p *pushClause) bool { return p.paths == nil && p.ignore == nil }
	return none(a) || none(b) || slices.Equal(a.paths, b.paths) && slices.Equal(a.ignore, b.ignore)
}

// overlap is what two lists both take: a list that is nil means all.
type overlap struct {
	literal string // one name, if that is plain to see
	list    globs
}

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
			// The other list first: that it does not match is usual.
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

func sameParameter(a, b parameter) bool {
	return a.name == b.name && slices.Equal(a.value, b.value)
}
