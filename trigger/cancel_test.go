package trigger_test

import (
	"errors"
	"testing"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// What is canceled is no dead build for those who watch: it has an outcome of its own.
func TestCancel(t *testing.T) {
	t.Parallel()
	log := &said{}
	b := newTestTrigger(t, settings{log: log})
	b.pause(t, store.Pause{Kind: store.PauseTarget, Name: "north"})
	id := b.deliver(t, push(commitA))[0]
	b.held(t, id)
	got, err := b.Cancel(t.Context(), id, mapping.By{Actor: "ops", Why: "wrong branch"})
	if err != nil || !got.Canceled() || got.Reason != "canceled by ops: wrong branch" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := b.Cancel(t.Context(), id, mapping.By{Actor: "night"}); !errors.Is(err, store.ErrNotWaiting) {
		t.Errorf("got %v", err)
	}
	if n := b.series(t, "buildbridge_builds_total"); n["canceled cart north"] != 1 || n["dead cart north"] != 0 {
		t.Errorf("got %v", n)
	}
	if !log.has(`msg="build is canceled"`) || !log.has("actor=ops") {
		t.Error("the log does not say so")
	}
	b.resume(t, store.PauseTarget, "north")
	if n := b.sim.RunCount(); n != 0 {
		t.Errorf("%d were called", n)
	}
}
