package kill

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// After SIGTERM under load the exit code is 0 within the grace period, calls under way are
// finished, and no 2xx is lost.
func TestTerm(t *testing.T) {
	t.Parallel()
	const grace = 40 * time.Second // calls have four fifths of it
	for phrase, processes := range fleets() {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, history: newHistory(), pace: 15 * time.Millisecond}
			w.simulate(codeartstest.Options{})
			at := database(t, processes)
			patient := strings.Replace(rules(w.simulator.URL), "timeout: 4s", "timeout: 30s", 1) // any call can be finished
			w.fleet = newFleet(t, at, patient, "--grace", grace.String())
			w.host = newHost(t, w.fleet.public)
			w.start(at, processes)
			w.fault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: 300 * time.Millisecond})
			terms := max(2, *rounds/2)
			w.load(func() {
				for range terms {
					calls := w.simulator.RunCount()
					eventually(t, "calls are on their way", func() bool { return w.simulator.RunCount() > calls })
					time.Sleep(rand.N(500 * time.Millisecond)) // a random moment
					place := rand.N(processes)
					begin := time.Now()
					p := w.fleet.take(place)
					p.Term()
					if took := time.Since(begin); took > grace {
						t.Errorf("the end took %s, the grace period is %s", took, grace)
					}
					if processes == 1 {
						w.nothingOnTheWire()
					}
					w.fleet.start(place)
				}
			})
			all := w.settle()
			if n := adopted(all); n > 0 {
				t.Errorf("%d answers were lost, though every call could be finished", n)
			}
			w.report(all, fmt.Sprintf("%d terms", terms))
		})
	}
}

// Calls that do not finish within the grace period are cut, and reconciled after the next
// start.
func TestTermCutsCalls(t *testing.T) {
	t.Parallel()
	for phrase, processes := range fleets() {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, database(t, processes), processes, lagging(), "--grace", "1s")
			for i := range shops { // a call that is cut is not the first of its job
				w.answered(i)
			}
			w.fault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: 1800 * time.Millisecond})
			w.load(func() {
				calls := w.simulator.RunCount()
				eventually(t, "calls are on their way", func() bool { return w.simulator.RunCount() > calls+5 })
				for i := range processes {
					begin := time.Now()
					w.fleet.take(i).Term()
					if took := time.Since(begin); took > 30*time.Second { // far longer than cutting them takes; below, some were cut
						t.Errorf("the end took %s, the grace period is a second", took)
					}
				}
				for i := range processes {
					w.fleet.start(i)
				}
			})
			w.simulator.ClearFaults()
			all := w.settle()
			if adopted(all) == 0 {
				t.Error("no call was cut: the test proves nothing")
			}
			w.report(all, "calls cut")
		})
	}
}

// A process is paused under load, for so long that others take it for expired, and then
// continues.
func TestStandstill(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		processes int
		still     time.Duration
	}{
		"one process on SQLite, beyond the timeout":      {1, 6 * time.Second},
		"three replicas on Postgres, expired":            {3, store.Lease + 8*time.Second},
		"three replicas on Postgres, beyond the timeout": {3, 6 * time.Second},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && c.still > store.Lease {
				t.Skip("it takes longer than a replica takes to expire")
			}
			w := newWorld(t, database(t, c.processes), c.processes, lagging())
			w.pace = 60 * time.Millisecond
			w.fault(lostAnswers(0.2, 0.05)...)
			w.fault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: 100 * time.Millisecond})
			w.load(func() {
				eventually(t, "deliveries are accepted", func() bool { return w.host.accepted.Load() > 20 })
				p := w.fleet.take(0)
				p.Signal(syscall.SIGSTOP)
				time.Sleep(c.still)
				p.Signal(syscall.SIGCONT)
				w.fleet.put(0, p)
				accepted := w.host.accepted.Load()
				eventually(t, "deliveries are accepted again", func() bool { return w.host.accepted.Load() > accepted+20 })
			})
			w.report(w.settle(), fmt.Sprintf("stood still for %s", c.still))
		})
	}
}

// A replica is paused while it logs in, for so long that another takes it for expired, does
// not find its call, and calls. When the first continues, it does not send its own call.
func TestStandstillBeforeTheCall(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes longer than a replica takes to expire")
	}
	w := &world{t: t, history: newHistory()}
	w.simulate(codeartstest.Options{Users: []codeartstest.User{{Domain: "acme", Name: "bridge", Password: key.SecretKey}}})
	database := shared.Database(t)
	w.fleet = newFleet(t, database, strings.Replace(rules(w.simulator.URL), "{access_key: {env: KILL_AK}, secret_key: {env: KILL_SK}}",
		"{iam_user: {domain: acme, name: bridge, project: p, password: {env: KILL_SK}}, iam_endpoint: "+w.simulator.URL+"}", 1))
	w.host = newHost(t, w.fleet.public)
	p := w.fleet.start(0)
	w.open("pgx", database)
	w.fault(codeartstest.Fault{Path: codeartstest.PathToken, Delay: time.Second, Times: 1})
	w.host.send(t.Context(), w.history.push("acme/shop-0", "main", "cart-0"))
	eventually(t, "it logs in", func() bool { return w.simulator.Logins() == 1 })
	w.fleet.take(0).Signal(syscall.SIGSTOP)
	w.fleet.start(1)
	eventually(t, "another calls", func() bool { return w.simulator.RunCount() == 1 })
	p.Signal(syscall.SIGCONT)
	w.fleet.take(1).Term() // the replica that continued gets what comes now
	w.fleet.put(0, p)
	w.host.send(t.Context(), w.history.push("acme/shop-0", "main", "cart-0"))
	w.report(w.settle(), "stood still before the call")
}

// nothingOnTheWire checks that no build is calling or unknown.
func (w *world) nothingOnTheWire() {
	w.t.Helper()
	all, err := w.rows(w.t.Context())
	if err != nil {
		w.t.Error(err)
	}
	for _, r := range all {
		if r.state == "calling" || r.state == "unknown" {
			w.t.Errorf("after the end build %d is %s: %s", r.seq, r.state, r.reason)
		}
	}
}
