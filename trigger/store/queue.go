package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// queue is a table with rows that have to be looked at later. Each has a due_at, in
// microseconds: when to look at it next, 0 for never; and a worker: the replica that
// holds it, whose lease ends at due_at. Whoever saves a row sets both. Time is that of
// the database.
type queue struct {
	table, key string
	columns    string // that its rows are read by
}

func builds() queue { return queue{table: "builds", key: "seq", columns: buildColumns} }

const (
	// Lease is how long a row stays with the replica that took it, unless it renews the
	// lease: what a replica that died had, and what it does not know that it has, is due
	// again by then.
	Lease = 20 * time.Second
	// furthest is the longest that a row waits before somebody looks at it again.
	furthest = 10 * time.Minute
	// Poll is how often a queue is looked at that nobody notified of: of rows whose wait
	// is over.
	Poll = 250 * time.Millisecond
)

// due takes up to n rows of a target that are due, in the order in which they became
// due: they are the worker's until its lease ends, or the row is saved.
func (q queue) due(ctx context.Context, tx *tx, worker, target string, n int) (cursor, error) {
	now := tx.db.now()
	return tx.query(ctx, `WITH due AS (SELECT `+q.key+` FROM `+q.table+` WHERE target = ? AND due_at > 0 AND due_at <= `+now+` ORDER BY due_at LIMIT ?`+tx.db.skipLocked()+`)
		UPDATE `+q.table+` SET worker = ?, due_at = `+now+` + ? WHERE `+q.key+` IN (SELECT `+q.key+` FROM due) RETURNING `+q.columns,
		target, n, worker, Lease.Microseconds())
}

// renew lets a worker hold rows for another lease, but for those that others took, or
// that are saved at this moment.
func (q queue) renew(ctx context.Context, tx *tx, worker string, keys []int64) (changed int64, err error) {
	return q.postpone(ctx, tx, worker, keys, "worker", Lease)
}

// release makes rows due after a wait, that a worker holds and does not work.
func (q queue) release(ctx context.Context, tx *tx, worker string, keys []int64, wait time.Duration) (changed int64, err error) {
	return q.postpone(ctx, tx, worker, keys, "''", wait)
}

func (q queue) postpone(ctx context.Context, tx *tx, worker string, keys []int64, next string, wait time.Duration) (changed int64, err error) {
	condition, list := tx.db.oneOf(q.key, keys)
	return tx.exec(ctx, `WITH mine AS (SELECT `+q.key+` FROM `+q.table+` WHERE `+condition+` AND worker = ? AND due_at > 0`+tx.db.skipLocked()+`)
		UPDATE `+q.table+` SET worker = `+next+`, due_at = `+tx.db.now()+` + ? WHERE `+q.key+` IN (SELECT `+q.key+` FROM mine)`, list, worker, wait.Microseconds())
}

// recall makes rows due that say they are not for longer than any row waits: the clock
// was set back. It changes up to n of them, and returns how many.
func (q queue) recall(ctx context.Context, tx *tx, target string, n int) (int64, error) {
	now := tx.db.now()
	return tx.exec(ctx, `UPDATE `+q.table+` SET worker = '', due_at = `+now+` WHERE `+q.key+` IN (
		SELECT `+q.key+` FROM `+q.table+` WHERE target = ? AND due_at > 0 AND due_at > `+now+` + ? LIMIT ?)`, target, (furthest + Lease).Microseconds(), n)
}

// wait is how many microseconds from now a row is due that is to be looked at then.
func wait(at time.Time) int64 { return min(max(0, time.Until(at)), furthest).Microseconds() }

// Due takes up to n builds of a target that are due. They are the caller's until it
// saves or releases them, or does not [Store.Renew] their lease in time. A row that
// cannot be read is logged and left out.
func (s *Store) Due(ctx context.Context, target string, n int) (due []*Build, err error) {
	var taken []*Build // not a result: it may be written yet when ctx ends
	err = s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		taken = nil
		rows, err := builds().due(ctx, tx, s.caller, target, n)
		if err != nil {
			return 0, fmt.Errorf("builds of target %s that are due: %w", target, err)
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			b, err := scanBuild(rows)
			if err != nil {
				s.log.Error("a build that is due cannot be read; it is left out and comes round again", "target", target, "error", err)
				continue
			}
			taken = append(taken, b)
		}
		return int64(len(taken)), rows.Err()
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(taken, func(a, b *Build) int { return int(a.Seq - b.Seq) })
	return taken, nil
}

// Renew keeps builds that this process works for another [Lease]. Call it well before
// the lease ends.
func (s *Store) Renew(ctx context.Context, seqs []int64) error {
	return s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		if changed, err = builds().renew(ctx, tx, s.caller, seqs); err != nil {
			err = fmt.Errorf("renew the lease of builds: %w", err)
		}
		return changed, err
	})
}

// Release gives back builds that this process took and does not work: they are due
// after a wait.
func (s *Store) Release(ctx context.Context, seqs []int64, wait time.Duration) error {
	return s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		if changed, err = builds().release(ctx, tx, s.caller, seqs, wait); err != nil {
			err = fmt.Errorf("give builds back: %w", err)
		}
		return changed, err
	})
}

// writeSome is a write that may find no rows to change.
func (s *Store) writeSome(ctx context.Context, do func(ctx context.Context, tx *tx) (changed int64, err error)) error {
	w := &write{}
	w.do = func(ctx context.Context, tx *tx) error {
		changed, err := do(ctx, tx)
		w.idle = changed == 0
		return err
	}
	return s.enqueue(ctx, w)
}

// recallBatch is how many rows are made due in one transaction.
const recallBatch = 1000

// Recall makes builds of a target due whose time lies too far ahead: a clock was set
// back. It is for who leads, and returns how many there were.
func (s *Store) Recall(ctx context.Context, target string) (all int64, err error) {
	for {
		var n int64 // not a result: it may be written yet when ctx ends
		err := s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
			if n, err = builds().recall(ctx, tx, target, recallBatch); err != nil {
				return 0, fmt.Errorf("builds that are due too late: %w", err)
			}
			if n > 0 {
				tx.notify(target)
			}
			return n, nil
		})
		if err != nil {
			return all, err
		}
		if all += n; n < recallBatch {
			return all, nil
		}
	}
}

// Notified gives the targets whose queues got work, by this process or another. A name
// that is lost does no harm: queues are looked at every [Poll] as well.
func (s *Store) Notified() <-chan string { return s.notified }

// notify passes on that a target got work. Where nobody listens it is found by polling.
func notify(to chan<- string, target string) {
	select {
	case to <- target:
	default:
	}
}
