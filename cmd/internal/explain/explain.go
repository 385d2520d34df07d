// Package explain says what a delivery would build, and why not. The explain command and the
// demo use it. It needs no secret, database or network.
package explain

import (
	"cmp"
	"net/http"
	"slices"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/trigger"
)

// Marker stands for the id of a build, which does not exist yet.
const Marker = "<id of the build>"

// Explanation is what the rules say about one delivery. Its JSON is the contract
// of `explain --json`.
type Explanation struct {
	Event     string `json:"event"` // the host's name for it
	EventFrom Origin `json:"event_from"`
	header    string // the header that names the event; "" if the body does

	Events  []Event            `json:"events"`
	LeftOut []codehost.LeftOut `json:"left_out,omitempty"` // parts of the delivery that are not events
	// Ignored is why there is no build; "" if there is one, even a dead one.
	Ignored mapping.Reason `json:"ignored"`
}

// Origin is where the name of the event was found.
type Origin string

// The origins.
const (
	Header  Origin = "header" // in a header that was given
	Body    Origin = "body"   // in a field of the body: the host sends no header for it
	Guessed Origin = "guess"  // guessed from the fields of the body: no header was given
	Made    Origin = "made"   // there is no body: see [MadeEvent]
)

// MadeUpCommit stands for the commit of a push that is made without one.
const MadeUpCommit = "0123456789abcdef0123456789abcdef01234567"

// Event is one event of the delivery, what the rules say about it, and the calls that would
// be made.
type Event struct {
	mapping.Event
	FilesUnknown  string `json:"files_unknown,omitempty"`  // why files_complete is false
	CommitUnknown string `json:"commit_unknown,omitempty"` // why commit is empty

	Rules       []mapping.Verdict `json:"rules"`       // those that name the repository, or all
	OtherRules  int               `json:"other_rules"` // how many are not in Rules
	RunJob      []Call            `json:"run_job"`
	RunPipeline []Call            `json:"run_pipeline,omitempty"`
	Dead        []Dead            `json:"dead,omitempty"`
}

// Call is one call that would be made: of RunJob, whose body names the job, or of RunPipeline.
type Call struct {
	Rule       string `json:"rule"`
	Target     string `json:"target"`
	ProjectID  string `json:"project_id,omitempty"`
	PipelineID string `json:"pipeline_id,omitempty"`
	Status     string `json:"status,omitempty"` // the context of its status on the commit
	Body       any    `json:"body"`
}

// calls is how many calls would be made.
func (e *Event) calls() int { return len(e.RunJob) + len(e.RunPipeline) }

// Dead is one build that would be dead on arrival: no call would be made for it.
type Dead struct {
	Rule      string         `json:"rule"`
	Target    string         `json:"target"`
	Action    mapping.Action `json:"action,omitzero"`
	JobID     string         `json:"job_id"`               // of the job, or of the pipeline
	ProjectID string         `json:"project_id,omitempty"` // of a pipeline
	Reason    string         `json:"reason"`
}

// tagCommit is why a tag has no commit.
const tagCommit = "the host does not say which commit the tag stands for; the build names the tag"

// Delivery explains the body of a delivery. It does not check the signature. If no header
// names the event, it guesses that from the body, and also whether the body is a form. Rules
// of other repositories are only counted. The error is codehost.ErrMalformed.
func Delivery(rules *mapping.Ruleset, source *mapping.Source, header http.Header, body []byte) (*Explanation, error) {
	message, err := codehost.Saved(source.Provider, header, body)
	if err != nil {
		return nil, err
	}
	delivery, err := message.Decode()
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		Event: delivery.Event, EventFrom: Header, header: message.EventHeader(),
		Events: []Event{}, LeftOut: delivery.LeftOut, Ignored: delivery.Ignored,
	}
	switch {
	case e.header == "":
		e.EventFrom = Body
	case header.Get(e.header) == "":
		e.EventFrom = Guessed
	}
	if len(delivery.Events) > 0 {
		e.decide(rules, source, delivery.Events)
	}
	return e, nil
}

// MadeEvent explains an event that no delivery brought: the caller made it. A push without a commit
// gets [MadeUpCommit].
func MadeEvent(rules *mapping.Ruleset, source *mapping.Source, event mapping.Event) *Explanation {
	event.Provider = source.Provider
	if event.Kind == mapping.Push {
		event.Commit = cmp.Or(event.Commit, MadeUpCommit)
	}
	e := &Explanation{Event: string(event.Kind), EventFrom: Made, Events: []Event{}}
	e.decide(rules, source, []mapping.Event{event})
	return e
}

// decide adds what the rules say about the events.
func (e *Explanation) decide(rules *mapping.Ruleset, source *mapping.Source, events []mapping.Event) {
	named, built := false, false
	decider := rules.Decider()
	for _, event := range events {
		event.Source = source.Name
		explained := about(rules, &decider, event)
		if e.EventFrom == Made && event.Commit == "" {
			explained.CommitUnknown = "none was given; the build names the tag"
		}
		named = named || len(explained.Rules) > 0
		built = built || explained.calls()+len(explained.Dead) > 0
		e.Events = append(e.Events, explained)
	}
	switch {
	case built:
	case named:
		e.Ignored = mapping.ReasonNoMatch
	default:
		e.Ignored = mapping.ReasonNoRule
	}
}

// Dead says whether a build would be dead on arrival.
func (e *Explanation) Dead() bool {
	return slices.ContainsFunc(e.Events, func(event Event) bool { return len(event.Dead) > 0 })
}

// All adds what the rules of other repositories say.
func (e *Explanation) All(rules *mapping.Ruleset) {
	for i := range e.Events {
		event := &e.Events[i]
		event.Rules, event.OtherRules = rules.Explain(&event.Event), 0
	}
}

func about(rules *mapping.Ruleset, decider *mapping.Decider, event mapping.Event) Event {
	if event.Files == nil {
		event.Files = []string{}
	}
	e := Event{Event: event, FilesUnknown: event.FilesUnknown, Rules: []mapping.Verdict{}, RunJob: []Call{}}
	if event.Commit == "" {
		e.CommitUnknown = tagCommit
	}
	verdicts, _ := rules.ExplainRepository(&event, rules.Len())
	e.Rules = append(e.Rules, verdicts...)
	e.OtherRules = rules.Len() - len(verdicts)
	for _, build := range decider.Decide(&event) {
		if build.Dead != "" {
			e.Dead = append(e.Dead, Dead{
				Rule: build.Rule, Target: build.Target, Action: build.Action, JobID: build.JobID, ProjectID: build.ProjectID, Reason: build.Dead,
			})
			continue
		}
		call := Call{Rule: build.Rule, Target: build.Target, Status: build.Context, Body: trigger.Request(build, Marker)}
		if build.Action == mapping.ActionPipeline {
			call.ProjectID, call.PipelineID = build.ProjectID, build.JobID
			e.RunPipeline = append(e.RunPipeline, call)
			continue
		}
		e.RunJob = append(e.RunJob, call)
	}
	return e
}
