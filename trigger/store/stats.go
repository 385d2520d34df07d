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
	Builds int64
	Oldest time.Time // when the delivery of the oldest of them was received
}

// Queue counts the unresolved builds. It reads an index of these builds alone: a million
// of them take about a tenth of a second.
func (s *Store) Queue(ctx context.Context) (stats []QueueStat, err error) {
	err = each(ctx, s.db.reader(), func(row scanner) error {
		var (
			q      QueueStat
			oldest int64
		)
		err := row.Scan(&q.Target, &q.State, &q.Builds, &oldest)
		q.Oldest = fromMicros(oldest)
		stats = append(stats, q)
		return err
	}, `SELECT target, state, count(*), min(received_at) FROM builds WHERE due_at > 0 GROUP BY target, state ORDER BY target, state`)
	if err != nil {
		return nil, fmt.Errorf("count the queue: %w", err)
	}
	return stats, nil
}

// Size returns the bytes that the database takes, and the free bytes of its disk: -1 if
// they cannot be known.
func (s *Store) Size(ctx context.Context) (used, free int64, err error) { return s.db.size(ctx) }
