package store_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

func cancel(t *testing.T, s *store.Store, b *store.Build) *store.Build {
	t.Helper()
	got, err := s.Cancel(t.Context(), b.ID, "ops", "wrong branch")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func waitingIsCanceled(t *testing.T, open func() *store.Store) {
	s := open()
	pauseOf(t, s, store.PauseTarget, "south")
	first, next := accept(t, s, nil), accept(t, s, nil)
	if hold := begin(t, s, next, time.Now()); hold != store.HoldOrder {
		t.Fatalf("got %q", hold)
	}
	paused := accept(t, s, func(b *store.Build) { b.Target = "south" })
	begin(t, s, paused, time.Now())
	for _, b := range []*store.Build{first, paused} {
		cancel(t, s, b)
		got := read(t, s, b.ID)
		if got.State != store.Dead || got.Reason != "canceled by ops: wrong branch" || !got.Canceled() || !got.PausedAt.IsZero() ||
			!got.DueAt.IsZero() || len(got.Log) != 1 || got.Log[0].Error != got.Reason {
			t.Errorf("got %+v", got)
		}
	}
	due(t, s, next.ID) // woken

	for state, says := range map[store.State]string{
		store.Calling: "may have been started", store.Unknown: "may have been started", store.Started: "it is started, and can be stopped",
		store.DryRun: "it is dry_run",
	} {
		b := accept(t, s, func(b *store.Build) { b.JobID = newID() })
		begin(t, s, b, time.Now())
		if b.Result = store.NoResult; state == store.Started {
			b.BuildNumber, b.Result = newID(), store.Running
		}
		if state != store.Calling {
			save(t, s, b, state)
		}
		if _, err := s.Cancel(t.Context(), b.ID, "ops", ""); !errors.Is(err, store.ErrNotWaiting) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", state, err)
		}
	}
	if _, err := s.Cancel(t.Context(), first.ID, "night", ""); !errors.Is(err, store.ErrNotWaiting) || !strings.Contains(err.Error(), "it was canceled by ops") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Cancel(t.Context(), newID(), "night", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	// A replay of all dead builds does not start what somebody canceled.
	if all, _, _, err := s.ToReplay(t.Context(), store.BuildFilter{State: "dead"}); err != nil || len(all) != 0 {
		t.Errorf("to be replayed are %v, %v", all, err)
	}
}

func oneCancels(t *testing.T, open func() *store.Store) {
	s := open()
	b := accept(t, s, nil)
	var (
		wg   sync.WaitGroup
		done atomic.Int32
	)
	for range 5 {
		wg.Go(func() {
			switch _, err := s.Cancel(t.Context(), b.ID, "ops", ""); {
			case err == nil:
				done.Add(1)
			case !errors.Is(err, store.ErrNotWaiting):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if done.Load() != 1 {
		t.Errorf("%d canceled it", done.Load())
	}
}

func cancelAndCall(t *testing.T, open func() *store.Store) {
	s := open()
	for range 10 {
		b := accept(t, s, func(b *store.Build) { b.JobID, b.Service = newID(), "north" })
		var (
			wg             sync.WaitGroup
			called, cancel error
		)
		wg.Go(func() { _, called = s.BeginCall(t.Context(), b, time.Now()) })
		wg.Go(func() { _, cancel = s.Cancel(t.Context(), b.ID, "ops", "") })
		wg.Wait()
		now := read(t, s, b.ID)
		switch {
		case called == nil && errors.Is(cancel, store.ErrNotWaiting) && now.State == store.Calling:
		case errors.Is(called, store.ErrStale) && cancel == nil && now.Canceled():
		default:
			t.Errorf("the call gets %v, the cancel %v, and it is %s", called, cancel, now.State)
		}
	}
}

func canceledAreListed(t *testing.T, open func() *store.Store) {
	s := open()
	var want []string
	for range 5 {
		want = append(want, accept(t, s, nil).ID)
	}
	accept(t, s, func(b *store.Build) { b.Rule = "other" })
	save(t, s, accept(t, s, nil), store.Dead)
	f := store.BuildFilter{Rule: "cart", Limit: 2}
	var got []string
	for {
		ids, left, next, err := s.ToCancel(t.Context(), f)
		if err != nil || left != int64(5-len(got)-len(ids)) {
			t.Fatal(left, err)
		}
		if got = append(got, ids...); next == "" {
			break
		}
		accept(t, s, nil) // it comes too late
		f.After = next
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, _, _, err := s.ToCancel(t.Context(), store.BuildFilter{After: "nonsense"}); !errors.Is(err, store.ErrFilter) {
		t.Errorf("got %v", err)
	}
}
