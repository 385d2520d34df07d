package store_test

import (
	"errors"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

func save(t *testing.T, s *store.Store, b *store.Build, state store.State) {
	t.Helper()
	b.State = state
	if err := inTime(func() error { return s.Save(t.Context(), b) }); err != nil {
		t.Fatal(err)
	}
}

func oneIsStale(t *testing.T, open func() *store.Store) {
	s := open()
	one := accept(t, s, nil)
	two := read(t, s, one.ID)
	begin(t, s, one, time.Now())
	if _, err := s.BeginCall(t.Context(), two, time.Now()); !errors.Is(err, store.ErrStale) {
		t.Errorf("got %v", err)
	}
	two.State = store.Dead
	if err := s.Save(t.Context(), two); !errors.Is(err, store.ErrStale) {
		t.Errorf("got %v", err)
	}
	if got := read(t, s, one.ID); got.State != store.Calling {
		t.Errorf("got %s", got.State)
	}
}

func noTextIsSaved(t *testing.T, open func() *store.Store) {
	s := open()
	b := accept(t, s, nil)
	const bad = "a\x00b\xb4"
	b.Reason, b.BuildNumber = bad, bad
	b.Record(store.Attempt{Outcome: store.Started, Error: bad})
	save(t, s, b, store.Started)
	got := read(t, s, b.ID)
	if got.Reason != "ab\uFFFD" || got.BuildNumber != got.Reason || len(got.Log) != 1 {
		t.Errorf("got %q, %q, %+v", got.Reason, got.BuildNumber, got.Log)
	}
}
