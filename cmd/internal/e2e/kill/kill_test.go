package kill

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
)

// lagging is a service whose records come late, and have no commit at first. The rules allow
// for both.
func lagging() codeartstest.Options {
	return codeartstest.Options{RecordLag: 300 * time.Millisecond, CommitLag: 700 * time.Millisecond}
}

// fleets are the fleets of most tests.
func fleets() map[string]int {
	return map[string]int{"one process on SQLite": 1, "three replicas on Postgres": 3}
}

// database makes a database for that many processes; "" is a SQLite file of the fleet.
func database(t *testing.T, processes int) string {
	t.Helper()
	if processes == 1 {
		return ""
	}
	return shared.Database(t)
}

// eachFleet runs a test with jobs and with pipelines, on each fleet.
func eachFleet(t *testing.T, test func(t *testing.T, action mapping.Action, processes int)) {
	t.Helper()
	for _, action := range []mapping.Action{mapping.ActionJob, mapping.ActionPipeline} {
		for phrase, processes := range fleets() {
			t.Run(fmt.Sprintf("%s, %ss", phrase, action), func(t *testing.T) {
				t.Parallel()
				test(t, action, processes)
			})
		}
	}
}

// Processes are killed at random moments under load, while the service loses a third of its
// answers and has other faults. Runs of pipelines are queued besides.
func TestKill(t *testing.T) {
	t.Parallel()
	eachFleet(t, testKill)
}

func testKill(t *testing.T, action mapping.Action, processes int) {
	t.Helper()
	w := newWorldOf(t, action, database(t, processes), processes, lagging())
	if !action.IsZero() {
		w.queue()
	}
	w.fault(lostAnswers(0.3, 0.05)...)
	w.fault(weather()...)
	w.load(func() {
		for range *rounds {
			time.Sleep(rand.N(1200 * time.Millisecond)) // a random moment
			place := rand.N(processes)
			w.fleet.kill(place)
			w.fleet.start(place)
		}
	})
	w.report(w.settle(), fmt.Sprintf("%ss, %d kills", action, *rounds))
	if !action.IsZero() && w.queued() == 0 {
		t.Error("no run was queued: the test proves less")
	}
}

// queue has a run wait in the queue of a pipeline, and its call answered. With a run as short as others
// are, the answer to the next call may come too late, or be lost.
func (w *world) queue() {
	w.t.Helper()
	repository, rule, _, pipeline := shop(0)
	for try := 0; w.queued() == 0 && try < 20; try++ {
		if err := w.simulator.AddOutcome(codeartstest.Outcome{JobID: pipeline, After: 2 * time.Second, Times: 1}); err != nil {
			w.t.Fatal(err)
		}
		for range 2 {
			w.host.send(w.t.Context(), w.history.push(repository, "main", rule))
		}
		w.drain()
	}
}

// All replicas are killed at once, and reconcile each other's calls.
func TestKillAll(t *testing.T) {
	t.Parallel()
	const processes = 3
	w := newWorld(t, shared.Database(t), processes, lagging())
	w.fault(lostAnswers(0.3, 0.05)...)
	w.load(func() {
		time.Sleep(rand.N(1200 * time.Millisecond))
		for i := range processes {
			w.fleet.kill(i)
		}
		for i := range processes {
			w.fleet.start(i)
		}
	})
	w.report(w.settle(), "all 3 killed at once")
}
