package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// Commits of a branch.
var (
	c0, c1, c2, c3 = strings.Repeat("0a", 20), strings.Repeat("1a", 20), strings.Repeat("2a", 20), strings.Repeat("3a", 20) //nolint:gochecknoglobals // constants
)

const main = "refs/heads/main"

// looked gives acme/shop after a look at a branch that was at c0, and is at a commit now.
func looked(t *testing.T, s *store.Store, commit string) *store.MissedRef {
	t.Helper()
	r := takeRepository(t, s)
	if r.LookedAt.IsZero() {
		r.Known = []uint64{store.RefDigest(main, c0)}
	}
	m := store.NewMissedRef(r, main, commit, time.Now())
	r.Known, r.LookedAt = nil, time.Now()
	if err := s.SaveLook(t.Context(), &store.Look{Repository: r, Found: []*store.MissedRef{m}}, 0); err != nil {
		t.Fatal(err)
	}
	return findMissed(t, s)
}

func takeRepository(t *testing.T, s *store.Store) *store.Repository {
	t.Helper()
	if err := s.SetRepositories(t.Context(), "github", []string{"acme/shop"}, time.Hour, 0); err != nil {
		t.Fatal(err)
	}
	due, err := s.DueRepositories(t.Context(), "github", 10)
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	return due[0]
}

// findMissed is nil if there is none.
func findMissed(t *testing.T, s *store.Store) *store.MissedRef {
	t.Helper()
	all, err := s.MissedOf(t.Context(), "github", "acme/shop")
	if err != nil || len(all) > 1 {
		t.Fatal(all, err)
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// pushed is a delivery of a push with one build, from a source that catches up.
func pushed(commit, before string) (*store.Delivery, *store.Build) {
	d := delivery(newID())
	d.CatchUp, d.Commit = true, commit
	d.Refs = []store.RefChange{{Repository: "acme/shop", Ref: main, Commit: commit, Before: before}}
	b := build(d)
	b.Commit = commit
	return d, b
}

// catchUp builds a missed push.
func catchUp(t *testing.T, s *store.Store, m *store.MissedRef) (*store.Build, error) {
	t.Helper()
	d, b := pushed(m.Commit, "")
	d.CatchUp, d.Missed, d.Origin, b.Origin, d.DuplicateKey = false, m, mapping.OriginCatchUp, mapping.OriginCatchUp, ""
	_, err := s.Accept(t.Context(), d, []*store.Build{b})
	return b, err
}

// missed is what the statements of a late delivery need.
func missed(t *testing.T, s *store.Store) {
	t.Helper()
	if _, err := catchUp(t, s, looked(t, s, c2)); err != nil {
		t.Fatal(err)
	}
	for _, commit := range []string{c1, c2, c3} {
		d, b := pushed(commit, c0)
		if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
			t.Fatal(err)
		}
	}
}

func lateIsSuperseded(t *testing.T, open func() *store.Store) {
	type push struct {
		commit, before string
		change         func(d *store.Delivery, b *store.Build)
		built          bool // else it is superseded by the build of catch-up
	}
	otherRule := func(_ *store.Delivery, b *store.Build) { b.Rule = "docs" }
	spelled := func(d *store.Delivery, b *store.Build) { b.Repository, d.Refs[0].Repository = "Acme/Shop", "Acme/Shop" }
	byHand := func(d *store.Delivery, b *store.Build) { d.ReplayOf, b.ByHand = newID(), true }
	for name, pushes := range map[string][]push{
		"the delivery comes late":                           {{c2, c1, nil, false}},
		"so do those before":                                {{c1, c0, nil, false}, {c2, c1, nil, false}},
		"it comes twice":                                    {{c2, c1, nil, false}, {c2, c1, nil, false}},
		"its host spells the repository in another way":     {{c2, c1, spelled, false}},
		"its files match another rule":                      {{c2, c1, otherRule, true}, {c2, c1, nil, false}},
		"a person replays it":                               {{c2, c1, byHand, true}, {c2, c1, nil, false}},
		"the branch moves on":                               {{c3, c2, nil, true}},
		"the host does not say where it was before":         {{c1, "", nil, true}, {c2, "", nil, true}},
		"the branch moves on, and is set back":              {{c3, c2, nil, true}, {c2, c3, nil, true}},
		"the branch moves on from a commit that nobody saw": {{c3, c1, nil, true}, {c2, c3, nil, true}},
		"the branch is set back to where it was":            {{c0, c2, nil, true}, {c2, c0, nil, true}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open()
			defer s.Close()
			m := looked(t, s, c2)
			caught, err := catchUp(t, s, m)
			if err != nil {
				t.Fatal(err)
			}
			defer forgetAll(t, s)
			for _, p := range pushes {
				d, b := pushed(p.commit, p.before)
				if p.change != nil {
					p.change(d, b)
				}
				if of, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil || of != "" {
					t.Fatal(of, err)
				}
				got := read(t, s, b.ID)
				if p.built {
					if got.State != store.Waiting || got.SupersededBy != "" {
						t.Errorf("commit %.2s is %s (%s), want waiting", p.commit, got.State, got.Reason)
					}
					continue
				}
				if got.State != store.Superseded || got.SupersededBy != caught.ID || !strings.Contains(got.Reason, "built already by catch-up, as build "+caught.ID) {
					t.Errorf("commit %.2s is %s by %q (%s)", p.commit, got.State, got.SupersededBy, got.Reason)
				}
			}
		})
	}
}

// forgetAll makes the row of the branch go, for the next case on the same database.
func forgetAll(t *testing.T, s *store.Store) {
	t.Helper()
	r := takeRepository(t, s)
	l := &store.Look{Repository: r}
	if m := findMissed(t, s); m != nil {
		l.Gone = append(l.Gone, m)
	}
	r.LookedAt = time.Time{}
	if err := s.SaveLook(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}
}

func missedIsBuiltOnce(t *testing.T, open func() *store.Store) {
	s := open()
	m := looked(t, s, c2)
	d, b := pushed(c2, c1)
	if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil { // in time, after all
		t.Fatal(err)
	}
	if got := read(t, s, b.ID); got.State != store.Waiting {
		t.Errorf("it is %s: %s", got.State, got.Reason)
	}
	if _, err := catchUp(t, s, m); !errors.Is(err, store.ErrStale) {
		t.Errorf("its delivery came, and it is built again: %v", err)
	}
	if findMissed(t, s) != nil {
		t.Error("it counts as missed")
	}

	m = looked(t, s, c2)
	d, b = pushed(c2, c1)
	b.Repository, d.Refs[0].Repository = "Acme/Shop", "Acme/Shop" // as its host spells it
	if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
		t.Fatal(err)
	}
	if _, err := catchUp(t, s, m); !errors.Is(err, store.ErrStale) {
		t.Errorf("its delivery came, and it is built again: %v", err)
	}

	m = looked(t, s, c3)
	results := make(chan error)
	for range 8 {
		go func() {
			_, err := catchUp(t, s, m)
			results <- err
		}()
	}
	built := 0
	for range 8 {
		if err := <-results; err == nil {
			built++
		} else if !errors.Is(err, store.ErrStale) {
			t.Error(err)
		}
	}
	if built != 1 {
		t.Errorf("built %d times", built)
	}
}

// While a look still reads the refs, or builds, the ref moves on, and that push is delivered.
func missedIsNotBuiltAfterANewer(t *testing.T, open func() *store.Store) {
	s := open()
	m := looked(t, s, c2)
	d, b := pushed(c3, c2)
	if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
		t.Fatal(err)
	}
	if _, err := catchUp(t, s, m); !errors.Is(err, store.ErrStale) {
		t.Errorf("an older push is built after a newer one: %v", err)
	}
	// It was an older push that was late: the next look finds the newest again.
	m = looked(t, s, c2)
	if m.Commit != c2 || !m.WasAt(c0) || !m.WasAt(c3) {
		t.Errorf("got %+v", m)
	}
	if _, err := catchUp(t, s, m); err != nil {
		t.Fatal(err)
	}
	d, b = pushed(c1, c0)
	if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, b.ID); got.State != store.Superseded {
		t.Errorf("an older push is built after a newer one: %s", got.State)
	}
}

// Of the delivery of a push and its build by catch-up, at the same moment, one is built.
func lateAtTheSameMoment(t *testing.T, open func() *store.Store) {
	s := open()
	for range 20 {
		m := looked(t, s, c2)
		d, b := pushed(c2, c1)
		done := make(chan error)
		go func() {
			_, err := s.Accept(t.Context(), d, []*store.Build{b})
			done <- err
		}()
		_, caught := catchUp(t, s, m)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if caught != nil && !errors.Is(caught, store.ErrStale) {
			t.Fatal(caught)
		}
		if got := read(t, s, b.ID); (got.State == store.Waiting) == (caught == nil) {
			t.Fatalf("the delivery's build is %s, and catch-up says %v", got.State, caught)
		}
		forgetAll(t, s)
	}
}

func deadIsNotBuilt(t *testing.T, open func() *store.Store) {
	s := open()
	caught, err := catchUp(t, s, looked(t, s, c2))
	if err != nil {
		t.Fatal(err)
	}
	caught = read(t, s, caught.ID)
	caught.State = store.Dead
	if err := s.Save(t.Context(), caught); err != nil {
		t.Fatal(err)
	}
	d, b := pushed(c2, c1)
	if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, b.ID); got.State != store.Waiting {
		t.Errorf("it is %s: %s", got.State, got.Reason)
	}
}

func repositoriesAreSet(t *testing.T, open func() *store.Store) {
	s := open()
	set := func(names ...string) {
		t.Helper()
		if err := s.SetRepositories(t.Context(), "github", names, time.Hour, 0); err != nil {
			t.Fatal(err)
		}
	}
	due := func(n int) []*store.Repository {
		t.Helper()
		due, err := s.DueRepositories(t.Context(), "github", 10)
		if err != nil || len(due) != n {
			t.Fatalf("%d are due, want %d: %v", len(due), n, err)
		}
		return due
	}
	set("acme/a", "acme/B")
	both := due(2)
	due(0) // they are taken
	if err := s.SetRepositories(t.Context(), "github", []string{"acme/a", "acme/B"}, time.Second, 0); err != nil {
		t.Fatal(err)
	}
	due(0) // still, though their leases are longer than the interval
	both[0].Known, both[0].LookedAt = []uint64{1, 2}, time.Now()
	for _, r := range both {
		if err := s.SaveLook(t.Context(), &store.Look{Repository: r}, 3*time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveLook(t.Context(), &store.Look{Repository: r}, 0); !errors.Is(err, store.ErrStale) {
			t.Errorf("saved twice: %v", err)
		}
	}
	for part, want := range map[string][]string{"ME/b": {"acme/B"}, "me": {"acme/B", "acme/a"}, "%": nil, "_": nil, `\`: nil, "c/x": nil} {
		like, err := s.RepositoriesLike(t.Context(), part, 10)
		if slices.Sort(like); err != nil || !slices.Equal(like, want) {
			t.Errorf("like %s: %q, %v", part, like, err)
		}
	}
	if one, err := s.RepositoriesLike(t.Context(), "acme", 1); err != nil || len(one) != 1 {
		t.Error(one, err)
	}
	set("acme/a", "acme/b") // their interval is an hour now, and the host spells one in another way
	for _, r := range due(2) {
		if r.Name != both[0].Name && r.Name != "acme/b" && r.Name != "acme/a" {
			t.Errorf("it is called %s", r.Name)
		}
		if strings.EqualFold(r.Name, both[0].Name) && len(r.Known) != 2 {
			t.Errorf("%v is known of %s", r.Known, r.Name)
		}
	}
	s.Close()
	s = open() // another process: the first was killed while it looked
	set("acme/a", "acme/b")
	due(2)
	set() // none
	due(0)
	set("acme/a", "acme/b")
	due(2)
	set()
	if _, err := s.Prune(t.Context(), store.Retention{}, time.Now().Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Repositories(t.Context()); err != nil || len(all) != 0 {
		t.Error(all, err)
	}
}

func namedByDeliveries(t *testing.T, open func() *store.Store) {
	s := open()
	began := time.Now()
	d, b := pushed(c1, c0)
	d.Refs = append(d.Refs, store.RefChange{Repository: "acme/shop", Ref: "refs/heads/dev", Commit: c2})
	if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
		t.Fatal(err)
	}
	ignored := delivery(newID())
	ignored.Outcome, ignored.Ref, ignored.Commit = store.Ignored, "refs/tags/v1", ""
	s.LogIgnored(ignored)
	found := delivery(newID())
	found.Outcome, found.Origin, found.Ref, found.Commit = store.Ignored, mapping.OriginCatchUp, main, c3
	s.LogIgnored(found)
	await(t, "the ignored log is written", func() bool { return second(s.Delivery(t.Context(), found.ID)) == nil })
	for _, since := range []time.Time{began.Add(-time.Minute), began.Add(time.Hour)} {
		named := map[uint64]bool{}
		if err := s.NamedSince(t.Context(), "github", "acme/shop", since, func(d uint64) { named[d] = true }); err != nil {
			t.Fatal(err)
		}
		want := since.Before(began)
		if named[store.RefDigest(main, c1)] != want || named[store.RefDigest("refs/heads/dev", c2)] != want || named[store.RefDigest("refs/tags/v1", "")] != want {
			t.Errorf("since %s: %v", since, named)
		}
		if named[store.RefDigest(main, c3)] {
			t.Error("what catch-up has found counts as a delivery")
		}
	}
	list, _, err := s.Deliveries(t.Context(), store.DeliveryFilter{Origin: "catch_up"})
	if err != nil || len(list) != 1 || list[0].ID != found.ID {
		t.Error(list, err)
	}
	if pairs, next, err := s.Delivered(t.Context(), -1, 100); err != nil || len(pairs) != 1 || next < 3 {
		t.Error(pairs, next, err)
	}
}

func missedIsListed(t *testing.T, open func() *store.Store) {
	s := open()
	m := looked(t, s, c2)
	list := func() []*store.MissedRef {
		t.Helper()
		all, _, err := s.Missed(t.Context(), store.MissedFilter{Source: "github"})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := list(); len(got) != 0 {
		t.Errorf("a delivery may still come: %v", got)
	}
	m.MissedAt, m.Delivery = time.Now(), newID()
	if err := s.SaveLook(t.Context(), &store.Look{Repository: takeRepository(t, s), Missed: []*store.MissedRef{m}}, 0); err != nil {
		t.Fatal(err)
	}
	if got := list(); len(got) != 1 || got[0].Delivery != m.Delivery || got[0].Commit != c2 {
		t.Errorf("got %v", got)
	}
	if n, err := s.CountMissed(t.Context()); err != nil || n["github"] != 1 {
		t.Error(n, err)
	}
	if _, err := s.Prune(t.Context(), store.Retention{Deliveries: time.Hour}, time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := list(); len(got) != 0 {
		t.Errorf("kept for ever: %v", got)
	}
}
