package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"buildbridge/trigger/store"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	suite(t, func(t *testing.T) func() *store.Store {
		t.Helper()
		return opener(t, server.Database(t))
	})
}

func opener(t *testing.T, database string) func() *store.Store {
	t.Helper()
	return func() *store.Store {
		s, err := store.Open(t.Context(), store.Options{Database: database, Logger: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}

func TestTextThatPostgresRefusesIsNoIllness(t *testing.T) {
	t.Parallel()
	s := opener(t, server.Database(t))()
	b := accept(t, s, nil)
	b.ReplayOf, b.ID, b.Rule = b.ID, newID(), "a\x00"
	if err := s.AddReplay(t.Context(), b, ""); err == nil {
		t.Error("NUL was taken for text")
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
}

// Replicas start together on an empty database: one migrates, one leads.
func TestReplicasStartTogether(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		leads int
	)
	for range 4 {
		wg.Go(func() {
			s, err := store.Open(t.Context(), store.Options{Database: database, Logger: logger(t)})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = s.Close() })
			lead, err := s.Lead(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if lead {
				leads++
			}
		})
	}
	wg.Wait()
	if leads != 1 {
		t.Errorf("%d replicas lead, want 1", leads)
	}
}

// A replica that starts beside others that write must not wait for their locks, and they must not wait for
// its locks.
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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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

// The index of version 5 is made while replicas of version 4 take deliveries, also after a start that was cut off. Of
// two new replicas one makes it, and both start.
func TestIndexIsMadeBesideReplicasThatWrite(t *testing.T) {
	t.Parallel()
	for waits, left := range map[string]string{
		"CREATE INDEX": "",
		"DROP INDEX":   "CREATE INDEX builds_ended ON builds (rule)",
	} {
		t.Run(waits, func(t *testing.T) {
			t.Parallel()
			database := server.Database(t)
			s := opener(t, database)()
			accept(t, s, nil)
			runPostgres(t, database, "DROP INDEX builds_ended; DELETE FROM schema_version; INSERT INTO schema_version VALUES (4);"+
				"ALTER TABLE builds DROP COLUMN action, DROP COLUMN queue_id, DROP COLUMN ran_commit, DROP COLUMN console, DROP COLUMN waited_at;"+left)
			conn, other := connect(t, database), connect(t, database)
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), `LOCK TABLE builds IN ROW EXCLUSIVE MODE`); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					s, err := store.Open(t.Context(), store.Options{Database: database, Logger: logger(t)})
					if err != nil {
						t.Error(err)
						return
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			await(t, waits+" waits for the one that writes", func() (so bool) {
				if err := other.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
					AND query LIKE $1 AND wait_event_type = 'Lock')`, waits+"%").Scan(&so); err != nil {
					t.Fatal(err)
				}
				return so
			})
			runPostgres(t, database, "SET lock_timeout = '5s'; UPDATE builds SET reason = 'by version 4'")
			if err := tx.Rollback(t.Context()); err != nil {
				t.Error(err)
			}
			wg.Wait()
			var definition string
			var version int
			if err := conn.QueryRow(t.Context(), `SELECT pg_get_indexdef(indexrelid), (SELECT max(version) FROM schema_version)
				FROM pg_index WHERE indexrelid = 'builds_ended'::regclass AND indisvalid`).Scan(&definition, &version); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(definition, "ended_at") || version != 6 {
				t.Errorf("version %d with %s", version, definition)
			}
		})
	}
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

// A push of many refs, each with a build, does not run out of locks. While one replica commits it, another
// accepts deliveries, and calls no build that comes after a build of that push.
func TestManyRefs(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	one, other := opener(t, database)(), opener(t, database)()
	d := delivery(newID())
	builds := []*store.Build{build(d)} // with the ordering key of the others
	for i := range 8_000 {
		b := build(d)
		b.Ref, b.Commit = fmt.Sprint("refs/heads/", i), fmt.Sprintf("%040d", i)
		builds = append(builds, b)
	}
	accepted := make(chan error, 1)
	go func() { accepted <- second(one.Accept(t.Context(), d, builds)) }()
	var (
		first  *store.Build // of many
		called []*store.Build
	)
	for held := 0; held < 3; {
		b := accept(t, other, nil)
		if hold := begin(t, other, b, time.Now()); hold == store.NoHold {
			called = append(called, b)
			b.BuildNumber = b.ID
			save(t, other, b, store.Started)
		} else {
			held++
		}
		select {
		case err := <-accepted:
			if err != nil {
				t.Fatal(err)
			}
			first = read(t, other, builds[0].ID)
			accepted = nil
		default:
		}
		if first == nil {
			held = 0
		}
	}
	for _, b := range called {
		if b.Seq > first.Seq {
			t.Errorf("build %d was called before %d", b.Seq, first.Seq)
		}
	}
	t.Logf("%d were called before it", len(called))
}

// A server that is not there is told of once, though it is called with TLS and without.
func TestPostgresThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, err := store.Open(t.Context(), store.Options{Database: "postgres://u@127.0.0.1:1/x", Logger: discard()})
	if err == nil || strings.Count(err.Error(), "connection refused") != 1 {
		t.Errorf("got %v", err)
	}
}
