package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

func begin(t *testing.T, s *store.Store, b *store.Build, now time.Time) (hold store.Hold) {
	t.Helper()
	if b.Service == "" {
		b.Service = b.Target // each leads to one of its own
	}
	if err := inTime(func() (err error) { hold, err = s.BeginCall(t.Context(), b, now); return err }); err != nil {
		t.Fatal(err)
	}
	return hold
}

func orderingKeyKeepsOrder(t *testing.T, open func() *store.Store) {
	s := open()
	first, second, third := accept(t, s, nil), accept(t, s, nil), accept(t, s, nil)
	other := accept(t, s, func(b *store.Build) { b.Rule = "other" })
	replay := accept(t, s, func(b *store.Build) { b.ReplayOf, b.ByHand = newID(), true })
	now := time.Now()
	if hold := begin(t, s, second, now); hold != store.HoldOrder {
		t.Errorf("got %q", hold)
	}
	if hold := begin(t, s, third, now); hold != store.HoldOrder {
		t.Errorf("got %q", hold)
	}
	for _, free := range []*store.Build{other, replay, first} {
		if hold := begin(t, s, free, now); hold != store.NoHold {
			t.Errorf("got %q", hold)
		}
		free.BuildNumber = free.ID
		save(t, s, free, store.Started)
	}
	got := due(t, s, second.ID)
	if slices.Contains(got, third.ID) {
		t.Error("the third is due before the second is resolved")
	}
	second = read(t, s, second.ID)
	begin(t, s, second, now)
	save(t, s, second, store.Dead)
	due(t, s, third.ID)
}

func oneCallAtATime(t *testing.T, open func() *store.Store) {
	other := func(b *store.Build) { b.Ref, b.Commit = "refs/heads/other", strings.Repeat("b", 40) }
	for phrase, c := range map[string]struct {
		change func(b *store.Build)
		want   store.Hold
	}{
		"the same, for another rule":    {func(b *store.Build) { b.Rule = "twin" }, store.HoldCall},
		"another commit of the ref":     {func(b *store.Build) { b.Rule, b.Commit = "twin", strings.Repeat("b", 40) }, store.HoldCall},
		"the commit on another ref":     {func(b *store.Build) { b.Ref = "refs/heads/other" }, store.HoldCall},
		"another commit on another ref": {other, store.NoHold},
		"a tag":                         {func(b *store.Build) { b.Ref, b.Tag, b.Commit = "refs/tags/v1", "v1", "" }, store.NoHold},
		"another job":                   {func(b *store.Build) { b.JobID = "other" }, store.NoHold},
		"another service":               {func(b *store.Build) { b.Target = "south" }, store.NoHold},
		"another target of the service": {func(b *store.Build) { b.Target, b.Rule = "south", "twin" }, store.HoldCall},
	} {
		t.Run(phrase, func(t *testing.T) {
			s := open()
			one := accept(t, s, nil)
			two := accept(t, s, c.change)
			if strings.HasSuffix(phrase, "of the service") {
				two.Service = one.Target
			}
			begin(t, s, one, time.Now())
			if hold := begin(t, s, two, time.Now()); hold != c.want {
				t.Fatalf("got %q, want %q", hold, c.want)
			}
			if c.want == store.NoHold {
				leave(t, s, one, two)
				return
			}
			save(t, s, one, store.Unknown)
			two = read(t, s, two.ID)
			if hold, err := s.Hold(t.Context(), two, time.Now()); err != nil || hold != store.HoldCall {
				t.Errorf("got %q, %v", hold, err)
			}
			due(t, s, one.ID)
			save(t, s, one, store.Waiting) // not found: it may be called again, and so may the other
			due(t, s, one.ID, two.ID)
			leave(t, s, one, two)
		})
	}
}

// leave ends the use of a store, and leaves no build that would hold the next one.
func leave(t *testing.T, s *store.Store, builds ...*store.Build) {
	t.Helper()
	for _, b := range builds {
		save(t, s, read(t, s, b.ID), store.Dead)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func holdEnds(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now()
	accept(t, s, nil)
	held := accept(t, s, nil)
	if hold := begin(t, s, held, now); hold != store.HoldOrder {
		t.Errorf("got %q", hold)
	}
	later := now.Add(store.HoldFor + time.Second)
	if hold := begin(t, s, read(t, s, held.ID), later); hold != store.NoHold {
		t.Errorf("got %q", hold)
	}
}

func lostCallHolds(t *testing.T, open func() *store.Store) {
	tag := func(b *store.Build) { b.Ref, b.Tag = "refs/tags/v1", "v1" }
	for phrase, c := range map[string]struct {
		lost, held func(b *store.Build)
		want       store.Hold // after the hour
	}{
		"another commit of the ref":       {func(*store.Build) {}, func(b *store.Build) { b.Commit = strings.Repeat("b", 40) }, store.NoHold},
		"the same commit":                 {func(*store.Build) {}, func(b *store.Build) { b.Rule = "twin" }, store.HoldCall},
		"the same tag on another commit":  {tag, func(b *store.Build) { tag(b); b.Commit = strings.Repeat("b", 40) }, store.HoldCall},
		"the same tag of unknown commits": {func(b *store.Build) { tag(b); b.Commit = "" }, func(b *store.Build) { tag(b); b.Commit = "" }, store.HoldCall},
	} {
		t.Run(phrase, func(t *testing.T) {
			s := open()
			now := time.Now()
			lost := accept(t, s, c.lost)
			begin(t, s, lost, now)
			save(t, s, lost, store.Unknown)
			held := accept(t, s, func(b *store.Build) {
				c.held(b)
				b.ReplayOf, b.ByHand = newID(), true // waits for no turn
			})
			if hold := begin(t, s, held, now); hold != store.HoldCall {
				t.Errorf("got %q", hold)
			}
			if hold := begin(t, s, held, now.Add(store.HoldFor+time.Second)); hold != c.want {
				t.Errorf("after the hour: got %q, want %q", hold, c.want)
			}
			leave(t, s, lost, held)
		})
	}
}

// Builds that one call holds because of its ref, and another because of its commit, are woken by the
// first, and held again because of the second.
func waitsForTwo(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now()
	ref := accept(t, s, nil)
	commit := accept(t, s, func(b *store.Build) { b.Ref, b.Commit = "refs/heads/other", "c2" })
	begin(t, s, ref, now)
	begin(t, s, commit, now)
	var held []*store.Build
	for i := range 6 {
		held = append(held, accept(t, s, func(b *store.Build) {
			b.Rule, b.Commit = fmt.Sprint("rule", i), "c2"
			if i == 5 {
				b.Commit = "c3"
			}
		}))
		if hold := begin(t, s, held[i], now); hold != store.HoldCall {
			t.Fatalf("got %q", hold)
		}
	}
	save(t, s, ref, store.Started)
	for _, b := range held[:5] {
		begin(t, s, read(t, s, b.ID), now) // held by the commit now
	}
	if at := read(t, s, held[5].ID).DueAt; at.After(time.Now().Add(time.Minute)) { // where no other build wakes it
		t.Errorf("the last is due at %s", at)
	}
}
