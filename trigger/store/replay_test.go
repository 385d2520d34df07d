package store_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/store"
)

func failedIsReplayedOnce(t *testing.T, open func() *store.Store) {
	s := open()
	names := map[string]string{} // of builds, by id
	add := func(name, replayOf string, state store.State) {
		t.Helper()
		b := accept(t, s, func(b *store.Build) {
			b.Ref = "refs/heads/" + name
			if replayOf != "" {
				for id, of := range names {
					if of == replayOf {
						b.ReplayOf = id
					}
				}
			}
		})
		names[b.ID] = name
		if state != store.Waiting {
			save(t, s, b, state)
		}
	}
	add("never replayed", "", store.Dead)
	add("replayed with success", "", store.Dead)
	add("its replay", "replayed with success", store.Started)
	add("being replayed", "", store.Dead)
	add("the replay under way", "being replayed", store.Waiting)
	add("replayed in vain", "", store.Dead)
	add("the first try", "replayed in vain", store.Dead)
	add("the second try", "replayed in vain", store.Dead)
	add("failed after a success", "", store.Started)
	add("the failure", "failed after a success", store.Dead)
	add("waiting", "", store.Waiting)
	for phrase, c := range map[string]struct {
		filter store.BuildFilter
		want   []string
	}{
		"all that are dead": {store.BuildFilter{State: "dead"}, []string{"never replayed", "the second try", "the failure"}},
		"in pages":          {store.BuildFilter{State: "dead", Limit: 1}, []string{"never replayed", "the second try", "the failure"}},
		"one whose replays do not fit the filter": {
			store.BuildFilter{State: "dead", Ref: "refs/heads/replayed in vain"}, []string{"replayed in vain"},
		},
		"one whose replay was started and does not fit the filter": {
			store.BuildFilter{State: "dead", Ref: "refs/heads/replayed with success"}, nil,
		},
		"what was started, and not what waits": {
			store.BuildFilter{State: "started"}, []string{"its replay", "failed after a success"},
		},
		"of those that wait none": {store.BuildFilter{State: "waiting"}, nil},
	} {
		t.Run(phrase, func(t *testing.T) {
			var got []string
			for before := len(c.want); ; {
				ids, left, next, err := s.ToReplay(t.Context(), c.filter)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range ids {
					got = append(got, names[r.ID])
				}
				if before -= len(ids); int(left) != before || (next == "") != (left == 0) {
					t.Errorf("%d are left with cursor %q, want %d", left, next, before)
				}
				if next == "" {
					break
				}
				c.filter.After = next
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}

	_, _, next, err := s.ToReplay(t.Context(), store.BuildFilter{State: "dead", Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	add("failed again at once", "never replayed", store.Dead)
	ids, left, _, err := s.ToReplay(t.Context(), store.BuildFilter{State: "dead", After: next})
	if err != nil || left != 0 || len(ids) != 1 || names[ids[0].ID] != "the failure" {
		t.Errorf("the second page has %d, %d are left (%v); want what the first page left, and no replay that failed since", len(ids), left, err)
	}
	for _, cursor := range []string{"x", "1", "1-2-3", "-", " 1-2"} {
		if _, _, _, err := s.ToReplay(t.Context(), store.BuildFilter{After: cursor}); !errors.Is(err, store.ErrFilter) {
			t.Errorf("cursor %q: got %v", cursor, err)
		}
	}
}

func oneReplayAtATime(t *testing.T, open func() *store.Store) {
	s := open()
	dead := accept(t, s, nil)
	save(t, s, dead, store.Dead)
	replay := func(last string) (*store.Build, error) {
		b := build(delivery(newID()))
		b.ReplayOf, b.ByHand = dead.ID, true
		return b, s.AddReplay(t.Context(), b, last)
	}
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		first []*store.Build
	)
	for range 8 {
		group.Go(func() {
			b, err := replay("")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				first = append(first, b)
			} else if !errors.Is(err, store.ErrReplayed) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(first) != 1 {
		t.Fatalf("%d replays were committed", len(first))
	}
	if err := s.AddReplay(t.Context(), first[0], ""); err != nil {
		t.Errorf("the same one again, after an answer that was lost: %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("a replay that is refused makes the database ill: %v", err)
	}
	last := func() string {
		t.Helper()
		id, err := s.LastReplay(t.Context(), dead)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if _, err := replay(last()); !errors.Is(err, store.ErrReplayed) {
		t.Errorf("a second one while the first waits: %v", err)
	}
	save(t, s, read(t, s, first[0].ID), store.Started)
	if _, err := replay(""); !errors.Is(err, store.ErrReplayed) {
		t.Errorf("one that did not know of the first: %v", err)
	}
	if _, err := replay(last()); err != nil {
		t.Errorf("a second one when the first was started: %v", err)
	}
}

func oneDeliveryReplayAtATime(t *testing.T, open func() *store.Store) {
	s := open()
	old := delivery(newID())
	if _, err := s.Accept(t.Context(), old, []*store.Build{build(old)}); err != nil {
		t.Fatal(err)
	}
	replay := func() (of string) {
		t.Helper()
		kept, err := s.Delivery(t.Context(), old.ID)
		if err != nil {
			t.Fatal(err)
		}
		var (
			group sync.WaitGroup
			built atomic.Int32
		)
		for range 8 {
			group.Go(func() {
				d := delivery("replay:" + old.ID + ":" + kept.LastReplay)
				d.ReplayOf, d.DuplicateWindow = old.ID, time.Minute
				duplicateOf, err := s.Accept(t.Context(), d, []*store.Build{build(d)})
				if err != nil {
					t.Error(err)
				}
				if duplicateOf == "" {
					built.Add(1)
				}
			})
		}
		group.Wait()
		if built.Load() != 1 {
			t.Errorf("%d of them built", built.Load())
		}
		return kept.LastReplay
	}
	if last := replay(); last != "" {
		t.Errorf("before the first there was %s", last)
	}
	if last := replay(); last == "" {
		t.Error("the first is not known")
	}
}
