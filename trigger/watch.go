package trigger

import (
	"context"
	"time"

	"buildbridge/trigger/store"
)

// Intervals of what a process does besides working builds.
const (
	// watchInterval is how often it counts the queue and, if it leads, looks
	// around.
	watchInterval = 5 * time.Second
	// pruneInterval is how often what is older than the retention is forgotten.
	pruneInterval = time.Minute
	// roundTimeout bounds one round of any of them.
	roundTimeout = time.Minute
)

// every runs do at once and then now and then, until the end of ctx.
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
	every(t.stopping, watchInterval, roundTimeout, func(ctx context.Context) {
		if t.look(ctx) {
			t.lookAfter(ctx)
		}
	})
}

// lookAfter is what the one process does that leads: what no other needs to do.
func (t *Trigger) lookAfter(ctx context.Context) {
	if err := t.store.Analyze(ctx); err != nil {
		t.logUnlessStopping("the database's planner was not told of the growth", err)
	}
	for _, target := range t.queueNames() {
		n, err := t.store.Recall(ctx, target)
		if err != nil {
			t.logUnlessStopping("builds that are due too late were not looked for", err)
		}
		if n > 0 {
			t.log.Warn("the clock was set back: builds that were due too late by it are due now", "target", target, "builds", n)
		}
	}
}

// look counts the queue, works the queues of targets that have builds, and asks to
// lead, which it reports: the leader keeps the gauges.
func (t *Trigger) look(ctx context.Context) (leads bool) {
	stats, uncounted := t.store.Queue(ctx)
	if uncounted != nil {
		t.logUnlessStopping("the queue was not counted", uncounted)
	} else {
		t.count(stats)
		t.startQueues(stats) //nolint:contextcheck // as in Start
	}
	leads, err := t.store.Lead(ctx)
	if err != nil {
		t.logUnlessStopping("the lead was not asked for", err)
	}
	if !leads {
		t.metrics.follow()
		return false
	}
	if uncounted != nil {
		t.metrics.uncounted()
	} else {
		t.metrics.lead(stats, time.Now())
	}
	if used, free, err := t.store.Size(ctx); err != nil {
		t.logUnlessStopping("the database was not measured", err)
	} else {
		t.metrics.database(used, free)
	}
	return true
}

// count remembers how many builds are not resolved.
func (t *Trigger) count(stats []store.QueueStat) (n int64) {
	for _, q := range stats {
		n += q.Builds
	}
	t.waiting.Store(n)
	return n
}

// prune forgets what is old, a few rows a transaction, for as long as there is
// something. Every process may: they forget the same.
func (t *Trigger) prune() {
	every(t.stopping, pruneInterval, pruneInterval, func(ctx context.Context) {
		for ctx.Err() == nil {
			n, err := t.store.Prune(ctx, t.settings.Retention, time.Now())
			if err != nil {
				t.logUnlessStopping("what is old was not forgotten", err)
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
		t.log.Warn(message, "error", err) //nolint:sloglint // the message is a constant of the caller
	}
}
