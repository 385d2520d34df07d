package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"buildbridge/trigger/store"
)

// reported is a build that waits and has a context; its delivery came this long ago.
func reported(t *testing.T, s *store.Store, age time.Duration, change func(b *store.Build)) *store.Build {
	t.Helper()
	return accept(t, s, func(b *store.Build) {
		b.Context, b.ReceivedAt = "ci/cart", b.ReceivedAt.Add(-age)
		if change != nil {
			change(b)
		}
	})
}

func saveAs(t *testing.T, s *store.Store, b *store.Build, state store.State) {
	t.Helper()
	b.State = state
	if err := s.Save(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// takeStatuses takes those that are due; what they are about, and what the host was told.
func takeStatuses(t *testing.T, s *store.Store) (taken []*store.Status, builds []string) {
	t.Helper()
	taken, err := s.DueStatuses(t.Context(), "github", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range taken {
		builds = append(builds, st.Build)
	}
	return taken, builds
}

// tell saves that the host was told a state of the build that a status is about.
func tell(t *testing.T, s *store.Store, st *store.Status, state string, wait time.Duration) error {
	t.Helper()
	st.Sent, st.SentBuild, st.Since = state, st.Build, time.Time{}
	return s.SaveStatus(t.Context(), st, wait)
}

func statusOf(t *testing.T, s *store.Store, b *store.Build) *store.Status {
	t.Helper()
	st, err := s.StatusOf(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func statusIsDue(t *testing.T, open func() *store.Store) {
	s := open()
	for phrase, c := range map[string]struct {
		age    time.Duration
		change func(b *store.Build)
		state  store.State
		in     time.Duration // -1 for never
	}{
		"it waits":               {state: store.Waiting, in: store.PendingAfter},
		"it waits for a while":   {age: 4 * time.Second, state: store.Waiting, in: store.PendingAfter - 4*time.Second},
		"it waits for long":      {age: time.Hour, state: store.Waiting},
		"it is dead":             {state: store.Dead},
		"it is not followed":     {age: time.Hour, state: store.Started, in: -1},
		"it has no context":      {age: time.Hour, change: func(b *store.Build) { b.Context = "" }, state: store.Dead, in: -1},
		"it has no commit":       {age: time.Hour, change: func(b *store.Build) { b.Commit, b.Tag = "", "v1" }, state: store.Dead, in: -1},
		"its tag is on a commit": {change: func(b *store.Build) { b.Commit, b.Tag, b.TagCommit = "", "v1", "c" }, state: store.Dead},
	} {
		begin := time.Now()
		b := reported(t, s, c.age, func(b *store.Build) {
			b.Repository = phrase
			if c.change != nil {
				c.change(b)
			}
		})
		if _, err := s.StatusOf(t.Context(), b); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: accepting it wrote a status: %v", phrase, err)
		}
		saveAs(t, s, b, c.state)
		st, err := s.StatusOf(t.Context(), b)
		if c.in < 0 {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: got %+v (%v), want no status", phrase, st, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(phrase, err)
		}
		in, took := st.DueAt.Sub(begin), time.Since(begin)
		if in < c.in-time.Second || in > c.in+took+time.Second || st.Build != b.ID || st.Source != "github" {
			t.Errorf("%s: got %+v, due in %s, want in %s", phrase, st, in, c.in)
		}
	}
	// A build that is dead on arrival, and one that is superseded after a status was begun.
	dead := reported(t, s, 0, func(b *store.Build) { b.State, b.Repository = store.Dead, "dead on arrival" })
	if st := statusOf(t, s, dead); time.Until(st.DueAt) > time.Second {
		t.Errorf("dead on arrival: got %+v", st)
	}
	old := reported(t, s, time.Hour, func(b *store.Build) { b.Repository = "superseded" })
	saveAs(t, s, old, store.Waiting)
	taken, _ := takeStatuses(t, s)
	for _, st := range taken {
		if err := tell(t, s, st, "pending", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	reported(t, s, 0, func(b *store.Build) { b.Repository, b.Newest, b.Commit = "superseded", true, "newer" })
	if _, builds := takeStatuses(t, s); !cmp.Equal(builds, []string{old.ID}) {
		t.Errorf("%v are due, want the superseded one, %s", builds, old.ID)
	}
}

func newestHasTheStatus(t *testing.T, open func() *store.Store) {
	s := open()
	older, newer := reported(t, s, time.Hour, nil), reported(t, s, 0, func(b *store.Build) { b.Ref = "refs/heads/twin" })
	saveAs(t, s, newer, store.Dead)
	taken, builds := takeStatuses(t, s)
	if !cmp.Equal(builds, []string{newer.ID}) {
		t.Fatalf("got %v", builds)
	}
	if err := tell(t, s, taken[0], "error", -1); err != nil {
		t.Fatal(err)
	}
	saveAs(t, s, older, store.Dead) // a late end
	if st := statusOf(t, s, older); st.Build != newer.ID || !st.DueAt.IsZero() || st.Sent != "error" {
		t.Errorf("got %+v", st)
	}
	saveAs(t, s, read(t, s, newer.ID), store.Dead) // nothing new
	if _, builds := takeStatuses(t, s); builds != nil {
		t.Errorf("%v are due", builds)
	}
	newest := reported(t, s, time.Hour, nil)
	saveAs(t, s, newest, store.Waiting)
	s = reopened(t, s, open)
	if st := statusOf(t, s, older); st.Build != newest.ID || st.SentBuild != newer.ID || time.Until(st.DueAt) > 0 {
		t.Errorf("got %+v", st)
	}
}

func reopened(t *testing.T, s *store.Store, open func() *store.Store) *store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open()
}

func manyOfAContext(t *testing.T, open func() *store.Store) {
	s := open()
	var all []*store.Build
	for i := range 60 {
		all = append(all, reported(t, s, time.Hour, func(b *store.Build) { b.Ref, b.Context = fmt.Sprint("refs/heads/", i), fmt.Sprint(i%3) }))
	}
	var saving sync.WaitGroup
	for _, b := range all {
		saving.Go(func() {
			b.State = store.Dead
			if err := s.Save(t.Context(), b); err != nil {
				t.Error(err)
			}
		})
	}
	saving.Wait()
	for i, b := range all {
		if st := statusOf(t, s, b); st.Build != all[57+i%3].ID {
			t.Errorf("build %d: the status is about %s, want the newest build, %s", i, st.Build, all[57+i%3].ID)
		}
	}
}

func newsWhileSent(t *testing.T, open func() *store.Store) {
	s := open()
	waits := func() *store.Build {
		b := reported(t, s, time.Hour, nil)
		saveAs(t, s, b, store.Waiting)
		return b
	}
	follows := func() *store.Build {
		return running(t, s, uuid.NewString(), func(b *store.Build) { b.Context, b.ReceivedAt = "ci/cart", b.ReceivedAt.Add(-time.Hour) })
	}
	save := func(b *store.Build) {
		if err := s.SaveResult(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for phrase, c := range map[string]struct {
		build  func() *store.Build
		change func(b *store.Build)
	}{
		"the build ends":               {waits, func(b *store.Build) { saveAs(t, s, b, store.Dead) }},
		"a newer build comes":          {waits, func(*store.Build) { waits() }},
		"the build runs":               {follows, func(b *store.Build) { b.RunningAt = time.Now(); save(b) }},
		"the build waits for a person": {follows, func(b *store.Build) { b.Message = store.WaitsForPerson; save(b) }},
	} {
		b := c.build()
		taken, _ := takeStatuses(t, s)
		if err := s.BeginStatus(t.Context(), taken[0], b.ID); err != nil {
			t.Fatal(phrase, err)
		}
		c.change(b)
		if _, builds := takeStatuses(t, s); builds != nil {
			t.Fatalf("%s: it is taken a second time while it is sent", phrase)
		}
		if err := tell(t, s, taken[0], "pending", time.Hour); err != nil {
			t.Fatal(phrase, err)
		}
		again, _ := takeStatuses(t, s)
		if len(again) != 1 || again[0].Sent != "pending" || again[0].SentBuild != b.ID || again[0].Since.IsZero() {
			t.Fatalf("%s: got %+v, want it due, with what the host was told", phrase, again)
		}
		if err := tell(t, s, again[0], "error", -1); err != nil {
			t.Fatal(phrase, err)
		}
	}
}

// A build adopted the number of another, whose end was said of it.
func wrongEndIsSaid(t *testing.T, open func() *store.Store) {
	s := open()
	lost := reported(t, s, time.Hour, func(b *store.Build) { b.Ref = "refs/heads/lost" })
	begin(t, s, lost, time.Now())
	saveAs(t, s, lost, store.Unknown)
	answered := accept(t, s, nil)
	begin(t, s, answered, time.Now())
	lost.BuildNumber, lost.Adopted, lost.StartedAt, lost.Result = "7", true, time.Now().Add(time.Millisecond), store.Running
	saveAs(t, s, lost, store.Started)
	end(t, s, lost)
	taken, _ := takeStatuses(t, s)
	if err := tell(t, s, taken[0], "success", -1); err != nil {
		t.Fatal(err)
	}
	answered.BuildNumber, answered.StartedAt = "7", time.Now()
	saveAs(t, s, answered, store.Started)
	if _, builds := takeStatuses(t, s); !cmp.Equal(builds, []string{lost.ID}) {
		t.Errorf("%v are due, want %s", builds, lost.ID)
	}
}

// The host is told that a build is pending, later that it runs, if that is known, and that it waits for a person.
func runIsNews(t *testing.T, open func() *store.Store) {
	s := open()
	b := running(t, s, "1", func(b *store.Build) { b.Context, b.ReceivedAt = "ci/cart", b.ReceivedAt.Add(-time.Hour) })
	saveResult := func() {
		t.Helper()
		if err := s.SaveResult(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	taken, _ := takeStatuses(t, s)
	if err := tell(t, s, taken[0], "pending", time.Hour); err != nil {
		t.Fatal(err)
	}
	if saveResult(); statusOf(t, s, b).DueAt.Before(time.Now()) {
		t.Error("it is due though nothing has changed")
	}
	b.RunningAt = time.Now()
	saveResult()
	if taken, _ = takeStatuses(t, s); len(taken) != 1 {
		t.Fatal("it is not due though the build runs")
	}
	if err := tell(t, s, taken[0], "running", time.Hour); err != nil {
		t.Fatal(err)
	}
	if saveResult(); statusOf(t, s, b).DueAt.Before(time.Now()) {
		t.Error("it is due though nothing has changed")
	}
	for _, c := range []struct{ message, said string }{{store.WaitsForPerson + ", in stage 3", store.StatusWaits}, {"", "running"}} {
		b.Message = c.message
		saveResult()
		if taken, _ = takeStatuses(t, s); len(taken) != 1 {
			t.Fatalf("it is not due though the build has the message %q now", c.message)
		}
		if err := tell(t, s, taken[0], c.said, time.Hour); err != nil {
			t.Fatal(err)
		}
		if saveResult(); statusOf(t, s, b).DueAt.Before(time.Now()) {
			t.Errorf("it is due though it was said that it is %s", c.said)
		}
	}
	end(t, s, b)
	if taken, _ = takeStatuses(t, s); len(taken) != 1 {
		t.Error("it is not due though the build has ended")
	}
}

func sentByTwo(t *testing.T, open func() *store.Store) {
	s := open()
	b := reported(t, s, time.Hour, nil)
	saveAs(t, s, b, store.Waiting)
	slow, _ := takeStatuses(t, s)
	if err := store.MakeStatusesDue(t.Context(), s); err != nil { // its lease ends
		t.Fatal(err)
	}
	quick, _ := takeStatuses(t, s)
	if err := s.BeginStatus(t.Context(), slow[0], b.ID); !errors.Is(err, store.ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
	if err := s.BeginStatus(t.Context(), quick[0], b.ID); err != nil {
		t.Error(err)
	}
	if st := statusOf(t, s, b); st.Sent != store.StatusUnknown || st.SentBuild != b.ID {
		t.Errorf("got %+v", st)
	}
	if err := tell(t, s, slow[0], "pending", time.Hour); !errors.Is(err, store.ErrStale) {
		t.Fatalf("got %v, want ErrStale", err)
	}
	if err := tell(t, s, quick[0], "error", -1); err != nil {
		t.Fatal(err)
	}
	again, _ := takeStatuses(t, s)
	if len(again) != 1 || again[0].Sent != store.StatusUnknown {
		t.Fatalf("got %+v, want it said again: nobody knows what was said last", again)
	}
	if err := tell(t, s, again[0], "error", -1); err != nil {
		t.Fatal(err)
	}
	if st := statusOf(t, s, b); st.Sent != "error" || !st.DueAt.IsZero() {
		t.Errorf("got %+v", st)
	}
}

func statusIsRefused(t *testing.T, open func() *store.Store) {
	s := open()
	b := reported(t, s, time.Hour, nil)
	saveAs(t, s, b, store.Waiting)
	taken, _ := takeStatuses(t, s)
	waiting := func() (behind int64) {
		stats, err := s.WaitingStatuses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range stats {
			behind += q.Behind
		}
		return behind
	}
	other := reported(t, s, time.Hour, func(b *store.Build) { b.Context = "other" })
	saveAs(t, s, other, store.Waiting)
	taken[0].Reason, taken[0].Attempts = "the token is wrong", 1
	if err := s.SaveStatus(t.Context(), taken[0], time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if st := statusOf(t, s, other); st.Reason != "the token is wrong" || waiting() != 2 {
		t.Errorf("got %+v, %d wait", st, waiting())
	}
	var due []*store.Status
	await(t, "both are due", func() bool {
		more, _ := takeStatuses(t, s)
		due = append(due, more...)
		return len(due) == 2
	})
	for _, st := range due {
		st.Reason, st.Attempts = "no such commit", 3
		if err := s.SaveStatus(t.Context(), st, -1); err != nil {
			t.Fatal(err)
		}
	}
	saveAs(t, s, b, store.Dead) // it would be refused again
	if st := statusOf(t, s, b); !st.DueAt.IsZero() || st.Reason != "no such commit" || waiting() != 0 {
		t.Errorf("got %+v, %d wait", st, waiting())
	}
	saveAs(t, s, reported(t, s, time.Hour, nil), store.Waiting)
	if st := statusOf(t, s, b); st.DueAt.IsZero() || st.Reason != "" || st.Attempts != 0 || waiting() != 1 {
		t.Errorf("got %+v, %d wait", st, waiting())
	}
}

func statusesAreForgotten(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now()
	ended, begun := reported(t, s, time.Hour, nil), reported(t, s, time.Hour, func(b *store.Build) { b.Context = "begun" })
	for _, b := range []*store.Build{ended, begun} {
		saveAs(t, s, b, store.Dead)
	}
	taken, _ := takeStatuses(t, s)
	for _, st := range taken {
		wait := time.Duration(-1)
		if st.Build == begun.ID {
			wait = time.Hour
		}
		if err := tell(t, s, st, "error", wait); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.WriteBlocks(t.Context(), s, 0); err != nil {
		t.Fatal(err)
	}
	for n := int64(1); n > 0; {
		var err error
		if n, err = s.Prune(t.Context(), store.Retention{Builds: time.Minute}, now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Build(t.Context(), ended.ID); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := s.StatusOf(t.Context(), ended); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if st := statusOf(t, s, begun); st.Build != begun.ID {
		t.Errorf("got %+v", st)
	}
}
