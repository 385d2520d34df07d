package mapping

// Action is what a build does at the service.
type Action string

// The actions. [Build.JobID] names the job or the pipeline.
const (
	ActionJob      Action = "job"      // RunJob: a build of a job of CodeArts Build
	ActionPipeline Action = "pipeline" // RunPipeline: a run of a pipeline of CodeArts Pipeline
)

// IsZero reports whether the action is that of a job, which JSON with omitzero leaves out.
func (a Action) IsZero() bool { return a == "" || a == ActionJob }

// JobSource says of which of a job's code sources the commit or tag is. Each field is sent as
// the member of scm with its name, and left out if it is "".
type JobSource struct {
	Branch string // short name
	RepoID string // repo_id
	URL    string
}

// CodeSource is one code source of a pipeline's run, and what is built of it. Of the fields
// before Branch those that are "" are left out of the call: the pipeline knows them.
type CodeSource struct {
	GitType       string // codehub, gitee, github, gitcode, gitlab
	GitURL        string // for clones by HTTPS
	CodehubID     string // of a repository of CodeArts Repo
	EndpointID    string // of the service endpoint of another code host
	Alias         string
	DefaultBranch string

	// Exactly one of Branch and Tag is set, by its short name.
	Branch, Tag string
	// Commit is the commit of Branch to build; "" for its head at the time of the run.
	Commit string
}
