package mapping

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// job is a checked job of a rule.
type job struct {
	action     Action
	id         string // of the job, or of the pipeline
	project    string // of a pipeline
	name       string // "" if it has none
	target     string
	contexts   contexts
	parameters []parameter
	constants  *constants // that the parameters see
	buildType  bool
	scm        JobSource // without the branch
	scmBranch  bool      // the branch of a push is sent too
	sources    []CodeSource
	stages     []string
	pin        bool
	marker     string
	asks       jobClauses
}

type parameter struct {
	name  string
	value template
}

// job compiles job i of a rule.
func (s scope) job(doc *jobDocument, i int, rule *ruleDocument, when *clauses) job {
	j := job{
		action: doc.action(), id: doc.id().Value, name: doc.Name.Value, target: doc.Target.Value,
		buildType: doc.BuildType.Value == "auto", marker: doc.Marker.Value, constants: s.constants,
		asks: s.jobClauses(doc, i, rule),
	}
	s.checkAction(doc, i)
	if j.action == ActionPipeline {
		s.pipeline(doc, i, when, &j)
	} else if doc.SCM != nil {
		j.scm, j.scmBranch = JobSource{RepoID: doc.SCM.RepoID.Value, URL: doc.SCM.URL.Value}, doc.SCM.Branch.Value == "auto"
		if !doc.SCM.Branch.At.Known() && j.scm == (JobSource{}) && !doc.SCM.MayHave("branch", "repo_id", "url") && !doc.SCM.Constants {
			s.fault(doc.SCM.At, fmt.Sprintf("jobs[%d].scm", i), "empty: write branch: auto, repo_id or url")
		}
	}
	s.warnOutside(j.asks.paths, when, doc.Paths, fmt.Sprintf("jobs[%d].paths", i))
	for k := range doc.values().Entries {
		p := &doc.values().Entries[k]
		field := fmt.Sprintf("jobs[%d].%s.%s", i, j.action.ParametersField(), p.Key.Value)
		if p.Key.Value == j.marker && j.marker != "" {
			at := p.Key.At
			if s.defaults.path(doc.Marker.At) != "" && s.defaults.path(at) == "" {
				at = doc.Marker.At
			}
			s.fault(at, field, "%s %q is the marker: it gets the build's id, and takes no value",
				strings.TrimSuffix(j.action.ParametersField(), "s"), j.marker)
		}
		value := s.template(p.Value, field)
		s.warnValue(value, p.Value.At, field, when)
		j.parameters = append(j.parameters, parameter{p.Key.Value, value})
	}
	return j
}

// warnValue warns of a value that is always empty, that can have several lines, or whose text
// looks like an expression.
func (s scope) warnValue(value template, at yamldoc.Position, field string, when *clauses) {
	reads := func(name string) bool {
		return value.has(func(e *expression) bool { return slices.Contains(e.fields, name) })
	}
	s.warnSpelling(value, at, field)
	if value.has(func(e *expression) bool { return e.lines }) {
		s.warn(at, field, "event.message may have several lines, and a value with a line break is not sent: event.title is the first line")
	}
	if s.defaults.path(at) != "" {
		return // what does not concern a rule has no effect there
	}
	if when.push == nil && when.tag != nil && reads("branch") {
		s.warn(at, field, `event.branch is always "": this rule is for tags only`)
	}
	if when.tag == nil && when.push != nil && reads("tag") {
		s.warn(at, field, `event.tag is always "": this rule is for pushes only`)
	}
}

// label names the job for people.
func (j *job) label() string { return cmp.Or(j.name, j.id) }

// sameBuild says whether two jobs make the same build of every event.
func (j *job) sameBuild(o *job) bool {
	return o.id == j.id && o.target == j.target && o.scm == j.scm && o.scmBranch == j.scmBranch && o.pin == j.pin &&
		slices.Equal(o.sources, j.sources) && slices.Equal(o.stages, j.stages) &&
		slices.EqualFunc(o.parameters, j.parameters, func(a, b parameter) bool {
			return a.name == b.name && slices.Equal(a.value, b.value) &&
				(o.constants == j.constants || j.constants.fillTemplate(a.value) == o.constants.fillTemplate(b.value))
		})
}

// varies says whether a parameter of the job comes from the event.
func (j *job) varies() bool {
	return slices.ContainsFunc(j.parameters, func(p parameter) bool {
		return p.value.has(func(e *expression) bool { return e.event >= 0 })
	})
}

// evaluate gives the job's parameters for an event. An error names the parameter.
func (j *job) evaluate(m *meter, ev *Event) ([]Parameter, error) {
	if len(j.parameters) == 0 {
		return nil, nil
	}
	out := make([]Parameter, len(j.parameters))
	for i, p := range j.parameters {
		v, err := p.value.value(m, ev, j.constants)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", j.action.ParametersField(), p.name, err)
		}
		out[i] = Parameter{Name: p.name, Value: v}
	}
	return out, nil
}
