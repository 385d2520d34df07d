package store_test

import (
	"errors"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

func oldIsForgotten(t *testing.T, open func() *store.Store) {
	s := open()
	old := func(b *store.Build) { b.ReceivedAt = b.ReceivedAt.Add(-100 * time.Hour) }
	waiting := accept(t, s, old)
	done := accept(t, s, func(b *store.Build) { old(b); b.Ref = "refs/heads/done" })
	save(t, s, done, store.Started)
	recent := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/recent" })
	save(t, s, recent, store.Started)
	prune := func(r store.Retention, now time.Time) {
		t.Helper()
		for {
			n, err := s.Prune(t.Context(), r, now)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
		}
	}
	prune(store.Retention{}, time.Now().Add(1000*time.Hour)) // for ever
	prune(store.Retention{Builds: 50 * time.Hour, Deliveries: time.Hour}, time.Now())
	for b, want := range map[*store.Build]bool{waiting: true, done: false, recent: true} {
		if _, err := s.Build(t.Context(), b.ID); errors.Is(err, store.ErrNotFound) == want {
			t.Errorf("%s: %v", b.Ref, err)
		}
	}
	later := time.Now().Add(60 * time.Hour)
	prune(store.Retention{Bodies: 10 * time.Hour, Deliveries: time.Hour, Builds: 50 * time.Hour}, later)
	if d, err := s.Delivery(t.Context(), waiting.Delivery); err != nil || len(d.Body) == 0 {
		t.Errorf("the delivery of a build that waits lost its body: %v", err)
	}
	if _, err := s.Delivery(t.Context(), done.Delivery); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	save(t, s, waiting, store.Dead)
	prune(store.Retention{Bodies: 10 * time.Hour}, later)
	if d, err := s.Delivery(t.Context(), waiting.Delivery); err != nil || len(d.Body) != 0 {
		t.Errorf("got %v, %v", d, err)
	}
}

// Deliveries that built nothing do not stay as long as builds do.
func oldIgnoredIsForgotten(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now()
	kept := map[string]bool{}
	for id, age := range map[string]time.Duration{"old": 60 * time.Hour, "recent": 40 * time.Hour} {
		d := delivery(id)
		d.ID, d.Outcome, d.ReceivedAt = id, store.Ignored, now.Add(-age)
		s.LogIgnored(d)
		kept[id] = age < 50*time.Hour
	}
	built := delivery("built")
	built.ReceivedAt = now.Add(-60 * time.Hour)
	if of, err := s.Accept(t.Context(), built, []*store.Build{build(built)}); err != nil || of != "" {
		t.Fatal(of, err)
	}
	kept[built.ID] = true
	if err := s.Close(); err != nil { // writes what waits
		t.Fatal(err)
	}
	s = open()
	for n := int64(1); n > 0; {
		var err error
		if n, err = s.Prune(t.Context(), store.Retention{Deliveries: 50 * time.Hour, Builds: 90 * time.Hour}, now); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range kept {
		if _, err := s.Delivery(t.Context(), id); (err == nil) != want {
			t.Errorf("delivery %s: %v", id, err)
		}
	}
}
