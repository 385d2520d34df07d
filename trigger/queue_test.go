package trigger_test

import (
	"bytes"
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// both runs a test on each database, with the settings of a trigger that is not started.
func both(t *testing.T, test func(t *testing.T, s settings, driver string)) {
	t.Helper()
	for database, driver := range map[string]string{"SQLite": "sqlite", "Postgres": "pgx"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			s := settings{stopped: true}
			if database == "Postgres" {
				s.path = server.Database(t)
			}
			test(t, s, driver)
		})
	}
}

// change runs a statement on the database of the trigger, which must change a row.
func (b *testTrigger) change(t *testing.T, driver, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open(driver, b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if driver == "sqlite" {
		if _, err := db.ExecContext(t.Context(), `PRAGMA busy_timeout = 10000`); err != nil {
			t.Fatal(err)
		}
	}
	res, err := db.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		t.Fatalf("%s changed %d rows, %v", statement, n, err)
	}
}

// The answer to a fetch is lost after the commit: builds that the table gives to this process,
// without its knowledge, are due again when the lease ends.
func TestFetchWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s settings, _ string) {
		t.Helper()
		b := newTestTrigger(t, s)
		id, next := b.deliver(t, push(commitA))[0], b.deliver(t, push(commitB))[0]
		if got, err := b.store.Due(t.Context(), "north", 10); err != nil || len(got) != 2 {
			t.Fatal(len(got), err)
		}
		begin := time.Now()
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.await(t, id, store.Started)
		b.await(t, next, store.Started)
		if took := time.Since(begin); took < store.Lease/2 || took > store.Lease+10*time.Second {
			t.Errorf("it took %s, want a lease", took)
		}
	})
}

// A lease ends though its process lives: the process that takes the build searches for the call
// before it calls, and the answer counts when it comes.
func TestLeaseThatEndsWhileItsHolderLives(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s settings, driver string) {
		t.Helper()
		b := newTestTrigger(t, s)
		gate := make(chan struct{})
		b.SetRules([]trigger.Target{{Target: patient(), Service: slow{b.client(t, patient()), gate}}}, nil, nil)
		id := b.deliver(t, push(commitA))[0]
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.await(t, id, store.Calling)
		taker := b
		if driver == "pgx" {
			taker = newTestTrigger(t, settings{path: b.path, shared: b.sim})
		}
		b.change(t, driver, `UPDATE builds SET due_at = 1 WHERE id = $1`, id)
		if driver == "pgx" {
			taker.await(t, id, store.Unknown, store.Started)
		} else { // who holds it takes it again, and goes on with what it does
			until(t, "it was taken again", func() bool { return b.await(t, id, store.Calling).DueAt.After(time.Now()) })
		}
		close(gate)
		if got := b.await(t, id, store.Started); got.BuildNumber != "1" {
			t.Errorf("got number %q", got.BuildNumber)
		}
		if n := b.sim.RunCount(); n != 1 {
			t.Errorf("%d builds were started", n)
		}
	})
}

// writer is a function as an io.Writer.
type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}

// refusing refuses calls as long as it is set.
type refusing struct {
	trigger.Service
	now *atomic.Bool
}

func (s refusing) RunJob(ctx context.Context, body []byte) (string, error) {
	if s.now.Load() {
		return "", &codearts.Error{Op: "RunJob", Fate: codearts.FateRetry, Status: 500}
	}
	return s.Service.RunJob(ctx, body)
}

// A build is due again, and is taken, while the goroutine that saved it is not done with it: it
// does not wait for the end of a lease.
func TestDueBeforeItIsLeft(t *testing.T) {
	t.Parallel()
	var (
		saved, left = make(chan struct{}), make(chan struct{})
		once        sync.Once
		refuse      atomic.Bool
	)
	refuse.Store(true)
	b := newTestTrigger(t, settings{stopped: true, log: writer(func(p []byte) {
		if bytes.Contains(p, []byte("build is not started yet")) {
			once.Do(func() { close(saved) })
			<-left
		}
	})})
	b.SetRules([]trigger.Target{{Target: patient(), Service: refusing{b.client(t, patient()), &refuse}}}, nil, nil)
	id := b.deliver(t, push(commitA))[0]
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-saved
	refuse.Store(false)
	until(t, "it was taken again", func() bool { return b.await(t, id, store.Waiting).Worker != "" })
	b.await(t, b.deliver(t, tag("v1"))[0], store.Started) // taken later
	close(left)
	begin := time.Now()
	b.await(t, id, store.Started)
	if took := time.Since(begin); took > store.Lease/2 {
		t.Errorf("it waited for %s", took)
	}
}

// The clock of the database is set back by an hour: builds that were due by the old time are due.
func TestClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s settings, driver string) {
		t.Helper()
		b := newTestTrigger(t, s)
		id := b.deliver(t, push(commitA))[0]
		b.change(t, driver, `UPDATE builds SET due_at = due_at + 3600000000 WHERE id = $1`, id)
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.await(t, id, store.Started)
		gone := push(commitB) // and while it runs
		gone.Target = "gone"
		waits := b.deliver(t, gone)[0]
		until(t, "it has a reason", func() bool { return b.await(t, waits, store.Waiting).Reason != "" })
		b.change(t, driver, `UPDATE builds SET due_at = due_at + 3600000000 WHERE id = $1`, waits)
		until(t, "it does not wait for an hour", func() bool {
			return b.await(t, waits, store.Waiting).DueAt.Before(time.Now().Add(30 * time.Minute))
		})
	})
}
