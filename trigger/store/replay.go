package store

import (
	"context"
	"errors"
	"fmt"
)

// ToReplay names the builds to replay where all that fit a filter are asked for,
// the oldest first: those that are resolved and were not replayed with success.
// A replay that was started, or is not resolved yet, is a success. Of builds that
// repeat each other only the last is named, so that each is replayed once.
//
// A page has at most f.Limit ids. left is how many are on the pages after it, and
// next the cursor of the first of them, "" if there is none. What is committed
// after the first page was asked for is on none: replays that fail at once do not
// come round again.
func (s *Store) ToReplay(ctx context.Context, f BuildFilter) (ids []string, left int64, next string, err error) {
	low, high, err := s.replayRange(ctx, f.After)
	if err != nil {
		return nil, 0, "", err
	}
	w := f.where()
	w.add("seq <= ?", high)
	limit := page(f.Limit)
	rows, err := s.db.reader().query(ctx, `SELECT b.seq, b.id, count(*) OVER ()
		FROM (SELECT max(seq) AS last, CASE WHEN replay_of = '' THEN id ELSE replay_of END AS first FROM builds`+w.String()+`
			AND state NOT IN ('waiting', 'calling', 'unknown') GROUP BY 2) m JOIN builds b ON b.seq = m.last
		WHERE m.last > ? AND NOT EXISTS (SELECT 1 FROM builds r WHERE r.replay_of = m.first AND r.replay_of <> '' AND r.seq > m.last
			AND r.state IN ('started', 'waiting', 'calling', 'unknown'))
		ORDER BY b.seq LIMIT ?`, append(w.args, low, limit)...)
	if err != nil {
		return nil, 0, "", fmt.Errorf("list builds to replay: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var all int64
	for rows.Next() {
		var id string
		if err := rows.Scan(&low, &id, &all); err != nil {
			return nil, 0, "", fmt.Errorf("list builds to replay: %w", err)
		}
		ids = append(ids, id)
	}
	if left = all - int64(len(ids)); left > 0 {
		next = fmt.Sprintf("%d-%d", low, high)
	}
	return ids, left, next, rows.Err()
}

// replayRange gives what the cursor of ToReplay says: the last build of the page
// before, and the last of all when the first page was asked for.
func (s *Store) replayRange(ctx context.Context, cursor string) (low, high int64, err error) {
	if cursor != "" {
		if _, err := fmt.Sscanf(cursor, "%d-%d", &low, &high); err != nil || fmt.Sprintf("%d-%d", low, high) != cursor {
			return 0, 0, fmt.Errorf("%w: cursor %q", ErrFilter, cursor)
		}
		return low, high, nil
	}
	if err := s.db.reader().queryRow(ctx, `SELECT coalesce(max(seq), 0) FROM builds`).Scan(&high); err != nil {
		return 0, 0, fmt.Errorf("list builds to replay: %w", err)
	}
	return 0, high, nil
}
