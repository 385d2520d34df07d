package store

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

func (d *postgres) begin(ctx context.Context) (*tx, error) {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	p := &pipeline{conn: conn}
	p.waiting.Queue("begin")
	return &tx{querier: p, dialect: d.dialect(), db: d, end: p.commit, undo: func() error { return p.rollback(ctx) }}, nil
}

// pipeline is a transaction that sends its statements together up to the next one whose
// result is needed: a round trip for each would take longer than most of them.
type pipeline struct {
	conn    *pgxpool.Conn
	waiting pgx.Batch
}

// sendLater adds a statement to those that wait. Its error is that of the next statement,
// or of the commit.
func sendLater(tx *tx, query string, args ...any) {
	tx.querier.(*pipeline).waiting.Queue(numbered(query), args...) //nolint:forcetypeassert // as begin made it
}

// send sends a statement and those that wait, and reads the results of the latter.
func (p *pipeline) send(ctx context.Context, query string, args ...any) (pgx.BatchResults, error) {
	batch := p.waiting
	p.waiting = pgx.Batch{}
	before := batch.Len()
	batch.Queue(numbered(query), args...)
	results := p.conn.SendBatch(ctx, &batch)
	for range before {
		if _, err := results.Exec(); err != nil {
			_ = results.Close() // the same error
			return nil, err
		}
	}
	return results, nil
}

func (p *pipeline) exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := p.run(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (p *pipeline) run(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	results, err := p.send(ctx, query, args...)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	return tag, cmp.Or(err, results.Close())
}

func (p *pipeline) query(ctx context.Context, query string, args ...any) (cursor, error) {
	results, err := p.send(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		_ = results.Close() // the same error
		return nil, err
	}
	return pgxRows{rows, results.Close}, nil
}

func (p *pipeline) commit(ctx context.Context) error {
	tag, err := p.run(ctx, "commit")
	switch {
	case err != nil:
		return err
	case tag.String() != "COMMIT":
		return fmt.Errorf("the server answered %s", tag)
	}
	p.conn.Release()
	return nil
}

func (p *pipeline) rollback(ctx context.Context) error {
	defer p.conn.Release() // closes a connection that is not idle
	p.waiting = pgx.Batch{}
	if p.conn.Conn().IsClosed() || p.conn.Conn().PgConn().TxStatus() == 'I' {
		return nil
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, err := p.conn.Exec(undo, "rollback")
	return err
}

// pgxQuerier runs each statement on its own, with a deadline: a statement that waits for a
// dead connection must not keep it until the end of the work that the statement is for.
type pgxQuerier struct {
	conn interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	}
}

// statementTimeout is far longer than any statement takes.
const statementTimeout = 10 * time.Second

func (q pgxQuerier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	tag, err := q.conn.Exec(ctx, numbered(query), args...)
	return tag.RowsAffected(), err
}

func (q pgxQuerier) query(ctx context.Context, query string, args ...any) (cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	rows, err := q.conn.Query(ctx, numbered(query), args...)
	if err != nil {
		cancel()
		return nil, err
	}
	return pgxRows{rows, func() error { cancel(); return nil }}, nil
}

// pgxRows calls done when they are closed.
type pgxRows struct {
	pgx.Rows
	done func() error
}

func (r pgxRows) Close() error {
	r.Rows.Close()
	return r.done()
}

// numberedQueries remembers statements in which $1, $2, … stand for ?: there are as many as
// in this package's text, times the lengths of a few lists.
var numberedQueries sync.Map

func numbered(query string) string {
	if q, ok := numberedQueries.Load(query); ok {
		return q.(string) //nolint:forcetypeassert // stored below
	}
	var b strings.Builder
	for n, part := range strings.Split(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
	}
	numberedQueries.Store(query, b.String())
	return b.String()
}
