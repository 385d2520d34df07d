package trigger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/codes"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// searchAgainIn is how long to wait before the next search. It grows with the searches for
// the last call, from a second to fifteen, and begins with less if the target's patience is
// short: there are several searches within it.
func searchAgainIn(target *target, b *store.Build) time.Duration {
	times := 0
	if n := len(b.Log); n > 0 && b.Log[n-1].Outcome == store.Unknown {
		times = b.Log[n-1].Times
	}
	first := min(time.Second, target.Reconcile.Patience/8)
	return min(15*time.Second, max(first, 10*time.Millisecond)<<min(times, 10))
}

// minSearches is how many searches have to find nothing before a build is taken not to
// exist: the service's list may lag behind.
const minSearches = 3

// reconcile searches for the build of a call that got no answer. A build that is found is
// adopted. If none is found within the target's patience, the call is made again. If the
// service cannot be asked, the build stays unknown, with the reason for people to see.
func (t *Trigger) reconcile(ctx context.Context, target *target, b *store.Build) (err error) {
	now := time.Now()
	if reason := cannotAsk(target, b); reason != "" {
		if now.After(b.Deadline) {
			return t.giveUp(ctx, b, store.Attempt{At: now, Error: reason})
		}
		return t.wait(ctx, b, "the call got no answer, and "+reason, retryTarget)
	}
	if pause := target.pausedFor(now); pause > 0 {
		return t.wait(ctx, b, b.Reason, pause)
	}
	ctx, span := t.attempt(ctx, "reconcile", b)
	defer func() { endSpan(span, err) }()
	found, err := t.search(ctx, target, b)
	attempt := store.Attempt{At: now, Took: time.Since(now), Search: true}
	b.Seen = max(b.Seen, found.highest)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return t.wait(ctx, b, b.Reason, 0) // the trigger stops
		}
		span.SetStatus(codes.Error, err.Error())
		if e, ok := errors.AsType[*codearts.Error](err); ok && throttled(err) {
			target.pause(now.Add(throttledFor(e.RetryAfter, 1)))
		}
		attempt.Error = "search: " + err.Error()
		return t.undecided(ctx, target, b, attempt)
	}
	for _, one := range found.ours {
		adopted, started := *b, attempt
		adopted.Log, started.Outcome = slices.Clone(b.Log), store.Started
		setStarted(&adopted, one, time.Now(), true)
		t.setFollowed(target, &adopted)
		if err := t.finish(ctx, &adopted, started); !errors.Is(err, store.ErrClaimed) {
			return err
		}
	}
	if b.Asked++; found.afresh {
		b.Asked = 0
	}
	if found.undecided != "" {
		attempt.Error = "search: " + found.undecided
		return t.undecided(ctx, target, b, attempt)
	}
	if b.Asked < minSearches || now.Before(patienceEnds(target, b)) {
		attempt.Error = "search: not found yet"
		return t.stayUnknown(ctx, target, b, attempt)
	}
	b.State, b.Reason, b.DueAt = store.Waiting, "the service has no such build: the call before started none", now
	attempt.Outcome, attempt.Error = b.State, b.Reason
	return t.finish(ctx, b, attempt)
}

// cannotCall says why no call of a build can be made now, "" if one can.
func cannotCall(target *target, b *store.Build) string {
	if target == nil {
		return fmt.Sprintf("target %q is not in the rules", b.Target)
	}
	return target.action(b.Action).missing()
}

// cannotAsk says why no service can be asked what became of a call, "" if one can.
func cannotAsk(target *target, b *store.Build) string {
	if reason := cannotCall(target, b); reason != "" {
		return reason
	}
	if now := target.action(b.Action).address(); now != b.Service {
		return fmt.Sprintf("target %q led to %s then, and leads to %s now", b.Target, b.Service, now)
	}
	return ""
}

// undecided keeps a build unknown about which a search found nothing out. After the deadline
// it gives up, unless there is patience left, or this is the first search since then: no
// process may have run.
func (t *Trigger) undecided(ctx context.Context, target *target, b *store.Build, a store.Attempt) error {
	n := len(b.Log)
	if a.At.After(b.Deadline) && a.At.After(patienceEnds(target, b)) && n > 0 && b.Log[n-1].At.After(b.Deadline) {
		return t.giveUp(ctx, b, a)
	}
	return t.stayUnknown(ctx, target, b, a)
}

// stayUnknown saves why the build is still unknown, and when to search again.
func (t *Trigger) stayUnknown(ctx context.Context, target *target, b *store.Build, a store.Attempt) error {
	b.State, b.Reason, a.Outcome = store.Unknown, a.Error, store.Unknown
	b.DueAt = time.Now().Add(searchAgainIn(target, b))
	return t.finish(ctx, b, a)
}

// giveUp ends a build of which it never became known whether it was started.
func (t *Trigger) giveUp(ctx context.Context, b *store.Build, a store.Attempt) error {
	a.Outcome = store.Dead
	a.Error = "it is not known whether the call started this build: look in the console before you replay it (" + a.Error + ")"
	b.State, b.Reason = store.Dead, a.Error
	return t.finish(ctx, b, a)
}

// patienceEnds is when a build that was not found is taken not to exist. The patience is
// counted from the end of the call, or from the latest time at which it can have ended.
func patienceEnds(target *target, b *store.Build) time.Time {
	end := b.CalledAt.Add(target.Timeout)
	for _, a := range slices.Backward(b.Log) {
		if a.At.Equal(b.CalledAt) {
			end = a.At.Add(a.Took)
			break
		}
	}
	return end.Add(target.Reconcile.Patience)
}
