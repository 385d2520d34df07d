package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// preparedQuerier prepares each statement once: parsing and planning one takes longer than
// running it.
type preparedQuerier struct {
	conn sqliteConn

	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

// sqliteConn is a *sql.DB or a *sql.Conn.
type sqliteConn interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// statement is a *sql.Stmt that stays prepared, or unprepared.
type statement interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
}

type unprepared struct {
	conn  sqliteConn
	query string
}

func (u unprepared) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return u.conn.ExecContext(ctx, u.query, args...)
}

func (u unprepared) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return u.conn.QueryContext(ctx, u.query, args...)
}

func (u unprepared) QueryRowContext(ctx context.Context, args ...any) *sql.Row {
	return u.conn.QueryRowContext(ctx, u.query, args...)
}

// statementsMost bounds the statements that stay prepared: there are about a hundred, and
// those of lists with many combinations of filters.
const statementsMost = 256

// close closes the prepared statements: a connection that has some stays open, and its log
// is not emptied.
func (q *preparedQuerier) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.statements {
		_ = s.Close()
	}
	q.statements = nil
}

func (q *preparedQuerier) prepare(ctx context.Context, query string) (statement, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s, ok := q.statements[query]; ok {
		return s, nil
	}
	if len(q.statements) >= statementsMost {
		return unprepared{q.conn, query}, nil
	}
	s, err := q.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if q.statements == nil {
		q.statements = map[string]*sql.Stmt{}
	}
	q.statements[query] = s
	return s, nil
}

func (q *preparedQuerier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := q.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (q *preparedQuerier) query(ctx context.Context, query string, args ...any) (cursor, error) {
	s, err := q.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...) //nolint:rowserrcheck // the caller looks at it
}

func (q *preparedQuerier) queryRow(ctx context.Context, query string, args ...any) scanner {
	s, err := q.prepare(ctx, query)
	if err != nil {
		return failedRow{err}
	}
	return s.QueryRowContext(ctx, args...)
}

// failedRow is the row of a statement that failed.
type failedRow struct{ error }

func (r failedRow) Scan(...any) error { return r.error }

// begin begins a transaction of the one connection that writes, which runs the statements of
// writes. It does not end with ctx: its statements would then run without a transaction.
func (d *sqlite) begin(ctx context.Context) (*tx, error) {
	if err := d.checkMoved(); err != nil {
		return nil, err
	}
	t, err := d.writer.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	return &tx{
		querier: sqliteTx{d.writes},
		dialect: d.dialect(),
		db:      d,
		end: func(ctx context.Context) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return t.Commit()
		},
		undo: func() error {
			if err := t.Rollback(); !errors.Is(err, sql.ErrTxDone) { // a commit that failed has rolled back
				return err
			}
			return nil
		},
	}, nil
}

// sqliteTx does not cut its statements short: the transaction has its lock already, and
// watching a context costs the driver a goroutine for each statement. The context counts
// before each statement.
type sqliteTx struct{ *preparedQuerier }

func (t sqliteTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return t.preparedQuerier.exec(context.WithoutCancel(ctx), query, args...)
}

func (t sqliteTx) query(ctx context.Context, query string, args ...any) (cursor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.preparedQuerier.query(context.WithoutCancel(ctx), query, args...)
}

func (t sqliteTx) queryRow(ctx context.Context, query string, args ...any) scanner {
	if err := ctx.Err(); err != nil {
		return failedRow{err}
	}
	return t.preparedQuerier.queryRow(context.WithoutCancel(ctx), query, args...)
}
