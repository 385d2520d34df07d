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

// askAgain is how long to wait before the service is asked once more: several
// times within the target's patience, growing from a second, or less where the
// patience is short, to fifteen. It grows with the searches for the last call.
func askAgain(target *target, b *store.Build) time.Duration {
	times := 0
	if n := len(b.Log); n > 0 && b.Log[n-1].Outcome == store.Unknown {
		times = b.Log[n-1].Times
	}
	first := min(time.Second, target.Reconcile.Patience/8)
	return min(15*time.Second, max(first, 10*time.Millisecond)<<min(times, 10))
}

// minAsked is how often the service has to say that there is no such build
// before it is believed: its list may lag behind.
const minAsked = 3

// reconcile asks the service what became of a call without an answer. What it
// finds is adopted; what it does not find within the target's patience waits
// again. When asking fails, the build stays unknown, with the reason to be seen.
func (t *Trigger) reconcile(ctx context.Context, target *target, b *store.Build) (err error) {
	now := time.Now()
	if gone := cannotAsk(target, b); gone != "" {
		if now.After(b.Deadline) {
			return t.giveUp(ctx, b, store.Attempt{At: now, Error: gone})
		}
		return t.wait(ctx, b, "RunJob got no answer, and "+gone, goneRetry)
	}
	if pause := target.pausedFor(now); pause > 0 {
		return t.wait(ctx, b, b.Reason, pause)
	}
	ctx, span := t.attempt(ctx, "reconcile", b)
	defer func() { end(span, err) }()
	found, err := t.search(ctx, target, b)
	took := time.Since(now)
	b.Seen = max(b.Seen, found.highest)
	if err != nil {
		if ctx.Err() != nil {
			return t.wait(ctx, b, b.Reason, 0) // stopping; the row says where to go on
		}
		span.SetStatus(codes.Error, err.Error())
		if e, ok := errors.AsType[*codearts.Error](err); ok && throttled(err) {
			target.pause(now.Add(throttledFor(e.RetryAfter, 1)))
		}
		return t.undecided(ctx, target, b, store.Attempt{At: now, Took: took, Search: true, Error: "search: " + err.Error()})
	}
	for _, number := range found.ours {
		try := *b
		try.Log = slices.Clone(b.Log)
		start(&try, number, time.Now(), true)
		err := t.finish(ctx, &try, store.Attempt{At: now, Took: took, Search: true, Outcome: store.Started})
		if !errors.Is(err, store.ErrClaimed) {
			return err
		}
	}
	b.Asked++
	if found.undecided != "" {
		return t.undecided(ctx, target, b, store.Attempt{At: now, Took: took, Search: true, Error: "search: " + found.undecided})
	}
	if b.Asked < minAsked || now.Before(patienceEnds(target, b)) {
		return t.stayUnknown(ctx, target, b, store.Attempt{At: now, Took: took, Search: true, Error: "search: not found yet"})
	}
	b.State, b.Reason = store.Waiting, "the service has no such build: the call before started none"
	b.DueAt = now
	return t.finish(ctx, b, store.Attempt{At: now, Took: took, Search: true, Outcome: store.Waiting, Error: b.Reason})
}

// cannotAsk says why nobody can be asked what became of a call, "" if somebody can.
func cannotAsk(target *target, b *store.Build) string {
	switch {
	case target == nil:
		return fmt.Sprintf("target %q is not in the rules", b.Target)
	case target.Service.Address() != b.Service:
		return fmt.Sprintf("target %q led to %s then, and leads to %s now", b.Target, b.Service, target.Service.Address())
	}
	return ""
}

// undecided keeps a build unknown of which a search found nothing out. After the
// deadline it gives up, unless there is patience left, or this is the first look since
// then: no process may have run.
func (t *Trigger) undecided(ctx context.Context, target *target, b *store.Build, a store.Attempt) error {
	n := len(b.Log)
	if a.At.After(b.Deadline) && a.At.After(patienceEnds(target, b)) && n > 0 && b.Log[n-1].At.After(b.Deadline) {
		return t.giveUp(ctx, b, a)
	}
	return t.stayUnknown(ctx, target, b, a)
}

// stayUnknown saves why, and says when to ask again.
func (t *Trigger) stayUnknown(ctx context.Context, target *target, b *store.Build, a store.Attempt) error {
	b.State, b.Reason, a.Outcome = store.Unknown, a.Error, store.Unknown
	b.DueAt = time.Now().Add(askAgain(target, b))
	return t.finish(ctx, b, a)
}

// giveUp ends a build of which it never became known whether it was started.
func (t *Trigger) giveUp(ctx context.Context, b *store.Build, a store.Attempt) error {
	a.Outcome = store.Dead
	a.Error = "it is not known whether RunJob started this build: look at the builds of the job before you replay it (" + a.Error + ")"
	b.State, b.Reason = store.Dead, a.Error
	return t.finish(ctx, b, a)
}

// patienceEnds is when a build that was not found is believed not to exist:
// counted from the end of the call, or from the latest end it can have had.
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
