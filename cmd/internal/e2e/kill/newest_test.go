package kill

import (
	"fmt"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
)

// There are a hundred pushes to one branch, one after the other. The last one is built, and
// those that waited are superseded by a later one. settle checks that.
func TestNewestOfABurst(t *testing.T) {
	t.Parallel()
	const burst = 100
	eachFleet(t, func(t *testing.T, action mapping.Action, processes int) {
		t.Helper()
		w := newWorldOf(t, action, database(t, processes), processes, codeartstest.Options{})
		w.fault(lostAnswers(0.3, 0.1)...)
		w.fault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: 200 * time.Millisecond})
		for range burst {
			w.host.send(t.Context(), w.history.push("acme/newest", "main", "newest"))
		}
		all := w.settle()
		if len(all) != burst {
			t.Fatalf("%d builds, want %d", len(all), burst)
		}
		last := all[burst-1]
		if want := fmt.Sprintf("%040x", burst); last.state != "started" || last.commit != want {
			t.Errorf("the last build is %s, of %s; want %s", last.state, last.commit, want)
		}
		if n := w.simulator.RunCount(); n > burst*9/10 {
			t.Errorf("%d of %d were built: nothing was superseded", n, burst)
		}
		w.report(all, fmt.Sprintf("burst, %ss", action))
	})
}

// Builds with one ordering key are started in the order of their deliveries, whichever
// replica works on them and however often they are tried. settle checks the order. All
// builds have the same key here, so that all replicas compete.
func TestOrder(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, action mapping.Action, processes int) {
		t.Helper()
		w := newWorldOf(t, action, database(t, processes), processes, codeartstest.Options{})
		w.fault(lostAnswers(0.2, 0.05)...)
		w.fault(codeartstest.Fault{Path: codeartstest.PathRun, Status: 429, RetryAfter: 1, Probability: 0.05})
		want := min(20, *deliveries)
		for range want {
			w.host.send(t.Context(), w.history.push("acme/shop-0", "main", "cart-0"))
		}
		all := w.settle()
		for i, key := range first(w.started()) {
			if want := buildKey("cart-0", "refs/heads/main", fmt.Sprintf("%040x", i+1)); key != want {
				t.Errorf("build %d is %q, want %q", i, key, want)
			}
		}
		w.report(all, fmt.Sprintf("one line, %ss", action))
	})
}

func first[T, U any](t T, _ U) T { return t }
