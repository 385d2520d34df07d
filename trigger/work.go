package trigger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// step moves one build as far as it gets now, and saves when to look at it next.
func (t *Trigger) step(ctx context.Context, b *store.Build) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = t.afterPanic(ctx, b, p)
		}
	}()
	target := t.target(b.Target)
	switch b.State {
	case store.Waiting:
		return t.call(ctx, target, b)
	case store.Calling:
		// Its lease is over, so nobody has it on the wire: whoever had died, or could not
		// save. Whether the call arrived is not known.
		b.State, b.Reason, b.Asked = store.Unknown, "the process ended while RunJob was on its way", 0
		return t.reconcile(ctx, target, b)
	case store.Unknown:
		return t.reconcile(ctx, target, b)
	case store.Started, store.Dead, store.Superseded, store.DryRun:
		return t.store.Save(ctx, b) // ended by hand, and left in the queue
	}
	// A newer version's, perhaps: it will take the build, or this one look again.
	t.log.Error("a build is in a state that this version does not know", append(buildAttrs(b), "state", b.State)...)
	return t.store.Release(ctx, []int64{b.Seq}, goneRetry)
}

// afterPanic ends a build that panics: our fault, but it must not come round for
// ever. What was on the wire is looked for first.
func (t *Trigger) afterPanic(ctx context.Context, b *store.Build, p any) error {
	t.log.Error("working a build panicked", append(buildAttrs(b), "error", fmt.Sprint(p), "stack", string(debug.Stack()))...)
	now, err := t.store.Build(ctx, b.ID)
	if err != nil {
		return err
	}
	if now.State != store.Waiting && time.Now().Before(now.Deadline) { // it may have been started: somebody should look, until then
		now.DueAt = time.Now().Add(backoffMost)
		return t.store.Save(ctx, now)
	}
	now.State, now.Reason = store.Dead, fmt.Sprintf("buildbridge failed inside: %v", p)
	return t.finish(ctx, now, store.Attempt{At: time.Now(), Outcome: store.Dead, Error: now.Reason})
}

// goneRetry is how often a build looks whether its target is back in the rules.
const goneRetry = 10 * time.Second

// call is the way of a build that waits: to the service, if nothing holds it.
func (t *Trigger) call(ctx context.Context, target *target, b *store.Build) error {
	now := time.Now()
	if now.After(b.Deadline) && (target == nil || hadItsTime(b, now)) {
		reason := fmt.Sprintf("not started by its deadline, %s", b.Deadline.Format(time.RFC3339))
		if b.Reason != "" {
			reason += ": " + b.Reason
		}
		b.State, b.Reason = store.Dead, reason
		return t.finish(ctx, b, store.Attempt{At: now, Outcome: store.Dead, Error: reason})
	}
	if t.settings.DryRun {
		b.State, b.Reason = store.DryRun, ""
		return t.finish(ctx, b, store.Attempt{At: now, Outcome: store.DryRun})
	}
	if target == nil {
		return t.wait(ctx, b, fmt.Sprintf("target %q is not in the rules", b.Target), goneRetry)
	}
	b.Service = target.Service.Address()
	if pause := target.pausedFor(now); pause > 0 {
		t.log.DebugContext(ctx, "build waits for the pause of its target", append(buildAttrs(b), "pause", pause.String())...)
		reason := b.Reason
		if reason == "" || reason == string(store.HoldOrder) || reason == string(store.HoldCall) {
			reason = "the service asked for a pause, by what it answered to another build"
		}
		return t.wait(ctx, b, reason, pause)
	}
	if target.limiter != nil { // a build that is held takes no turn from the others
		if hold, err := t.store.Hold(ctx, b, now); err != nil || hold != store.NoHold {
			return t.heldBack(ctx, b, hold, err)
		}
	}
	if mine, err := t.takeTurn(ctx, target); err != nil {
		return err
	} else if !mine {
		return t.wait(ctx, b, b.Reason, time.Second)
	}
	b.CalledThere = time.Time{}
	if there, known := target.Service.Clock(); known {
		b.CalledThere = there
	}
	hold, err := t.store.BeginCall(ctx, b, time.Now())
	if err != nil || hold != store.NoHold {
		return t.heldBack(ctx, b, hold, err)
	}
	return t.callNow(ctx, target, b)
}

// callNow calls RunJob for a build that nothing holds.
func (t *Trigger) callNow(ctx context.Context, target *target, b *store.Build) (err error) {
	ctx, span := t.attempt(ctx, "attempt", b)
	defer func() { end(span, err) }()
	// This process may be stopped at any moment, and be taken for dead. Who looks for
	// the call waits for the timeout and longer: what is sent later than that is not
	// waited for.
	within, cancel := context.WithDeadline(ctx, b.CalledAt.Add(max(target.Timeout, callWithin)))
	defer cancel()
	number, took, err := t.runJob(within, target, b)
	return t.applyAnswer(ctx, target, b, number, took, err)
}

// heldBack tells of a build that is held: what holds it wakes it.
func (t *Trigger) heldBack(ctx context.Context, b *store.Build, hold store.Hold, err error) error {
	if err == nil {
		t.log.DebugContext(ctx, "build is held", append(buildAttrs(b), "reason", string(hold))...)
	}
	return err
}

// wait keeps a build as it is for a while, with the reason to be seen.
func (t *Trigger) wait(ctx context.Context, b *store.Build, reason string, wait time.Duration) error {
	b.Reason, b.DueAt = reason, dueIn(b, wait)
	return t.store.Save(context.WithoutCancel(ctx), b)
}

// dueIn is the time after a wait, or that of the build's deadline, which must be seen.
func dueIn(b *store.Build, wait time.Duration) time.Time {
	now := time.Now()
	switch left := b.Deadline.Sub(now); {
	case left > 0:
		wait = min(wait, left+time.Millisecond)
	case b.CalledAt.After(b.Deadline):
		wait = 0
	} // else it is for the one call that it still gets
	return now.Add(wait)
}

// noticedWithin is how soon a deadline is noticed by a process that runs.
const noticedWithin = time.Minute

// hadItsTime tells whether a build whose deadline is over was tried until then. If
// nobody looked at it by then, because no process ran or the clock was set, it gets
// one more call.
func hadItsTime(b *store.Build, now time.Time) bool {
	lookedAt := b.Attempts > 0 || b.Reason != ""
	return b.CalledAt.After(b.Deadline) || lookedAt && now.Sub(b.Deadline) < noticedWithin
}

// takeTurn waits for the target's rate limit, and says whether the build got a turn: not
// if none is near, or the workers stopped.
func (t *Trigger) takeTurn(ctx context.Context, target *target) (mine bool, err error) {
	if target.limiter == nil {
		return true, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.stopping, cancel)() //nolint:contextcheck // the end of the workers ends the wait
	return waitFor(ctx, target.limiter)
}

// callWithin is how long a call may take to be stored and sent, however short its
// timeout is: no other process has taken over by then.
const callWithin = store.Lease / 2

func (t *Trigger) runJob(ctx context.Context, target *target, b *store.Build) (string, time.Duration, error) {
	begin := time.Now()
	number, err := target.Service.RunJob(ctx, b.Body)
	took := time.Since(begin)
	code := "200"
	if err != nil {
		reason := codearts.ReasonUnavailable
		code = "timeout"
		if e, ok := errors.AsType[*codearts.Error](err); ok {
			code, reason = e.Label(), e.Reason()
		}
		t.metrics.failures.WithLabelValues(b.Target, reason).Inc()
	}
	t.metrics.requests.WithLabelValues(b.Target, code).Inc()
	observe(ctx, t.metrics.duration.WithLabelValues(b.Target), took.Seconds())
	return number, took, err
}

// settle turns the answer to a call into the fate of the build. It is the only
// place that does.
func (t *Trigger) applyAnswer(ctx context.Context, target *target, b *store.Build, number string, took time.Duration, callErr error) error {
	attempt := store.Attempt{At: b.CalledAt, Took: took}
	if callErr == nil {
		start(b, number, b.CalledAt.Add(took), false)
		attempt.Outcome = store.Started
		err := t.finish(ctx, b, attempt)
		if errors.Is(err, store.ErrStale) {
			return t.saveLateAnswer(ctx, b, attempt)
		}
		return err
	}
	var (
		fate = codearts.FateUnknown // whatever else it is, it may have arrived
		wait time.Duration
	)
	e, ok := errors.AsType[*codearts.Error](callErr)
	if ok {
		fate = e.Fate
	}
	b.Reason = callErr.Error()
	switch fate {
	case codearts.FateDead:
		b.State = store.Dead
	case codearts.FateRetry:
		b.State, wait = store.Waiting, backoff(b.Attempts)
	case codearts.FateThrottled:
		wait = throttledFor(e.RetryAfter, b.Attempts)
		target.pause(time.Now().Add(wait))
		b.State, wait = store.Waiting, wait+rand.N(time.Second) //nolint:gosec // jitter
	case codearts.FateUnknown:
		b.State, wait = store.Unknown, askAgain(target, b)
	}
	attempt.Outcome, attempt.Error, b.DueAt = b.State, b.Reason, dueIn(b, wait)
	err := t.finish(ctx, b, attempt)
	if errors.Is(err, store.ErrStale) && fate == codearts.FateUnknown {
		t.overtaken(ctx, b, attempt)
	}
	return err
}

// overtaken tells of a call that ended without an answer after another process took
// this one for dead, and went on with the build.
func (t *Trigger) overtaken(ctx context.Context, b *store.Build, attempt store.Attempt) {
	now, err := t.store.Build(ctx, b.ID)
	if err != nil || now.Caller == b.Caller && now.CalledAt.Equal(b.CalledAt) && now.State != store.Started {
		return // or it is still looked for
	}
	t.log.ErrorContext(ctx, "a call ended after another process went on with its build: it may have been started twice",
		append(buildAttrs(b), "build_number", now.BuildNumber, "state", now.State, "error", attempt.Error)...)
}

// start makes a build a started one. adopted says that its number was found.
func start(b *store.Build, number string, at time.Time, adopted bool) {
	b.State, b.Reason, b.BuildNumber, b.Adopted, b.StartedAt = store.Started, "", number, adopted, at
}

// lateAnswerTries is how often an answer is saved over the changes of others: they look
// for the build, which is a change now and then.
const lateAnswerTries = 10

// insist saves the answer to a call whose row was changed meanwhile: this process
// was slow, and another took it for dead. Whatever the other one made of this call,
// the answer says more: the build was started. Only a later call, or the same
// number found by a search, is left as it is.
func (t *Trigger) saveLateAnswer(ctx context.Context, b *store.Build, attempt store.Attempt) error {
	for range lateAnswerTries {
		now, err := t.store.Build(ctx, b.ID)
		if err != nil {
			return err
		}
		if now.Caller != b.Caller || !now.CalledAt.Equal(b.CalledAt) || now.State == store.Started {
			if now.BuildNumber != b.BuildNumber {
				t.log.ErrorContext(ctx, "an answer came too late: the build may have been started twice", append(buildAttrs(b), "build_number", b.BuildNumber, "state", now.State)...)
			}
			return nil
		}
		start(now, b.BuildNumber, b.StartedAt, false)
		if err := t.finish(ctx, now, attempt); !errors.Is(err, store.ErrStale) {
			return err
		}
	}
	return fmt.Errorf("build %s: its answer, number %s: %w", b.ID, b.BuildNumber, store.ErrStale)
}

// finish records an attempt and saves the build, however long the database takes
// to come back: an answer that is lost costs a search. It logs the attempt.
func (t *Trigger) finish(ctx context.Context, b *store.Build, a store.Attempt) error {
	if !trace.SpanContextFromContext(ctx).IsValid() { // an end without a call or a search
		var span trace.Span
		ctx, span = t.attempt(ctx, "attempt", b)
		defer span.End()
	}
	b.Record(a)
	err := t.saveForSure(ctx, b)
	attrs := append(buildAttrs(b), "outcome", a.Outcome, "attempt", b.Attempts, "duration_ms", a.Took.Milliseconds())
	if b.BuildNumber != "" {
		attrs = append(attrs, "build_number", b.BuildNumber)
	}
	if a.Error != "" {
		attrs = append(attrs, "error", a.Error)
	}
	if err != nil {
		return err
	}
	attempted(trace.SpanFromContext(ctx), b, a)
	if b.State.Final() {
		t.metrics.builds.WithLabelValues(b.Rule, b.Target, string(b.State)).Inc()
	}
	switch b.State {
	case store.Started:
		observe(ctx, t.metrics.latency.WithLabelValues(b.Target), b.StartedAt.Sub(b.ReceivedAt).Seconds())
		t.log.InfoContext(ctx, "build started", attrs...)
	case store.DryRun:
		t.log.InfoContext(ctx, "build would have started", attrs...)
	case store.Dead:
		t.log.ErrorContext(ctx, "build is dead", attrs...)
	case store.Waiting, store.Calling, store.Unknown, store.Superseded:
		t.log.WarnContext(ctx, "build is not started yet", attrs...)
	}
	return nil
}

// Saving an answer is tried again this often while the process lives.
const saveRetry = 500 * time.Millisecond

func (t *Trigger) saveForSure(ctx context.Context, b *store.Build) error {
	// The answer is worth more than the context, which ends with the process.
	detached := context.WithoutCancel(ctx)
	for last := false; ; {
		err := t.store.Save(detached, b)
		if err == nil || errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrClaimed) || last {
			return err
		}
		t.log.WarnContext(ctx, "the outcome of a build was not saved, trying again", append(buildAttrs(b), "error", err)...)
		select {
		case <-time.After(saveRetry):
		case <-t.stopping.Done():
			last = true
		case <-ctx.Done():
			last = true
		}
	}
}
