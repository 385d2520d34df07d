package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"

	"buildbridge/mapping/observe"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// step moves one build as far as possible now, and saves when to look at it next.
func (t *Trigger) step(ctx context.Context, b *store.Build) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = t.afterPanic(ctx, b, p)
		}
	}()
	if t.onHold.Load() && (b.State == store.Calling || b.State == store.Unknown) {
		return t.store.Release(ctx, []int64{b.Seq}, retryTarget) // to search for its call asks the service
	}
	target := t.target(b.Target)
	switch b.State {
	case store.Waiting:
		return t.call(ctx, target, b)
	case store.Calling:
		// Its lease is over, so that no process is calling: the process that did died, or
		// could not save the answer. Whether the call arrived is not known.
		b.State, b.Reason, b.Asked = store.Unknown, "the process ended while the call was on its way", 0
		return t.reconcile(ctx, target, b)
	case store.Unknown:
		return t.reconcile(ctx, target, b)
	case store.Started, store.Dead, store.Superseded, store.DryRun:
		return t.store.Save(ctx, b) // somebody changed its state by hand: it leaves the queue
	}
	// It may be the state of a newer version, which will take the build.
	t.log.LogAttrs(ctx, slog.LevelError, "build is in a state that this version does not know",
		t.buildAttrs(b, slog.String("state", string(b.State)))...)
	return t.store.Release(ctx, []int64{b.Seq}, retryTarget)
}

// afterPanic ends a build that panics: this program is wrong, and the build would panic
// again and again. A build that may have been started is searched for until its deadline.
func (t *Trigger) afterPanic(ctx context.Context, b *store.Build, p any) error {
	t.log.LogAttrs(ctx, slog.LevelError, "working a build panicked",
		t.buildAttrs(b, slog.String("error", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))...)
	now, err := t.store.Build(ctx, b.ID)
	if err != nil {
		return err
	}
	if now.State != store.Waiting && time.Now().Before(now.Deadline) {
		now.DueAt = time.Now().Add(backoffMost)
		return t.store.Save(ctx, now)
	}
	now.State, now.Reason = store.Dead, fmt.Sprintf("buildbridge failed inside: %v", p)
	return t.finish(ctx, now, store.Attempt{At: time.Now(), Outcome: store.Dead, Error: now.Reason})
}

// retryTarget is how often a build looks whether its target is in the rules again.
const retryTarget = 10 * time.Second

// call makes the call of a build that waits, if nothing holds it.
func (t *Trigger) call(ctx context.Context, target *target, b *store.Build) error {
	now := time.Now()
	if reason := t.rulesNow().Paused(b.Rule); reason != "" {
		b.Paused = store.PausedInRules(b.Rule, reason)
	}
	unable := cannotCall(target, b)
	if now.After(b.Deadline) && (unable != "" || triedUntilDeadline(b, now)) {
		// Its deadline may have been over only because a pause began.
		if hold, err := t.store.Hold(ctx, b, now); err != nil || hold == store.HoldPause {
			return t.isHeld(ctx, b, hold, err)
		}
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
	if unable != "" {
		return t.wait(ctx, b, unable, retryTarget)
	}
	b.Service = target.action(b.Action).address()
	if pause := target.pausedFor(now); pause > 0 {
		t.log.LogAttrs(ctx, slog.LevelDebug, "build waits for the pause of its target", t.buildAttrs(b, slog.String("pause", pause.String()))...)
		reason := b.Reason
		if reason == "" || reason == string(store.HoldOrder) || reason == string(store.HoldCall) || reason == string(store.HoldRunning) {
			reason = "the service asked for a pause, in its answer to another build"
		}
		return t.wait(ctx, b, reason, pause)
	}
	if target.limiter != nil {
		// First, because a build that is held must not use a call of the rate limit.
		if hold, err := t.store.Hold(ctx, b, now); err != nil || hold != store.NoHold {
			return t.isHeld(ctx, b, hold, err)
		}
		if granted, err := t.waitForLimit(ctx, target.limiter); err != nil {
			return err
		} else if !granted {
			return t.wait(ctx, b, b.Reason, time.Second)
		}
	}
	b.CalledThere = time.Time{}
	if there, known := target.action(b.Action).clock(); known {
		b.CalledThere = there
	}
	hold, err := t.store.BeginCall(ctx, b, time.Now())
	if err != nil || hold != store.NoHold {
		return t.isHeld(ctx, b, hold, err)
	}
	return t.callNow(ctx, target, b)
}

// callNow makes the call of a build that nothing holds.
func (t *Trigger) callNow(ctx context.Context, target *target, b *store.Build) (err error) {
	ctx, span := t.attempt(ctx, "attempt", b)
	defer func() { endSpan(span, err) }()
	// This process may stand still at any moment, so that its lease ends. The process that
	// searches for the call waits for the timeout and longer: nothing may be sent later.
	within, cancel := context.WithDeadline(ctx, b.CalledAt.Add(max(target.Timeout, sendWithin)))
	defer cancel()
	answer, took, err := t.start(within, target, b)
	return t.applyAnswer(ctx, target, b, answer, took, err)
}

// isHeld logs that a build is held. It is due as soon as what holds it is resolved.
func (t *Trigger) isHeld(ctx context.Context, b *store.Build, hold store.Hold, err error) error {
	if err == nil {
		t.log.LogAttrs(ctx, slog.LevelDebug, "build is held", t.buildAttrs(b, slog.String("reason", string(hold)))...)
	}
	return err
}

// wait leaves a build as it is for a while, with the reason for people to see.
func (t *Trigger) wait(ctx context.Context, b *store.Build, reason string, wait time.Duration) error {
	b.Reason, b.DueAt = reason, dueIn(b, wait)
	return t.store.Save(context.WithoutCancel(ctx), b)
}

// dueIn is the time after a wait, or the build's deadline if that comes first.
func dueIn(b *store.Build, wait time.Duration) time.Time {
	now := time.Now()
	switch left := b.Deadline.Sub(now); {
	case left > 0:
		wait = min(wait, left+time.Millisecond)
	case b.CalledAt.After(b.Deadline):
		wait = 0
	} // else it waits for the one call that it still gets
	return now.Add(wait)
}

// noticedWithin is how soon a running process notices a deadline.
const noticedWithin = time.Minute

// triedUntilDeadline reports whether a build whose deadline is over was tried until then. If
// nobody looked at it by then, because no process ran, the clock was set, or it waited for its
// turn after a pause, it gets one more call.
func triedUntilDeadline(b *store.Build, now time.Time) bool {
	lookedAt := b.Attempts > 0 && !b.CalledAt.Before(b.ResumedAt) || b.Reason != ""
	return b.CalledAt.After(b.Deadline) || lookedAt && now.Sub(b.Deadline) < noticedWithin
}

// sendWithin is how long a call may take to be stored and sent, even if the timeout of the
// target is shorter: no other process has taken the build by then.
const sendWithin = store.Lease / 2

func (t *Trigger) start(ctx context.Context, target *target, b *store.Build) (started, time.Duration, error) {
	begin := time.Now()
	answer, err := target.action(b.Action).start(ctx, b)
	took := time.Since(begin)
	target.called(err, time.Now())
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
	observe.Duration(ctx, t.metrics.duration.WithLabelValues(b.Target), took)
	return answer, took, err
}

// applyAnswer sets the state of a build by the answer to its call, and saves it. No other
// function decides what an error means for a build.
func (t *Trigger) applyAnswer(
	ctx context.Context, target *target, b *store.Build, answer started, took time.Duration, callErr error,
) error {
	attempt := store.Attempt{At: b.CalledAt, Took: took}
	if callErr == nil {
		setStarted(b, answer, b.CalledAt.Add(took), false)
		t.setFollowed(target, b)
		attempt.Outcome = store.Started
		err := t.finish(ctx, b, attempt)
		if errors.Is(err, store.ErrStale) {
			return t.saveLateAnswer(ctx, b, attempt)
		}
		return err
	}
	var (
		fate = codearts.FateUnknown // any other error: the call may have arrived
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
		if e.Status != 0 {
			if why := target.action(b.Action).whyRefused(ctx, b, e); why != "" {
				b.Reason = why + ": " + b.Reason // first: a status on a commit is cut
			}
		}
	case codearts.FateRetry:
		b.State, wait = store.Waiting, backoff(b.Attempts)
		if e.RetryAfter > 0 { // of this build only: others are not in the way of what it waits for
			wait += min(e.RetryAfter<<min(max(b.Attempts-1, 0), 5), max(backoffMost, e.RetryAfter), pauseMost)
		}
	case codearts.FateThrottled:
		wait = throttledFor(e.RetryAfter, b.Attempts)
		target.pause(time.Now().Add(wait))
		b.State, wait = store.Waiting, wait+rand.N(time.Second) //nolint:gosec // jitter
	case codearts.FateUnknown:
		b.State, wait = store.Unknown, searchAgainIn(target, b)
	}
	attempt.Outcome, attempt.Error, b.DueAt = b.State, b.Reason, dueIn(b, wait)
	err := t.finish(ctx, b, attempt)
	if errors.Is(err, store.ErrStale) && fate == codearts.FateUnknown {
		t.logTakenOver(ctx, b, attempt)
	}
	return err
}

// logTakenOver logs a call that ended without an answer, after the lease of this process
// had ended and another process went on with the build.
func (t *Trigger) logTakenOver(ctx context.Context, b *store.Build, attempt store.Attempt) {
	now, err := t.store.Build(ctx, b.ID)
	if err != nil || sameCall(now, b) && now.State != store.Started {
		return // that process still searches for this call
	}
	t.log.LogAttrs(ctx, slog.LevelError, "a call ended after another process went on with its build: it may have been started twice",
		t.buildAttrs(b, slog.String("build_number", now.BuildNumber), slog.String("state", string(now.State)),
			slog.String("error", attempt.Error))...)
}

// sameCall reports whether two versions of a build have the same last call.
func sameCall(x, y *store.Build) bool { return x.Caller == y.Caller && x.CalledAt.Equal(y.CalledAt) }

// setStarted makes a build a started one. adopted says that what it started was found by a
// search.
func setStarted(b *store.Build, s started, at time.Time, adopted bool) {
	b.State, b.Reason, b.BuildNumber, b.QueueID, b.Adopted, b.StartedAt = store.Started, "", s.number, s.queueID, adopted, at
	b.Seen = max(b.Seen, s.seen)
}

// lateAnswerTries is how often a late answer is saved anew because the row was changed: the
// process that searches for the build changes it now and then.
const lateAnswerTries = 10

// saveLateAnswer saves the answer to a call after the row was changed: this process was so
// slow that its lease ended, and another process went on. The answer is more certain than
// what that process found out about this call: the build was started. Only a later call, or
// the same number found by a search, stays as it is.
func (t *Trigger) saveLateAnswer(ctx context.Context, b *store.Build, attempt store.Attempt) error {
	for range lateAnswerTries {
		now, err := t.store.Build(ctx, b.ID)
		if err != nil {
			return err
		}
		if !sameCall(now, b) || now.State == store.Started {
			if now.BuildNumber != b.BuildNumber {
				t.log.LogAttrs(ctx, slog.LevelError, "an answer came too late: the build may have been started twice",
					t.buildAttrs(b, slog.String("build_number", b.BuildNumber), slog.String("state", string(now.State)))...)
			}
			return nil
		}
		setStarted(now, started{b.BuildNumber, b.QueueID, b.Seen}, b.StartedAt, false)
		now.Result, now.FollowIn = b.Result, b.FollowIn
		if err := t.finish(ctx, now, attempt); !errors.Is(err, store.ErrStale) {
			return err
		}
	}
	return fmt.Errorf("build %s: its answer, number %s: %w", b.ID, b.BuildNumber, store.ErrStale)
}

// finish records an attempt, saves the build and logs the attempt.
func (t *Trigger) finish(ctx context.Context, b *store.Build, a store.Attempt) error {
	if !trace.SpanContextFromContext(ctx).IsValid() { // an end without a call or a search
		var span trace.Span
		ctx, span = t.attempt(ctx, "attempt", b)
		defer span.End()
	}
	b.Record(a)
	if err := t.saveUntilStopped(ctx, b); err != nil {
		return err
	}
	setAttempt(trace.SpanFromContext(ctx), b, a)
	if b.State.Final() {
		t.metrics.builds.WithLabelValues(b.Rule, b.Target, string(b.State)).Inc()
	}
	if b.Replaced > 0 {
		t.log.LogAttrs(ctx, slog.LevelInfo, "build replaces those that run, which are to be stopped",
			t.buildAttrs(b, slog.Int64("replaced", b.Replaced))...)
	}
	level, message := slog.LevelWarn, "build is not started yet"
	switch b.State {
	case store.Started:
		observe.Duration(ctx, t.metrics.latency.WithLabelValues(b.Target), b.StartedAt.Sub(latest(b.ReceivedAt, b.ResumedAt)))
		level, message = slog.LevelInfo, "build started"
	case store.DryRun:
		level, message = slog.LevelInfo, "build would have started"
	case store.Dead:
		level, message = slog.LevelError, "build is dead"
	case store.Waiting, store.Calling, store.Unknown, store.Superseded:
	}
	attrs := t.buildAttrs(b, slog.String("outcome", string(a.Outcome)), slog.Int("attempt", b.Attempts),
		slog.Int64("duration_ms", a.Took.Milliseconds()))
	if b.BuildNumber != "" {
		attrs = append(attrs, slog.String("build_number", b.BuildNumber))
	}
	if a.Error != "" {
		attrs = append(attrs, slog.String("error", a.Error))
	}
	t.log.LogAttrs(ctx, level, message, attrs...) //nolint:sloglint // one of the constants above
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// retrySave is how often saving a build is tried again.
const retrySave = 500 * time.Millisecond

// saveUntilStopped saves a build, however long the database is away while the trigger runs:
// an answer that is lost costs a search.
func (t *Trigger) saveUntilStopped(ctx context.Context, b *store.Build) error {
	detached := context.WithoutCancel(ctx) // ctx ends with the process, and the answer must be saved all the same
	for last := false; ; {
		err := t.store.Save(detached, b)
		if err == nil || errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrClaimed) || last {
			return err
		}
		t.log.LogAttrs(ctx, slog.LevelWarn, "saving the state of a build failed, it is tried again", t.buildAttrs(b, errorAttr(err))...)
		select {
		case <-time.After(retrySave):
		case <-t.stopping.Done():
			last = true
		case <-ctx.Done():
			last = true
		}
	}
}
