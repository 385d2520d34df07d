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
