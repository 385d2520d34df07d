package store_test

import (
	"sync"
	"testing"

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
	b.ID, b.Rule = newID(), "a\x00"
	if err := s.AddBuild(t.Context(), b); err == nil {
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
