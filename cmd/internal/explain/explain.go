// Package explain says what a delivery would build, and why not: for the command
// of that name and for the demo. It needs no secret, database or network.
package explain

import (
	"net/http"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
)

// Marker is what stands for the id of a build that was not made.
const Marker = "<id of the build>"

// Explanation is what the rules say about one delivery. Its JSON is the contract
// of `explain --json`.
type Explanation struct {
	Events []Event `json:"events"`
	// Ignored is why there is no build, "" if there is one, be it dead.
	Ignored mapping.Reason `json:"ignored"`
}

// Event is one event of the delivery, what every rule says about it, and what
// would be sent.
type Event struct {
	mapping.Event
	Rules  []mapping.Verdict `json:"rules"`
	RunJob []RunJob          `json:"run_job"`
	Dead   []Dead            `json:"dead,omitempty"`
}

// RunJob is one RunJob call that would be made.
type RunJob struct {
	Rule   string                 `json:"rule"`
	Target string                 `json:"target"`
	Body   codearts.RunJobRequest `json:"body"`
}

// Dead is one build that would be dead on arrival: no call is made for it.
type Dead struct {
	Rule   string `json:"rule"`
	Target string `json:"target"`
	JobID  string `json:"job_id"`
	Reason string `json:"reason"`
}

// Delivery explains the body of a delivery. Nobody vouches for it: the signature
// is not looked at. Where no header names the event, it is guessed from the body,
// and so is that it is a form. The error is codehost.ErrMalformed.
func Delivery(rules *mapping.Ruleset, source *mapping.Source, header http.Header, body []byte) (*Explanation, error) {
	message, err := codehost.Saved(source.Provider, header, body)
	if err != nil {
		return nil, err
	}
	delivery, err := message.Decode()
	if err != nil {
		return nil, err
	}
	e := &Explanation{Events: []Event{}, Ignored: delivery.Ignored}
	if len(delivery.Events) == 0 {
		return e, nil
	}
	named, built := false, false
	for _, event := range delivery.Events {
		event.Source = source.Name
		explained := about(rules, event)
		named = named || len(rules.ExplainRepository(&event, 1)) > 0
		built = built || len(explained.RunJob)+len(explained.Dead) > 0
		e.Events = append(e.Events, explained)
	}
	switch {
	case built:
	case named:
		e.Ignored = mapping.ReasonNoMatch
	default:
		e.Ignored = mapping.ReasonNoRule
	}
	return e, nil
}

func about(rules *mapping.Ruleset, event mapping.Event) Event {
	if event.Files == nil {
		event.Files = []string{}
	}
	e := Event{Event: event, Rules: rules.Explain(&event), RunJob: []RunJob{}}
	if e.Rules == nil {
		e.Rules = []mapping.Verdict{}
	}
	for _, build := range rules.Decide(&event) {
		if build.Dead != "" {
			e.Dead = append(e.Dead, Dead{Rule: build.Rule, Target: build.Target, JobID: build.JobID, Reason: build.Dead})
			continue
		}
		e.RunJob = append(e.RunJob, RunJob{Rule: build.Rule, Target: build.Target, Body: trigger.Request(build, Marker)})
	}
	return e
}
