package mapping

import (
	"fmt"
	"slices"

	"buildbridge/mapping/internal/yamldoc"
)

// maxShared is how many jobs of one id, with different parameters, are remembered.
const maxShared = 8

// sharedJob is the first job with its id, target and parameters.
type sharedJob struct {
	draft

	job          *job
	at           yamldoc.Position
	repositories []string // of its rule
}

// warnSharedJobs finds a job that rules of different repositories run with the same
// parameters: often the rule was copied. Whoever means it sends the repository.
func warnSharedJobs(rules []draft) {
	type key struct{ target, job string }
	type place struct {
		file string
		at   yamldoc.Position
	}
	seen, warned := map[key][]sharedJob{}, map[place]bool{}
	for _, d := range rules {
		names := d.rule.repository().names()
		if len(names) == 0 { // it has a glob, or names none: then one job for all is meant
			continue
		}
		for i := range d.rule.jobs {
			j := &d.rule.jobs[i]
			if j.sendsRepository() {
				continue
			}
			of := key{j.target, j.id}
			k := slices.IndexFunc(seen[of], func(o sharedJob) bool { return o.job.sameBuild(j) })
			at := d.jobs[i].At
			if k < 0 {
				if len(seen[of]) < maxShared {
					seen[of] = append(seen[of], sharedJob{d, j, at, names})
				}
				continue
			}
			first := seen[of][k]
			here := place{d.file.Name, at}
			if warned[here] || slices.ContainsFunc(names, func(name string) bool { return slices.Contains(first.repositories, name) }) {
				continue
			}
			warned[here] = true
			field := fmt.Sprintf("jobs[%d].%s", i, j.action.idField())
			if here == (place{first.file.Name, first.at}) {
				d.warn(at, field, "every repository of for_each runs this %s with the same %s, and nothing tells it which it is: "+
					"use a value of each, or send ${event.repository}", j.action, j.action.ParametersField())
				continue
			}
			d.warn(at, field, "rule %q (%s:%v) runs this %s for %q with the same %s, and nothing tells the %[4]s which repository it is: "+
				"was the %[7]s copied? If not, send ${event.repository}",
				first.rule.name, first.file.Name, first.at, j.action, clip(first.repositories[0]), j.action.ParametersField(), j.action.idField())
		}
	}
}

// sendsRepository says whether a parameter of the job depends on the repository.
func (j *job) sendsRepository() bool {
	return slices.ContainsFunc(j.parameters, func(p parameter) bool {
		return p.value.has(func(e *expression) bool {
			ofEach := slices.ContainsFunc(e.uses, func(u use) bool { return u.of == eachName })
			return ofEach || slices.ContainsFunc(e.fields, func(field string) bool {
				return slices.Contains([]string{"repository", "owner", "name", "url"}, field)
			})
		})
	})
}
