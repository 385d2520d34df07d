package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// errSessionsNotKept says what to do about a pooler in transaction or statement mode.
var errSessionsNotKept = errors.New("a pooler before the database does not keep sessions, which locks, notifications and settings need: " +
	"give it session mode (PgBouncer: pool_mode = session), or connect to PostgreSQL itself")

// probeTimeout bounds each step of checkSessions.
const probeTimeout = 5 * time.Second

// checkSessions returns an error if a pooler gives a connection another session of the
// server for each transaction or statement. It runs before everything else: a lock that was
// taken in a session which the pooler keeps would block all later starts. It leaves nothing
// behind in a session that matters to others.
func checkSessions(ctx context.Context, config *pgconn.Config) error {
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect: %w", onceEach{err})
	}
	defer hangUp(ctx, conn)
	process, err := ask(ctx, conn, `SELECT pg_backend_pid()`)
	if err != nil {
		return fmt.Errorf("the first statement, for which a pooler may wait until a session is free: %w", err)
	}
	if process == strconv.FormatUint(uint64(conn.PID()), 10) {
		return nil // there is no pooler
	}
	if _, err := ask(ctx, conn, `BEGIN`); err != nil { // a pooler in statement mode refuses it
		return fmt.Errorf("%w: %w", errSessionsNotKept, err)
	}
	value := uuid.NewString()
	if _, err := ask(ctx, conn, `COMMIT; SELECT set_config('buildbridge.probe', '`+value+`', false)`); err != nil {
		return fmt.Errorf("check whether sessions are kept: %w", err)
	}
	for range 4 { // each transaction takes a free session: sooner or later the one with the value
		other, full := occupy(ctx, config)
		if full == nil {
			defer hangUp(ctx, other)
		}
		kept, err := ask(ctx, conn, `SELECT current_setting('buildbridge.probe', true)`)
		if err != nil {
			return fmt.Errorf("%w: %w", errSessionsNotKept, err)
		}
		if kept != value {
			return errSessionsNotKept
		}
		if full != nil {
			break
		}
	}
	return nil
}

// occupy connects and begins a transaction.
func occupy(ctx context.Context, config *pgconn.Config) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := ask(ctx, conn, `BEGIN; SELECT 1`); err != nil {
		hangUp(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// ask gives the first column of the last row, and prepares nothing.
func ask(ctx context.Context, conn *pgconn.PgConn, text string) (answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	results, err := conn.Exec(ctx, text).ReadAll()
	for _, r := range results {
		for _, row := range r.Rows {
			answer = string(row[0])
		}
	}
	return answer, err
}

func hangUp(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it does not matter whether the server hears of it
}
