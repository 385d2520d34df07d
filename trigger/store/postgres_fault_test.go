package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"buildbridge/trigger/store"
	"buildbridge/trigger/store/postgrestest"
)

// A process that stands still inside a transaction keeps its locks. Only those who need the same locks
// wait.
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

// A call that nobody would wait for is not leased: it would be lost to all.
func TestCallsThatAreFarAreNotLeased(t *testing.T) {
	t.Parallel()
	s := opener(t, server.Database(t))()
	const gap = 100 * time.Millisecond
	lease := s.LeaseCalls(store.CallRate{Target: "north", Gap: gap, Burst: 1})
	leased, began := 0, time.Now()
	for range 50 {
		first, granted, err := lease(t.Context(), 1, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if granted {
			leased++
			if first > time.Second+gap {
				t.Errorf("a call in %s", first)
			}
		}
	}
	took := time.Since(began) // each gap of it allows one more
	if most := 11 + int(took/gap) + 2; leased < 10 || leased > most {
		t.Errorf("%d calls were leased in %s, want about 11, and at most %d", leased, took, most)
	}
}

// Times of a server's clock from before it was set back, as after a failover, delay nobody until they come
// again.
func TestStampsFromTheFuture(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	leader, other := opener(t, database)(), opener(t, database)()
	leads := func(s *store.Store) bool {
		t.Helper()
		leads, err := s.Lead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return leads
	}
	const gap = time.Second
	rate := other.LeaseCalls(store.CallRate{Target: "north", Gap: gap, Burst: 1})
	lease := func() time.Duration {
		t.Helper()
		first, granted, err := rate(t.Context(), 5, 30*time.Second)
		if err != nil || !granted {
			t.Fatalf("no call was leased: %v", err)
		}
		return first
	}
	if !leads(leader) || leads(other) {
		t.Error("not the first one leads")
	}
	lease()
	runPostgres(t, database, `UPDATE leads SET until = until + interval '1 second'; UPDATE turns SET next_at = next_at + interval '10 seconds'`)
	if first := lease(); leads(other) || first < 8*gap {
		t.Errorf("what can be from before is not kept: a call in %s", first)
	}
	runPostgres(t, database, `UPDATE leads SET until = until + interval '1 hour'; UPDATE turns SET next_at = next_at + interval '1 hour'`)
	if !leads(other) {
		t.Error("nobody leads for an hour")
	}
	began := time.Now()
	if first, next := lease(), lease(); first > gap || next < first+3*gap-time.Since(began) {
		t.Errorf("calls in %s and %s, want one now and one behind it", first, next)
	}
}

// Connections that become silent, as after a failover, are replaced by new ones, however many goroutines
// wait for them.
func TestSilentConnectionsAreLeft(t *testing.T) {
	t.Parallel()
	proxy := postgrestest.NewProxy(t, server.Database(t))
	s := opener(t, proxy.URL)()
	one := accept(t, s, nil)
	ctx, stop := context.WithCancel(t.Context())
	var (
		readers sync.WaitGroup
		reads   atomic.Int64
	)
	for range 30 {
		readers.Go(func() {
			for ctx.Err() == nil {
				_, _ = s.Build(ctx, one.ID)
				reads.Add(1)
			}
		})
	}
	for proxy.Made() < 12 { // all of both pools
		_, _ = s.Lead(ctx)
	}
	begun := reads.Load()
	await(t, "all connections are in use", func() bool { return reads.Load() > begun+100 })
	proxy.Silence("")
	begin := time.Now()
	for what, try := range map[string]func(ctx context.Context) error{
		"the lead": func(ctx context.Context) error { return second(s.Lead(ctx)) },
		"a delivery": func(ctx context.Context) error {
			d := delivery(newID())
			b := build(d)
			b.Ref, b.Commit = "refs/heads/"+b.ID, ""
			return second(s.Accept(ctx, d, []*store.Build{b}))
		},
	} {
		for err := errors.New("not tried"); err != nil; {
			if time.Since(begin) > 90*time.Second {
				t.Fatalf("%s: %v", what, err)
			}
			short, cancel := context.WithTimeout(ctx, 5*time.Second)
			err = try(short)
			cancel()
		}
	}
	stop()
	readers.Wait()
}
