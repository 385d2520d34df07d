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

// queue works the builds of one target: it takes what is due as long as slots are free.
// A target that is slow or down takes the slots of no other.
type queue struct {
	target string
	wake   chan struct{} // something may be due
	ended  chan struct{} // a slot is free again
}

// hands are the builds that this process works.
type hands struct {
	mu   sync.Mutex
	seqs map[int64]bool // true if it was taken again meanwhile
}

// take reports whether the build was not there yet.
func (h *hands) take(seq int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.seqs[seq]; there {
		h.seqs[seq] = true
		return false
	}
	if h.seqs == nil {
		h.seqs = map[int64]bool{}
	}
	h.seqs[seq] = false
	return true
}

// leave reports whether the build is left: not if it was taken again meanwhile, and has
// to be given back first.
func (h *hands) leave(seq int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seqs[seq] {
		h.seqs[seq] = false
		return false
	}
	delete(h.seqs, seq)
	return true
}

func (h *hands) all() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.seqs))
}

// startQueues works the queues of the rules' targets, and of those that have builds
// though they are gone from the rules.
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
			q := &queue{target: name, wake: make(chan struct{}, 1), ended: make(chan struct{}, t.slots)}
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
				default: // it is awake
				}
			}
		case <-t.stopping.Done():
			return
		}
	}
}

// workQueue takes what is due until the workers stop.
func (t *Trigger) workQueue(q *queue) {
	poll := time.NewTicker(store.Poll)
	defer poll.Stop()
	for free := t.slots; t.stopping.Err() == nil; {
		if free > 0 {
			free -= t.takeDue(q, free)
		}
		var wake <-chan struct{}
		var again <-chan time.Time
		if free > 0 {
			wake, again = q.wake, poll.C
		}
		select {
		case <-q.ended:
			free++
		case <-wake:
		case <-again:
		case <-t.stopping.Done():
		}
		for range len(q.ended) { // what ended meanwhile
			<-q.ended
			free++
		}
	}
}

// takeDue takes up to n builds, works each of them beside the others, and says how many.
func (t *Trigger) takeDue(q *queue, n int) (taken int) {
	// Not cut short by the end of the workers: what was taken and not heard of would
	// wait for the end of its lease.
	due, err := t.store.Due(context.WithoutCancel(t.stopping), q.target, n)
	if err != nil {
		t.logUnlessStopping("builds that are due were not taken", err)
		return 0
	}
	for _, b := range due {
		if !t.hands.take(b.Seq) {
			continue // its lease ended, or it was saved, and it is worked still
		}
		taken++
		t.works.Go(func() {
			defer func() { q.ended <- struct{}{} }()
			t.work(b)
			for !t.hands.leave(b.Seq) {
				t.release(t.cut, b, 0)
			}
		})
	}
	return taken
}

// workTimeout is far above the longest call: a target's timeout and the wait for its
// rate limit.
const workTimeout = 10 * time.Minute

// failedFor is how long a build is left alone whose work failed: the database did.
const failedFor = time.Second

// work moves one build as far as it gets now.
func (t *Trigger) work(b *store.Build) {
	ctx, cancel := context.WithTimeout(t.cut, workTimeout)
	defer cancel()
	err := t.step(ctx, b)
	if err == nil {
		return
	}
	wait := failedFor
	if errors.Is(err, store.ErrStale) {
		wait = 0 // superseded, or worked by somebody else: who has it now looks anew
	} else {
		t.logUnlessStopping("a build was not worked, and comes round again", err)
	}
	t.release(ctx, b, wait)
}

// release gives a build back, if this process holds it still.
func (t *Trigger) release(ctx context.Context, b *store.Build, wait time.Duration) {
	if err := t.store.Release(context.WithoutCancel(ctx), []int64{b.Seq}, wait); err != nil {
		t.logUnlessStopping("a build was not given back: it is due when its lease ends", err)
	}
}

// renewInterval is how often a process says that it still has what it works.
const renewInterval = store.Lease / 4

// renew keeps the leases of what is worked. It goes on while calls end after Stop.
func (t *Trigger) renew() {
	every(t.cut, renewInterval, renewInterval, func(ctx context.Context) {
		if seqs := t.hands.all(); len(seqs) > 0 {
			if err := t.store.Renew(ctx, seqs); err != nil {
				t.logUnlessStopping("the leases of builds were not renewed", err)
			}
		}
	})
}
