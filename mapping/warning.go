package mapping

import "fmt"

// warnMarkers recommends a marker for jobs whose builds look like those that a person
// starts, but for their time: one warning for all of them.
func warnMarkers(rules []draft) {
	var (
		first draft
		where int
		jobs  int
	)
	for _, r := range rules {
		for i := range r.rule.jobs {
			if j := &r.rule.jobs[i]; j.action == ActionPipeline || j.marker != "" || j.varies() {
				continue // the runs of a pipeline have the id in their description
			}
			if jobs++; jobs == 1 {
				first, where = r, i
			}
		}
	}
	if jobs == 0 {
		return
	}
	others := ""
	if jobs > 1 {
		others = fmt.Sprintf(" (and %d more jobs)", jobs-1)
	}
	first.warn(first.jobs[where].At, fmt.Sprintf("jobs[%d].marker", where),
		"neither marker nor a parameter from the event%s: if the answer to a call is lost, a person's build of the same commit "+
			"may be taken for this one. Name a parameter of the job here", others)
}
