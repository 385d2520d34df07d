package mapping

// Parameter is one build parameter of a CodeArts Build job.
type Parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Build is one job to run because one rule matched one event. All of its values are
// resolved: it does not depend on the rules any more.
type Build struct {
	Rule   string // name of the rule
	Target string // name of the target
	Action Action
	JobID  string // of the job, or of the pipeline
	Job    string // name of the job in its rule, "" if it has none

	ProjectID string // the CodeArts project of a pipeline; "" for a job

	Repository string
	Ref        string // full ref

	// Exactly one of Tag and Commit is set: a tag is built by its name, a push by its
	// commit.
	Tag    string
	Commit string

	// TagCommit is the commit that Tag is on; "" where the host named only a tag object.
	TagCommit string

	Parameters []Parameter // in the order of the rules file; of a pipeline its variables

	BuildType bool         // of a job: send scm.build_type as well
	Source    JobSource    // of a job
	Sources   []CodeSource // of a pipeline; none if it builds what it is set to
	Stages    []string     // of a pipeline: identifiers of the stages to run; none for all
	Marker    string       // name of the parameter that gets the build's id; "" for none

	Concurrency Concurrency // the zero value for a tag

	// Once says that the commit is not built again by this rule and job; never for a tag.
	Once bool

	Pusher, Title string // of the event: see [Event]

	// Context names the status of this build on its commit at the code host; "" for no status,
	// as where there is neither Commit nor TagCommit. It has at most 255 bytes.
	Context string

	// Dead is why this build can never run, for example because an expression failed;
	// "" if it can run. A dead build is kept and shown, and never sent. It has no
	// Parameters.
	Dead string
}

// Verdict is what one rule says about one event.
type Verdict struct {
	Rule    string `json:"rule"`
	Matched bool   `json:"matched"`
	// Reason is why the first clause that failed did, "" if the rule matched.
	Reason string `json:"reason"`
	// Jobs are those that the event starts, by their name or else their id, if the rule matched
	// and its other jobs have clauses that failed.
	Jobs []string `json:"jobs,omitempty"`
	// Clauses are all clauses of the rule and of its jobs, in the order in which they are asked. Only
	// [Ruleset.ExplainClauses] gives them.
	Clauses []AskedClause `json:"clauses,omitempty"`
}
