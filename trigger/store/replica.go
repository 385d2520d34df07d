package store

import (
	"context"
	"fmt"
	"time"
)

// Lead reports whether this process leads for the next LeadFor. One of all that
// share the database does.
func (s *Store) Lead(ctx context.Context) (bool, error) { return s.db.lead(ctx, s.caller) }

// LeadFor is how long a lead holds if it is not renewed.
const LeadFor = 15 * time.Second

// Turns reserves n turns of the rate limit of a target, gap apart, and says when
// the first of them is, from now; before that if it is negative, by the burst at
// the most. It reserves none, and free is false, if the first is further away than
// most. shared is false if no other process uses this database: the limit is the
// caller's own affair then.
func (s *Store) Turns(ctx context.Context, target string, gap time.Duration, burst, n int, most time.Duration) (first time.Duration, free, shared bool, err error) {
	if first, free, shared, err = s.db.turns(ctx, target, gap, burst, n, most); err != nil {
		return 0, false, shared, fmt.Errorf("rate limit of target %s: %w", target, err)
	}
	return first, free, shared, nil
}
