package admin

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"

	"buildbridge/trigger/store"
)

const (
	// targetErrorsOf is how many of the newest builds of a state are looked at for what is wrong with targets.
	targetErrorsOf = 500
	// TargetErrorsSince is how old the deliveries of dead builds are at most that count.
	TargetErrorsSince = 24 * time.Hour
)

// TargetError is a reason why builds of a target are dead or wait.
type TargetError struct {
	Target string
	State  store.State // dead, waiting or unknown
	Reason string      // of the newest of them, without what differs from build to build
	Builds int
	Newest string // the id of the newest
}

// TargetErrors are the reasons why builds are dead or wait.
type TargetErrors struct {
	Errors []TargetError // by target, then the most frequent first
	// Bounded says that there are more such builds than were looked at, which are the newest.
	Bounded bool
}

// TargetErrors counts the reasons why builds are dead that were received lately, and why those wait that have
// been tried. It looks at 500 builds of a state at most.
func (a *API) TargetErrors(ctx context.Context, now time.Time) (all TargetErrors, err error) {
	type group struct {
		target string
		state  store.State
		reason string
	}
	groups := map[group]*TargetError{}
	for state, since := range map[store.State]time.Time{
		store.Dead: now.Add(-TargetErrorsSince), store.Waiting: {}, store.Unknown: {},
	} {
		// Without since: an index has the newest of them.
		builds, next, err := a.Store.Builds(ctx, store.BuildFilter{State: string(state), Limit: targetErrorsOf})
		if err != nil {
			return all, storeError("build", "", err)
		}
		more := next != ""
		for _, b := range builds {
			if b.ReceivedAt.Before(since) {
				more = false
				continue
			}
			if !failed(b) {
				continue
			}
			key := group{b.Target, state, ofOneBuild.ReplaceAllString(b.Reason, "")}
			e := groups[key]
			if e == nil {
				e = &TargetError{Target: b.Target, State: state, Reason: key.reason, Newest: b.ID}
				groups[key] = e
			}
			e.Builds++
		}
		all.Bounded = all.Bounded || more
	}
	for _, e := range groups {
		all.Errors = append(all.Errors, *e)
	}
	slices.SortFunc(all.Errors, func(a, b TargetError) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(b.Builds, a.Builds), cmp.Compare(a.State, b.State),
			cmp.Compare(a.Reason, b.Reason))
	})
	return all, nil
}

// ofOneBuild finds what makes the same reason differ from build to build: the id of a request, and a deadline.
var ofOneBuild = regexp.MustCompile(`,? ?\brequest [0-9A-Za-z-]{8,}| by its deadline, [0-9TZ:+-]+`)

// failed reports whether the reason of a build is an error, and not that people hold or ended it.
func failed(b *store.Build) bool {
	if b.State == store.Dead {
		return !b.Canceled()
	}
	switch store.Hold(b.Reason) {
	case store.NoHold, store.HoldOrder, store.HoldCall, store.HoldRunning, store.HoldPause:
		return false
	}
	return b.PausedAt.IsZero()
}
