package store

import (
	"context"
	"fmt"
	"time"
)

// QueueStat counts the unresolved builds of one target in one state.
type QueueStat struct {
	Target string
	State  State
	// Hold is HoldPause or HoldRunning if they wait because people said so: for the end of a pause,
	// or of those that run. The builds behind such a one count with it. NoHold for all others.
	Hold   Hold
	Builds int64
	Oldest time.Time // since when the oldest of them waits: since its delivery, or since its last pause ended
}

// Queue counts the unresolved builds. It reads an index of these builds alone: a million
// of them take about a second on a busy machine.
func (s *Store) Queue(ctx context.Context) (stats []QueueStat, err error) {
	err = each(ctx, s.db.reader(), func(row scanner) error {
		var (
			q            QueueStat
			held, oldest int64
		)
		err := row.Scan(&q.Target, &q.State, &held, &q.Builds, &oldest)
		q.Oldest = fromMicros(oldest)
		switch held {
		case 3:
			q.Hold = HoldRunning
		case 4:
			q.Hold = HoldPause
		}
		stats = append(stats, q)
		return err
	}, `SELECT target, state, CASE WHEN held >= 3 THEN held ELSE 0 END, count(*),
		min(CASE WHEN resumed_at > received_at THEN resumed_at ELSE received_at END)
		FROM builds WHERE due_at > 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("count the queue: %w", err)
	}
	return stats, nil
}

// Size returns the bytes that the database takes, and the free bytes of its disk: -1 if
// they cannot be known.
func (s *Store) Size(ctx context.Context) (used, free int64, err error) { return s.db.size(ctx) }
