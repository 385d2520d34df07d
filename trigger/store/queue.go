package store

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// A build that has to be looked at later has a due_at: when to look at it next, 0 for never;
// and a worker: the replica that works it, whose lease ends at due_at. Saving a build sets
// both. All times are those of the database.
const (
	// Lease is how long a build stays with the replica that took it, unless the replica
	// renews the lease. After that it is due again: the replica has died, or does not know
	// that it took the build.
	Lease = 20 * time.Second
	// longestWait is the longest that a row waits before somebody looks at it again.
	longestWait = 10 * time.Minute
	// Poll is how often a queue is looked at without a notification: for builds whose wait
	// is over.
	Poll = 250 * time.Millisecond
)

// Due takes the n builds of a target that have been due for longest. They are the caller's
// until it saves or releases them, or fails to [Store.Renew] their lease in time. A row that
// cannot be read is logged and left out.
func (s *Store) Due(ctx context.Context, target string, n int) (due []*Build, err error) {
	var taken []*Build // not a result: it may still be written after ctx ends
	err = s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		taken = nil
		err = each(ctx, tx, func(row scanner) error {
			b, err := scanBuild(row)
			if err != nil {
				s.log.LogAttrs(ctx, slog.LevelError, "due build cannot be read; it is left out and tried again later",
					slog.String("target", target), slog.String("error", err.Error()))
				return nil
			}
			taken = append(taken, b)
			return nil
		}, `WITH due AS (SELECT seq FROM builds WHERE target = ? AND due_at > 0 AND due_at <= `+tx.now+` ORDER BY due_at LIMIT ?`+tx.skipLocked+`)
			UPDATE builds SET worker = ?, due_at = `+tx.now+` + ? WHERE seq IN (SELECT seq FROM due) RETURNING `+buildColumns,
			target, n, s.caller, Lease.Microseconds())
		if err != nil {
			return 0, fmt.Errorf("builds of target %s that are due: %w", target, err)
		}
		return int64(len(taken)), nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(taken, func(a, b *Build) int { return int(a.Seq - b.Seq) })
	return taken, nil
}

// Renew extends the lease of builds that this process works by another [Lease]. Call it
// well before the lease ends.
func (s *Store) Renew(ctx context.Context, seqs []int64) error {
	return s.postpone(ctx, seqs, "worker", Lease)
}

// Release gives back builds that this process took and does not work: they are due after a
// wait.
func (s *Store) Release(ctx context.Context, seqs []int64, wait time.Duration) error {
	return s.postpone(ctx, seqs, "''", wait)
}

// postpone makes builds of this process due after a wait. next is their next worker, in SQL.
// It leaves out the builds that another process has, and those that are saved right now.
func (s *Store) postpone(ctx context.Context, seqs []int64, next string, wait time.Duration) error {
	return s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
		condition, list := s.db.oneOf("seq", seqs)
		changed, err = tx.exec(ctx, `WITH mine AS (SELECT seq FROM builds WHERE `+condition+` AND worker = ? AND due_at > 0`+tx.skipLocked+`)
			UPDATE builds SET worker = `+next+`, due_at = `+tx.now+` + ? WHERE seq IN (SELECT seq FROM mine)`,
			list, s.caller, wait.Microseconds())
		if err != nil {
			err = fmt.Errorf("renew or release the lease of builds: %w", err)
		}
		return changed, err
	})
}

// recallBatch is how many rows are made due in one transaction.
const recallBatch = 1000

// queueTable gives the rows of a queue: those of a table that have a name in a column, and wait
// at most for so long. Builds are of a queue that is called like their target.
func queueTable(queue string) (table, column, name string, longest time.Duration) {
	if target, found := strings.CutPrefix(queue, FollowQueue("")); found {
		return "follows", "target", target, longestWait + Lease
	}
	if source, found := strings.CutPrefix(queue, ReportQueue("")); found {
		return "statuses", "source", source, longestWait + Lease
	}
	if source, found := strings.CutPrefix(queue, CatchUpQueue("")); found {
		return "repositories", "source", source, LongestLookWait + LookLease
	}
	return "builds", "target", queue, longestWait + Lease
}

// Recall makes the rows of a queue due that are due later than any row may be, because a
// clock was set back. It is for the leader, and returns how many there were.
func (s *Store) Recall(ctx context.Context, queue string) (all int64, err error) {
	table, column, name, longest := queueTable(queue)
	if table == "builds" {
		column = "held <> 4 AND " + column // a pause holds for longer
	}
	for {
		var n int64 // not a result: it may still be written after ctx ends
		err := s.writeSome(ctx, func(ctx context.Context, tx *tx) (changed int64, err error) {
			if n, err = tx.exec(ctx, `UPDATE `+table+` SET worker = '', due_at = `+tx.now+` WHERE seq IN (
				SELECT seq FROM `+table+` WHERE `+column+` = ? AND due_at > 0 AND due_at > `+tx.now+` + ? LIMIT ?`+tx.skipLocked+`)`,
				name, longest.Microseconds(), recallBatch); err != nil {
				return 0, fmt.Errorf("what is due too late in queue %s: %w", queue, err)
			}
			if n > 0 {
				tx.notify(queue)
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

// Notified gives the queues that got work, by target or as [FollowQueue], [ReportQueue] and [CatchUpQueue]
// name them, from this process or another. A name that is
// lost does no harm: queues are looked at every [Poll] as well.
func (s *Store) Notified() <-chan string { return s.notified }

// notify passes a target on, unless the channel is full: polling finds its work then.
func notify(to chan<- string, target string) {
	select {
	case to <- target:
	default:
	}
}
