package trigger

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// Service is the build service of a target: a [*codearts.Client], except in tests.
type Service interface {
	Address() string // targets with the same address lead to the same service
	RunJob(ctx context.Context, body []byte) (buildNumber string, err error)
	Records(ctx context.Context, jobID string, from, to time.Time, zone *time.Location) ([]codearts.Record, error)
	Record(ctx context.Context, jobID, buildNumber string, zone *time.Location) (codearts.Record, error)
	Source(ctx context.Context, jobID, buildNumber string) (codearts.Source, error)
	Following(ctx context.Context, jobID string, from, to time.Time, zone *time.Location, numbers []string) (map[string]codearts.Record, error)
	HistoryParameters(ctx context.Context, jobID, buildNumber string) ([]codearts.Parameter, error)
	BuildInfo(ctx context.Context, jobID, buildNumber string) (codearts.BuildInfo, error)
	Details(ctx context.Context, jobID, buildNumber string, zone *time.Location) (codearts.Details, error)
	FailedStep(ctx context.Context, jobID, buildNumber string) (string, error)
	Stop(ctx context.Context, jobID, buildNumber string) error
	JobDisabled(ctx context.Context, jobID string) (*codearts.JobDisabled, error)
	Clock() (now time.Time, known bool)
}

// PipelineService is the pipeline service of a target: a [*codearts.Client], except in tests.
type PipelineService interface {
	Address() string
	RunPipeline(ctx context.Context, p codearts.Pipeline, body []byte) (codearts.RunStart, error)
	PipelineRuns(ctx context.Context, p codearts.Pipeline, from, to time.Time) ([]codearts.PipelineRun, error)
	QueuedRuns(ctx context.Context, p codearts.Pipeline) ([]codearts.QueuedRun, error)
	PipelineRun(ctx context.Context, p codearts.Pipeline, runID string) (codearts.PipelineRun, error)
	LatestRun(ctx context.Context, p codearts.Pipeline) (codearts.PipelineRun, error)
	RunVariables(ctx context.Context, p codearts.Pipeline, runID string) ([]codearts.Parameter, error)
	StopRun(ctx context.Context, p codearts.Pipeline, runID string) error
	CancelQueuedRun(ctx context.Context, p codearts.Pipeline, runID, queueID string) error
	PipelineInfo(ctx context.Context, p codearts.Pipeline) (codearts.PipelineInfo, error)
	Clock() (now time.Time, known bool)
}

// Target is one target of the rules, with all defaults filled in, and its services.
type Target struct {
	mapping.Target
	Service   Service
	Pipelines PipelineService // nil if the address of pipelines is not known
}

// target is a Target with its rate limit, and with the pause that the service asked for.
type target struct {
	Target
	limiter limiter                   // nil for none
	paused  atomic.Pointer[time.Time] // until when, by the monotonic clock; nil for never

	sources memory[codearts.Source]
	records memory[codearts.Record] // as begun gives them
	runs    memory[codearts.PipelineRun]

	mu   sync.Mutex
	last lastCalls
}

// newTarget takes over from the target before what a reload must not reset.
func newTarget(t Target, before *target, s *store.Store) *target {
	n := &target{Target: t}
	if t.RateLimit.PerSecond > 0 {
		n.limiter = newLimiter(t.Name, t.RateLimit, s)
	}
	if before != nil {
		n.paused.Store(before.paused.Load())
		n.last = before.lastCalls()
		if before.RateLimit == t.RateLimit {
			n.limiter = before.limiter // a reload allows no burst
		}
	}
	return n
}

// pause keeps the other builds of the target from being throttled too.
func (t *target) pause(until time.Time) {
	for {
		old := t.paused.Load()
		if old != nil && !old.Before(until) || t.paused.CompareAndSwap(old, &until) {
			return
		}
	}
}

// pausedFor is how long the pause still lasts, 0 if it is over. Some jitter is added, so that
// not all builds come back at once.
func (t *target) pausedFor(now time.Time) time.Duration {
	until := t.paused.Load()
	if until == nil || !until.After(now) {
		return 0
	}
	return until.Sub(now) + rand.N(time.Second) //nolint:gosec // jitter
}

// Limits of the backoff after calls that started no build.
const (
	backoffBase = time.Second
	backoffMost = time.Minute
)

// backoff is how long to wait after a number of attempts: exponential with full jitter, up to
// a minute
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
func backoff(attempts int) time.Duration {
	ceiling := min(backoffMost, backoffBase<<min(max(attempts-1, 0), 10))
	return rand.N(ceiling) + time.Millisecond //nolint:gosec // jitter
}

// pauseMost bounds the pause that a service can ask for: one wrong header must not stop a
// target for a day.
const pauseMost = 10 * time.Minute

// throttledFor is how long to pause a target that throttled: what it asked for, up to ten
// minutes, else two to five seconds, growing with the attempts of the build.
func throttledFor(asked time.Duration, attempts int) time.Duration {
	if asked > 0 {
		return min(asked, pauseMost)
	}
	return min(backoffMost, (2*time.Second+rand.N(3*time.Second))<<min(max(attempts-1, 0), 5)) //nolint:gosec // jitter
}
