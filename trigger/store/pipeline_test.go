package store_test

import (
	"errors"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// A run has an id that is no number: it is claimed once all the same, and the last one by the time
// of its call is the last answered one.
func pipelineIsStored(t *testing.T, open func() *store.Store) {
	s := open()
	flow := func(b *store.Build) {
		b.Action, b.JobID, b.ProjectID, b.MaxRunning = mapping.ActionPipeline, "pipeline", "project", 1
	}
	start := func(run string, called time.Time, change func(b *store.Build)) *store.Build {
		t.Helper()
		b := accept(t, s, func(b *store.Build) { flow(b); change(b) })
		if hold := begin(t, s, b, called); hold != store.NoHold {
			t.Fatal(hold)
		}
		b.BuildNumber, b.QueueID, b.Seen, b.StartedAt, b.Result = run, "queue", b.CalledAt.UnixMicro(), called, store.Running
		save(t, s, b, store.Started)
		return b
	}
	now := time.Now().Truncate(time.Microsecond)
	other := func(b *store.Build) { b.Ref = "refs/heads/other" }
	last := start("ffff", now, func(*store.Build) {})
	start("0000", now.Add(-time.Minute), other)
	last.RanCommit, last.Console, last.WaitedAt, last.Message = "b0b", "https://console", now, store.WaitsForPerson+", in stage \"deploy\""
	if err := s.SaveResult(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	got := read(t, s, last.ID)
	if got.Action != mapping.ActionPipeline || got.ProjectID != "project" || got.QueueID != "queue" || got.RanCommit != "b0b" ||
		got.Console != "https://console" || !got.WaitedAt.Equal(now) || !got.WaitsForPerson() || got.Seen != now.UnixMicro() {
		t.Errorf("got %+v", got)
	}
	if got, err := s.WaitingForPersons(t.Context()); err != nil || len(got) != 1 || got["north"] != 1 {
		t.Errorf("builds that wait for a person: %v, %v", got, err)
	}
	if got, err := s.Answered(t.Context(), "north", "north", "pipeline"); err != nil || got == nil || got.BuildNumber != "ffff" {
		t.Errorf("the last answered run is %+v, %v", got, err)
	}
	held := accept(t, s, flow)
	if hold := begin(t, s, held, now); hold != store.HoldRunning {
		t.Errorf("the second run of the ref: %q", hold)
	}
	// A run that was found belongs to nobody else, until the service answers its id to another call.
	found := start("abcd", now, func(b *store.Build) { b.Ref = "refs/heads/found" })
	found.Adopted = true
	save(t, s, found, store.Started)
	second := accept(t, s, func(b *store.Build) { flow(b); b.Ref, b.Commit = "refs/heads/second", "c0c" })
	begin(t, s, second, now.Add(-time.Second))
	second.BuildNumber, second.Adopted, second.State = "abcd", true, store.Started
	if err := s.Save(t.Context(), second); !errors.Is(err, store.ErrClaimed) {
		t.Errorf("got %v", err)
	}
	second.Adopted = false
	save(t, s, second, store.Started)
	if got := read(t, s, found.ID); got.State != store.Unknown || got.ProjectID != "project" || got.BuildNumber != "" || got.QueueID != "" {
		t.Errorf("got %+v", got)
	}

	// One that was found is certainly ours: a newer one replaces it, and does not wait for it.
	replaces := func(b *store.Build) {
		flow(b)
		b.Ref, b.Commit, b.ReplaceRunning, b.Newest = "refs/heads/replaced", "d0d", true, true
	}
	adopted := accept(t, s, replaces)
	begin(t, s, adopted, now)
	adopted.BuildNumber, adopted.Adopted, adopted.Result = "eeee", true, store.Running
	save(t, s, adopted, store.Started)
	newer := accept(t, s, replaces)
	if hold := begin(t, s, newer, now); hold != store.NoHold {
		t.Fatal(hold)
	}
	newer.BuildNumber, newer.Result = "dddd", store.Running
	save(t, s, newer, store.Started)
	if got := read(t, s, adopted.ID); newer.Replaced != 1 || got.Stop == "" || got.SupersededBy != newer.ID {
		t.Errorf("%d are replaced: %+v", newer.Replaced, got)
	}
}
