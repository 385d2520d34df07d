package mapping

import (
	"fmt"

	"buildbridge/mapping/printable"
)

// rule is a checked rule.
type rule struct {
	clauses

	name      string
	about     string // what it is for, for people
	owner     string
	file      *ruleFile // where it is written
	line      int32
	entry     int32      // the line of its repository in a for_each, 0 for none
	fence     string     // the file of its fence, "" for none
	condition *condition // nil means true
	jobs      []job

	pathsOfJobs bool            // some job has paths or paths_ignore
	concurrency Concurrency     // of builds of pushes
	once        bool            // a commit that it builds, or has built, is not built again; not for tags
	paused      string          // why its builds wait, "" if they do not
	named       []string        // repositories that it names exactly, as they are written
	reports     map[string]bool // names of the sources whose commits get statuses; shared by rules
}

// compile checks a rule as a whole. What it refers to is resolved when all files are
// read.
func (s scope) compile(doc *ruleDocument) *rule {
	r := &rule{
		name: doc.Name.Value, about: doc.Description.Value, owner: doc.Owner.Value,
		clauses: s.clauses(doc), condition: s.condition(doc.If, "if"),
	}
	names := definitions{}
	for i := range doc.Jobs {
		r.jobs = append(r.jobs, s.job(&doc.Jobs[i], i, doc, &r.clauses))
		r.pathsOfJobs = r.pathsOfJobs || r.jobs[i].asks.paths != nil
		if name := doc.Jobs[i].Name; name.Value != "" {
			s.define(names, name, fmt.Sprintf("jobs[%d].name", i), "another job of this rule has this name, at")
		}
	}
	r.concurrency = s.concurrency(doc.Concurrency, &r.clauses)
	r.once = doc.Once.Value == "commit" && (r.push != nil || r.tag == nil)
	if doc.Once.Value == "commit" && !r.once {
		s.warn(doc.Once.At, "once", "without effect: tags are always built, and this rule is for tags only")
	}
	r.paused = doc.Paused.Value
	r.named = s.exactly(r, doc.Repository)
	return r
}

// repository gives the patterns of the repository; nil means all.
func (r *rule) repository() globs { return patterns(r.every, repositoryField) }

// verdict says whether the rule matches an event, and if not, why.
func (r *rule) verdict(ev subject) Verdict {
	v := Verdict{Rule: r.name}
	if why := r.why(ev); why != "" {
		v.Reason = printable.Text(why)
		return v
	}
	m := new(meter)
	ok, err := r.condition.holds(m, ev.Event)
	if !ok && err == nil {
		v.Reason = printable.Text(r.condition.why())
		return v
	}
	var why string
	v.Jobs, why = r.passing(m, ev, err != nil)
	v.Reason, v.Matched = printable.Text(why), why == ""
	return v
}

// builds adds the builds of an event that the rule matches, but for the clauses of its jobs.
// failed is why the condition could not be evaluated, nil if it could.
func (r *rule) builds(m *meter, ev subject, failed error, out []Build) []Build {
	files := r.jobFiles(ev)
	report := r.reports[ev.Source] && ev.Commit != ""
	title := ev.Title()
	for i := range r.jobs {
		j := &r.jobs[i]
		var unmet error
		if failed != nil {
			if !j.asks.passPaths(ev, files) {
				continue
			}
		} else if ok, err := j.asks.pass(m, ev, files); err != nil {
			unmet = err
		} else if !ok {
			continue
		}
		b := Build{
			Rule: r.name, Target: j.target, Action: j.action, JobID: j.id, Job: j.name, ProjectID: j.project,
			Repository: ev.Repository, Ref: ev.Ref,
			BuildType: j.buildType, Source: j.scm, Sources: j.codeSources(ev.Event), Stages: j.stages, Marker: j.marker,
			Pusher: ev.Pusher, Title: title,
		}
		if ev.Kind == Tag {
			b.Tag, b.TagCommit = ev.Tag, ev.Commit
		} else {
			b.Commit, b.Concurrency, b.Once = ev.Commit, r.concurrency, r.once
			if j.scmBranch {
				b.Source.Branch = ev.Branch
			}
		}
		if report {
			b.Context = j.contexts.of(ev.Kind)
		}
		dead := ""
		switch {
		case failed != nil:
			dead = fmt.Sprintf("if: %v", failed)
		case unmet != nil:
			dead = fmt.Sprintf("%s: %v", j.asks.condition.field, unmet)
		case ev.Kind == Tag && b.Tag == "":
			dead = "event.tag: the tag has no name"
		case unsendable(b.Tag) != "":
			dead = "event.tag: " + unsendable(b.Tag)
		case ev.Kind == Push && b.Commit == "":
			dead = "event.commit: the host named no commit to build"
		default:
			var err error
			if b.Parameters, err = j.evaluate(m, ev.Event); err != nil {
				dead = fmt.Sprintf("jobs[%d].%v", i, err)
			}
		}
		if dead != "" {
			b.Dead = fmt.Sprintf("rule %q: %s", r.name, dead)
		}
		out = append(out, b)
	}
	return out
}
