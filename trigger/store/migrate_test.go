package store_test

import (
	"context"
	"testing"
	"time"

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
