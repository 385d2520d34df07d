package mapping

import "fmt"

// warnSet looks for what is odd about the set as a whole.
func (l *loader) warnSet(rs *Ruleset, files []File) {
	if len(rs.rules) == 0 {
		l.warnings = append(l.warnings, Fault{
			File: files[0].Name, Line: 1, Column: 1, Field: "rules", Warning: true,
			Message: "there is no rule: nothing will ever be built",
		})
	}
	warnTwins(rs.rules)
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
			case j.marker != "" || j.varies():
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
