package mapping

import (
	"cmp"
	"slices"
	"strings"
)

// Action is what a build does at the service.
type Action string

// The actions. [Build.JobID] names the job or the pipeline.
const (
	ActionJob      Action = "job"      // RunJob: a build of a job of CodeArts Build
	ActionPipeline Action = "pipeline" // RunPipeline: a run of a pipeline of CodeArts Pipeline
)

// IsZero reports whether the action is that of a job, which JSON with omitzero leaves out.
func (a Action) IsZero() bool { return a == "" || a == ActionJob }

// idField is the field of rules with what is run.
func (a Action) idField() string {
	if a.IsZero() {
		return "job_id"
	}
	return "pipeline_id"
}

// ParametersField is the field of rules with what is given: parameters or variables.
func (a Action) ParametersField() string {
	if a.IsZero() {
		return "parameters"
	}
	return "variables"
}

// String is what the action runs, for people: job or pipeline.
func (a Action) String() string { return string(cmp.Or(a, ActionJob)) }

// Numbered names a build by the number that the service gave it: "build 12", and of a pipeline
// "run 3f2a9c1b", by the beginning of the run's id.
func (a Action) Numbered(number string) string {
	if a == ActionPipeline {
		return "run " + number[:min(len(number), 8)]
	}
	return "build " + number
}

// JobSource says of which of a job's code sources the commit or tag is. Each field is sent as
// the member of scm with its name, and left out if it is "".
type JobSource struct {
	Branch string // short name
	RepoID string // repo_id
	URL    string
}

// String is the source as rules write it, "" for none.
func (s JobSource) String() string {
	return written("branch", s.Branch, "repo_id", s.RepoID, "url", s.URL)
}

// CodeSource is one code source of a pipeline's run, and what is built of it. Of the fields
// before Branch those that are "" are left out of the call: the pipeline knows them.
type CodeSource struct {
	GitType       string `json:"git_type,omitempty"`    // codehub, gitee, github, gitcode, gitlab
	GitURL        string `json:"git_url,omitempty"`     // for clones by HTTPS
	CodehubID     string `json:"codehub_id,omitempty"`  // of a repository of CodeArts Repo
	EndpointID    string `json:"endpoint_id,omitempty"` // of the service endpoint of another code host
	Alias         string `json:"alias,omitempty"`
	DefaultBranch string `json:"default_branch,omitempty"`

	// Exactly one of Branch and Tag is set, by its short name; none in a rule, for that of the event.
	Branch string `json:"branch,omitempty"`
	Tag    string `json:"tag,omitempty"`
	// Commit is the commit of Branch to build; "" for its head at the time of the run.
	Commit string `json:"commit,omitempty"`
}

// String is the source as rules write it.
func (s CodeSource) String() string {
	return "{" + written("git_type", s.GitType, "git_url", s.GitURL, "codehub_id", s.CodehubID, "endpoint_id", s.EndpointID, "alias", s.Alias,
		"default_branch", s.DefaultBranch, "branch", s.Branch, "tag", s.Tag, "commit", s.Commit) + "}"
}

// written writes fields with their values as rules do, without those that are "".
func written(pairs ...string) string {
	var fields []string
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			fields = append(fields, pair[0]+": "+pair[1])
		}
	}
	return strings.Join(fields, ", ")
}
