package trigger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/store"
)

const (
	// reportSlots is how many statuses of a source are sent at the same time.
	reportSlots = 4
	// reportPoll is how often statuses are looked for without being woken.
	reportPoll = time.Second
	// reportWithin is how long after a status was taken it may be sent: well before its lease
	// ends, so that another process sends a later word later.
	reportWithin = store.Lease - 3*time.Second
	// limitWithin is how long a status that was taken waits for the rate limit. Beyond that it
	// is given back.
	limitWithin = 5 * time.Second
	// sweepEvery is how often a status is looked at whose last word was not said yet.
	sweepEvery = 10 * time.Minute
	// reportFor is how long the host is asked to take a status.
	reportFor = 24 * time.Hour
)

// startReports starts the queues of the sources whose hosts take statuses, and of these
// sources, which may not be in the rules but have statuses.
func (t *Trigger) startReports(sources []string) {
	if t.settings.DryRun { // it tells nobody anything
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, source := range append(slices.Clip(sources), t.reporting()...) {
		t.startQueue(store.ReportQueue(source), reportSlots, reportPoll,
			t.unlessOnHold(func(ctx context.Context, n int) ([]func(), error) { return t.takeStatuses(ctx, source, n) }))
	}
}

// lookAtStatuses counts the statuses that are not said yet, and starts their queues.
func (t *Trigger) lookAtStatuses(ctx context.Context) (stats []store.StatusStat, err error) {
	stats, err = t.store.WaitingStatuses(ctx)
	if err != nil {
		t.logUnlessStopping("counting the statuses failed", err)
	}
	var sources []string
	for _, q := range stats {
		sources = append(sources, q.Source)
	}
	t.startReports(sources) //nolint:contextcheck // as in Start
	return stats, err
}

// reporting gives the sources whose hosts take statuses. The caller holds the lock.
func (t *Trigger) reporting() (sources []string) {
	for source, h := range t.hosts {
		if h.API.TakesStatuses() {
			sources = append(sources, source)
		}
	}
	return sources
}

// takeStatuses takes up to n statuses of a source that are due.
func (t *Trigger) takeStatuses(ctx context.Context, source string, n int) (works []func(), err error) {
	h, probed, taken := t.host(source), func() {}, time.Now()
	if h != nil && !h.API.TakesStatuses() { // the source had another provider when they were stored
		h = nil
	}
	if h != nil {
		admitted, probe := h.admit(n)
		if admitted == 0 {
			return nil, nil
		}
		if n = admitted; probe {
			probed = h.probed
		}
	}
	due, err := t.store.DueStatuses(ctx, source, n)
	if len(due) == 0 {
		probed()
	}
	for _, st := range due {
		works = append(works, func() { //nolint:contextcheck // it goes on when the trigger stops
			defer probed()
			t.report(h, st, taken)
		})
	}
	return works, err
}

// report sends one status, if there is something to say, and saves when to look at it next.
func (t *Trigger) report(h *host, st *store.Status, taken time.Time) {
	ctx, cancel := context.WithDeadline(t.calls, taken.Add(reportWithin))
	defer cancel()
	wait := t.say(ctx, h, st)
	for {
		err := t.store.SaveStatus(context.WithoutCancel(ctx), st, wait)
		switch {
		case err == nil:
			return
		case errors.Is(err, store.ErrStale):
			t.log.LogAttrs(ctx, slog.LevelWarn, "status was taken by another process, it is said again", t.statusAttrs(st)...)
			return
		}
		t.logUnlessStopping("saving what the host was told failed, it is tried again", err)
		select {
		case <-time.After(retrySave):
		case <-ctx.Done():
			return // it is said again when its lease ends
		}
	}
}

// say tells the host what became of the build, if it was not told yet. It returns when to look
// at the status next; a negative wait is for never.
func (t *Trigger) say(ctx context.Context, h *host, st *store.Status) (wait time.Duration) {
	defer func() {
		if p := recover(); p != nil { // this program is wrong, and nothing else must suffer
			st.Reason, wait = fmt.Sprintf("buildbridge failed inside: %v", p), sweepEvery
			t.log.LogAttrs(ctx, slog.LevelError, "sending a status panicked",
				t.statusAttrs(st, slog.String("error", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))...)
		}
	}()
	w, err := t.wordOf(ctx, st)
	if err != nil {
		t.logUnlessStopping("reading the build of a status failed, it is tried again", err)
		return retryWork
	}
	if h != nil && !h.API.SaysRunning() && w.state == hostapi.Running {
		w.state = hostapi.Pending
	}
	if w.later > 0 {
		return w.later
	}
	if w.state == "" || w.isSaid(st) {
		st.Since, st.Attempts, st.Reason = time.Time{}, 0, ""
		return w.next()
	}
	if h == nil {
		return t.unsaid(ctx, st, fmt.Sprintf("the rules give no api for source %q that takes statuses", st.Source), retryHost)
	}
	if wait, granted := t.awaitLimit(ctx, h); !granted {
		return wait
	}
	if begun(st) && st.SentBuild != w.build && (st.Ref != "" || st.Sent == store.StatusUnknown) {
		// What an older build began does not end by the word of another: it is a check run, or
		// a pipeline, of its own; or may be one, if its answer was lost.
		old, err := t.replacedWord(ctx, st)
		if err != nil {
			t.logUnlessStopping("reading the build of a status failed, it is tried again", err)
			return retryWork
		}
		if wait, ok := t.post(ctx, h, st, old); !ok && wait >= 0 {
			return wait
		} else if !ok { // refused for good: the newest build must not wait for it
			st.Sent, st.Attempts, st.Reason = string(hostapi.Canceled), 0, ""
		}
		st.Since = time.Now()
		return 0 // the newest one is next, in the same way
	}
	if wait, ok := t.post(ctx, h, st, w); !ok {
		return wait
	}
	return w.next()
}

// retryHost is how often a status looks whether its source is in the rules again.
const retryHost = time.Minute

// begun reports whether the host was told something that is not the last word.
func begun(st *store.Status) bool {
	switch hostapi.State(st.Sent) {
	case "", hostapi.Success, hostapi.Failure, hostapi.Error, hostapi.Canceled:
		return false
	case hostapi.Pending, hostapi.Running:
	}
	return true
}

// word is what is to be said of a build.
type word struct {
	build string        // the id
	state hostapi.State // "" for nothing
	text  string
	later time.Duration // if it is too early to say it: when it is not

	waits    bool // it runs, and waits for a person
	replaced bool // a newer build is waiting for its turn

	ref, url     string
	began, ended time.Time
}

func (w *word) final() bool { return w.state != hostapi.Pending && w.state != hostapi.Running }

// sent is what the status keeps of it.
func (w *word) sent() string {
	if w.waits && !w.final() {
		return store.StatusWaits
	}
	return string(w.state)
}

// isSaid reports whether the host was told. A build that runs does not become pending again.
func (w *word) isSaid(st *store.Status) bool {
	return st.SentBuild == w.build &&
		(st.Sent == w.sent() || st.Sent == string(hostapi.Running) && w.sent() == string(hostapi.Pending))
}

// next is when to look at a status again whose word was said.
func (w *word) next() time.Duration {
	if w.final() {
		return -1
	}
	return sweepEvery
}

// wordOf is what is to be said now: of the newest build of the context, or if there is nothing
// to say of that, of the one that a status was begun for.
func (t *Trigger) wordOf(ctx context.Context, st *store.Status) (word, error) {
	w, err := t.wordOn(ctx, st, st.Build)
	if err == nil && w.state == "" && begun(st) && st.SentBuild != st.Build {
		return t.wordOn(ctx, st, st.SentBuild)
	}
	return w, err
}

// wordOn is what is to be said of a build.
func (t *Trigger) wordOn(ctx context.Context, st *store.Status, id string) (word, error) {
	w := word{build: id}
	open := begun(st) && st.SentBuild == id
	b, err := t.store.Build(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if open {
			w.state, w.text = hostapi.Error, "What became of this build is not known: its record was deleted"
		}
		return w, nil
	case err != nil:
		return w, err
	}
	w.state, w.text = wordFor(b, open)
	w.waits = b.WaitsForPerson()
	w.ref, w.began, w.ended = b.Ref, b.RunningAt, b.EndedAt
	if w.began.IsZero() {
		w.began = b.StartedAt
	}
	target := t.target(b.Target)
	if w.url = t.buildURL(id); w.url == "" && target != nil {
		w.url = b.ConsoleURL(&target.Target.Target)
	}
	if !w.final() && !open {
		if target != nil && !target.Follow { // a word without an end must not be begun
			w.state = ""
			return w, nil
		}
		w.later = min(max(0, time.Until(b.ReceivedAt.Add(store.PendingAfter))), store.PendingAfter)
	}
	return w, nil
}

// replacedWord is the last word on an older build whose commit has a newer one.
func (t *Trigger) replacedWord(ctx context.Context, st *store.Status) (word, error) {
	w, err := t.wordOn(ctx, st, st.SentBuild)
	w.replaced = true
	if err == nil && !w.final() {
		w.state, w.text = hostapi.Canceled, "A newer build of this commit took its place"
	}
	return w, err
}

// post sends a word, and notes in the status what came of it. If the host did not take it, wait
// is when to try again.
func (t *Trigger) post(ctx context.Context, h *host, st *store.Status, w word) (wait time.Duration, ok bool) {
	before := *st
	if !w.final() && (st.SentBuild != w.build || !begun(st)) {
		if err := t.store.BeginStatus(context.WithoutCancel(ctx), st, w.build); err != nil {
			if !errors.Is(err, store.ErrStale) {
				t.logUnlessStopping("noting that a host is told failed, it is tried again", err)
			}
			return retryWork, false
		}
	}
	s := hostapi.Status{
		Repository: st.Repository, Commit: st.Commit, Ref: w.ref, Context: st.Context,
		State: w.state, Description: w.text, TargetURL: w.url, Begun: w.began, Ended: w.ended,
	}
	if st.SentBuild == w.build && begun(st) {
		s.Previous = st.Ref
	}
	ref, err := h.API.Post(ctx, s)
	if err != nil {
		r, ok := errors.AsType[*hostapi.Refusal](err)
		if !ok {
			r = &hostapi.Refusal{Code: hostapi.CodeTimeout, Reason: err.Error()}
		}
		// Else it may have been taken, whatever a gateway answered.
		if r.Fate != hostapi.FateAgain || slices.Contains([]string{hostapi.CodeNotSent, "409", "429"}, r.Code) {
			st.Sent, st.SentBuild, st.Ref = before.Sent, before.SentBuild, before.Ref
		}
		return t.refused(ctx, h, st, w, r), false
	}
	t.metrics.statusPosts.WithLabelValues(st.Source, "200").Inc()
	t.hostAnswers(ctx, h)
	st.Sent, st.SentBuild, st.Ref = w.sent(), w.build, ref
	st.Since, st.Attempts, st.Reason = time.Time{}, 0, ""
	level := slog.LevelDebug
	if w.final() {
		level = slog.LevelInfo
	}
	t.log.LogAttrs(ctx, level, "status set", t.statusAttrs(st, slog.String("state", st.Sent))...)
	return 0, true
}

func (t *Trigger) hostAnswers(ctx context.Context, h *host) {
	if h.answers() {
		t.log.LogAttrs(ctx, slog.LevelInfo, "code host takes statuses again", slog.String("source", h.Source))
	}
}

// refused notes why the host did not take a status, and returns when to try again; a negative
// wait is for never. No other function decides what a refusal means for a status.
func (t *Trigger) refused(ctx context.Context, h *host, st *store.Status, w word, r *hostapi.Refusal) (wait time.Duration) {
	if t.calls.Err() != nil { // this process ends: the next one tries again
		return 0
	}
	t.metrics.statusPosts.WithLabelValues(st.Source, r.Code).Inc()
	switch reason := oneLine(r.Error()); {
	case r.Fate == hostapi.FateFinal:
		if r.Code != hostapi.CodeNotSent {
			t.hostAnswers(ctx, h)
		}
		if st.Attempts == 0 {
			t.log.LogAttrs(ctx, slog.LevelWarn, "status refused",
				t.statusAttrs(st, slog.String("state", string(w.state)), slog.String("error", reason))...)
		}
		if w.final() && (w.replaced || !begun(st)) {
			st.Attempts, st.Reason = st.Attempts+1, reason
			return -1
		}
		return t.unsaid(ctx, st, reason, sweepEvery) // the end is still to be said, and the host may take it
	case r.Fate == hostapi.FateSource, r.Code == hostapi.CodeNotSent, h.isDown():
		pause, first := h.fails(r.After, reason)
		level := slog.LevelDebug
		if first {
			level = slog.LevelWarn
		}
		t.log.LogAttrs(ctx, level, "code host takes no statuses: all of the source wait",
			slog.String("source", st.Source), slog.String("pause", pause.Round(time.Millisecond).String()), slog.String("error", reason))
		return t.unsaid(ctx, st, reason, pause)
	default:
		return t.unsaid(ctx, st, reason, max(r.After, reportBackoff(st.Attempts)))
	}
}

// unsaid notes why a status could not be said. It is given up after a day.
func (t *Trigger) unsaid(ctx context.Context, st *store.Status, reason string, wait time.Duration) time.Duration {
	st.Attempts, st.Reason = st.Attempts+1, reason
	if st.Since.IsZero() {
		st.Since = time.Now()
	}
	if time.Since(st.Since) < reportFor {
		return wait
	}
	st.Reason = "given up after a day: " + reason
	t.log.LogAttrs(ctx, slog.LevelWarn, "status given up", t.statusAttrs(st, slog.String("error", reason))...)
	return -1
}

// reportBackoff is how long a status waits after a number of attempts: exponential with full
// jitter, up to some minutes.
func reportBackoff(attempts int) time.Duration {
	return rand.N(min(hostPauseMost, hostPauseBase<<min(attempts, 10))) + time.Millisecond //nolint:gosec // jitter
}

// awaitLimit waits for the rate limit of a host. If it has no call soon, wait is when to try
// again.
func (t *Trigger) awaitLimit(ctx context.Context, h *host) (wait time.Duration, granted bool) {
	if h.limiter == nil {
		return 0, true
	}
	at, giveBack, granted, err := h.limiter.reserve(ctx)
	switch {
	case err != nil:
		t.logUnlessStopping("asking for the rate limit of a code host failed", err)
		return retryWork, false
	case !granted:
		h.hold(time.Now().Add(retryReservation))
		return retryReservation, false
	}
	wait = time.Until(at)
	if wait > limitWithin {
		giveBack()
		h.hold(at)
		return wait, false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0, true
	case <-t.stopping.Done():
	case <-ctx.Done():
	}
	giveBack()
	return 0, false
}

func (t *Trigger) statusAttrs(st *store.Status, more ...slog.Attr) []slog.Attr {
	build := cmp.Or(st.SentBuild, st.Build)
	return append(urlAttr([]slog.Attr{
		slog.String("source", st.Source), slog.String("repository", st.Repository), slog.String("commit", st.Commit),
		slog.String("context", st.Context), slog.String("build", build),
	}, t.buildURL(build)), more...)
}
