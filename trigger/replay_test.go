package trigger_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

func TestReplaySendsTheStoredBodyAgain(t *testing.T) {
	t.Parallel()
	b := newBridge(t, settings{})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Status: 403, Times: 1})
	p := push(commitA)
	p.Marker = "BRIDGE"
	id := b.deliver(t, p)[0]
	b.await(t, id, store.Dead)
	again, err := b.Replay(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got := b.await(t, again.ID, store.Started)
	if got.ReplayOf != id || got.Commit != commitA || got.Deadline.Before(time.Now()) {
		t.Errorf("got %+v", got)
	}
	var r codearts.RunJobRequest
	if err := json.Unmarshal(b.sim.Runs()[0].Body, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Parameters) != 2 || r.Parameters[1] != (mapping.Parameter{Name: "BRIDGE", Value: again.ID}) {
		t.Errorf("got %+v", r)
	}
	// A person may repeat what was started, as often as they like.
	if again, err = b.Replay(t.Context(), again.ID); err != nil {
		t.Fatal(err)
	}
	if got = b.await(t, again.ID, store.Started); got.ReplayOf != id {
		t.Errorf("the replay of a replay of %s names %s", id, got.ReplayOf)
	}
	if n := b.sim.RunCount(); n != 2 {
		t.Errorf("%d builds were started, want 2", n)
	}
}

func TestReplayOfWhatIsNotResolved(t *testing.T) {
	t.Parallel()
	b := newBridge(t, settings{stopped: true})
	id := b.deliver(t, push(commitA))[0]
	if _, err := b.Replay(t.Context(), id); !errors.Is(err, trigger.ErrNotResolved) {
		t.Errorf("got %v", err)
	}
	if _, err := b.Replay(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestFullQueueAcceptsNothing(t *testing.T) {
	t.Parallel()
	b := newBridge(t, settings{stopped: true, maxWaiting: 2})
	b.deliver(t, push(commitA), push(commitB))
	_, err := b.Accept(t.Context(), mapping.Delivery{ID: "d", ReceivedAt: time.Now()}, []mapping.Build{push(commitA)})
	if !errors.Is(err, trigger.ErrFull) {
		t.Errorf("got %v", err)
	}
}
