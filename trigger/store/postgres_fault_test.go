package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"buildbridge/trigger/store"
)

// A process that stands still inside a transaction keeps what it locked. Whoever
// needs the same waits, and nobody else does.
func TestALockHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	s := opener(t, database)()
	locked := accept(t, s, nil)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `UPDATE builds SET version = version WHERE id = $1`, locked.ID); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		locked.State = store.Dead
		waiting <- s.Save(t.Context(), locked)
	}()
	begin := time.Now()
	for range 5 {
		accept(t, s, func(b *store.Build) { b.Ref, b.Commit = "refs/heads/"+b.ID, strings.ReplaceAll(b.ID, "-", "") })
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("five deliveries took %s", took)
	}
	if err := <-waiting; err == nil {
		t.Error("a locked row was changed")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), locked); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

func TestPostgresOfANewerProgramIsRefused(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	if err := opener(t, database)().Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO schema_version (version) VALUES (99)`); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := store.Open(t.Context(), store.Options{Database: database, Logger: logger(t)}); err == nil {
		t.Error("it was opened")
		_ = s.Close()
	}
}

// Turns further away than somebody will wait for are not taken, or they would be
// lost to all.
func TestTurnsThatAreFarAreNotTaken(t *testing.T) {
	t.Parallel()
	s := opener(t, server.Database(t))()
	const gap = 100 * time.Millisecond
	taken := 0
	for range 50 {
		first, free, shared, err := s.Turns(t.Context(), "north", gap, 1, 1, time.Second)
		if err != nil || !shared {
			t.Fatal(shared, err)
		}
		if free {
			taken++
			if first > time.Second+gap {
				t.Errorf("a turn in %s", first)
			}
		}
	}
	if taken < 10 || taken > 20 {
		t.Errorf("%d turns were taken, want about 11", taken)
	}
}
