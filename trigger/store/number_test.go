package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

func numberIsClaimedOnce(t *testing.T, open func() *store.Store) {
	s := open()
	one := accept(t, s, nil)
	begin(t, s, one, time.Now())
	one.BuildNumber, one.StartedAt = "7", time.Now()
	save(t, s, one, store.Started)
	two := accept(t, s, nil)
	begin(t, s, two, time.Now())
	two.BuildNumber, two.Adopted, two.State = "7", true, store.Started
	if err := s.Save(t.Context(), two); !errors.Is(err, store.ErrClaimed) {
		t.Errorf("got %v", err)
	}
	got, err := s.Claimed(t.Context(), "north", "job", []string{"6", "7", "8"})
	if err != nil || !cmp.Equal(got, []string{"7"}) {
		t.Errorf("got %v, %v", got, err)
	}
	// It is claimed, whichever target led to the service.
	south := accept(t, s, func(b *store.Build) { b.Target = "south" })
	south.Service = one.Service
	begin(t, s, south, time.Now())
	south.BuildNumber, south.Adopted, south.State = "7", true, store.Started
	if err := s.Save(t.Context(), south); !errors.Is(err, store.ErrClaimed) {
		t.Errorf("by another target: %v", err)
	}
	// A number of another job is another number, and so is one of another service.
	elsewhere := accept(t, s, func(b *store.Build) { b.Target = "south" })
	begin(t, s, elsewhere, time.Now())
	elsewhere.BuildNumber, elsewhere.Adopted = "7", true
	save(t, s, elsewhere, store.Started)
	other := accept(t, s, func(b *store.Build) { b.JobID = "other" })
	other.BuildNumber, other.Adopted = "7", true
	save(t, s, other, store.Started)
	// The service counts from one again: the answer counts.
	two.Adopted = false
	save(t, s, two, store.Started)
	if got := read(t, s, one.ID); got.State != store.Started || got.BuildNumber != "7" {
		t.Errorf("got %+v", got)
	}
	// The builds with the number are those of each job, the newest first.
	for number, want := range map[string][]string{"7": {other.ID, elsewhere.ID, two.ID}, "8": nil} {
		numbered, err := s.Numbered(t.Context(), number, 10)
		var ids []string
		for _, b := range numbered {
			ids = append(ids, b.ID)
		}
		if err != nil || !cmp.Equal(ids, want) {
			t.Errorf("number %s: got %v, %v", number, ids, err)
		}
	}
	if few, err := s.Numbered(t.Context(), "7", 2); err != nil || len(few) != 2 {
		t.Errorf("got %v, %v", few, err)
	}
}

// A run of a pipeline is found by the beginning of its id, and a build of a job by its whole number only.
func runsAreFoundByTheirBeginning(t *testing.T, open func() *store.Store) {
	s := open()
	run := func(number, job string, action mapping.Action) string {
		t.Helper()
		b := accept(t, s, func(b *store.Build) { b.JobID, b.Action = job, action })
		begin(t, s, b, time.Now())
		b.BuildNumber, b.StartedAt = number, time.Now()
		save(t, s, b, store.Started)
		return b.ID
	}
	one := run("7f3a"+strings.Repeat("0", 28), "p1", mapping.ActionPipeline)
	two := run("7f3a"+strings.Repeat("f", 28), "p1", mapping.ActionPipeline)
	other := run("7f3a"+strings.Repeat("a", 28), "p2", mapping.ActionPipeline)
	run("7f3b"+strings.Repeat("0", 28), "p1", mapping.ActionPipeline)
	digits := run(strings.Repeat("7", 32), "p1", mapping.ActionPipeline)
	run("77777778", "job", mapping.ActionJob)
	for beginning, want := range map[string][]string{
		"7f3a": {other, two, one}, "7F3A": {other, two, one}, "7f3a0": {one}, "7f3a" + strings.Repeat("f", 28): {two}, "7777777": {digits},
		"7f3c": nil, "7f3a" + strings.Repeat("f", 29): nil, "no run": nil, "": nil,
	} {
		found, err := s.Runs(t.Context(), beginning, 10)
		var ids []string
		for _, b := range found {
			ids = append(ids, b.ID)
		}
		if err != nil || !cmp.Equal(ids, want) {
			t.Errorf("run %q: got %v, %v, want %v", beginning, ids, err, want)
		}
	}
}

func answerBeatsAdoption(t *testing.T, open func() *store.Store) {
	s := open()
	lost := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/lost" })
	begin(t, s, lost, time.Now())
	save(t, s, lost, store.Unknown)
	answered := accept(t, s, nil)
	begin(t, s, answered, time.Now())
	lost.BuildNumber, lost.Adopted, lost.StartedAt = "7", true, time.Now().Add(time.Millisecond)
	save(t, s, lost, store.Started)
	answered.BuildNumber, answered.StartedAt = "7", time.Now()
	save(t, s, answered, store.Started)
	if got := read(t, s, lost.ID); got.State != store.Unknown || got.BuildNumber != "" {
		t.Errorf("got %+v", got)
	}
	due(t, s, lost.ID)
}

func callKnowsNumbers(t *testing.T, open func() *store.Store) {
	s := open()
	known := func(change func(b *store.Build)) int64 {
		t.Helper()
		b := accept(t, s, func(b *store.Build) {
			b.Ref, b.Commit = "refs/heads/"+b.ID, ""
			if change != nil {
				change(b)
			}
		})
		begin(t, s, b, time.Now())
		return read(t, s, b.ID).Known
	}
	see := func(change func(b *store.Build)) *store.Build {
		t.Helper()
		b := accept(t, s, func(b *store.Build) { b.Ref, b.Commit = "refs/heads/"+b.ID, "" })
		b.CalledThere = time.UnixMicro(1_700_000_000_000_001).UTC()
		begin(t, s, b, time.Now())
		if got := read(t, s, b.ID).CalledThere; !got.Equal(b.CalledThere) {
			t.Errorf("called there at %s, want %s", got, b.CalledThere)
		}
		change(b)
		save(t, s, b, b.State)
		return b
	}
	if got := known(nil); got != 0 {
		t.Errorf("before any number was seen %d is known", got)
	}
	for _, n := range []string{"9", "10", "8", "a word"} { // as numbers, not as text
		see(func(b *store.Build) { b.State, b.BuildNumber = store.Started, n })
	}
	if got := known(nil); got != 10 {
		t.Errorf("of answers %d is known, want 10", got)
	}
	lost := see(func(b *store.Build) { b.State, b.Seen = store.Unknown, 12 })
	if got := read(t, s, lost.ID).Known; got != 10 {
		t.Errorf("what was seen after a call counts as known before: %d", got)
	}
	see(func(b *store.Build) { b.State, b.BuildNumber, b.Adopted = store.Started, "11", true })
	s.Close()
	s = open()
	if got := known(nil); got != 12 {
		t.Errorf("of records %d is known after a restart, want 12", got)
	}
	if got := known(func(b *store.Build) { b.JobID = "other" }); got != 0 {
		t.Errorf("of another job %d is known", got)
	}
	if got, err := s.Answered(t.Context(), "north", "north", "job"); err != nil || got == nil || got.BuildNumber != "10" {
		t.Errorf("the last answered build is %+v, %v", got, err)
	}
	if got, err := s.Answered(t.Context(), "north", "north", "other"); err != nil || got != nil {
		t.Errorf("the last answered build of another job is %+v, %v", got, err)
	}
	// The service counts from one again.
	see(func(b *store.Build) { b.State, b.BuildNumber = store.Started, "8" })
	if got := known(nil); got != 8 {
		t.Errorf("after the service counted anew %d is known, want 8", got)
	}
}
