package codearts

import (
	"context"
	"strings"

	"buildbridge/trigger/internal/quoted"
)

// Outcome is how a build ended, whichever call says so and in whichever case.
type Outcome string

// The outcomes of builds.
const (
	OutcomeNone      Outcome = "" // it has not ended
	OutcomeSucceeded Outcome = "success"
	OutcomeFailed    Outcome = "failure"
	OutcomeAborted   Outcome = "aborted"
	OutcomeTimedOut  Outcome = "timeout"
	// OutcomeUnclear is that of a build that has ended, of which the service says no or no
	// known state. It is not a success. [Client.BuildInfo] is a second opinion.
	OutcomeUnclear Outcome = "unclear"
)

// outcomes by the states of the service, in lower case.
var outcomes = map[string]Outcome{
	"success": OutcomeSucceeded, "failure": OutcomeFailed, "aborted": OutcomeAborted, "timeout": OutcomeTimedOut,
}

// outcomeOf gives the outcome of a build that has ended.
func outcomeOf(state string) Outcome {
	if outcome, known := outcomes[strings.ToLower(state)]; known {
		return outcome
	}
	return OutcomeUnclear
}

// Outcome is how the build ended. A build has not ended until its running status is Finished:
// not if its status is missing or unknown.
func (r Record) Outcome() Outcome {
	if !strings.EqualFold(r.JobRunningStatus, "Finished") {
		return OutcomeNone
	}
	return outcomeOf(r.State)
}

// Queued reports whether the build waits to run, as Starting and InQueue mean. That may last
// hours: only so many builds of a tenant run at a time.
func (r Record) Queued() bool {
	return strings.EqualFold(r.JobRunningStatus, "Starting") || strings.EqualFold(r.JobRunningStatus, "InQueue")
}

// Running reports whether the build has begun, and not ended. A status that is missing or
// unknown counts as running.
func (r Record) Running() bool { return !r.Queued() && r.Outcome() == OutcomeNone }

// BuildInfo is the least that the service says about a build.
type BuildInfo struct {
	Building bool
	Result   string // as Record.State
}

// Outcome is how the build ended.
func (b BuildInfo) Outcome() Outcome {
	if b.Building {
		return OutcomeNone
	}
	return outcomeOf(b.Result)
}

// BuildInfo reads whether one build has ended, and how. It is a second opinion on a [Record]
// whose outcome is unclear. The fate of an error is not FateUnknown.
func (c *Client) BuildInfo(ctx context.Context, jobID, buildNumber string) (BuildInfo, error) {
	const op = "read outcome"
	result, err := readBuild[map[string]any](ctx, c, op, "job", jobID, buildNumber, "build-info")
	if err != nil {
		return BuildInfo{}, err
	}
	building, ok := result["building"].(bool)
	if !ok {
		return BuildInfo{}, unreadable(op)
	}
	return BuildInfo{Building: building, Result: quoted.Line(text(result, "build_result"), 64)}, nil
}
