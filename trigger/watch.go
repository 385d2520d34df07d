package trigger

import (
	"context"
	"maps"
	"slices"
	"time"

	"buildbridge/trigger/store"
)

// Intervals of what a process does besides working builds.
const (
	// attendInterval is how often it shows that it lives.
	attendInterval = 5 * time.Second
	// watchInterval is how often it counts the queue and, if it leads, looks
	// around.
	watchInterval = 5 * time.Second
	// orphansInterval is how often the leader looks for builds that lost their
	// wake-up.
	orphansInterval = 2 * time.Minute
	// pruneInterval is how often what is older than the retention is forgotten.
	pruneInterval = time.Minute
	// rearmTimeout is below the time for which a lead holds.
	rearmTimeout = store.LeadFor * 2 / 3
	// roundTimeout bounds one round of any of them.
	roundTimeout = time.Minute
)

// every runs do at once and then now and then, until the workers stop.
func (t *Trigger) every(interval, timeout time.Duration, do func(ctx context.Context)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for t.stopping.Err() == nil {
		ctx, cancel := context.WithTimeout(t.stopping, timeout)
		do(ctx)
		cancel()
		select {
		case <-ticker.C:
		case <-t.stopping.Done():
		}
	}
}

// attend says that this process lives. Nothing else may hold it up: who is silent
// is taken for dead.
func (t *Trigger) attend() {
	t.every(attendInterval, attendInterval, func(ctx context.Context) {
		if err := t.store.Attend(ctx); err != nil {
			t.logUnlessStopping("this process could not say that it lives", err)
		}
	})
}

func (t *Trigger) watch() {
	leads := false
	t.every(watchInterval, roundTimeout, func(ctx context.Context) { leads = t.lookAround(ctx, leads) })
}

// lookAround looks at the queue and, if this process leads, looks after what
// nobody else does: builds of processes that died, builds that were held for too
// long or lost their wake-up. It reports whether this process leads.
func (t *Trigger) lookAround(ctx context.Context, led bool) (leads bool) {
	if leads = t.look(ctx); !leads {
		return false
	}
	if err := t.store.Freshen(ctx); err != nil {
		t.logUnlessStopping("the database's planner was not told of the growth", err)
	}
	if err := t.store.TakeOver(ctx); err != nil {
		t.logUnlessStopping("builds of dead processes were not looked for", err)
	}
	if _, err := t.store.Sweep(ctx, time.Now()); err != nil {
		t.logUnlessStopping("held builds were not looked for", err)
	}
	if !led || time.Since(t.orphansLooked) > orphansInterval {
		t.rearm(ctx)
	}
	return true
}

// look counts the queue, works the queues of targets that have builds, and asks to
// lead, which it reports: the leader keeps the gauges.
func (t *Trigger) look(ctx context.Context) (leads bool) {
	stats, uncounted := t.store.Queue(ctx)
	if uncounted != nil {
		t.logUnlessStopping("the queue was not counted", uncounted)
	} else {
		t.count(stats)
		t.workQueues(ctx, stats)
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

// rearm gives builds that lost their wake-up a new one. It goes on at the next look
// around if there are more than it has time for.
func (t *Trigger) rearm(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, rearmTimeout)
	defer cancel()
	n, err := t.store.Rearm(bounded)
	if n > 0 {
		t.log.Info("builds had no wake-up and got one", "builds", n)
	}
	switch {
	case err == nil:
		t.orphansLooked = time.Now()
	case bounded.Err() == nil || n == 0:
		t.logUnlessStopping("builds without a wake-up were not looked for", err)
	}
}

// count remembers how many builds are not resolved.
func (t *Trigger) count(stats []store.QueueStat) (n int64) {
	for _, q := range stats {
		n += q.Builds
	}
	t.waiting.Store(n)
	return n
}

// workQueues works the queues of the rules' targets, and of those that have
// builds though they are gone from the rules. A queue that could not be started
// is tried again at the next look around.
func (t *Trigger) workQueues(ctx context.Context, stats []store.QueueStat) {
	t.mu.RLock()
	workers, names := t.workers, slices.Collect(maps.Keys(t.targets))
	t.mu.RUnlock()
	if workers == nil {
		return
	}
	for _, q := range stats {
		names = append(names, q.Target)
	}
	for _, name := range names {
		if err := workers.Add(ctx, name); err != nil {
			t.logUnlessStopping("a queue was not started", err)
		}
	}
}

// prune forgets what is old, a few rows a transaction, for as long as there is
// something. Every process may: they forget the same.
func (t *Trigger) prune() {
	t.every(pruneInterval, pruneInterval, func(ctx context.Context) {
		for ctx.Err() == nil {
			n, err := t.store.Prune(ctx, t.retention, time.Now())
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
