package mapping

import (
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// jobClauses is what a job asks of an event, on top of what its rule asks: `paths`,
// `paths_ignore` and `if`. The zero value asks nothing.
type jobClauses struct {
	paths     *pathsClause // of pushes: a tag comes without files
	condition *condition
}

// jobClauses compiles those of job i of a rule.
func (s scope) jobClauses(doc *jobDocument, i int, rule *ruleDocument) jobClauses {
	field := fmt.Sprintf("jobs[%d].", i)
	c := jobClauses{condition: s.condition(doc.If, field+"if")}
	when := rule.When
	if when != nil && when.Push != nil {
		c.paths = s.paths(doc.Paths, doc.PathsIgnore, field, when.Push.UnknownPaths)
	} else if list := slices.Concat(doc.Paths, doc.PathsIgnore); len(list) > 0 && when != nil && when.Tag != nil {
		s.warn(list[0].At, strings.TrimSuffix(field, "."), "paths and paths_ignore are without effect: the rule is for tags only")
	}
	return c
}

// warnOutside warns of paths of a job, as they are written, of which it is plain to see that no
// file matches them that counts for the rule.
func (s scope) warnOutside(of *pathsClause, when *clauses, written yamldoc.Texts, field string) {
	if of == nil || of.paths.startsFromAll() || of.paths.empty() {
		return
	}
	for _, c := range when.push {
		rule, ok := c.(*pathsClause)
		if ok && !rule.paths.empty() && !slices.ContainsFunc(of.paths, func(g glob) bool { return !g.exclude && !rule.refuses(g) }) {
			s.warn(written[0].At, field,
				"no file that matches counts for the rule, whose %s: paths of a job narrow those of its rule", rule.written())
		}
	}
}

// refuses says whether it is certain that no file that matches a pattern counts.
func (c *pathsClause) refuses(g glob) bool {
	return g.misses || c.ignore.cover(globs{g}, 0) ||
		!c.paths.startsFromAll() && !slices.ContainsFunc(c.paths, func(o glob) bool { return !o.exclude && !o.disjoint(&g) })
}

// written says what the lists are.
func (c *pathsClause) written() string {
	var lists []string
	if c.paths != nil {
		lists = append(lists, "paths are "+c.paths.String())
	}
	if c.ignore != nil {
		lists = append(lists, "paths_ignore are "+c.ignore.String())
	}
	return strings.Join(lists, " and ")
}

// pass says whether an event passes. files are the changed files that count for the rule. An
// error means that the condition could not be evaluated: the build of the job is dead.
func (c *jobClauses) pass(m *meter, ev subject, files []string) (bool, error) {
	if !c.passPaths(ev, files) {
		return false, nil
	}
	return c.condition.holds(m, ev.Event)
}

func (c *jobClauses) passPaths(ev subject, files []string) bool {
	return c.paths == nil || ev.Kind != Push || c.paths.passSorted(ev, files)
}

// why says why an event does not pass. It begins with the name of the field.
func (c *jobClauses) why(ev subject, files []string) string {
	if !c.passPaths(ev, files) {
		return c.paths.whyNot(ev, files)
	}
	return c.condition.why()
}

// jobFiles gives the changed files of a push that count for the jobs of the rule: those that
// its own paths and paths_ignore let through. They are sorted.
func (r *rule) jobFiles(ev subject) []string {
	files := ev.Files
	if !r.pathsOfJobs || !ev.FilesComplete {
		return files
	}
	if !slices.IsSorted(files) { // those of an event that a person made
		files = slices.Sorted(slices.Values(files))
	}
	for _, c := range r.of(ev.Kind) {
		if paths, ok := c.(*pathsClause); ok {
			files = slices.DeleteFunc(slices.Clone(files), func(file string) bool { return !paths.counts(file) })
		}
	}
	return files
}

// passing names the jobs that an event starts which the rule matches otherwise, nil for all of
// them. If there is none, why says why. failed says that the condition of the rule could not be
// evaluated: those of the jobs are not asked then.
func (r *rule) passing(m *meter, ev subject, failed bool) (jobs []string, why string) {
	const told = 3 // jobs of which the clause is told
	files := r.jobFiles(ev)
	var reasons []string
	for i := range r.jobs {
		j := &r.jobs[i]
		ok := j.asks.passPaths(ev, files)
		if ok && !failed {
			met, err := j.asks.condition.holds(m, ev.Event)
			ok = met || err != nil
		}
		switch {
		case ok:
			jobs = append(jobs, j.label())
		case len(reasons) < told:
			reasons = append(reasons, j.asks.why(ev, files))
		}
	}
	switch {
	case len(jobs) == len(r.jobs):
		return nil, ""
	case len(jobs) > 0:
		return jobs, ""
	case len(r.jobs) == 1:
		return nil, reasons[0]
	}
	if len(r.jobs) > told {
		reasons = append(reasons, "…")
	}
	return nil, fmt.Sprintf("none of %d jobs: %s", len(r.jobs), strings.Join(reasons, "; "))
}
