package postgrestest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"buildbridge/trigger/store/postgrestest"
)

func database(t *testing.T) string {
	t.Helper()
	var server postgrestest.Server
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server.Database(t)
}

func connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func TestProxy(t *testing.T) {
	t.Parallel()
	database := database(t)
	direct := connect(t, database)
	run := func(statement string) {
		if _, err := direct.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	rows := func() (n int) {
		if err := direct.QueryRow(t.Context(), `SELECT count(*) FROM things`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	run(`CREATE TABLE things (id bigserial PRIMARY KEY, name text NOT NULL)`)
	p := postgrestest.NewProxy(t, database)

	const insert = `INSERT INTO things (name) VALUES ($1) RETURNING id`
	add := func(conn *pgx.Conn) error {
		var id int64
		return conn.QueryRow(t.Context(), insert, "x").Scan(&id)
	}
	within := func(end func(pgx.Tx) error) func(conn *pgx.Conn) error {
		return func(conn *pgx.Conn) error {
			tx, err := conn.Begin(t.Context())
			if err != nil {
				return err
			}
			if err := errors.Join(add(tx.Conn()), tx.Conn().Ping(t.Context())); err != nil {
				t.Error("before the commit:", err)
			}
			return end(tx)
		}
	}
	commit := within(func(tx pgx.Tx) error { return tx.Commit(t.Context()) })
	rollback := within(func(tx pgx.Tx) error { return tx.Rollback(t.Context()) })
	several := func(conn *pgx.Conn) error {
		batch := &pgx.Batch{}
		batch.Queue(`SELECT 1`)
		batch.Queue(insert, "x")
		return conn.SendBatch(t.Context(), batch).Close()
	}
	simple := func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), `BEGIN; INSERT INTO things (name) VALUES ('x'); COMMIT`)
		return err
	}
	for phrase, try := range map[string]func(*pgx.Conn) error{
		"a statement": add, "a transaction": commit, "a batch": several, "several in one text": simple,
	} {
		t.Run(phrase, func(t *testing.T) {
			run(`TRUNCATE things`)
			conn := connect(t, p.URL)
			cut := p.CutAfterCommit("INSERT INTO things", 2)
			fail := func(conn *pgx.Conn) error {
				_, err := conn.Exec(t.Context(), `INSERT INTO things (name) VALUES (NULL)`)
				return err
			}
			if err := errors.Join(try(conn), rollback(conn)); err != nil {
				t.Fatal(err)
			}
			if fail(conn) == nil {
				t.Error("NULL was taken")
			}
			select {
			case <-cut:
				t.Error("cut before the second commit")
			default:
			}
			if err := try(conn); err == nil {
				t.Error("heard of the second commit")
			}
			<-cut
			if n := rows(); n != 2 {
				t.Errorf("%d rows, want those of two commits", n)
			}
			if err := try(connect(t, p.URL)); err != nil {
				t.Error("the next connection:", err)
			}
		})
	}
}

func TestProxyFallsSilent(t *testing.T) {
	t.Parallel()
	database := database(t)
	direct := connect(t, database)
	p := postgrestest.NewProxy(t, database)
	listens, other := connect(t, p.URL), connect(t, p.URL)
	pid := listens.PgConn().PID()
	if _, err := listens.Exec(t.Context(), `LISTEN news`); err != nil {
		t.Fatal(err)
	}
	notify := func() {
		if _, err := direct.Exec(t.Context(), `NOTIFY news`); err != nil {
			t.Fatal(err)
		}
	}
	notify()
	if _, err := listens.WaitForNotification(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := p.Silence("LISTEN"); n != 1 {
		t.Errorf("%d connections are silent, want 1", n)
	}
	if err := other.Ping(t.Context()); err != nil {
		t.Error("the other:", err)
	}
	notify()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := listens.WaitForNotification(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want nothing", err)
	}
	_ = listens.Close(t.Context())
	var there bool
	if err := direct.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1)`, pid).Scan(&there); err != nil || !there {
		t.Error("the server was told that its client is gone", err)
	}
	if n := p.Silence(""); n != 1 {
		t.Errorf("%d more connections are silent, want 1", n)
	}
	if n := p.Made(); n != 2 {
		t.Errorf("%d connections were made, want 2", n)
	}
}
