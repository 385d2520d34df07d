package trigger

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"buildbridge/trigger/store"
)

// slots is how many builds of a target are worked at the same time.
const slots = 50

// queue works the builds of one target: it takes those that are due while slots are free. A
// target that is slow or down uses the slots of no other.
type queue struct {
	target string
	wake   chan struct{} // a build may be due
	ended  chan struct{} // a slot is free again
}

// workedBuilds are the builds that this process works, by their seqs.
type workedBuilds struct {
	mu         sync.Mutex
	takenAgain map[int64]bool
}

// add reports whether the build was not there yet.
func (w *workedBuilds) add(seq int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, found := w.takenAgain[seq]; found {
		w.takenAgain[seq] = true
		return false
	}
	if w.takenAgain == nil {
		w.takenAgain = map[int64]bool{}
	}
	w.takenAgain[seq] = false
	return true
}

// remove reports whether the build was removed. It was not if it was taken again meanwhile:
// it must be released first.
func (w *workedBuilds) remove(seq int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.takenAgain[seq] {
		w.takenAgain[seq] = false
		return false
	}
	delete(w.takenAgain, seq)
	return true
}

func (w *workedBuilds) seqs() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.takenAgain))
}

// startQueues starts the queues of the rules' targets, and of targets that are not in the
// rules but have builds.
func (t *Trigger) startQueues(stats []store.QueueStat) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queues == nil || t.stopping.Err() != nil {
		return
	}
	names := slices.Collect(maps.Keys(t.targets))
	for _, q := range stats {
		names = append(names, q.Target)
	}
	for _, name := range names {
		if t.queues[name] == nil {
			q := &queue{target: name, wake: make(chan struct{}, 1), ended: make(chan struct{}, slots)}
			t.queues[name] = q
			t.loops.Go(func() { t.workQueue(q) })
		}
	}
}

func (t *Trigger) queueNames() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Collect(maps.Keys(t.queues))
}

// forwardNotifications wakes the queues that got work.
func (t *Trigger) forwardNotifications() {
	for {
		select {
		case name := <-t.store.Notified():
			t.mu.RLock()
			q := t.queues[name]
			t.mu.RUnlock()
			if q != nil {
				select {
				case q.wake <- struct{}{}:
				default: // it will wake already
				}
			}
		case <-t.stopping.Done():
			return
		}
	}
}

// workQueue takes the builds that are due, until the trigger stops.
func (t *Trigger) workQueue(q *queue) {
	poll := time.NewTicker(store.Poll)
	defer poll.Stop()
	for free := slots; t.stopping.Err() == nil; {
		if free > 0 {
			free -= t.takeDue(q, free)
		}
		var wake <-chan struct{}
		var tick <-chan time.Time
		if free > 0 {
			wake, tick = q.wake, poll.C
		}
		select {
		case <-q.ended:
			free++
		case <-wake:
		case <-tick:
		case <-t.stopping.Done():
		}
		for range len(q.ended) { // all that ended meanwhile
			<-q.ended
			free++
		}
	}
}

// takeDue takes up to n builds, works each in a goroutine of its own, and returns how many.
func (t *Trigger) takeDue(q *queue, n int) (taken int) {
	// Not cut short when the trigger stops: builds that were taken without an answer would
	// wait for the end of their lease.
	due, err := t.store.Due(context.WithoutCancel(t.stopping), q.target, n)
	if err != nil {
		t.logUnlessStopping("taking the due builds failed", err)
		return 0
	}
	for _, b := range due {
		if !t.working.add(b.Seq) {
			continue // it was saved or its lease ended, and it is still being worked
		}
		taken++
		t.works.Go(func() {
			defer func() { q.ended <- struct{}{} }()
			t.work(b)
			for !t.working.remove(b.Seq) {
				t.release(t.calls, b, 0)
			}
		})
	}
	return taken
}

// workTimeout is far longer than the longest call takes: the timeout of a target, and the
// wait for its rate limit.
const workTimeout = 10 * time.Minute

// retryWork is how long a build waits whose work failed because the database did.
const retryWork = time.Second

// work moves one build as far as possible now.
func (t *Trigger) work(b *store.Build) {
	ctx, cancel := context.WithTimeout(t.calls, workTimeout)
	defer cancel()
	err := t.step(ctx, b)
	if err == nil {
		return
	}
	wait := retryWork
	if errors.Is(err, store.ErrStale) {
		wait = 0 // superseded, or worked by another process, which reads it again
	} else {
		t.logUnlessStopping("working a build failed, it is tried again", err)
	}
	t.release(ctx, b, wait)
}

// release gives a build back if this process still has it.
func (t *Trigger) release(ctx context.Context, b *store.Build, wait time.Duration) {
	if err := t.store.Release(context.WithoutCancel(ctx), []int64{b.Seq}, wait); err != nil {
		t.logUnlessStopping("releasing a build failed, it is due when its lease ends", err)
	}
}

// renewInterval is how often a process renews the leases of the builds that it works.
const renewInterval = store.Lease / 4

// renewLeases goes on after Stop, as long as calls run.
func (t *Trigger) renewLeases() {
	every(t.calls, renewInterval, renewInterval, func(ctx context.Context) {
		if seqs := t.working.seqs(); len(seqs) > 0 {
			if err := t.store.Renew(ctx, seqs); err != nil {
				t.logUnlessStopping("renewing the leases of builds failed", err)
			}
		}
	})
}
