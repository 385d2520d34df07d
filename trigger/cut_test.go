package trigger_test

import (
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/store"
	"buildbridge/trigger/store/postgrestest"
)

// The connection breaks after a commit and before its answer, in every statement of the
// queue: its build and the next of the branch are started within a lease, once each.
func TestCutAfterCommit(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		statement string // part of it
		before    func(b *testTrigger, id string)
		slow      bool // the call takes until the cut
	}{
		"accepting":        {statement: "INSERT INTO builds"},
		"taking":           {statement: "WITH due AS"},
		"beginning a call": {statement: "SET state = 'calling'"},
		"saving":           {statement: "SET state = c.state"},
		"renewing":         {statement: "WITH mine AS", slow: true},
		"giving back": {statement: "SET worker = ''", before: func(b *testTrigger, id string) {
			b.change(t, "pgx", `UPDATE builds SET state = 'lost' WHERE id = $1`, id) // for a while, of a newer version
			time.AfterFunc(time.Second, func() { b.change(t, "pgx", `UPDATE builds SET state = 'waiting' WHERE id = $1`, id) })
		}},
		"calling back": {statement: "WHERE target = $1 AND due_at > 0 AND due_at > ", before: func(b *testTrigger, id string) {
			b.change(t, "pgx", `UPDATE builds SET due_at = due_at + 3600000000 WHERE id = $1`, id)
		}},
		"holding": {statement: "SET service = c.service, worker = ''"},
		"waking":  {statement: "held = 0 WHERE worker = '' AND seq IN"},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			database := server.Database(t)
			proxy := postgrestest.NewProxy(t, database)
			b := newTestTrigger(t, settings{path: proxy.URL, stopped: true})
			gate := make(chan struct{})
			if c.slow {
				b.SetRules([]trigger.Target{{Target: patient(), Service: slow{b.client(t, patient()), gate}}}, nil, nil)
			}
			var cut <-chan struct{}
			if phrase == "accepting" {
				cut = proxy.CutAfterCommit(c.statement, 1)
			}
			id := ""
			if cut == nil {
				id = b.deliver(t, push(commitA))[0]
			} else { // refused, but kept: the host repeats it in vain
				if _, err := b.Accept(t.Context(), mapping.Delivery{ID: "d", Source: "github", DuplicateKey: "d", ReceivedAt: time.Now(), Body: []byte("{}")}, []mapping.Build{push(commitA)}); err == nil {
					t.Error("it was acknowledged without an answer of the database")
				}
				kept, err := b.store.BuildsOf(t.Context(), "d")
				if err != nil || len(kept) != 1 {
					t.Fatal(len(kept), err)
				}
				id = kept[0].ID
			}
			next := b.deliver(t, push(commitB))[0]
			if c.before != nil {
				c.before(b, id)
			}
			if cut == nil {
				cut = proxy.CutAfterCommit(c.statement, 1)
			}
			begin := time.Now()
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case <-cut:
			case <-time.After(time.Minute):
				t.Fatal("nothing was cut")
			}
			close(gate)
			b.await(t, id, store.Started)
			b.await(t, next, store.Started)
			if took := time.Since(begin); took > store.Lease+20*time.Second {
				t.Errorf("it took %s", took)
			}
			if n := b.sim.RunCount(); n != 2 {
				t.Errorf("%d builds were started, want 2", n)
			}
		})
	}
}

// The connection that listens becomes silent: polling finds the work.
func TestNotificationsThatEndSilently(t *testing.T) {
	t.Parallel()
	proxy := postgrestest.NewProxy(t, server.Database(t))
	b := newTestTrigger(t, settings{path: proxy.URL})
	b.await(t, b.deliver(t, push(commitA))[0], store.Started)
	until(t, "somebody listens", func() bool { return proxy.Silence("LISTEN") > 0 })
	begin := time.Now()
	other := newTestTrigger(t, settings{path: proxy.URL, shared: b.sim, stopped: true}) // which tells, and does not work
	b.await(t, other.deliver(t, push(commitB))[0], store.Started)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
