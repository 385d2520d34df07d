package kill

import (
	"syscall"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store/postgrestest"
)

// Postgres fails under load, in several ways: deliveries that cannot be stored are answered
// with 503, and everything continues by itself afterwards.
func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	var server postgrestest.Server
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	const replicas = 3
	w := newWorld(t, server.Database(t), replicas, codeartstest.Options{})
	w.host.client.Timeout = 30 * time.Second // the bridge gives up after 4.5 s: the rest is for a slow machine
	w.fault(lostAnswers(0.1, 0)...)
	w.fault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: 300 * time.Millisecond, Probability: 0.5})
	halt := func(signal syscall.Signal) {
		if err := server.Halt(signal); err != nil {
			t.Fatal(err)
		}
	}
	resume := func() {
		if err := server.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	goesOn := func(after string) {
		accepted, calls := w.host.accepted.Load(), w.simulator.RunCount()
		begin := time.Now()
		eventually(t, "deliveries are accepted and built after "+after, func() bool {
			return w.host.accepted.Load() > accepted+20 && w.simulator.RunCount() > calls+20
		})
		t.Logf("%s: going on %s later", after, time.Since(begin).Round(time.Millisecond))
	}
	w.load(func() {
		goesOn("the start")
		for range 3 {
			w.terminate()
			goesOn("its connections were terminated")
		}
		halt(syscall.SIGQUIT)
		resume()
		goesOn("a crash")
		refused := w.host.unavailable.Load()
		halt(syscall.SIGINT)
		eventually(t, "deliveries are refused", func() bool { return w.host.unavailable.Load() > refused+50 })
		time.Sleep(3 * time.Second) // calls are answered, and cannot be saved
		resume()
		goesOn("a stop")
		w.host.allAnswered()
		for i := range replicas {
			w.fleet.kill(i)
		}
		halt(syscall.SIGQUIT)
		resume()
		for i := range replicas {
			w.fleet.start(i)
		}
		goesOn("the end of everything")
	})
	w.report(w.settle(), "connections terminated 3 times, a crash, a stop, everything killed")
}

// terminate ends all connections of the fleet.
func (w *world) terminate() {
	w.t.Helper()
	if _, err := w.db.ExecContext(w.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		w.t.Error(err)
	}
}
