package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// preparedQuerier prepares each statement once: parsing and planning one takes longer than
// running it. On one connection a statement must be read to its end before it runs again.
type preparedQuerier struct {
	conn sqliteConn
	// whole statements are not cut short: the transaction has its lock already, and watching
	// a context costs the driver a goroutine for each. The context counts before each.
	whole bool

	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

// sqliteConn is a *sql.DB or a *sql.Conn.
type sqliteConn interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// statementsMost bounds the statements that stay prepared: there are about a hundred, and
// those of lists with many combinations of filters.
const statementsMost = 256

func newPreparedQuerier(conn sqliteConn, whole bool) *preparedQuerier {
	return &preparedQuerier{conn: conn, whole: whole, statements: map[string]*sql.Stmt{}}
}

// close closes the prepared statements: a connection that has some stays open, and its log
// is not emptied.
func (q *preparedQuerier) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.statements {
		_ = s.Close()
	}
	clear(q.statements)
}

// prepare gives a prepared statement, nil if too many are prepared already, and the context
// to run it with.
func (q *preparedQuerier) prepare(ctx context.Context, query string) (context.Context, *sql.Stmt, error) {
	if q.whole {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		ctx = context.WithoutCancel(ctx)
	}
	q.mu.Lock()
	s, prepared := q.statements[query]
	full := len(q.statements) >= statementsMost
	q.mu.Unlock()
	if prepared || full {
		return ctx, s, nil
	}
	s, err := q.conn.PrepareContext(ctx, query) // without the lock, because it may wait for a connection
	if err != nil {
		return nil, nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if first, prepared := q.statements[query]; prepared {
		return ctx, first, s.Close() //nolint:sqlclosecheck // the other one stays open
	}
	q.statements[query] = s
	return ctx, s, nil
}

func (q *preparedQuerier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, s, err := q.prepare(ctx, query) //nolint:sqlclosecheck // it stays open until close
	if err != nil {
		return 0, err
	}
	var res sql.Result
	if s == nil {
		res, err = q.conn.ExecContext(ctx, query, args...)
	} else {
		res, err = s.ExecContext(ctx, args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (q *preparedQuerier) query(ctx context.Context, query string, args ...any) (cursor, error) {
	ctx, s, err := q.prepare(ctx, query) //nolint:sqlclosecheck // it stays open until close
	if err != nil {
		return nil, err
	}
	if s == nil {
		return q.conn.QueryContext(ctx, query, args...) //nolint:rowserrcheck // the caller looks at it
	}
	return s.QueryContext(ctx, args...) //nolint:rowserrcheck // the caller looks at it
}

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
		querier: d.writes,
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
