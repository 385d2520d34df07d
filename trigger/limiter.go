package trigger

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// limiter spaces the calls of one target.
type limiter interface {
	// reserve gives the time of the caller's call, which it gives back by calling cancel.
	// Without one within longestReservation, granted is false.
	reserve(ctx context.Context) (at time.Time, cancel func(), granted bool, err error)
}

const (
	// longestReservation is the furthest call that is reserved. Later ones are left to
	// others, who will wait for them.
	longestReservation = 30 * time.Second
	// retryReservation is how long to wait if no call is that near.
	retryReservation = 10 * time.Second
)

// newLimiter makes the limiter of a target: of the process, or of all that share its
// database.
func newLimiter(target string, limit mapping.RateLimit, s *store.Store) limiter {
	r := store.CallRate{Target: target, Gap: time.Duration(float64(time.Second) / limit.PerSecond), Burst: max(1, limit.Burst)}
	if lease := s.LeaseCalls(r); lease != nil {
		return &sharedLimiter{CallRate: r, lease: lease, batch: max(1, int(limit.PerSecond/10))}
	}
	return ownLimiter{rate.NewLimiter(rate.Limit(limit.PerSecond), r.Burst)}
}

// waitForLimit waits for a call of a limiter, and reports whether it was granted: not if none
// is near, which it reports after a while, or if the trigger stops.
func (t *Trigger) waitForLimit(ctx context.Context, l limiter) (granted bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.stopping, cancel)() //nolint:contextcheck // the end of the trigger ends the wait
	at, giveBack, granted, err := l.reserve(ctx)
	if err != nil {
		return false, err
	}
	if !granted {
		at = time.Now().Add(retryReservation)
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return granted, nil
	case <-ctx.Done():
		if granted {
			giveBack()
		}
		return false, nil
	}
}

// ownLimiter is that of a process which shares its database with no other.
type ownLimiter struct{ *rate.Limiter }

func (l ownLimiter) reserve(context.Context) (at time.Time, cancel func(), granted bool, err error) {
	r := l.Reserve()
	delay := r.Delay()
	if delay > longestReservation {
		r.Cancel()
		return time.Time{}, nil, false, nil
	}
	return time.Now().Add(delay), r.Cancel, true, nil
}

// sharedLimiter is that of processes which share a database. Each leases the calls of about
// a tenth of a second at once, so that it does not ask the database for every call.
type sharedLimiter struct {
	store.CallRate
	lease store.CallLease
	batch int

	mu     sync.Mutex
	leased []time.Time // in order
}

func (l *sharedLimiter) reserve(ctx context.Context) (at time.Time, cancel func(), granted bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Leased calls that were not made in time are lost: they would add to the burst.
	for now := time.Now(); len(l.leased) > 0 && l.leased[0].Before(now.Add(-time.Duration(l.Burst)*l.Gap)); {
		l.leased = l.leased[1:]
	}
	if len(l.leased) == 0 {
		first, granted, err := l.lease(ctx, l.batch, longestReservation)
		if err != nil || !granted {
			return time.Time{}, nil, false, err
		}
		now := time.Now()
		for i := range l.batch {
			l.leased = append(l.leased, now.Add(first+time.Duration(i)*l.Gap))
		}
	}
	at, l.leased = l.leased[0], l.leased[1:]
	return at, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.leased = slices.Insert(l.leased, 0, at)
	}, true, nil
}
