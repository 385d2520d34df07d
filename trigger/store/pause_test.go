package store_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

func pauseOf(t *testing.T, s *store.Store, kind store.PauseKind, name string) *store.Pause {
	t.Helper()
	p := &store.Pause{Kind: kind, Name: name, Reason: "maintenance", Actor: "ops"}
	if before, err := s.Pause(t.Context(), p); err != nil || before != nil {
		t.Fatal(before, err)
	}
	return p
}

func endPause(t *testing.T, s *store.Store, p *store.Pause) {
	t.Helper()
	if _, err := s.EndPause(t.Context(), p.Kind, p.Name); err != nil {
		t.Fatal(err)
	}
}

// endHolds frees what is held, with rules in which nothing is paused.
func endHolds(t *testing.T, s *store.Store) int64 {
	t.Helper()
	n, err := s.EndHolds(t.Context(), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func pauseHolds(t *testing.T, open func() *store.Store) {
	for phrase, c := range map[string]struct {
		pause store.Pause
		says  string // "" if it is not about the build
	}{
		"all":                {store.Pause{Kind: store.PauseAll}, "everything is paused: maintenance"},
		"its target":         {store.Pause{Kind: store.PauseTarget, Name: "north"}, "target north is paused: maintenance"},
		"its rule":           {store.Pause{Kind: store.PauseRule, Name: "cart"}, "rule cart is paused: maintenance"},
		"its repository":     {store.Pause{Kind: store.PauseRepository, Name: "Acme/Shop"}, "repository acme/shop is paused: maintenance"},
		"another target":     {store.Pause{Kind: store.PauseTarget, Name: "cart"}, ""},
		"another rule":       {store.Pause{Kind: store.PauseRule, Name: "north"}, ""},
		"another repository": {store.Pause{Kind: store.PauseRepository, Name: "acme/shopping"}, ""},
	} {
		t.Run(phrase, func(t *testing.T) {
			s := open()
			p := pauseOf(t, s, c.pause.Kind, c.pause.Name)
			b := accept(t, s, func(b *store.Build) { b.ByHand = phrase == "its rule" })
			want := store.NoHold
			if c.says != "" {
				want = store.HoldPause
			}
			if hold := begin(t, s, b, time.Now()); hold != want {
				t.Fatalf("got %q", hold)
			}
			b = read(t, s, b.ID)
			if held := b.State == store.Waiting && b.Reason == c.says && !b.PausedAt.IsZero(); held != (c.says != "") {
				t.Errorf("got %+v", b)
			}
			if p.Holds(b.Target, b.Rule, b.Repository) != (c.says != "") {
				t.Error("it says something else")
			}
			all, err := s.Pauses(t.Context())
			if err != nil || len(all) != 1 || all[0].Name != strings.ToLower(c.pause.Name) || all[0].Actor != "ops" || time.Since(all[0].Since) > time.Minute {
				t.Errorf("got %+v, %v", all, err)
			}
			endPause(t, s, p)
			endHolds(t, s)
			leave(t, s, b)
		})
	}
}

func pauseKeepsOrder(t *testing.T, open func() *store.Store) {
	s := open()
	long := time.Now().UTC().Add(-3 * store.HoldFor).Truncate(time.Microsecond)
	var all []*store.Build
	for i := range 6 {
		all = append(all, accept(t, s, func(b *store.Build) {
			b.ReceivedAt = long.Add(time.Duration(i) * time.Minute)
			b.Deadline = b.ReceivedAt.Add(4 * store.HoldFor)
			if i%2 == 1 {
				b.Ref = "refs/heads/other"
			}
		}))
	}
	for _, b := range all { // in the rules
		b.Paused = "frozen"
		if hold := begin(t, s, b, time.Now()); hold != store.HoldPause {
			t.Fatalf("got %q", hold)
		}
	}
	if n, err := s.EndHolds(t.Context(), func(string) string { return "frozen" }); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	stats, err := s.Queue(t.Context())
	if err != nil || len(stats) != 1 || stats[0].Hold != store.HoldPause || stats[0].Builds != 6 {
		t.Errorf("got %+v, %v", stats, err)
	}
	if b := read(t, s, all[0].ID); b.Reason != "rule cart is paused in its file: frozen" || b.PausedAt.IsZero() {
		t.Errorf("got %+v", b)
	}
	before := read(t, s, all[0].ID)
	time.Sleep(10 * time.Millisecond) // what its deadline is later by
	if n := endHolds(t, s); n != 6 {
		t.Fatalf("%d go on", n)
	}
	after := read(t, s, all[0].ID)
	if later := after.Deadline.Sub(before.Deadline); later != after.ResumedAt.Sub(before.PausedAt) || later < 10*time.Millisecond {
		t.Errorf("its deadline is later by %s", later)
	}
	if !after.PausedAt.IsZero() || after.Reason != "" || !after.DueAt.Equal(after.ReceivedAt) {
		t.Errorf("got %+v", after)
	}
	if stats, err = s.Queue(t.Context()); err != nil || len(stats) != 1 || stats[0].Hold != store.NoHold || !stats[0].Oldest.After(long.Add(store.HoldFor)) {
		t.Errorf("got %+v, %v", stats, err)
	}

	first, err := s.Due(t.Context(), "north", 2) // in the order in which they came
	if err != nil || len(first) != 2 || first[0].ID != all[0].ID || first[1].ID != all[1].ID {
		t.Fatalf("got %+v, %v", first, err)
	}
	if hold := begin(t, s, read(t, s, all[2].ID), time.Now()); hold != store.HoldOrder { // although its delivery is old
		t.Errorf("got %q", hold)
	}
	begin(t, s, first[0], time.Now())
	first[0].BuildNumber = "1"
	save(t, s, first[0], store.Started)
	due(t, s, all[2].ID)
}

func pauseEndsByItself(t *testing.T, open func() *store.Store) {
	s := open()
	for _, p := range []*store.Pause{
		{Kind: store.PauseTarget, Name: "north", Reason: "short", Until: time.Now().Add(50 * time.Millisecond)},
		{Kind: store.PauseTarget, Name: "south", Reason: "long", Until: time.Now().Add(time.Hour)},
		{Kind: store.PauseRule, Name: "cart2", Reason: "for ever"},
	} {
		if _, err := s.Pause(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	b := accept(t, s, nil)
	begin(t, s, b, time.Now())
	if reason := read(t, s, b.ID).Reason; !strings.HasPrefix(reason, "target north is paused: short, until 20") {
		t.Errorf("got %q", reason)
	}
	await(t, "the first ends", func() bool {
		ended, err := s.EndPauses(t.Context())
		if err != nil || len(ended) > 1 || len(ended) == 1 && ended[0].Name != "north" {
			t.Fatal(ended, err)
		}
		return len(ended) == 1
	})
	if endHolds(t, s); !slices.Contains(due(t, s, b.ID), b.ID) {
		t.Error("it is not due")
	}
	if all, err := s.Pauses(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("got %+v, %v", all, err)
	}
	if _, err := s.EndPause(t.Context(), store.PauseTarget, "north"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func pauseIsChanged(t *testing.T, open func() *store.Store) {
	s := open()
	p := pauseOf(t, s, store.PauseTarget, "north")
	b := accept(t, s, nil)
	begin(t, s, b, time.Now())
	again := &store.Pause{Kind: store.PauseTarget, Name: "north", Reason: "it takes longer", Actor: "night"}
	before, err := s.Pause(t.Context(), again)
	if err != nil || before == nil || before.Reason != "maintenance" || before.Actor != "ops" || !again.Since.Equal(p.Since) {
		t.Fatalf("got %+v, %v", before, err)
	}
	if n := endHolds(t, s); n != 0 {
		t.Errorf("%d go on", n)
	}
	if got := read(t, s, b.ID); got.Reason != "target north is paused: it takes longer" || got.PausedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func pauseUnderAnother(t *testing.T, open func() *store.Store) {
	s := open()
	all, target := pauseOf(t, s, store.PauseAll, ""), pauseOf(t, s, store.PauseTarget, "north")
	north, south := accept(t, s, nil), accept(t, s, func(b *store.Build) { b.Target = "south" })
	begin(t, s, north, time.Now())
	begin(t, s, south, time.Now())
	since := read(t, s, north.ID).PausedAt
	endPause(t, s, all)
	if n := endHolds(t, s); n != 1 {
		t.Errorf("%d go on", n)
	}
	if got := read(t, s, north.ID); got.Reason != "target north is paused: maintenance" || !got.PausedAt.Equal(since) {
		t.Errorf("got %+v", got)
	}
	if hold := begin(t, s, read(t, s, south.ID), time.Now()); hold != store.NoHold {
		t.Errorf("got %q", hold)
	}
	endPause(t, s, target)
	if n := endHolds(t, s); n != 1 {
		t.Errorf("%d go on", n)
	}
}

// More than one page of builds is held, is never due, and goes on.
func heldDoNotChurn(t *testing.T, open func() *store.Store) {
	s := open()
	p := pauseOf(t, s, store.PauseTarget, "north")
	const many = 1200
	d := delivery(newID())
	var all []*store.Build
	for range many {
		b := build(d)
		b.JobID = newID()
		all = append(all, b)
	}
	if _, err := s.Accept(t.Context(), d, all); err != nil {
		t.Fatal(err)
	}
	await(t, "all are held", func() bool {
		taken, err := s.Due(t.Context(), "north", many)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, b := range taken {
			wg.Go(func() {
				if hold, err := s.BeginCall(t.Context(), b, time.Now()); err != nil || hold != store.HoldPause {
					t.Error(hold, err)
				}
			})
		}
		wg.Wait()
		stats, err := s.Queue(t.Context())
		return err == nil && len(stats) == 1 && stats[0].Hold == store.HoldPause && stats[0].Builds == many
	})
	if n, err := s.Recall(t.Context(), "north"); err != nil || n != 0 {
		t.Errorf("%d are called back, %v", n, err)
	}
	if taken, err := s.Due(t.Context(), "north", 10); err != nil || len(taken) != 0 {
		t.Errorf("%d are due, %v", len(taken), err)
	}
	b := read(t, s, all[0].ID)
	if n := endHolds(t, s); n != 0 || read(t, s, b.ID).DueAt != b.DueAt {
		t.Errorf("%d go on", n)
	}
	endPause(t, s, p)
	if n := endHolds(t, s); n != many {
		t.Errorf("%d go on", n)
	}
}

// After Pause has returned, no call begins.
func pauseAndCall(t *testing.T, open func() *store.Store) {
	s := open()
	var all []*store.Build
	for range 20 {
		all = append(all, accept(t, s, func(b *store.Build) { b.JobID, b.Service = newID(), "north" }))
	}
	var wg sync.WaitGroup
	for _, b := range all {
		wg.Go(func() {
			if _, err := s.BeginCall(t.Context(), b, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	pauseOf(t, s, store.PauseAll, "")
	paused := time.Now()
	wg.Wait()
	for _, b := range all {
		b = read(t, s, b.ID)
		if b.State == store.Waiting && b.PausedAt.IsZero() || b.State == store.Calling && b.CalledAt.After(paused) {
			t.Errorf("got %+v", b)
		}
	}
}

// A start by hand, and a replay of a delivery, waits for earlier builds and holds later ones. It
// supersedes none, and is neither superseded nor stopped.
func startKeepsOrder(t *testing.T, open func() *store.Store) {
	keepsOrder(t, open(), mapping.OriginManual)
}

func replayKeepsOrder(t *testing.T, open func() *store.Store) {
	keepsOrder(t, open(), mapping.OriginWebhook)
}

func keepsOrder(t *testing.T, s *store.Store, origin mapping.Origin) {
	t.Helper()
	now := time.Now()
	start := func(b *store.Build) {
		b.ByHand, b.Origin, b.Newest, b.ReplaceRunning = true, origin, true, true
	}
	runs := running(t, s, "1", func(b *store.Build) { b.MaxRunning = 1 })
	first := accept(t, s, nil)
	second := accept(t, s, start)
	if got := read(t, s, first.ID); got.State != store.Waiting {
		t.Fatalf("it superseded: %+v", got)
	}
	third := accept(t, s, func(b *store.Build) { b.Newest = true })
	if got := read(t, s, second.ID); got.State != store.Waiting {
		t.Fatalf("it was superseded: %+v", got)
	}
	if got := read(t, s, first.ID); got.SupersededBy != third.ID {
		t.Fatalf("the first is %+v", got)
	}
	if hold := begin(t, s, third, now); hold != store.HoldOrder {
		t.Errorf("the third: got %q", hold)
	}
	fourth := accept(t, s, func(b *store.Build) { start(b); b.MaxRunning = 1 })
	if hold := begin(t, s, read(t, s, fourth.ID), now); hold != store.HoldOrder {
		t.Errorf("the fourth: got %q", hold)
	}
	if hold := begin(t, s, second, now); hold != store.NoHold {
		t.Errorf("the second: got %q", hold)
	}
	second.BuildNumber, second.Result = "2", store.Running
	save(t, s, second, store.Started)
	if got := read(t, s, runs.ID); got.Stop != "" {
		t.Errorf("it stopped: %+v", got)
	}
	due(t, s, third.ID) // woken
	third = read(t, s, third.ID)
	third.ReplaceRunning = true
	begin(t, s, third, now)
	save(t, s, third, store.Dead)
	due(t, s, fourth.ID)
	if hold := begin(t, s, read(t, s, fourth.ID), now); hold != store.HoldRunning {
		t.Errorf("the fourth: got %q", hold)
	}
	replay := accept(t, s, func(b *store.Build) { start(b); b.ReplayOf = second.ID })
	if hold := begin(t, s, replay, now); hold != store.NoHold {
		t.Errorf("a replay: got %q", hold)
	}
}
