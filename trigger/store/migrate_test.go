package store_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"buildbridge/trigger/store"
)

// A replica that starts beside others that write must not wait for their locks,
// nor they for its: each would wait for the other.
func TestReplicaStartsBesideOneThatWrites(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	accept(t, opener(t, database)(), nil)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, write := range []string{`UPDATE builds SET version = version`, `UPDATE deliveries SET reason = reason`} {
		if _, err := tx.Exec(t.Context(), write); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s, err := store.Open(ctx, store.Options{Database: database, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Tables of version 1 had no column for the trace of a build.
func TestTablesOfTheFirstVersion(t *testing.T) {
	t.Parallel()
	const drop = `ALTER TABLE builds DROP COLUMN trace;`
	for name, test := range map[string]struct {
		database string
		back     func(t *testing.T, database string)
	}{
		"SQLite": {
			database: filepath.Join(t.TempDir(), "buildbridge.db"),
			back: func(t *testing.T, database string) {
				db, err := sql.Open("sqlite", "file:"+database)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.ExecContext(t.Context(), drop+`PRAGMA user_version = 1;`); err != nil {
					t.Error(err)
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			},
		},
		"Postgres": {
			database: server.Database(t),
			back: func(t *testing.T, database string) {
				conn, err := pgx.Connect(t.Context(), database)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Exec(t.Context(), drop+`UPDATE schema_version SET version = 1;`); err != nil {
					t.Error(err)
				}
				if err := conn.Close(t.Context()); err != nil {
					t.Error(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := opener(t, test.database)
			s := open()
			before := accept(t, s, nil)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			test.back(t, test.database)

			s = open()
			if diff := cmp.Diff(before, read(t, s, before.ID), cmpopts.IgnoreUnexported(store.Build{})); diff != "" {
				t.Errorf("the build of before:\n%s", diff)
			}
			const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
			if b := accept(t, s, func(b *store.Build) { b.Trace = trace }); b.Trace != trace {
				t.Errorf("the trace of a new one is %q", b.Trace)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open() // a step is taken once
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// While a new replica brings the tables up to date, an older one goes on accepting:
// its transaction has the deliveries and comes to the builds. Neither may cost the
// other its transaction.
func TestMigrationBesideOneThatAccepts(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	old := opener(t, database)()
	accept(t, old, nil)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	tx := firstVersion(t, database, `UPDATE deliveries SET reason = reason`)
	opened := opening(t, database)
	began := time.Now()
	if _, err := tx.Exec(t.Context(), `UPDATE builds SET version = version`); err != nil {
		t.Errorf("the older replica: %v", err)
		_ = tx.Rollback(t.Context())
	} else if err := tx.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("the older replica waited %s", time.Since(began))
	if err := <-opened; err != nil {
		t.Errorf("the new replica: %v", err)
	}
}

// A step that cannot have the tables, because somebody reads them for long (pg_dump
// does), must not keep the older replicas from accepting.
func TestMigrationBesideALongRead(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	old := opener(t, database)()
	accept(t, old, nil)
	tx := firstVersion(t, database, `LOCK TABLE deliveries, builds IN ACCESS SHARE MODE`)
	opened := opening(t, database)
	other, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.WithoutCancel(t.Context()))
	if _, err := other.Exec(t.Context(), `SET lock_timeout = '2s'`); err != nil {
		t.Fatal(err)
	}
	// What the older replica writes.
	if _, err := other.Exec(t.Context(), `UPDATE builds SET version = version`); err != nil {
		t.Errorf("the older replica: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("the new replica: %v", err)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
}

// firstVersion takes the tables back to version 1, and gives a transaction that has
// done something with them.
func firstVersion(t *testing.T, database, does string) pgx.Tx {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if _, err := conn.Exec(t.Context(), `ALTER TABLE builds DROP COLUMN trace; UPDATE schema_version SET version = 1;`); err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), does); err != nil {
		t.Fatal(err)
	}
	return tx
}

// opening opens a database, which waits for the tables by the time that it returns.
// The channel gets how that ended.
func opening(t *testing.T, database string) <-chan error {
	t.Helper()
	opened := make(chan error, 1)
	go func() {
		s, err := store.Open(context.WithoutCancel(t.Context()), store.Options{Database: database, Logger: logger(t)})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	time.Sleep(500 * time.Millisecond)
	return opened
}
