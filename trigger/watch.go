package trigger

import (
	"context"
	"log/slog"
	"time"

	"buildbridge/trigger/store"
)

const (
	// watchInterval is how often each process counts the queue, and the leader does what
	// only one process need do.
	watchInterval = 5 * time.Second
	// pruneInterval is how often rows are deleted that are older than the retention.
	pruneInterval = time.Minute
	// roundTimeout bounds one round of the watch.
	roundTimeout = time.Minute
)

// every runs do at once, and then once an interval, until ctx ends.
func every(ctx context.Context, interval, timeout time.Duration, do func(ctx context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, timeout)
		do(bounded)
		cancel()
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (t *Trigger) watch() {
	var repositories repositoryFinder
	every(t.stopping, watchInterval, roundTimeout, func(ctx context.Context) {
		if t.look(ctx) {
			t.lead(ctx)
			t.findRepositories(ctx, &repositories)
		}
	})
}

// lead does what only the leader does.
func (t *Trigger) lead(ctx context.Context) {
	if err := t.store.Analyze(ctx); err != nil {
		t.logUnlessStopping("updating the statistics of the database's planner failed", err)
	}
	t.endPauses(ctx)
	for _, queue := range t.queueNames() {
		n, err := t.store.Recall(ctx, queue)
		if err != nil {
			t.logUnlessStopping("looking for what is due too late failed", err)
		}
		if n > 0 {
			t.log.LogAttrs(ctx, slog.LevelWarn, "the clock was set back: what was due too late is due now",
				slog.String("queue", queue), slog.Int64("rows", n))
		}
	}
}

// look counts the queue and the builds that run, starts the queues of targets that have builds, and reports whether
// this process leads. The leader sets the gauges.
func (t *Trigger) look(ctx context.Context) (leads bool) {
	stats, uncounted := t.store.Queue(ctx)
	if uncounted != nil {
		t.logUnlessStopping("counting the queue failed", uncounted)
	} else {
		t.count(stats)
	}
	running, notRunning := t.store.Running(ctx)
	if notRunning != nil {
		t.logUnlessStopping("counting the builds that run failed", notRunning)
	}
	t.startQueues(targetsOf(stats, running)) //nolint:contextcheck // as in Start
	statuses, statusesUncounted := t.lookAtStatuses(ctx)
	leads, err := t.store.Lead(ctx)
	if err != nil {
		t.logUnlessStopping("asking for the lead failed", err)
	}
	t.lookAtPauses(ctx) // after the lead was asked for: to free very many builds takes seconds
	if !leads {
		t.metrics.removeLeader()
		return false
	}
	if uncounted != nil {
		t.metrics.removeQueue()
	} else {
		t.metrics.setQueue(stats, time.Now())
	}
	if notRunning == nil {
		t.metrics.setRunning(running)
	}
	if statusesUncounted == nil {
		t.metrics.setStatuses(statuses)
	}
	if missed, err := t.store.CountMissed(ctx); err != nil {
		t.logUnlessStopping("counting the missed pushes failed", err)
	} else {
		t.metrics.setMissed(missed)
	}
	if readable, err := t.readable(ctx); err != nil {
		t.logUnlessStopping("counting the repositories whose refs can be read failed", err)
	} else {
		t.metrics.setReadable(readable)
	}
	if used, free, err := t.store.Size(ctx); err != nil {
		t.logUnlessStopping("measuring the database failed", err)
	} else {
		t.metrics.setDatabase(used, free)
	}
	return true
}

// count remembers how many builds are unresolved.
func (t *Trigger) count(stats []store.QueueStat) (n int64) {
	for _, q := range stats {
		n += q.Builds
	}
	t.waiting.Store(n)
	return n
}

// Waiting is how many builds were unresolved when they were counted last, a few seconds ago.
func (t *Trigger) Waiting() int64 { return t.waiting.Load() }

// prune deletes old rows, a few in each transaction, until none are left. Every process
// does: they delete the same rows.
func (t *Trigger) prune() {
	every(t.stopping, pruneInterval, pruneInterval, func(ctx context.Context) {
		for ctx.Err() == nil {
			n, err := t.store.Prune(ctx, t.settings.Retention, time.Now())
			if err != nil {
				t.logUnlessStopping("deleting old rows failed", err)
				return
			}
			if n == 0 {
				return
			}
		}
	})
}

func (t *Trigger) logUnlessStopping(message string, err error) {
	if t.stopping.Err() == nil {
		t.log.LogAttrs(t.stopping, slog.LevelWarn, message, errorAttr(err)) //nolint:sloglint // a constant of the caller
	}
}
