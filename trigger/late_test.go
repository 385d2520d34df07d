package trigger_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"buildbridge/trigger"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// slow is a service whose answers arrive when the gate opens.
type slow struct {
	trigger.Service
	gate chan struct{}
}

func (s slow) RunJob(ctx context.Context, body []byte) (string, error) {
	number, err := s.Service.RunJob(ctx, body)
	select {
	case <-s.gate:
	case <-ctx.Done():
	}
	return number, err
}

// An answer comes after the lease ended, and another process has decided about the build: it was
// started, whatever that process decided.
func TestAnswerThatComesLate(t *testing.T) {
	t.Parallel()
	for phrase, decide := range map[string]func(change func(state store.State)){
		"it is looked for":                    func(change func(store.State)) { change(store.Unknown) },
		"it was not found":                    func(change func(store.State)) { change(store.Unknown); change(store.Waiting) },
		"it was not found, and is dead":       func(change func(store.State)) { change(store.Unknown); change(store.Dead) },
		"it was not found, and is superseded": func(change func(store.State)) { change(store.Waiting); change(store.Superseded) },
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newTestTrigger(t, settings{stopped: true})
			gate := make(chan struct{})
			b.SetRules([]trigger.Target{{Target: patient(), Service: slow{b.client(t, patient()), gate}}}, nil, nil)
			id := b.deliver(t, push(commitA))[0]
			var work sync.WaitGroup
			work.Go(func() {
				if _, err := b.Work(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
			b.await(t, id, store.Calling)
			decide(func(state store.State) {
				row := b.await(t, id, store.States()...)
				row.State = state
				if err := b.store.Save(t.Context(), row); err != nil {
					t.Fatal(err)
				}
			})
			close(gate)
			work.Wait()
			if got := b.await(t, id, store.States()...); got.State != store.Started || got.BuildNumber != "1" || got.Adopted {
				t.Errorf("got %s, number %q, adopted %v", got.State, got.BuildNumber, got.Adopted)
			}
			if _, err := b.Work(t.Context(), id); err != nil || b.sim.RunCount() != 1 {
				t.Errorf("%d builds were started, %v", b.sim.RunCount(), err)
			}
		})
	}
}

// A call ends without an answer after the lease ended: the process that went on with the build may
// have started it a second time, and that is logged.
func TestCallThatEndsLate(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		decide func(row *store.Build)
		told   bool
	}{
		"it is looked for": {decide: func(row *store.Build) { row.State = store.Unknown }},
		"it was started":   {decide: func(row *store.Build) { row.State, row.BuildNumber = store.Started, "7" }, told: true},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			log := new(said)
			b := newTestTrigger(t, settings{stopped: true, log: log})
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter})
			gate := make(chan struct{})
			b.SetRules([]trigger.Target{{Target: patient(), Service: slow{b.client(t, patient()), gate}}}, nil, nil)
			id := b.deliver(t, push(commitA))[0]
			var work sync.WaitGroup
			work.Go(func() {
				if _, err := b.Work(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
			row := b.await(t, id, store.Calling)
			c.decide(row)
			if err := b.store.Save(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			close(gate)
			work.Wait()
			if got := b.await(t, id, row.State); got.BuildNumber != row.BuildNumber {
				t.Errorf("got number %q, want %q", got.BuildNumber, row.BuildNumber)
			}
			if log.has("it may have been started twice") != c.told {
				t.Errorf("told: %t, want %t", !c.told, c.told)
			}
		})
	}
}

// They go on to change it while the answer is saved.
func TestAnswerThatComesLateAmongChanges(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	gate := make(chan struct{})
	b.SetRules([]trigger.Target{{Target: patient(), Service: slow{b.client(t, patient()), gate}}}, nil, nil)
	id := b.deliver(t, push(commitA))[0]
	var work sync.WaitGroup
	work.Go(func() {
		if _, err := b.Work(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
	row := b.await(t, id, store.Calling)
	work.Go(func() {
		for range 5 {
			row.State = store.Unknown
			if err := b.store.Save(t.Context(), row); errors.Is(err, store.ErrStale) {
				return // the answer was saved
			} else if err != nil {
				t.Error(err)
			}
		}
	})
	close(gate)
	work.Wait()
	if got := b.await(t, id, store.States()...); got.State != store.Started || got.BuildNumber != "1" {
		t.Errorf("got %s, number %q", got.State, got.BuildNumber)
	}
}
