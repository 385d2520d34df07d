package trigger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

func TestReplaySendsTheStoredBodyAgain(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Status: 403, Times: 1})
	p := push(commitA)
	p.Marker = "BRIDGE"
	id := b.deliver(t, p)[0]
	b.await(t, id, store.Dead)
	again, err := b.Replay(t.Context(), id, mapping.By{Actor: "ann"})
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
	// A person may repeat a build that was started, as often as they like.
	if again, err = b.Replay(t.Context(), again.ID, mapping.By{Actor: "ann"}); err != nil {
		t.Fatal(err)
	}
	if got = b.await(t, again.ID, store.Started); got.ReplayOf != id {
		t.Errorf("the replay of a replay of %s names %s", id, got.ReplayOf)
	}
	if n := b.sim.RunCount(); n != 2 {
		t.Errorf("%d builds were started, want 2", n)
	}
}

// A build of a replayed delivery waits for those before it, supersedes no other, and is
// superseded by none.
func TestReplayOfADeliveryKeepsTheOrder(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	newest := func(commit string) mapping.Build {
		p := push(commit)
		p.Concurrency.Replace = mapping.ReplaceWaiting
		return p
	}
	waiting := b.deliver(t, newest(commitA))[0]
	r, err := b.Accept(t.Context(), mapping.Delivery{ID: "again", Source: "github", ReplayOf: "old", ReceivedAt: time.Now()}, []mapping.Build{newest(commitB)})
	if err != nil {
		t.Fatal(err)
	}
	replay := b.await(t, r.Builds[0].ID, store.Waiting)
	if got := b.await(t, waiting, store.States()...); got.State != store.Waiting {
		t.Errorf("the build before the replay is %s", got.State)
	}
	if hold, err := b.store.Hold(t.Context(), replay, time.Now()); err != nil || hold != store.HoldOrder {
		t.Errorf("the replay is held: %q, %v; want %q", hold, err, store.HoldOrder)
	}
	b.deliver(t, newest(commitA))
	b.await(t, waiting, store.Superseded)
	if got := b.await(t, replay.ID, store.States()...); got.State != store.Waiting || got.ReplayOf != "" {
		t.Errorf("after a push the replay is %s, and it repeats %q", got.State, got.ReplayOf)
	}
}

func TestReplayOfWhatIsNotResolved(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	id := b.deliver(t, push(commitA))[0]
	if _, err := b.Replay(t.Context(), id, mapping.By{Actor: "ann"}); !errors.Is(err, store.ErrNotResolved) {
		t.Errorf("got %v", err)
	}
	if _, err := b.Replay(t.Context(), "none", mapping.By{Actor: "ann"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// Two people replay all dead builds at the same time: each build runs once, whoever is first.
func TestReplayOfAllByTwo(t *testing.T) {
	t.Parallel()
	shared := codeartstest.NewServer(codeartstest.Options{})
	t.Cleanup(shared.Close)
	s := settings{path: server.Database(t), shared: shared}
	two := []*testTrigger{newTestTrigger(t, s), newTestTrigger(t, s)}
	const builds = 40
	two[0].fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Status: 403, Times: builds})
	var pushes []mapping.Build
	for i := range builds {
		p := push(fmt.Sprintf("%040x", i+1))
		p.Ref = fmt.Sprint("refs/heads/", i)
		pushes = append(pushes, p)
	}
	for _, id := range two[0].deliver(t, pushes...) {
		two[0].await(t, id, store.Dead)
	}
	var (
		listed [2][]store.Replayable
		group  sync.WaitGroup
		mu     sync.Mutex
		again  []string
	)
	for i, b := range two {
		var err error
		if listed[i], _, _, err = b.store.ToReplay(t.Context(), store.BuildFilter{State: string(store.Dead)}); err != nil || len(listed[i]) != builds {
			t.Fatal(len(listed[i]), err)
		}
	}
	for i, b := range two {
		group.Go(func() {
			for _, r := range listed[i] {
				replay, err := b.ReplayListed(t.Context(), r, mapping.By{Actor: "ann"})
				switch {
				case err == nil:
					mu.Lock()
					again = append(again, replay.ID)
					mu.Unlock()
				case !errors.Is(err, store.ErrReplayed):
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, id := range again {
		two[0].await(t, id, store.Started)
	}
	if n := shared.RunCount(); len(again) != builds || n != builds {
		t.Errorf("%d were replayed, %d started, want %d", len(again), n, builds)
	}
}

func TestFullQueueAcceptsNothing(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true, maxWaiting: 2})
	b.deliver(t, push(commitA), push(commitB))
	_, err := b.Accept(t.Context(), mapping.Delivery{ID: "d", ReceivedAt: time.Now()}, []mapping.Build{push(commitA)})
	if !errors.Is(err, mapping.ErrFull) {
		t.Errorf("got %v", err)
	}
}
