package store

import (
	"context"
	"iter"
	"slices"
	"time"
)

// database is what SQLite and PostgreSQL do in different ways. Statements are written
// once for both, with ? for each argument, and with the texts of [dialect].
type database interface {
	dialect() dialect
	begin(ctx context.Context) (*tx, error)
	reader() querier
	insertRows(ctx context.Context, tx *tx, r *rows) error
	// portions splits rows into as many as one statement takes. with is the beginning
	// of a statement that reads them as the table c, and its arguments.
	portions(r *rows) iter.Seq[*rows]
	with(r *rows) (text string, args []any)
	// oneOf is the condition that a column has one of these values, a slice of strings
	// or numbers, and the argument of the condition.
	oneOf(column string, values any) (condition string, list any)

	// checkpoint makes room on the disk if a transaction failed for want of it.
	checkpoint(failure error)
	ping(ctx context.Context) error
	// badRow reports whether an error is about the values of a row, while the database
	// itself is well.
	badRow(err error) bool
	// size gives the bytes of the database, and the free bytes of its disk: -1 if they
	// cannot be known.
	size(ctx context.Context) (used, free int64, err error)
	close() error
}

// sharedDatabase is a database that several processes (replicas) use at the same time.
type sharedDatabase interface {
	// lock holds these keys until the end of the transaction: another process that needs
	// one of them waits.
	lock(tx *tx, keys []int64)
	// publish tells the other processes, after the commit, that targets got work. listen
	// passes on what others publish, until ctx ends.
	publish(tx *tx, targets []string)
	listen(ctx context.Context, notified chan<- string)
	// lead makes the caller the leader for LeadFor, if no other process is.
	lead(ctx context.Context, caller string) (bool, error)
	// replicas lists the processes that have called lead lately, by name.
	replicas(ctx context.Context) ([]Replica, error)
	// leaseCalls is a [CallLease] of this rate.
	leaseCalls(ctx context.Context, r CallRate, n int, within time.Duration) (first time.Duration, granted bool, err error)
	// analyze updates the statistics of the planner, which the server does too seldom.
	analyze(ctx context.Context) error
}

// dialect is what the databases write differently in a statement.
type dialect struct {
	// now is the time in microseconds, by the one clock that all processes share.
	now string
	// skipLocked ends a SELECT of rows to change: it leaves out the rows that another
	// process is changing.
	skipLocked string
	// transactions are two columns: the oldest transaction that runs, and the next one.
	transactions string
	// among is a condition on a column that is compared with the first column of c: that
	// it has a value of it. It changes no result, and tells the planner that few rows fit.
	among func(column string) string
}

// querier runs statements: in a transaction, or on the connections for reading.
type querier interface {
	exec(ctx context.Context, query string, args ...any) (changed int64, err error)
	query(ctx context.Context, query string, args ...any) (cursor, error)
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
	dialect

	db      database
	end     func(ctx context.Context) error
	undo    func() error
	work    []string // targets, each once
	reports []report // of builds that were changed
}

// notify tells, after the commit, that a target got work.
func (t *tx) notify(target string) {
	if !slices.Contains(t.work, target) {
		t.work = append(t.work, target)
	}
}
