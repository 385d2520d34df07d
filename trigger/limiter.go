package trigger

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"buildbridge/mapping"
)

// turns reserves turns that processes share: [store.Store.Turns].
type turns func(ctx context.Context, target string, gap time.Duration, burst, n int, most time.Duration) (first time.Duration, free, shared bool, err error)

// limiter spaces the calls of one target. Processes that share a database share
// the limit: each takes the turns of about a tenth of a second at once, so that
// the database is not asked for every call. A process alone counts by itself.
//
// A turn is only taken by who will wait for it: what is further away than that
// is left to others.
type limiter struct {
	target string
	gap    time.Duration
	burst  int
	batch  int
	turns  turns
	own    *rate.Limiter

	mu     sync.Mutex
	leased []time.Time // in order
}

func newLimiter(target string, limit mapping.RateLimit, turns turns) *limiter {
	burst := max(1, limit.Burst)
	return &limiter{
		target: target,
		gap:    time.Duration(float64(time.Second) / limit.PerSecond),
		burst:  burst,
		batch:  max(1, int(limit.PerSecond/10)),
		turns:  turns,
		own:    rate.NewLimiter(rate.Limit(limit.PerSecond), burst),
	}
}

// Patience with a limiter.
const (
	// turnWithin is the furthest turn that is taken.
	turnWithin = 30 * time.Second
	// noTurnFor is how long to leave a limiter alone that has no turn within that.
	noTurnFor = 10 * time.Second
)

// wait reports whether it is the caller's turn. It is not if none is near, which
// it says after a while, or if ctx ended first.
func (l *limiter) wait(ctx context.Context) (mine bool, err error) {
	at, free, shared, err := l.turn(ctx)
	if err != nil {
		return false, err
	}
	if !shared {
		turn := l.own.Reserve()
		if free = turn.Delay() <= turnWithin; free {
			at = time.Now().Add(turn.Delay())
			defer context.AfterFunc(ctx, turn.Cancel)()
		} else {
			turn.Cancel()
		}
	}
	if !free {
		at = time.Now().Add(noTurnFor)
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return free, nil
	case <-ctx.Done():
		if free && shared {
			l.giveBack(at)
		}
		return false, nil
	}
}

func (l *limiter) turn(ctx context.Context) (at time.Time, free, shared bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// What was leased and not used in time is lost, or it would add to the burst.
	for now := time.Now(); len(l.leased) > 0 && l.leased[0].Before(now.Add(-time.Duration(l.burst)*l.gap)); {
		l.leased = l.leased[1:]
	}
	if len(l.leased) == 0 {
		first, free, shared, err := l.turns(ctx, l.target, l.gap, l.burst, l.batch, turnWithin)
		if err != nil || !shared || !free {
			return time.Time{}, false, shared, err
		}
		now := time.Now()
		for i := range l.batch {
			l.leased = append(l.leased, now.Add(first+time.Duration(i)*l.gap))
		}
	}
	at, l.leased = l.leased[0], l.leased[1:]
	return at, true, true, nil
}

func (l *limiter) giveBack(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leased = append([]time.Time{at}, l.leased...)
}
