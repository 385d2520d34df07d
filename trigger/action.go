package trigger

import (
	"context"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// action is what builds do at the service: they start a job, or run a pipeline. It makes their
// calls, searches for what a call started, and asks what has become of it. Its bodies need no
// target; all else does.
type action interface {
	// missing says what the target lacks for such calls, and what to do; "" if it lacks nothing.
	missing() string
	address() string // of the service
	clock() (now time.Time, known bool)

	// body is that of the call of a build with this id, which becomes JSON.
	body(b mapping.Build, id string) any
	// again is the body of a build for its replay, which has another id.
	again(old *store.Build, id string) ([]byte, error)

	// start calls the service. The error is a [*codearts.Error], or else the call may have arrived.
	start(ctx context.Context, b *store.Build) (started, error)
	// whyRefused asks the service why it refused a call for good; "" if it says no more.
	whyRefused(ctx context.Context, b *store.Build, refusal *codearts.Error) string
	// find looks for what the last call of a build started.
	find(ctx context.Context, s *search) (candidates, error)

	// follow asks what has become of builds of one job or pipeline, and saves it.
	follow(ctx context.Context, l *followLook, builds []*store.Build)
	// stop tells the service to stop what a build started. The error is a [*codearts.Error], or else
	// the call is made again.
	stop(ctx context.Context, b *store.Build) error
}

// started is what a call started.
type started struct {
	number  string // of the build of a job; of a pipeline the id of the run
	queueID string // of a run that the pipeline queued
	seen    int64  // by which what a job or pipeline started is ordered; 0 for the number
}

// action gives what a build does, by its action. Nothing else tells actions apart. t is nil
// where only bodies are asked for.
func (t *target) action(a mapping.Action) action {
	if a == mapping.ActionPipeline {
		return pipeline{t}
	}
	return job{t}
}

// Request is the body of the call of a build, which becomes JSON.
func Request(b mapping.Build, id string) any {
	return (*target)(nil).action(b.Action).body(b, id)
}
