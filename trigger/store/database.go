package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// database is what differs between SQLite and Postgres. Statements are written
// once, with ? for their arguments.
type database interface {
	begin(ctx context.Context) (*tx, error)
	reader() querier
	// lock holds these keys until the end of the transaction: whoever else needs
	// one of them waits. Where there is one writer there is nothing to do.
	lock(ctx context.Context, tx *tx, keys []int64) error
	insertRows(ctx context.Context, tx *tx, r *rows) error
	// portions parts rows into as many as one statement takes; with is the beginning of
	// a statement that reads them as c, and its arguments.
	portions(r *rows) iter.Seq[*rows]
	with(r *rows) (text string, args []any)
	// among is the condition that a column has a value of the first of c: it goes without
	// saying, and says to the planner of statements that these rows are few.
	among(column string) string
	// now is the time in microseconds, in SQL: by the clock that all share who use the
	// database.
	now() string
	// transactions are the numbers of the oldest that runs and of the next, in SQL.
	transactions() string
	// skipLocked ends a SELECT of rows to change: those that another changes at this
	// moment are left to it.
	skipLocked() string
	// publish tells the other processes, after the commit, that targets got work.
	publish(ctx context.Context, tx *tx, targets []string) error

	// listen passes on what others publish, until ctx ends; where there are no others
	// it returns at once.
	listen(ctx context.Context, notified chan<- string)

	// lead asks to lead for some seconds.
	lead(ctx context.Context, caller string) (bool, error)
	// writers is how many transactions may run at the same time.
	writers() int
	// turns reserves n turns of a rate limit that processes share, and says when
	// the first of them is, from now: before that if it is negative. It reserves
	// none, and free is false, if that is further away than most. shared is false
	// where there is but one process.
	turns(ctx context.Context, target string, gap time.Duration, burst, n int, most time.Duration) (first time.Duration, free, shared bool, err error)
	// oneOf is the condition that a column has one of these values, a slice of text or
	// of numbers, and its argument.
	oneOf(column string, values any) (condition string, list any)

	// analyze brings what the planner of statements knows up to date, where that is
	// too slow by itself.
	analyze(ctx context.Context) error

	// checkpoint does what it can after a transaction that failed for want of room.
	checkpoint(err error)

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

// tx is one transaction, and the targets that get work by it.
type tx struct {
	querier
	db database
	// later runs a statement of which nothing is asked but that it succeeds: with the
	// next one, or the commit, where that saves a round trip.
	later func(ctx context.Context, query string, args ...any) error
	end   func(ctx context.Context) error
	undo  func() error
	due   []string // without repetition
	tell  chan<- string
}

// notify tells, after the commit, that a target got work.
func (t *tx) notify(target string) {
	if !slices.Contains(t.due, target) {
		t.due = append(t.due, target)
	}
}

// commit commits, and tells of the targets that got work.
func (t *tx) commit(ctx context.Context) error {
	if len(t.due) > 0 {
		if err := t.db.publish(ctx, t, t.due); err != nil {
			return joinRollback(t, fmt.Errorf("notify: %w", err))
		}
	}
	if err := t.end(ctx); err != nil {
		return joinRollback(t, fmt.Errorf("commit: %w", err))
	}
	for _, target := range t.due {
		notify(t.tell, target)
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
