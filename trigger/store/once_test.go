package store_test

import (
	"testing"
	"time"

	"buildbridge/trigger/store"
)

// A rule that says once: commit does not build a commit again.
func commitIsBuiltOnce(t *testing.T, open func() *store.Store) {
	type change = func(b *store.Build)
	for name, test := range map[string]struct {
		first  change // of the first build, beside once
		then   func(t *testing.T, s *store.Store, first *store.Build)
		second change
		built  bool // the second build waits too
	}{
		"the first one waits":           {},
		"it is of another branch":       {second: func(b *store.Build) { b.Ref = "refs/heads/release" }},
		"its host spells it otherwise":  {second: func(b *store.Build) { b.Repository = "Acme/Shop" }},
		"a call may have started it":    {then: func(t *testing.T, s *store.Store, b *store.Build) { t.Helper(); begin(t, s, b, time.Now()) }},
		"it was started and has failed": {then: ended(store.Failure, time.Hour)},
		"it failed two days ago":        {then: ended(store.Failure, 48*time.Hour), built: true},
		"it succeeded two days ago":     {then: ended(store.Success, 48*time.Hour)},
		"it is dead":                    {first: func(b *store.Build) { b.State = store.Dead }, built: true},
		"the rule did not say so then":  {first: func(b *store.Build) { b.Once = false }, built: true},
		"another rule":                  {second: func(b *store.Build) { b.Rule = "docs" }, built: true},
		"another job":                   {second: func(b *store.Build) { b.JobID = "job2" }, built: true},
		"another target":                {second: func(b *store.Build) { b.Target = "south" }, built: true},
		"another repository":            {second: func(b *store.Build) { b.Repository = "acme/pay" }, built: true},
		"another commit":                {second: func(b *store.Build) { b.Commit = c1 }, built: true},
		"a person asks for it":          {second: func(b *store.Build) { b.ByHand = true }, built: true},
		"a tag is always built": {
			first:  func(b *store.Build) { b.Tag, b.Commit, b.TagCommit = "v1", "", c1 },
			second: func(b *store.Build) { b.Tag, b.Commit, b.TagCommit = "v1", "", c1 }, built: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open()
			defer s.Close()
			job := newID() // the other cases are in the same database
			with := func(c change) change {
				return func(b *store.Build) {
					b.Once, b.JobID = true, job
					if c != nil {
						c(b)
					}
				}
			}
			first := accept(t, s, with(test.first))
			if test.then != nil {
				test.then(t, s, first)
			}
			second := accept(t, s, with(test.second))
			switch want := store.OnceReason + first.ID; {
			case test.built && second.State != store.Waiting,
				!test.built && (second.State != store.Superseded || second.SupersededBy != first.ID || second.Reason != want || !second.DueAt.IsZero()):
				t.Errorf("%s by %q: %q", second.State, second.SupersededBy, second.Reason)
			}
		})
	}
}

// ended makes a build one that was started so long ago, and has a result.
func ended(result store.Result, ago time.Duration) func(t *testing.T, s *store.Store, b *store.Build) {
	return func(t *testing.T, s *store.Store, b *store.Build) {
		t.Helper()
		begin(t, s, b, time.Now())
		b.BuildNumber, b.Result, b.StartedAt = "1", store.Running, time.Now().Add(-ago)
		save(t, s, b, store.Started)
		b = read(t, s, b.ID)
		b.Result, b.EndedAt = result, time.Now()
		if err := s.SaveResult(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// A build on which one of another branch relies is not replaced by a newer push of its own.
func sharedIsNotReplaced(t *testing.T, open func() *store.Store) {
	s := open()
	defer s.Close()
	newest := func(ref, commit string) func(b *store.Build) {
		return func(b *store.Build) {
			b.Once, b.Newest, b.ReplaceRunning, b.Ref, b.Commit = true, true, true, ref, commit
		}
	}
	first := accept(t, s, newest(main, c1))
	other := accept(t, s, newest("refs/heads/release", c1))
	next := accept(t, s, newest(main, c2))
	if got := read(t, s, first.ID); other.SupersededBy != first.ID || got.State != store.Waiting || next.State != store.Waiting {
		t.Fatalf("the other branch has no build of its own (by %q), and the one that it relies on is %s, the next %s",
			other.SupersededBy, got.State, next.State)
	}
	begin(t, s, first, time.Now())
	first.BuildNumber, first.Result, first.StartedAt = "1", store.Running, time.Now()
	save(t, s, first, store.Started)
	begin(t, s, next, time.Now())
	next.BuildNumber, next.Result, next.StartedAt = "2", store.Running, time.Now()
	save(t, s, next, store.Started)
	if got := read(t, s, first.ID); got.Stop != "" {
		t.Errorf("the build that another branch relies on is to be stopped: %s", got.Stop)
	}
}

// A build that a newer push replaces while it runs is none on which another one relies: the commit
// would not be built.
func replacedIsNotRelied(t *testing.T, open func() *store.Store) {
	s := open()
	defer s.Close()
	newest := func(ref, commit string) func(b *store.Build) {
		return func(b *store.Build) {
			b.Once, b.Newest, b.ReplaceRunning, b.Ref, b.Commit = true, true, true, ref, commit
		}
	}
	runs := func(number string, b *store.Build) {
		begin(t, s, b, time.Now())
		b.BuildNumber, b.Result, b.StartedAt = number, store.Running, time.Now()
		save(t, s, b, store.Started)
	}
	first, next := accept(t, s, newest(main, c1)), (*store.Build)(nil)
	runs("1", first)
	next = accept(t, s, newest(main, c2))
	runs("2", next)
	if got := read(t, s, first.ID); got.Stop == "" {
		t.Fatal("the newer build has not replaced the one that runs")
	}
	if other := accept(t, s, newest("refs/heads/release", c1)); other.State != store.Waiting {
		t.Errorf("the other branch is %s by %q, which is to be stopped", other.State, other.SupersededBy)
	}
}

// Two branches at one commit in one delivery are one build; two jobs of one branch stay.
func onceInADelivery(t *testing.T, open func() *store.Store) {
	s := open()
	defer s.Close()
	d := delivery(newID())
	var builds []*store.Build
	for _, ref := range []string{main, main, "refs/heads/release"} {
		b := build(d)
		b.Once, b.Newest, b.Ref = true, true, ref
		builds = append(builds, b)
	}
	if _, err := s.Accept(t.Context(), d, builds); err != nil {
		t.Fatal(err)
	}
	next := accept(t, s, func(b *store.Build) { b.Once, b.Newest, b.Commit = true, true, c1 })
	for i, want := range []store.State{store.Waiting, store.Superseded, store.Superseded} {
		got := read(t, s, builds[i].ID)
		if got.State != want {
			t.Errorf("build %d is %s by %q, want %s", i, got.State, got.SupersededBy, want)
		}
	}
	if got := read(t, s, builds[1].ID); got.SupersededBy != next.ID {
		t.Errorf("the second job is superseded by %q, want the next push", got.SupersededBy)
	}
}

// What another replica replaces at this moment is none on which a build relies.
func TestReliesWhileAnotherReplicaReplaces(t *testing.T) {
	t.Parallel()
	open := opener(t, server.Database(t))
	s, other := open(), open()
	for range 20 {
		job := newID()
		with := func(ref, commit string) func(b *store.Build) {
			return func(b *store.Build) { b.Once, b.Newest, b.JobID, b.Ref, b.Commit = true, true, job, ref, commit }
		}
		first := accept(t, s, with(main, c1))
		replaced := make(chan struct{})
		go func() {
			defer close(replaced)
			d := delivery(newID())
			b := build(d)
			with(main, c2)(b)
			if err := inTime(func() error { return second(other.Accept(t.Context(), d, []*store.Build{b})) }); err != nil {
				t.Error(err)
			}
		}()
		relies := accept(t, s, with("refs/heads/release", c1))
		<-replaced
		if got := read(t, s, first.ID); relies.State == store.Superseded && got.State == store.Superseded {
			t.Fatalf("the commit is not built: the second build relies on %s, which is superseded", relies.SupersededBy)
		}
	}
}

// A branch that is set back to a commit that was built replaces what waits all the same.
func setBackReplaces(t *testing.T, open func() *store.Store) {
	s := open()
	defer s.Close()
	newest := func(commit string) func(b *store.Build) {
		return func(b *store.Build) { b.Once, b.Newest, b.Commit = true, true, commit }
	}
	first := accept(t, s, newest(c1))
	ended(store.Success, time.Minute)(t, s, first)
	waits := accept(t, s, newest(c2))
	back := accept(t, s, newest(c1))
	if got := read(t, s, waits.ID); back.State != store.Superseded || got.State != store.Superseded || got.SupersededBy != first.ID {
		t.Errorf("the commit before is %s, and what waited is %s by %q", back.State, got.State, got.SupersededBy)
	}
	// A delivery of the same commit while it waits leaves it.
	waits = accept(t, s, newest(c3))
	twice := accept(t, s, newest(c3))
	if got := read(t, s, waits.ID); got.State != store.Waiting || twice.SupersededBy != waits.ID {
		t.Errorf("it is %s, and the second %s by %q", got.State, twice.State, twice.SupersededBy)
	}
}

// Deliveries of one commit in one transaction, and from several replicas, make one build.
func onceAtTheSameMoment(t *testing.T, open func() *store.Store) {
	s := open()
	defer s.Close()
	const deliveries = 20
	built := make(chan string, deliveries)
	for range deliveries {
		go func() {
			d := delivery(newID())
			b := build(d)
			b.Once = true
			if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
				t.Error(err)
			}
			built <- b.SupersededBy
		}()
	}
	alone := 0
	for range deliveries {
		if <-built == "" {
			alone++
		}
	}
	if alone != 1 {
		t.Errorf("%d builds of one commit", alone)
	}
}
