package kill

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
)

// The service starts every build and loses a third of its answers: still every delivery is
// built once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	branch := func() string { return fmt.Sprintf("b%d", rand.N(25)) }
	for phrase, c := range map[string]struct {
		action    mapping.Action // that of a job if ""
		processes int
		service   codeartstest.Options
		next      func(w *world) *delivery
		builds    int // a delivery
		kills     int
		before    float64 // part of the calls that do not arrive
		known     bool    // it is known in whose name builds are started, before answers are lost
	}{
		"a push": {
			processes: 1, builds: 1,
			next: func(w *world) *delivery { return w.history.push("acme/shop-0", branch(), "cart-0") },
		},
		"two rules that start one job for one commit": {
			processes: 1, builds: 2,
			next: func(w *world) *delivery {
				return w.history.push("acme/shop-0", "twin-"+branch(), "cart-0", "twin-0")
			},
		},
		"tags on one commit": {
			processes: 1, builds: 1,
			next: func(w *world) *delivery {
				if w.history.lastOf("acme/shop-0") == "" {
					return w.history.push("acme/shop-0", "main", "cart-0")
				}
				return w.history.tag("acme/shop-0", "cart-0")
			},
		},
		"records that lag, and lack the commit at first": {
			processes: 1, builds: 1, service: lagging(),
			next: func(w *world) *delivery { return w.history.push("acme/shop-0", branch(), "cart-0") },
		},
		"a person builds the same job": {
			processes: 1, builds: 1,
			next: func(w *world) *delivery {
				d := w.history.push("acme/shop-0", branch(), "cart-0")
				_, _, _, job := shop(0)
				w.person(codeartstest.Build{JobID: job, Commit: fmt.Sprintf("%040x", 1<<50+rand.N(1<<30))})
				return d
			},
		},
		"a person builds the same commit": {
			processes: 1, builds: 1, before: 0.3,
			next: func(w *world) *delivery {
				d := w.history.push("acme/shop-0", branch(), "cart-0")
				w.meddle(d)
				return d
			},
		},
		"a person builds the same commit, before replicas do that are killed": {
			processes: 3, builds: 1, before: 0.3, kills: max(3, *rounds/3), service: lagging(), known: true,
			next: func(w *world) *delivery {
				d := w.history.push("acme/shop-0", branch(), "cart-0")
				w.meddle(d)
				return d
			},
		},
		"a marker, and a person builds the same commit": {
			processes: 1, builds: 1,
			next: func(w *world) *delivery {
				d := w.history.push("acme/marked", branch(), "marked")
				w.person(codeartstest.Build{JobID: markedJob, Commit: d.change.Commit})
				return d
			},
		},
		"the process is killed in mid-call": {
			processes: 1, builds: 1, kills: max(3, *rounds/3), service: lagging(),
			next: func(w *world) *delivery { return w.history.push("acme/shop-0", branch(), "cart-0") },
		},
		"a run of a pipeline, and a person runs it for the same commit": {
			action: mapping.ActionPipeline, processes: 1, builds: 1, before: 0.3,
			next: func(w *world) *delivery {
				d := w.history.push("acme/shop-0", branch(), "cart-0")
				w.meddle(d)
				return d
			},
		},
		"a run of a pipeline, and replicas are killed in mid-call": {
			action: mapping.ActionPipeline, processes: 3, builds: 2, before: 0.1, kills: max(3, *rounds/3), service: lagging(),
			next: func(w *world) *delivery {
				return w.history.push("acme/shop-0", "twin-"+branch(), "cart-0", "twin-0")
			},
		},
		"replicas": {
			processes: 3, builds: 2, service: lagging(),
			next: func(w *world) *delivery {
				return w.history.push("acme/shop-0", "twin-"+branch(), "cart-0", "twin-0")
			},
		},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, c.action, database(t, c.processes), c.processes, c.service)
			var left atomic.Int64
			left.Store(int64(*deliveries))
			if c.known {
				left.Add(-w.answered(0))
			}
			w.fault(lostAnswers(0.3, c.before)...)
			kill, most := make(chan struct{}, c.kills), *deliveries*c.builds
			var killing sync.WaitGroup
			killing.Go(func() {
				for range kill {
					// Calls are slow, so that one is under way.
					w.fault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: 200 * time.Millisecond, Drop: codeartstest.DropAfter, Times: 20})
					calls := w.simulator.RunCount()
					eventually(t, "calls are on their way, if any are left", func() bool {
						now := w.simulator.RunCount()
						return now > calls || now == most
					})
					w.fleet.kill(0)
					w.fleet.start(0)
				}
			})
			w.host.sendAll(t.Context(), 12, func() *delivery {
				n := left.Add(-1)
				if n < 0 {
					return nil
				}
				if every := int64(*deliveries / (c.kills + 1)); c.kills > 0 && n > 0 && n%every == 0 && n/every <= int64(c.kills) {
					kill <- struct{}{}
				}
				return c.next(w)
			})
			close(kill)
			killing.Wait()
			all := w.settle()
			if got := w.simulator.RunCount(); got != most {
				t.Errorf("%d deliveries gave %d builds, want %d", *deliveries, got, most)
			}
			if adopted(all) == 0 {
				t.Error("no answer was lost: the test proves nothing")
			}
			w.report(all, fmt.Sprintf("%s, %d kills", phrase, c.kills))
		})
	}
}
