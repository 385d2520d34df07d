package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// Why a build is not replayed. These texts are shown to the person who asked.
var (
	// ErrNotResolved means that the build is still to be called, or searched for.
	ErrNotResolved = errors.New("it is not resolved yet, and goes on by itself")
	// ErrNoBody means that there is nothing to send. The id of the delivery follows.
	ErrNoBody = errors.New("it was dead on arrival and has no body to send: fix the rule, and replay its delivery")
	// ErrReplayed means that the build was replayed meanwhile, or that a replay of it is not
	// resolved.
	ErrReplayed = errors.New("it is replayed already")
)

// Replayable is a build that can be replayed.
type Replayable struct {
	ID   string
	Last string // the newest replay of the same build when the list was made, "" for none
}

// LastReplay gives the id of the newest replay of b, or of the build that b repeats; "" for
// none.
func (s *Store) LastReplay(ctx context.Context, b *Build) (string, error) {
	last, _, err := lastReplay(ctx, s.db.reader(), b.Original())
	if err != nil {
		return "", fmt.Errorf("replays of build %s: %w", b.ID, err)
	}
	return last, nil
}

func lastReplay(ctx context.Context, q querier, original string) (id string, state State, err error) {
	err = queryRow(ctx, q, `SELECT id, state FROM builds WHERE replay_of = ? AND replay_of <> '' ORDER BY seq DESC LIMIT 1`,
		original).Scan(&id, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", nil
	}
	return id, state, err
}

// AddReplay commits a build that repeats another. It returns ErrReplayed if the newest
// replay of that build is not last, or is not resolved: of several people who replay a
// build at the same time, one does.
func (s *Store) AddReplay(ctx context.Context, b *Build, last string) error {
	locks := append(callLock(b), lockKey("replay", b.ReplayOf))
	return s.write(ctx, locks, func(ctx context.Context, tx *tx) error {
		newest, state, err := lastReplay(ctx, tx, b.ReplayOf)
		switch {
		case err != nil:
			return fmt.Errorf("replays of build %s: %w", b.ReplayOf, err)
		case newest == b.ID:
			return nil // committed before, and the answer was lost
		case newest != last, newest != "" && !state.Final():
			return fmt.Errorf("%w, as build %s, which is %s", ErrReplayed, newest, state)
		}
		rows := newBuilds()
		if err := insertBuild(ctx, tx, b, rows); err != nil {
			return err
		}
		return rows.insert(ctx, tx)
	})
}

// ToReplay lists the builds to replay if all that fit a filter are to be, the oldest first:
// those that are resolved, were not canceled, and were not replayed with success. A replay that was started,
// or is not resolved yet, counts as a success. Of builds that repeat each other only the
// last is listed, so that each is replayed once.
//
// A page has at most f.Limit builds. left is how many are on the next pages, and next the
// cursor of the first of these, "" if there is none. Builds that are committed after the
// first page was read are on no page, so that replays which fail at once are not listed.
func (s *Store) ToReplay(ctx context.Context, f BuildFilter) (builds []Replayable, left int64, next string, err error) {
	low, high, err := s.replayRange(ctx, f.After)
	if err != nil {
		return nil, 0, "", err
	}
	w := f.where()
	limit := page(f.Limit)
	var all int64
	err = each(ctx, s.db.reader(), func(row scanner) error {
		var r Replayable
		err := row.Scan(&low, &r.ID, &r.Last, &all)
		builds = append(builds, r)
		return err
	}, `SELECT b.seq, b.id, coalesce((SELECT r.id FROM builds r
			WHERE r.replay_of = m.first AND r.replay_of <> '' ORDER BY r.seq DESC LIMIT 1), ''), count(*) OVER ()
		FROM (SELECT max(seq) AS last, CASE WHEN replay_of = '' THEN id ELSE replay_of END AS first FROM builds
			WHERE seq <= ? AND NOT unresolved AND `+notCanceled+w.conditions+` GROUP BY 2) m JOIN builds b ON b.seq = m.last
		WHERE m.last > ? AND NOT EXISTS (SELECT 1 FROM builds r WHERE r.replay_of = m.first AND r.replay_of <> '' AND r.seq > m.last
			AND (r.unresolved OR r.state = 'started'))
		ORDER BY b.seq LIMIT ?`, slices.Concat([]any{high}, w.args, []any{low, limit})...)
	if err != nil {
		return nil, 0, "", fmt.Errorf("list builds to replay: %w", err)
	}
	if left = all - int64(len(builds)); left > 0 {
		next = fmt.Sprintf("%d-%d", low, high)
	}
	return builds, left, next, nil
}

// replayRange reads the cursor of ToReplay: low is the last build of the page before, high
// was the last of all builds when the first page was read.
func (s *Store) replayRange(ctx context.Context, cursor string) (low, high int64, err error) {
	if cursor != "" {
		if _, err := fmt.Sscanf(cursor, "%d-%d", &low, &high); err != nil || fmt.Sprintf("%d-%d", low, high) != cursor {
			return 0, 0, fmt.Errorf("%w: cursor %q", ErrFilter, cursor)
		}
		return low, high, nil
	}
	if err := queryRow(ctx, s.db.reader(), `SELECT coalesce(max(seq), 0) FROM builds`).Scan(&high); err != nil {
		return 0, 0, fmt.Errorf("list builds to replay: %w", err)
	}
	return 0, high, nil
}
