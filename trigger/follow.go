package trigger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"buildbridge/mapping"
	"buildbridge/mapping/observe"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

const (
	// followSlots is how many jobs of a target are asked about at the same time.
	followSlots = 10
	followPoll  = time.Second
	// followWithin bounds one look at a job: no other process takes it meanwhile.
	followWithin = store.Lease * 3 / 4
	// followSingles is how many records one look reads by themselves, followStops how many
	// builds it stops. The next look goes on.
	followSingles = 20
	followStops   = 20
	// followFailures is how often in a row the service cannot be asked before a build is lost
	// whose cap is over: no process may have run until then.
	followFailures = 3
)

// The caps on following: after that a build is lost.
const (
	followRunning = 24 * time.Hour // since it ran
	followOverall = 72 * time.Hour // since it was started: it may be queued for long
)

// followStep is how long to wait before the service is asked again about a build that was
// started this long ago.
func followStep(age time.Duration) time.Duration {
	switch {
	case age < time.Minute:
		return 5 * time.Second
	case age < 10*time.Minute:
		return 15 * time.Second
	}
	return time.Minute
}

// setFollowed makes a build that was started one that is followed, if its target says so.
func (t *Trigger) setFollowed(target *target, b *store.Build) {
	if target.Follow {
		b.Result, b.FollowIn = store.Running, t.followEvery(0)
	}
}

// takeFollows takes up to n jobs of a target that are due.
func (t *Trigger) takeFollows(ctx context.Context, target string, n int) (works []func(), err error) {
	due, err := t.store.DueFollows(ctx, target, n)
	for _, f := range due {
		works = append(works, func() { t.follow(f) }) //nolint:contextcheck // it ends when the trigger stops
	}
	return works, err
}

// follow looks once at what has become of the builds of a job, and saves when to look again.
func (t *Trigger) follow(f *store.Follow) {
	ctx, cancel := context.WithTimeout(t.stopping, followWithin)
	defer cancel()
	wait := backoffMost
	defer func() {
		if p := recover(); p != nil { // this program is wrong: not again and again
			t.log.LogAttrs(ctx, slog.LevelError, "following builds panicked", slog.String("target", f.Target), slog.String("job_id", f.JobID),
				slog.String("error", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
		}
		if err := t.store.SaveFollow(context.WithoutCancel(ctx), f, wait); err != nil {
			t.logUnlessStopping("saving when to follow builds failed, they are due when the lease ends", err)
		}
	}()
	builds, err := t.store.OpenBuilds(ctx, f.Target, f.JobID)
	if err != nil {
		t.logUnlessStopping("reading the builds to follow failed, it is tried again", err)
		wait = retryWork
		return
	}
	l := &followLook{Trigger: t, target: t.target(f.Target), follow: f, builds: builds, now: time.Now()}
	wait = l.do(ctx)
}

// followLook is one look at the builds of a job.
type followLook struct {
	*Trigger
	target *target // nil if it is not in the rules
	follow *store.Follow
	builds []*store.Build // those whose end is not known
	now    time.Time

	began  []*store.Build   // those that run, of which something is not saved yet
	looked map[int64]string // why it is not known yet how these ended, by seq
	soon   bool             // something is to be tried again at the next look
	err    error            // why the service could not be asked; nil if it could
}

// do gives the wait before the next look, a negative one if no build is left.
func (l *followLook) do(ctx context.Context) time.Duration {
	if len(l.builds) == 0 {
		l.follow.Failures = 0
		return -1
	}
	if l.target != nil {
		if pause := l.target.pausedFor(l.now); pause > 0 {
			return pause
		}
	}
	l.looked = map[int64]string{}
	l.look(ctx)
	l.saveBegan(ctx)
	if l.stopping.Err() != nil {
		return 0
	}
	if l.err == nil {
		l.follow.Failures = 0
	} else if l.follow.Failures++; l.follow.Failures == 1 {
		l.log.LogAttrs(ctx, slog.LevelWarn, "following builds failed, it is tried again", slog.String("target", l.follow.Target),
			slog.String("job_id", l.follow.JobID), slog.Int("builds", len(l.builds)), errorAttr(l.err))
	}
	wait := time.Duration(-1)
	for _, b := range l.builds {
		if l.endByCap(ctx, b); b.Result != store.Running {
			continue
		}
		step := l.step(b)
		if reason := cannotAsk(l.target, b); reason != "" {
			step = max(step, retryTarget)
		}
		if wait < 0 || step < wait {
			wait = step
		}
	}
	switch {
	case wait < 0:
	case l.err != nil:
		wait = max(wait, backoff(l.follow.Failures))
		if l.target != nil {
			wait = max(wait, l.target.pausedFor(time.Now()))
		}
	case l.soon:
		wait = min(wait, l.followEvery(0))
	}
	return wait
}

// look asks the service about the builds of its address, after it has stopped those that are to
// be stopped.
func (l *followLook) look(ctx context.Context) {
	var ask []*store.Build
	for _, b := range l.builds {
		switch reason := cannotAsk(l.target, b); {
		case !b.Claimed:
			l.lost(ctx, b, "the service gave its number to another build: the job was created anew")
		case reason != "":
			l.looked[b.Seq] = reason
		default:
			ask = append(ask, b)
		}
	}
	if len(ask) == 0 || !l.stopThose(ctx, ask) {
		return
	}
	l.target.action(ask[0].Action).follow(ctx, l, ask)
}

// step is how long to wait before the service is asked again about a build.
func (l *followLook) step(b *store.Build) time.Duration {
	step := l.followEvery(l.now.Sub(b.StartedAt))
	if !b.StoppedAt.IsZero() {
		step = min(step, l.followEvery(l.now.Sub(b.StoppedAt)))
	}
	return step
}

// tick is the shortest step of builds: as often the service is asked about them.
func (l *followLook) tick(builds []*store.Build) time.Duration {
	return l.step(slices.MinFunc(builds, func(x, y *store.Build) int { return cmp.Compare(l.step(x), l.step(y)) }))
}

// late reports whether the rest is left to the next look.
func (l *followLook) late() bool {
	late := time.Since(l.now) > followWithin/2
	l.soon = l.soon || late
	return late
}

// asked counts a request to the service.
func (l *followLook) asked(err error) {
	code := "200"
	if e, ok := errors.AsType[*codearts.Error](err); ok {
		if code = e.Label(); code == "200" {
			code = "error"
		}
	} else if err != nil {
		code = "timeout"
	}
	l.metrics.followRequests.WithLabelValues(l.follow.Target, code).Inc()
}

func noSuchBuild(err error) bool {
	e, ok := errors.AsType[*codearts.Error](err)
	return ok && e.NoSuchBuild()
}

// failed notes that the service could not be asked. It reports whether the look goes on: not
// if the service throttles, or the time is over.
func (l *followLook) failed(ctx context.Context, err error) (goOn bool) {
	if l.err == nil {
		l.err = err
	}
	if e, ok := errors.AsType[*codearts.Error](err); ok && throttled(err) {
		l.target.pause(time.Now().Add(throttledFor(e.RetryAfter, l.follow.Failures+1)))
		return false
	}
	return ctx.Err() == nil
}

// earliest is when the build can have been started at the earliest, by the service's clock.
func (l *followLook) earliest(b *store.Build) time.Time {
	at, _, _ := l.calledThere(l.target, b)
	return at.Add(-l.target.Reconcile.Window - clockMargin)
}

// between gives a time of the service, if it lies between the start of a build and now, or
// hardly before: else now, because the service's clock or its zone is another.
func (l *followLook) between(at, started time.Time) time.Time {
	switch {
	case at.IsZero(), at.After(l.now), at.Before(started.Add(-l.target.Reconcile.Window)):
		return l.now
	case at.Before(started):
		return started
	}
	return at
}

// What the message of a build begins with while something is to be tried again, or is not.
const (
	endUnclear    = "the service says that it has ended, and not how"
	detailsUnread = "it has ended, and its details cannot be read yet: "
	stopRefused   = "the service does not stop it: "
)

// inQueue is why the end of a build is not known that the service does not run yet.
const inQueue = "the service still has it in its queue"

// textMost is how many characters of a text of the service are kept.
const textMost = 500

func text(s string) string { return printable.Clip(printable.Text(s), textMost) }

// lost ends a build whose end cannot be found out.
func (l *followLook) lost(ctx context.Context, b *store.Build, why string) {
	b.Result, b.EndedAt, b.Message = store.Lost, l.now, text(why)
	l.save(ctx, b)
}

// endByCap ends a build that was followed for too long. It must have been looked for just
// now: no process may have run for days. A person may take any time: one that waits for a person ends
// if the service could not be asked for as long.
func (l *followLook) endByCap(ctx context.Context, b *store.Build) {
	why, looked := l.looked[b.Seq]
	failures := followFailures
	if b.WaitsForPerson() {
		failures = int(followOverall / backoffMost)
	}
	if !looked && l.err != nil && l.follow.Failures >= failures {
		why, looked = l.err.Error(), true
	}
	switch {
	case b.Result != store.Running || !looked:
	case !b.RunningAt.IsZero() && !b.WaitsForPerson() && l.now.Sub(latest(b.RunningAt, b.WaitedAt)) > followRunning:
		l.lost(ctx, b, fmt.Sprintf("its end is not known %.0f h after it began to run, or went on: %s", followRunning.Hours(), why))
	case l.now.Sub(latest(b.StartedAt, b.WaitedAt)) > followOverall:
		l.lost(ctx, b, fmt.Sprintf("its end is not known %.0f h after its start: %s", followOverall.Hours(), why))
	}
}

// stopThose stops the builds that are to be stopped. What becomes of them their records say.
// It reports whether the look goes on.
func (l *followLook) stopThose(ctx context.Context, builds []*store.Build) (goOn bool) {
	calls := 0
	for _, b := range builds {
		if b.Stop == "" || !b.StoppedAt.IsZero() || strings.Contains(b.Message, stopRefused) {
			continue
		}
		if calls++; calls > followStops {
			l.soon = true
			return true
		}
		err := l.target.action(b.Action).stop(ctx, b)
		l.asked(err)
		e, isService := errors.AsType[*codearts.Error](err)
		attrs := l.buildAttrs(b, slog.String("build_number", b.BuildNumber), slog.String("reason", b.Stop))
		switch {
		case err == nil:
			b.StoppedAt = l.now
			l.save(ctx, b)
			l.log.LogAttrs(ctx, slog.LevelInfo, "the service was told to stop a build", attrs...)
		case noSuchBuild(err) && b.RunningAt.IsZero(): // its record lags
		case isService && e.Fate == codearts.FateDead && e.Reason() != codearts.ReasonCredentials:
			if b.QueueID != "" && b.RunningAt.IsZero() {
				continue // it may leave the queue at this moment: the next look tries again
			}
			b.Message = text(stopRefused + err.Error())
			l.save(ctx, b)
			l.log.LogAttrs(ctx, slog.LevelWarn, "the service does not stop a build", append(attrs, errorAttr(err))...)
		default: // the next look tries again; the other calls may work all the same
			if !l.failed(ctx, err) {
				return false
			}
		}
	}
	return true
}

// saveBegan saves which builds run, all at once: they may be hundreds, and share a transaction.
func (l *followLook) saveBegan(ctx context.Context) {
	var saving sync.WaitGroup
	for _, b := range l.began {
		saving.Go(func() {
			if err := l.store.SaveResult(context.WithoutCancel(ctx), b); err != nil && !errors.Is(err, store.ErrStale) {
				l.logUnlessStopping("saving that a build runs failed, it is tried again", err)
			}
		})
	}
	saving.Wait()
}

// save writes what is known of a build, and tells everybody if it has ended. If the row was
// changed meanwhile, the next look reads it again.
func (l *followLook) save(ctx context.Context, b *store.Build) {
	err := l.store.SaveResult(context.WithoutCancel(ctx), b)
	if err != nil {
		b.Result, l.soon = store.Running, true // as it is stored
		if !errors.Is(err, store.ErrStale) {
			l.logUnlessStopping("saving the result of a build failed, it is tried again", err)
		}
		return
	}
	if !b.Result.Final() {
		return
	}
	took := b.EndedAt.Sub(b.StartedAt)
	ctx = l.traceBuild(ctx, b)
	l.metrics.results.WithLabelValues(b.Rule, b.Target, string(b.Result)).Inc()
	if b.Result != store.Lost {
		observe.Duration(ctx, l.metrics.buildDuration.WithLabelValues(b.Target), took)
	}
	level := slog.LevelWarn
	switch b.Result {
	case store.Success:
		level = slog.LevelInfo
	case store.Lost:
		level = slog.LevelError
	case store.NoResult, store.Running, store.Failure, store.Aborted, store.Timeout:
	}
	attrs := l.buildAttrs(b, slog.String("build_number", b.BuildNumber), slog.String("result", string(b.Result)),
		slog.Int64("duration_ms", took.Milliseconds()))
	for _, a := range []slog.Attr{slog.String("step", b.Step), slog.String("message", b.Message), slog.String("stop", b.Stop)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	l.log.LogAttrs(ctx, level, "build ended", attrs...)
}

// StopBuild stops a started build, and returns before the
// service was told. The build is followed to its end: its record says what became of it. The
// errors are those of [store.Store.Stop].
func (t *Trigger) StopBuild(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
	b, err := t.store.Stop(ctx, id, text(said("stopped", by)))
	if err != nil {
		return nil, err
	}
	t.log.LogAttrs(ctx, slog.LevelInfo, "build is to be stopped",
		t.buildAttrs(b, slog.String("build_number", b.BuildNumber), slog.String("actor", by.Actor), slog.String("reason", b.Stop))...)
	return b, nil
}

// said is what people read of something that a person did: "stopped by ann: wrong branch".
func said(did string, by mapping.By) string {
	if by.Actor != "" {
		did += " by " + by.Actor
	}
	if by.Why != "" {
		did += ": " + by.Why
	}
	return did
}
