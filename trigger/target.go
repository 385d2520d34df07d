package trigger

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// Service is what a target is asked: [*codearts.Client] in production.
type Service interface {
	Address() string // targets of one address lead to one service, whatever they are called
	RunJob(ctx context.Context, body []byte) (buildNumber string, err error)
	Records(ctx context.Context, jobID string, from, to time.Time, zone *time.Location) ([]codearts.Record, error)
	Record(ctx context.Context, jobID, buildNumber string, zone *time.Location) (codearts.Record, error)
	RecordInfo(ctx context.Context, jobID, buildNumber string) (codearts.RecordInfo, error)
	HistoryParameters(ctx context.Context, jobID, buildNumber string) ([]codearts.Parameter, error)
	Clock() (now time.Time, known bool)
}

// Target is one target of the rules with the client that calls it.
type Target struct {
	mapping.Target
	Service Service
}

// target is a Target at work: its rate limit, and the pause the service asked
// for.
type target struct {
	Target
	limiter limiter                   // nil for none
	paused  atomic.Pointer[time.Time] // until when, by the clock that never jumps; nil for never

	mu      sync.Mutex
	sources map[record]codearts.RecordInfo // of records that say what they build
}

// record names a build of the service. Numbers may come a second time, where a job was
// made anew.
type record struct {
	jobID, number string
	start         time.Time
}

// sourcesMost is how many records a target remembers.
const sourcesMost = 10_000

// source reads what a record says that its build builds. Once it says that, it does not
// change and is remembered: a search among many, of which some cannot be read each time,
// gets on.
func (t *target) source(ctx context.Context, jobID string, r codearts.Record) (codearts.RecordInfo, error) {
	key := record{jobID, r.Number, r.Start}
	t.mu.Lock()
	info, known := t.sources[key]
	t.mu.Unlock()
	if known {
		return info, nil
	}
	info, err := t.Service.RecordInfo(ctx, jobID, r.Number)
	if err != nil || info.Commit == "" && info.Tag == "" {
		return info, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sources == nil || len(t.sources) == sourcesMost {
		t.sources = map[record]codearts.RecordInfo{}
	}
	t.sources[key] = info
	return info, nil
}

// newTarget fills in the defaults and takes over what a reload must not reset.
func newTarget(t Target, before *target, s *store.Store) *target {
	t.Timeout = cmp.Or(t.Timeout, mapping.DefaultTimeout)
	t.RetryFor = cmp.Or(t.RetryFor, mapping.DefaultRetryFor)
	if t.Reconcile == (mapping.Reconcile{}) { // else 0 means 0: the rules fill in what is absent
		t.Reconcile.Window, t.Reconcile.Patience = mapping.DefaultWindow, mapping.DefaultPatience
	}
	if t.Reconcile.TimeZone == nil {
		t.Reconcile.TimeZone = time.FixedZone(mapping.DefaultTimeZone, 8*60*60) // no daylight saving since 1991
	}
	n := &target{Target: t}
	if t.RateLimit.PerSecond > 0 {
		n.limiter = newLimiter(t.Name, t.RateLimit, s)
	}
	if before != nil {
		n.paused.Store(before.paused.Load())
		if before.RateLimit == t.RateLimit {
			n.limiter = before.limiter // a reload does not fill the bucket
		}
	}
	return n
}

// pause keeps the target's other builds from running into the same throttling.
func (t *target) pause(until time.Time) {
	for {
		old := t.paused.Load()
		if old != nil && !old.Before(until) || t.paused.CompareAndSwap(old, &until) {
			return
		}
	}
}

// pausedFor is how long the pause lasts from now, with some jitter so that not
// all of its builds return at once; 0 if it is over.
func (t *target) pausedFor(now time.Time) time.Duration {
	until := t.paused.Load()
	if until == nil || !until.After(now) {
		return 0
	}
	return until.Sub(now) + rand.N(time.Second) //nolint:gosec // jitter
}

// Backoff of calls that did not start a build.
const (
	backoffBase = time.Second
	backoffMost = time.Minute
)

// backoff is how long to wait after that many attempts: exponential with full
// jitter, up to a minute
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
func backoff(attempts int) time.Duration {
	ceiling := min(backoffMost, backoffBase<<min(max(attempts-1, 0), 10))
	return rand.N(ceiling) + time.Millisecond //nolint:gosec // jitter
}

// pauseMost bounds the pause that a service can ask for: one wrong header must
// not stop a target for a day.
const pauseMost = 10 * time.Minute

// throttledFor is how long to leave a target alone that throttled: what it asked
// for, up to ten minutes, else two to five seconds, growing with the attempts of
// the build.
func throttledFor(asked time.Duration, attempts int) time.Duration {
	if asked > 0 {
		return min(asked, pauseMost)
	}
	return min(backoffMost, (2*time.Second+rand.N(3*time.Second))<<min(max(attempts-1, 0), 5)) //nolint:gosec // jitter
}
