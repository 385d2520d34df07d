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
	JobID  string

	Repository string
	Ref        string // full ref

	// Exactly one of Tag and Commit is set: a tag is built by its name, a push by its
	// commit.
	Tag    string
	Commit string

	Parameters []Parameter // in the order of the rules file

	BuildType bool   // send scm.build_type as well
	Marker    string // name of the parameter that gets the build's id; "" for none
	Newest    bool   // replaces builds of the same rule, repository, ref and job that still wait

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
}
