package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/store"
)

// due takes builds that are due until all of these were taken, and returns all that were.
func due(t *testing.T, s *store.Store, want ...string) (got []string) {
	t.Helper()
	await(t, fmt.Sprintf("%v are due", want), func() bool {
		for _, target := range []string{"north", "south"} {
			builds, err := s.Due(t.Context(), target, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range builds {
				got = append(got, b.ID)
			}
		}
		return !slices.ContainsFunc(want, func(id string) bool { return !slices.Contains(got, id) })
	})
	return got
}

func workedAfterRestart(t *testing.T, open func() *store.Store) {
	s := open()
	waiting := accept(t, s, nil)
	calling := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/calling" })
	begin(t, s, calling, time.Now())
	due(t, s, waiting.ID) // the process dies before it does anything
	done := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/done" })
	begin(t, s, done, time.Now())
	done.BuildNumber = "1"
	save(t, s, done, store.Started)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	if s.Caller() == calling.Caller {
		t.Error("two processes have one name")
	}
	if got := due(t, s, waiting.ID, calling.ID); len(got) != 2 {
		t.Errorf("%d are due, want 2", len(got))
	}
	if got := read(t, s, calling.ID); got.State != store.Calling || got.Attempts != 1 {
		t.Errorf("got %+v", got)
	}
}

func queueIsCounted(t *testing.T, open func() *store.Store) {
	s := open()
	first := accept(t, s, nil)
	accept(t, s, nil)
	calling := accept(t, s, func(b *store.Build) { b.Target = "south" })
	begin(t, s, calling, time.Now())
	dead := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/dead" })
	save(t, s, dead, store.Dead)
	got, err := s.Queue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []store.QueueStat{
		{Target: "north", State: store.Waiting, Builds: 2, Oldest: first.ReceivedAt},
		{Target: "south", State: store.Calling, Builds: 1, Oldest: calling.ReceivedAt},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if used, free, err := s.Size(t.Context()); err != nil || used <= 0 || free == 0 {
		t.Errorf("got %d, %d, %v", used, free, err)
	}
}

// If a build is taken when the build that held it is resolved, nobody else takes it. And a call has half a
// lease at least, however late it begins.
func leaseStays(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now()
	expire := func(b *store.Build) {
		t.Helper()
		if err := store.MakeDue(t.Context(), s, b.ID); err != nil {
			t.Fatal(err)
		}
	}
	left := func(b *store.Build) {
		t.Helper()
		if left := time.Until(read(t, s, b.ID).DueAt); left < store.Lease/2-5*time.Second {
			t.Errorf("its lease ends in %s", left)
		}
	}
	first, next := accept(t, s, nil), accept(t, s, nil)
	due(t, s, first.ID, next.ID)
	begin(t, s, first, now)
	if hold := begin(t, s, next, now); hold != store.HoldOrder {
		t.Fatalf("got %q", hold)
	}
	expire(next)
	due(t, s, next.ID)
	save(t, s, first, store.Started)
	left(next)

	expire(next)
	if hold := begin(t, s, read(t, s, next.ID), now); hold != store.NoHold {
		t.Fatalf("got %q", hold)
	}
	left(next)
}
