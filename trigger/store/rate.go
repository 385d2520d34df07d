package store

import (
	"context"
	"fmt"
	"time"
)

// CallRate is the rate limit of the calls of one target.
type CallRate struct {
	Target string
	Gap    time.Duration // between two calls
	Burst  int           // calls at once after a pause; at least 1
}

// CallLease leases the next n calls of a rate that processes share. It says when the first of
// them may be made, from now: before now, by the burst at most, if it is negative. It grants
// none if that is later than within.
type CallLease func(ctx context.Context, n int, within time.Duration) (first time.Duration, granted bool, err error)

// LeaseCalls gives the leases of a rate, or nil if no other process uses the database: the
// caller counts alone then.
func (s *Store) LeaseCalls(r CallRate) CallLease {
	if s.shared == nil {
		return nil
	}
	return func(ctx context.Context, n int, within time.Duration) (first time.Duration, granted bool, err error) {
		if first, granted, err = s.shared.leaseCalls(ctx, r, n, within); err != nil {
			err = fmt.Errorf("rate limit of target %s: %w", r.Target, err)
		}
		return first, granted, err
	}
}
