package trigger

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/store"
)

// Host is the code host of one source of the rules that has an api.
type Host struct {
	Source string
	API    HostAPI
}

// HostAPI is the API of a code host: a [*hostapi.Client], except in tests.
type HostAPI interface {
	// Refs reads the branches and tags of a repository, see [hostapi.Client.Refs].
	Refs(ctx context.Context, repository string, each func(hostapi.Ref) error) error

	// TakesStatuses says whether the host has statuses. Of a host that has none, the following
	// are never called.
	TakesStatuses() bool
	Post(ctx context.Context, s hostapi.Status) (ref string, err error)
	SaysRunning() bool
	Limit() mapping.RateLimit
}

// host gives the code host of a source, nil if the rules have no way to it.
func (t *Trigger) host(source string) *host {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.hosts[source]
}

// host is a Host with its rate limit, and with what is known of whether it takes statuses.
type host struct {
	Host
	limiter limiter // nil for none
	*health
	looks *health // whether it can be asked for refs: with another right of the token
}

// newHost takes over from the host before what a reload must not reset.
func newHost(h Host, before *host, s *store.Store) *host {
	n := &host{Host: h, health: new(health), looks: new(health)}
	if before != nil && before.API == h.API { // another address or token may work
		n.looks = before.looks
	}
	if !h.API.TakesStatuses() {
		return n
	}
	limit := h.API.Limit()
	if limit.PerSecond > 0 {
		n.limiter = newLimiter(store.ReportQueue(h.Source), limit, s)
	}
	if before != nil && before.API.TakesStatuses() {
		n.health = before.health
		if before.API.Limit() == limit {
			n.limiter = before.limiter
		}
	}
	return n
}

// health is whether a host takes statuses at all. After it took none, one status at a time is
// tried, until one is taken.
type health struct {
	mu       sync.Mutex
	until    time.Time // no status is sent before, by the monotonic clock
	failures int       // how often in a row it took none; 0 if it is well
	probing  bool      // that one status is being tried
	reason   string    // why it took none the last time
}

// admit says how many of up to n statuses may be tried now. After a probe the caller calls
// probed.
func (h *health) admit(n int) (admitted int, probe bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case time.Now().Before(h.until), h.probing:
		return 0, false
	case h.failures == 0:
		return n, false
	}
	h.probing = true
	return 1, true
}

func (h *health) probed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = false
}

// hold lets no status be tried before a time: the rate limit has no call earlier.
func (h *health) hold(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.After(h.until) {
		h.until = until
	}
}

// Limits of the pause of a host that takes no statuses.
const (
	hostPauseBase = 2 * time.Second
	hostPauseMost = 5 * time.Minute
)

// fails pauses the host: for as long as it asked, or ever longer up to some minutes. first is
// whether it was well before. Statuses that were on their way fail together, and count once.
func (h *health) fails(asked time.Duration, reason string) (pause time.Duration, first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if h.failures > 0 && now.Before(h.until) {
		return h.until.Sub(now), false
	}
	h.failures++
	h.reason = reason
	if pause = min(asked, time.Hour); pause <= 0 {
		pause = min(hostPauseMost, hostPauseBase<<min(h.failures-1, 10))
		pause = pause/2 + rand.N(pause/2) //nolint:gosec // jitter
	}
	h.until = now.Add(pause)
	return pause, h.failures == 1
}

// why is the reason for which it takes no statuses, "" if it is well.
func (h *health) why() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures == 0 {
		return ""
	}
	return h.reason
}

// isDown reports whether it took no status the last time.
func (h *health) isDown() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failures > 0
}

// answers notes that it takes statuses, and reports whether it did not before.
func (h *health) answers() (again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	again = h.failures > 0
	h.failures = 0
	return again
}
