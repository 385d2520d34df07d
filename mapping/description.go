package mapping

import (
	"iter"
	"slices"
	"strings"
	"time"
)

// Description is a rule as it is in force: every default is filled in, and every name is
// resolved. A repository is in lower case.
type Description struct {
	Name string `json:"name"`
	File string `json:"file,omitempty"` // as given in File.Name
	Line int    `json:"line,omitempty"` // where the rule begins

	Fence string `json:"fence,omitempty"` // as given in File.Fence.Name; "" for none

	Description string `json:"description,omitempty"`
	Owner       string `json:"owner,omitempty"`

	Sources      []string `json:"sources"`      // names, sorted; none for every source
	Repositories []string `json:"repositories"` // patterns, in order; none for every repository
	// When has what is asked of each kind of event that the rule is for, by the name of the
	// field: {"push": {"branches": ["main"]}}. No field means every event of the kind.
	When map[Kind]map[string][]string `json:"when"`
	If   string                       `json:"if,omitempty"`
	Jobs []JobDescription             `json:"jobs"`

	Replace    Replace  `json:"replace,omitempty"`
	MaxRunning int      `json:"max_running,omitempty"`
	Settle     string   `json:"settle,omitempty"`  // a duration
	Reports    []string `json:"reports,omitempty"` // sources whose commits get statuses, sorted
	Once       bool     `json:"once,omitempty"`
	Paused     string   `json:"paused,omitempty"` // why its builds wait, "" if they do not

	// Digest is 12 hexadecimal digits that change when anything above does, but for File,
	// Line and Fence. Digests of two versions of the program can differ for the same rule.
	Digest string `json:"digest,omitempty"`
}

// JobDescription is a job of a rule as it is in force.
type JobDescription struct {
	Action     Action      `json:"action,omitzero"`
	JobID      string      `json:"job_id"` // of the job, or of the pipeline
	ProjectID  string      `json:"project_id,omitempty"`
	Name       string      `json:"name,omitempty"`
	Target     string      `json:"target"`
	Parameters []Parameter `json:"parameters,omitempty"` // of a pipeline its variables; the values as they are written, with ${…}
	BuildType  bool        `json:"build_type,omitempty"` // scm.build_type is sent
	Source     string      `json:"scm,omitempty"`        // of a job, as it is written
	Marker     string      `json:"marker,omitempty"`
	// Of a pipeline. A source without branch and tag gets those of the event; none is sent if there is none.
	Sources   []CodeSource `json:"sources,omitempty"`
	Stages    []string     `json:"choose_stages,omitempty"`
	PinCommit bool         `json:"pin_commit,omitempty"`
	// What the job asks of an event, on top of the rule. UnknownPaths is of the rule, and there
	// beside Paths or PathsIgnore.
	Paths        []string `json:"paths,omitempty"`
	PathsIgnore  []string `json:"paths_ignore,omitempty"`
	UnknownPaths string   `json:"unknown_paths,omitempty"`
	If           string   `json:"if,omitempty"`
	Contexts     []string `json:"contexts,omitempty"` // of its statuses
}

// Describe describes the rules in order: those that name a repository, or all for "".
func (rs *Ruleset) Describe(repository string) iter.Seq[Description] {
	return func(yield func(Description) bool) {
		for _, i := range rs.Find(RuleFilter{Repository: repository}) {
			if !yield(rs.DescribeRule(i)) {
				return
			}
		}
	}
}

// DescribeRule describes the rule at a position, from 0 to Len()-1.
func (rs *Ruleset) DescribeRule(i int) Description {
	r := rs.rules[i]
	d := r.describe()
	d.File, d.Line, d.Fence, d.Digest = r.file.name, int(r.line), r.fence, rs.digests().rules[i]
	return d
}

// describe gives all that the rule means, without its place and digest.
func (r *rule) describe() Description {
	d := Description{
		Name: r.name, Description: r.about, Owner: r.owner, Sources: []string{}, Repositories: []string{}, When: map[Kind]map[string][]string{},
		Jobs:    make([]JobDescription, len(r.jobs)),
		Replace: r.concurrency.Replace, MaxRunning: r.concurrency.MaxRunning, Once: r.once, Paused: r.paused,
	}
	for _, c := range r.every {
		for field, values := range c.fields() {
			switch field {
			case sourceField:
				d.Sources = slices.Sorted(slices.Values(values))
			case repositoryField:
				d.Repositories = values
			}
		}
	}
	for _, kind := range []Kind{Push, Tag} {
		if list := r.of(kind); list != nil {
			d.When[kind] = map[string][]string{}
			for _, c := range list[len(r.every):] { // what is asked of every event comes first
				for field, values := range c.fields() {
					d.When[kind][strings.TrimPrefix(field, "when."+string(kind)+".")] = values
				}
			}
		}
	}
	if r.condition != nil {
		d.If = r.condition.written()
	}
	if settle := r.concurrency.Settle; settle > 0 {
		d.Settle = settle.Round(time.Millisecond).String()
	}
	for source := range r.reports {
		if r.takes(source) {
			d.Reports = append(d.Reports, source)
		}
	}
	slices.Sort(d.Reports)
	for i := range r.jobs {
		d.Jobs[i] = r.describeJob(&r.jobs[i])
	}
	return d
}

func (r *rule) describeJob(j *job) JobDescription {
	d := JobDescription{
		Action: j.action, JobID: j.id, ProjectID: j.project, Name: j.name, Target: j.target, BuildType: j.buildType, Marker: j.marker,
		Sources: j.sources, Stages: j.stages, PinCommit: j.pin,
	}
	scm := j.scm
	if j.scmBranch {
		scm.Branch = "auto"
	}
	d.Source = scm.String()
	for _, p := range j.parameters {
		d.Parameters = append(d.Parameters, Parameter{Name: p.name, Value: j.constants.fillTemplate(p.value)})
	}
	if paths := j.asks.paths; paths != nil {
		d.Paths, d.PathsIgnore, d.UnknownPaths = paths.paths.texts(), paths.ignore.texts(), paths.unknown()
	}
	if j.asks.condition != nil {
		d.If = j.asks.condition.written()
	}
	if r.reports != nil {
		d.Contexts = r.contexts(j)
	}
	return d
}
