package store

import (
	"context"
	"fmt"
	"time"
)

// Retention says how long rows are kept. Zero keeps them for ever.
type Retention struct {
	Bodies     time.Duration // of deliveries; without its body a delivery cannot be replayed
	Deliveries time.Duration // that built something at least as long as Builds, for as long duplicates are known
	Builds     time.Duration // that are resolved; those that are not stay
}

// pruneBatch is how many rows one transaction forgets: few enough that a
// delivery that arrives meanwhile is not kept waiting.
const pruneBatch = 500

// Prune forgets some of what is older than the retention says, and reports how
// many rows it changed: call it again until that is 0. A delivery stays as long
// as one of its builds does.
func (s *Store) Prune(ctx context.Context, r Retention, now time.Time) (int64, error) {
	var changed int64 // not a result: it may be written yet when ctx ends
	err := s.write(ctx, nil, func(ctx context.Context, tx *tx) error {
		changed = 0
		// Those with builds are not looked at before the builds can be gone.
		deliveries := r.Deliveries
		if r.Builds <= 0 {
			deliveries = 0
		} else if deliveries > 0 {
			deliveries = max(deliveries, r.Builds)
		}
		for _, p := range []struct {
			keep  time.Duration
			query string
		}{
			{r.Builds, `DELETE FROM builds WHERE seq IN (SELECT seq FROM builds WHERE received_at < ?
				AND NOT unresolved ORDER BY received_at LIMIT ?)`},
			{r.Bodies, `UPDATE deliveries SET body = substr(body, 1, 0) WHERE id IN (SELECT id FROM deliveries WHERE received_at < ? AND length(body) > 0
				AND NOT EXISTS (SELECT 1 FROM builds WHERE delivery = deliveries.id AND unresolved)
				ORDER BY received_at LIMIT ?)`},
			{deliveries, `DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE received_at < ?
				AND NOT EXISTS (SELECT 1 FROM builds WHERE delivery = deliveries.id) ORDER BY received_at LIMIT ?)`},
			{r.Deliveries, `DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE outcome <> 'accepted' AND received_at < ?
				ORDER BY id LIMIT ?)`}, // of the few that are kept for explaining
		} {
			if p.keep <= 0 {
				continue
			}
			n, err := tx.exec(ctx, p.query, micros(now.Add(-p.keep)), pruneBatch)
			if err != nil {
				return fmt.Errorf("forget what is old: %w", err)
			}
			changed += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}
