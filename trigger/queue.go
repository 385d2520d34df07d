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

// queue works what is due of one kind: the builds of a target, the jobs of a target that
// are followed, the statuses of a source. A target or source that is slow or down uses the
// slots of no other.
type queue struct {
	slots int
	poll  time.Duration // how often it looks without being woken
	// take takes up to n things that are due, and returns what works each of them.
	take  func(ctx context.Context, n int) (works []func(), err error)
	wake  chan struct{} // something may be due
	ended chan struct{} // a slot is free again
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

// startQueues starts the queues of the rules' targets, and of these targets, which may not be
// in the rules but have builds.
func (t *Trigger) startQueues(targets []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range slices.AppendSeq(slices.Clip(targets), maps.Keys(t.targets)) {
		t.startQueue(name, slots, store.Poll, func(ctx context.Context, n int) ([]func(), error) { return t.takeBuilds(ctx, name, n) })
		if !t.settings.DryRun {
			t.startQueue(store.FollowQueue(name), followSlots, min(followPoll, max(t.followEvery(0)/2, time.Millisecond)),
				t.unlessOnHold(func(ctx context.Context, n int) ([]func(), error) { return t.takeFollows(ctx, name, n) }))
		}
	}
}

// targetsOf are the targets that have builds which are not resolved, or run.
func targetsOf(stats []store.QueueStat, running map[string]int64) []string {
	targets := slices.Collect(maps.Keys(running))
	for _, q := range stats {
		targets = append(targets, q.Target)
	}
	return targets
}

// startQueue starts a queue, unless one with this key runs. The key is what the store
// notifies. t.mu must be locked.
func (t *Trigger) startQueue(key string, slots int, poll time.Duration, take func(ctx context.Context, n int) ([]func(), error)) {
	if t.queues == nil || t.stopping.Err() != nil || t.queues[key] != nil {
		return
	}
	q := &queue{slots: slots, poll: poll, take: take, wake: make(chan struct{}, 1), ended: make(chan struct{}, slots)}
	t.queues[key] = q
	t.loops.Go(func() { t.workQueue(q) })
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

// wakeQueues has all queues look for what is due.
func (t *Trigger) wakeQueues() {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, q := range t.queues {
		select {
		case q.wake <- struct{}{}:
		default: // it will wake already
		}
	}
}

// workQueue takes what is due, and works each thing in a goroutine of its own, until the
// trigger stops.
func (t *Trigger) workQueue(q *queue) {
	poll := time.NewTicker(q.poll)
	defer poll.Stop()
	for free := q.slots; t.stopping.Err() == nil; {
		if free > 0 {
			// Not cut short when the trigger stops: what was taken without an answer would wait
			// for the end of its lease.
			works, err := q.take(context.WithoutCancel(t.stopping), free)
			if err != nil {
				t.logUnlessStopping("taking what is due failed", err)
			}
			free -= len(works)
			for _, work := range works {
				t.works.Go(func() {
					defer func() { q.ended <- struct{}{} }()
					work()
				})
			}
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

// unlessOnHold takes nothing while this process is on hold.
func (t *Trigger) unlessOnHold(
	take func(ctx context.Context, n int) ([]func(), error),
) func(ctx context.Context, n int) ([]func(), error) {
	return func(ctx context.Context, n int) ([]func(), error) {
		if t.onHold.Load() {
			return nil, nil
		}
		return take(ctx, n)
	}
}

// takeBuilds takes up to n builds of a target that are due.
func (t *Trigger) takeBuilds(ctx context.Context, target string, n int) (works []func(), err error) {
	due, err := t.store.Due(ctx, target, n)
	if err != nil {
		return nil, err
	}
	for _, b := range due {
		if !t.working.add(b.Seq) {
			continue // it was saved or its lease ended, and it is still being worked
		}
		works = append(works, func() { //nolint:contextcheck // it goes on when the trigger stops
			t.work(b)
			for !t.working.remove(b.Seq) {
				t.release(t.calls, b, 0)
			}
		})
	}
	return works, nil
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
