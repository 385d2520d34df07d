package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// database is what differs between SQLite and Postgres. Statements are written
// once, with ? for their arguments.
type database interface {
	begin(ctx context.Context) (*tx, error)
	reader() querier
	// lock holds these keys until the end of the transaction: whoever else needs
	// one of them waits. Where there is one writer there is nothing to do.
	lock(ctx context.Context, q querier, keys []int64) error
	// committedBefore notes in each of them the delivery that committed the same
	// before, if there is one.
	committedBefore(ctx context.Context, q querier, asked []*acceptance) error
	insertRows(ctx context.Context, q querier, r *rows) error
	// insertWakes inserts River jobs in the transaction; ring tells the workers
	// after its commit, where the database does not.
	insertWakes(ctx context.Context, q querier, wakes []wake) error
	ring(queue string)
	// workers makes a River client that works.
	workers(c *river.Config) (workers, error)

	// attend says that this process lives, lead asks to lead for some seconds,
	// alive tells whether a process that called a build can still save its answer.
	attend(ctx context.Context, caller string) error
	lead(ctx context.Context, caller string) (bool, error)
	alive(ctx context.Context, caller string) (bool, error)
	// writers is how many transactions may run at the same time.
	writers() int
	// takeOver makes the wake-ups that dead processes were working available
	// again.
	takeOver(ctx context.Context, q querier, caller string) error
	// turns reserves n turns of a rate limit that processes share, and says when
	// the first of them is, from now: before that if it is negative. It reserves
	// none, and free is false, if that is further away than most. shared is false
	// where there is but one process.
	turns(ctx context.Context, target string, gap time.Duration, burst, n int, most time.Duration) (first time.Duration, free, shared bool, err error)
	// unreadable selects ids of wake-ups that nobody can read; its argument is how
	// many at the most. "" where the database keeps none of that kind.
	unreadable() string
	// orphans gives unresolved builds without a wake-up, in order, behind a place in
	// the order of commit; so many at the most.
	orphans(ctx context.Context, after int64, most int) ([]idle, error)
	// oneOf is the condition that a column has one of these values, and its argument.
	oneOf(column string, values []string) (condition string, list any)

	// freshen brings what the planner of statements knows up to date, where that is
	// too slow by itself.
	freshen(ctx context.Context) error

	// makeRoom does what it can after a transaction that failed for want of room.
	makeRoom(err error)

	ping(ctx context.Context) error
	// reason is an error of it as it may be shown to everybody who asks.
	reason(err error) error
	// refused tells whether the database is well and took offence at what is
	// written.
	refused(err error) bool
	// size gives the bytes of the database and those free where it is, -1 if that
	// cannot be known.
	size(ctx context.Context) (used, free int64, err error)
	close() error
}

// schemaVersion is that of the tables in schema_*.sql. A change of them takes the
// next number. A new database has the version 0.
const schemaVersion = 1

// checkVersion refuses a database whose tables another program made.
func checkVersion(found int64) error {
	if found != 0 && found != schemaVersion {
		return fmt.Errorf("its tables are of version %d, and this program knows %d: use the program that made it, or give this one a new database", found, schemaVersion)
	}
	return nil
}

// workers is a River client at work, whatever its transactions are.
type workers interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	Queues() *river.QueueBundle
}

// querier runs statements: a transaction, or the pool for reading.
type querier interface {
	exec(ctx context.Context, query string, args ...any) (changed int64, err error)
	query(ctx context.Context, query string, args ...any) (cursor, error)
	queryRow(ctx context.Context, query string, args ...any) scanner
}

type cursor interface {
	scanner
	Next() bool
	Err() error
	Close() error
}

// tx is one transaction, and the wake-ups that are inserted at its end.
type tx struct {
	querier
	db    database
	end   func(ctx context.Context) error
	undo  func() error
	wakes []wake
}

// wake gives a build a River job.
func (t *tx) wake(target, build string) {
	t.wakes = append(t.wakes, wake{build: build, queue: queueName(target)})
}

// wake is a River job to be.
type wake struct{ build, queue string }

func (w wake) job() river.InsertManyParams {
	return river.InsertManyParams{
		Args:       wakeUp{Build: w.build},
		InsertOpts: &river.InsertOpts{Queue: w.queue, MaxAttempts: outOfReach},
	}
}

// commit inserts the wake-ups, commits, and rings.
func (t *tx) commit(ctx context.Context) error {
	if len(t.wakes) > 0 {
		if err := t.db.insertWakes(ctx, t.querier, t.wakes); err != nil {
			return joinRollback(t, fmt.Errorf("queue: %w", err))
		}
	}
	if err := t.end(ctx); err != nil {
		return joinRollback(t, fmt.Errorf("commit: %w", err))
	}
	rung := map[string]bool{}
	for _, w := range t.wakes {
		if !rung[w.queue] {
			rung[w.queue] = true
			t.db.ring(w.queue)
		}
	}
	return nil
}

// joinRollback rolls back because of err.
func joinRollback(t *tx, err error) error {
	if undo := t.undo(); undo != nil && !errors.Is(undo, sql.ErrTxDone) && !errors.Is(undo, pgx.ErrTxClosed) {
		return errors.Join(err, fmt.Errorf("roll back: %w", undo))
	}
	return err
}
