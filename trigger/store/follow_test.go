package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/store"
)

// running accepts a build that is started and followed.
func running(t *testing.T, s *store.Store, number string, change func(b *store.Build)) *store.Build {
	t.Helper()
	b := accept(t, s, change)
	begin(t, s, b, time.Now())
	b.BuildNumber, b.Result, b.StartedAt = number, store.Running, time.Now().UTC().Truncate(time.Microsecond)
	save(t, s, b, store.Started)
	return read(t, s, b.ID)
}

func end(t *testing.T, s *store.Store, b *store.Build) {
	t.Helper()
	b.Result, b.EndedAt = store.Success, time.Now()
	if err := s.SaveResult(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// dueFollow waits until the job is due, and takes it.
func dueFollow(t *testing.T, s *store.Store) (f *store.Follow) {
	t.Helper()
	await(t, "the job is due", func() bool { f = takeFollow(t, s, "north"); return f != nil })
	return f
}

func takeFollow(t *testing.T, s *store.Store, target string) *store.Follow {
	t.Helper()
	all, err := s.DueFollows(t.Context(), target, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

func saveFollow(t *testing.T, s *store.Store, f *store.Follow, wait time.Duration) {
	t.Helper()
	if err := s.SaveFollow(t.Context(), f, wait); err != nil {
		t.Fatal(err)
	}
}

func startedIsFollowed(t *testing.T, open func() *store.Store) {
	s := open()
	notFollowed := accept(t, s, func(b *store.Build) { b.Target = "south" })
	begin(t, s, notFollowed, time.Now())
	notFollowed.BuildNumber = "1"
	save(t, s, notFollowed, store.Started)
	if f := takeFollow(t, s, "south"); f != nil {
		t.Errorf("a build that is not followed made %+v due", f)
	}

	b := accept(t, s, nil)
	begin(t, s, b, time.Now())
	b.BuildNumber, b.Result, b.FollowIn = "1", store.Running, time.Hour // but for the second build
	save(t, s, b, store.Started)
	if f := takeFollow(t, s, "north"); f != nil {
		t.Errorf("%+v is due at once", f)
	}
	second := running(t, s, "2", func(b *store.Build) { b.Ref = "refs/heads/next" })
	f := dueFollow(t, s)
	if f.Target != "north" || f.JobID != "job" || f.Failures != 0 {
		t.Errorf("got %+v", f)
	}
	if f := takeFollow(t, s, "north"); f != nil {
		t.Error("it was taken twice")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	got, err := s.OpenBuilds(t.Context(), "north", "job")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, b := range got {
		ids = append(ids, b.ID)
	}
	if diff := cmp.Diff([]string{b.ID, second.ID}, ids); diff != "" {
		t.Error(diff)
	}
	running, err := s.Running(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"north": 2}, running); diff != "" {
		t.Error(diff)
	}
}

func followIsSaved(t *testing.T, open func() *store.Store) {
	s := open()
	running(t, s, "1", nil)
	f := dueFollow(t, s)
	f.Failures = 3
	saveFollow(t, s, f, 0)
	if f = dueFollow(t, s); f.Failures != 3 {
		t.Errorf("got %+v", f)
	}
	saveFollow(t, s, f, time.Hour)
	if takeFollow(t, s, "north") != nil {
		t.Error("it is due before its wait is over")
	}
	second := running(t, s, "2", func(b *store.Build) { b.Ref = "refs/heads/next" })
	f = dueFollow(t, s) // since it has another build
	if _, err := s.Stop(t.Context(), second.ID, "by hand"); err != nil {
		t.Fatal(err)
	}
	if takeFollow(t, s, "north") != nil {
		t.Error("a stop took the lease from the process that has it")
	}
	saveFollow(t, s, f, -1) // it did not see the stop
	f = dueFollow(t, s)
	saveFollow(t, s, f, -1)
	saveFollow(t, s, f, 0) // by a process that does not have it any more
	if n, err := s.Recall(t.Context(), store.FollowQueue("north")); err != nil || n != 0 {
		t.Errorf("%d were called back, %v", n, err)
	}
	if takeFollow(t, s, "north") != nil {
		t.Error("it is due though nobody wanted it")
	}
	running(t, s, "3", func(b *store.Build) { b.Ref = "refs/heads/third" })
	dueFollow(t, s)
}

func resultIsSaved(t *testing.T, open func() *store.Store) {
	s := open()
	b := running(t, s, "1", nil)
	stale := read(t, s, b.ID)
	now := time.Now().UTC().Truncate(time.Microsecond)
	b.Result, b.RunningAt, b.EndedAt, b.StoppedAt = store.Failure, now, now.Add(time.Second), now.Add(2*time.Second)
	b.Message, b.Step, b.RecordID, b.ProjectID = "no \x00space", "compile", "record", "project"
	if err := s.SaveResult(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got := read(t, s, b.ID)
	if got.Result != store.Failure || !got.RunningAt.Equal(b.RunningAt) || !got.EndedAt.Equal(b.EndedAt) || !got.StoppedAt.Equal(b.StoppedAt) ||
		got.Message != "no space" || got.Step != "compile" || got.RecordID != "record" || got.ProjectID != "project" ||
		got.State != store.Started || got.BuildNumber != "1" || !got.Claimed {
		t.Errorf("got %+v", got)
	}
	stale.Result = store.Success
	if err := s.SaveResult(t.Context(), stale); !errors.Is(err, store.ErrStale) {
		t.Errorf("got %v", err)
	}
	if open, err := s.OpenBuilds(t.Context(), "north", "job"); err != nil || len(open) != 0 {
		t.Errorf("%d are open, %v", len(open), err)
	}
	waiting := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/next" })
	waiting.Result = store.Success
	if err := s.SaveResult(t.Context(), waiting); !errors.Is(err, store.ErrStale) {
		t.Errorf("a build that was not started has a result: %v", err)
	}
}

// A build that adopted a number which belongs to another build is not followed any more.
func lostNumberIsNotFollowed(t *testing.T, open func() *store.Store) {
	s := open()
	lost := accept(t, s, func(b *store.Build) { b.Ref, b.ReplaceRunning = "refs/heads/lost", true })
	begin(t, s, lost, time.Now())
	save(t, s, lost, store.Unknown)
	answered := accept(t, s, nil)
	begin(t, s, answered, time.Now())
	lost.BuildNumber, lost.Adopted, lost.StartedAt, lost.Result = "7", true, time.Now().Add(time.Millisecond), store.Running
	save(t, s, lost, store.Started)
	lost.Message, lost.RunningAt = "runs", time.Now()
	if err := s.SaveResult(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	answered.BuildNumber, answered.StartedAt, answered.Result = "7", time.Now(), store.Running
	save(t, s, answered, store.Started)
	if got := read(t, s, lost.ID); got.State != store.Unknown || got.Result != "" || got.Message != "" || !got.RunningAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	open2, err := s.OpenBuilds(t.Context(), "north", "job")
	if err != nil || len(open2) != 1 || open2[0].ID != answered.ID {
		t.Errorf("got %+v, %v", open2, err)
	}
}

func runningIsKept(t *testing.T, open func() *store.Store) {
	s := open()
	runs := running(t, s, "1", nil)
	ended := running(t, s, "2", func(b *store.Build) { b.Ref = "refs/heads/next" })
	end(t, s, ended)
	if err := store.WriteBlocks(t.Context(), s, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(t.Context(), store.Retention{Builds: time.Second, Deliveries: time.Second}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	read(t, s, runs.ID)
	if _, err := s.Build(t.Context(), ended.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func newerReplacesRunning(t *testing.T, open func() *store.Store) {
	s := open()
	newer := func(b *store.Build) { b.ReplaceRunning, b.Newest = true, true }
	runs := running(t, s, "1", newer)
	byHand := running(t, s, "2", func(b *store.Build) { b.ByHand = true })
	otherRule := running(t, s, "3", func(b *store.Build) { b.Rule = "other" })
	otherRef := running(t, s, "4", func(b *store.Build) { b.Ref = "refs/heads/next" })
	tag := running(t, s, "5", func(b *store.Build) { b.Ref, b.Tag, b.Commit = "refs/tags/v1", "v1", "" })
	ended := running(t, s, "6", newer) // replaces the first
	if got := read(t, s, runs.ID); got.Stop == "" || got.SupersededBy != ended.ID {
		t.Errorf("got %+v", got)
	}
	end(t, s, ended)
	asked := running(t, s, "7", func(b *store.Build) { b.ByHand, b.ReplaceRunning = true, true }) // by hand: it replaces none
	// Found by a search without a marker: it may be a person's.
	found := accept(t, s, nil)
	begin(t, s, found, time.Now())
	found.BuildNumber, found.Result, found.Adopted = "11", store.Running, true
	save(t, s, found, store.Started)
	f := dueFollow(t, s)
	saveFollow(t, s, f, time.Hour)

	next := accept(t, s, newer)
	sibling := accept(t, s, func(b *store.Build) { newer(b); b.Delivery = next.Delivery })
	for _, step := range []func(){
		func() {},
		func() { begin(t, s, next, time.Now()) },
		func() { save(t, s, next, store.Unknown) },
	} {
		step()
		for _, b := range []*store.Build{byHand, otherRule, otherRef, tag, asked, found} {
			if got := read(t, s, b.ID); got.Stop != "" {
				t.Errorf("%s is to be stopped before a newer one was started", b.BuildNumber)
			}
		}
	}
	third := running(t, s, "8", func(b *store.Build) { b.ByHand = true })
	next.BuildNumber, next.Result, next.FollowIn = "9", store.Running, time.Hour
	save(t, s, next, store.Started)
	if next.Replaced != 0 {
		t.Errorf("%d were replaced", next.Replaced)
	}
	sibling = read(t, s, sibling.ID)
	begin(t, s, sibling, time.Now()) // of the same push: it runs beside it
	sibling.BuildNumber, sibling.Result, sibling.FollowIn = "12", store.Running, time.Hour
	save(t, s, sibling, store.Started)
	for _, b := range []*store.Build{byHand, otherRule, otherRef, tag, asked, found, third, ended, next} {
		if got := read(t, s, b.ID); got.Stop != "" || got.SupersededBy != "" {
			t.Errorf("build %s is to be stopped: %s", got.BuildNumber, got.Stop)
		}
	}
	last := accept(t, s, newer)
	begin(t, s, last, time.Now())
	last.BuildNumber, last.Result, last.FollowIn = "10", store.Running, time.Hour
	save(t, s, last, store.Started)
	got := read(t, s, next.ID)
	if last.Replaced != 2 || got.Stop != "replaced by build "+last.ID || got.State != store.Started || got.Result != store.Running {
		t.Errorf("%d were replaced, got %+v", last.Replaced, got)
	}
	dueFollow(t, s) // at once
}

func stopIsNoted(t *testing.T, open func() *store.Store) {
	s := open()
	waiting := accept(t, s, nil)
	if _, err := s.Stop(t.Context(), waiting.ID, "why"); !errors.Is(err, store.ErrNotRunning) || !strings.Contains(err.Error(), "waiting") {
		t.Errorf("got %v", err)
	}
	ended := running(t, s, "1", func(b *store.Build) { b.Ref = "refs/heads/ended" })
	end(t, s, ended)
	if _, err := s.Stop(t.Context(), ended.ID, "why"); !errors.Is(err, store.ErrNotRunning) || !strings.Contains(err.Error(), "success") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Stop(t.Context(), "none", "why"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	saveFollow(t, s, dueFollow(t, s), -1)
	notFollowed := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/started" })
	begin(t, s, notFollowed, time.Now())
	notFollowed.BuildNumber = "2"
	save(t, s, notFollowed, store.Started)
	for _, reason := range []string{"by hand", "once more"} {
		got, err := s.Stop(t.Context(), notFollowed.ID, reason)
		if err != nil || got.Stop != "by hand" || got.Result != store.Running {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if got := read(t, s, notFollowed.ID); got.Stop != "by hand" || got.Result != store.Running || !got.StoppedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	dueFollow(t, s)
}

func runningHold(t *testing.T, open func() *store.Store) {
	s := open()
	one := func(b *store.Build) { b.MaxRunning = 1 }
	now := time.Now()
	first := running(t, s, "1", one)
	byHand := running(t, s, "2", func(b *store.Build) { one(b); b.ByHand = true })
	running(t, s, "3", func(b *store.Build) { one(b); b.Ref = "refs/heads/next" })
	replaces := accept(t, s, func(b *store.Build) { one(b); b.ReplaceRunning = true })
	if hold, err := s.Hold(t.Context(), replaces, now); err != nil || hold != store.HoldRunning { // by the one that was asked for by hand
		t.Errorf("got %q, %v", hold, err)
	}
	end(t, s, byHand)
	due(t, s, replaces.ID) // woken
	replaces = read(t, s, replaces.ID)
	if hold := begin(t, s, replaces, now); hold != store.NoHold {
		t.Errorf("it will stop the first, and got %q", hold)
	}
	replaces.BuildNumber, replaces.Result = "4", store.Running
	save(t, s, replaces, store.Started)

	two := func(b *store.Build) { b.MaxRunning = 2 }
	var held []*store.Build
	for range 3 {
		held = append(held, accept(t, s, two))
	}
	later := now.Add(store.HoldFor + time.Minute) // it does not end after an hour
	if hold := begin(t, s, held[0], later); hold != store.HoldRunning {
		t.Errorf("got %q", hold)
	}
	for _, b := range held[1:] { // and the order stays
		if hold := begin(t, s, b, later); hold != store.HoldOrder {
			t.Errorf("got %q", hold)
		}
		if wait := time.Until(read(t, s, b.ID).DueAt); wait < time.Minute {
			t.Errorf("it is due in %s, and would be held again and again", wait)
		}
	}
	if got := read(t, s, held[0].ID); got.Reason != string(store.HoldRunning) || time.Until(got.DueAt) < time.Minute {
		t.Errorf("got %+v", got)
	}
	first = read(t, s, first.ID)
	end(t, s, first)
	got := due(t, s, held[0].ID)
	if len(got) != 1 {
		t.Errorf("%d are due, want the first", len(got))
	}
	if hold := begin(t, s, read(t, s, held[1].ID), later); hold != store.HoldOrder { // it is not called before the first
		t.Errorf("got %q", hold)
	}
	next := read(t, s, held[0].ID)
	if hold := begin(t, s, next, later); hold != store.NoHold {
		t.Errorf("got %q", hold)
	}
	next.BuildNumber, next.Result = "5", store.Running
	save(t, s, next, store.Started)
	due(t, s, held[1].ID) // by the order
	if hold := begin(t, s, read(t, s, held[1].ID), later); hold != store.HoldRunning {
		t.Errorf("got %q", hold)
	}
}

// Who looked at a job saw the end of all builds that it read, and there is one more.
func openIsNotForgotten(t *testing.T, open func() *store.Store) {
	s := open()
	b := running(t, s, "1", nil)
	saveFollow(t, s, dueFollow(t, s), -1)
	saveFollow(t, s, dueFollow(t, s), -1)
	end(t, s, b)
	saveFollow(t, s, dueFollow(t, s), -1)
	if f := takeFollow(t, s, "north"); f != nil {
		t.Errorf("%+v is due, and nothing runs", f)
	}
}

// Of builds that are called at the same time no more run than may.
func maxRunningAtOnce(t *testing.T, open func() *store.Store) {
	s := open()
	const most = 2
	for i := range 5 {
		b := accept(t, s, func(b *store.Build) { b.MaxRunning, b.Commit = most, fmt.Sprintf("%040x", i) })
		hold := begin(t, s, b, time.Now())
		if want := map[bool]store.Hold{true: store.HoldRunning}[i >= most]; i <= most && hold != want {
			t.Fatalf("build %d: got %q, want %q", i, hold, want)
		}
		if hold == store.NoHold {
			b.BuildNumber, b.Result = fmt.Sprint(i+1), store.Running
			save(t, s, b, store.Started)
		}
	}
}

func settled(t *testing.T, open func() *store.Store) {
	s := open()
	settle := func(b *store.Build) { b.Settle, b.Newest = time.Hour, true } // more than any build waits
	first := accept(t, s, settle)
	if wait := time.Until(first.DueAt); wait < 9*time.Minute || wait > 10*time.Minute {
		t.Errorf("it is due in %s", wait)
	}
	if n, err := s.Recall(t.Context(), "north"); err != nil || n != 0 {
		t.Errorf("%d were called back, %v", n, err)
	}
	short := accept(t, s, func(b *store.Build) { b.Settle, b.Newest = 50*time.Millisecond, true })
	if got := read(t, s, first.ID); got.State != store.Superseded {
		t.Errorf("got %s", got.State)
	}
	if builds, err := s.Due(t.Context(), "north", 10); err != nil || len(builds) > 0 && time.Since(short.ReceivedAt) < 50*time.Millisecond {
		t.Errorf("%d builds are due, %v", len(builds), err)
	}
	due(t, s, short.ID)
}

// A clock was set back: jobs to follow that are due too late are due now.
func followIsCalledBack(t *testing.T, open func() *store.Store) {
	s := open()
	running(t, s, "1", nil)
	saveFollow(t, s, dueFollow(t, s), time.Minute)
	if n, err := s.Recall(t.Context(), store.FollowQueue("north")); err != nil || n != 0 {
		t.Errorf("%d were called back, %v", n, err)
	}
	if err := store.SetFollowsBack(t.Context(), s, time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		queue string
		want  int64
	}{{"north", 0}, {store.FollowQueue("south"), 0}, {store.FollowQueue("north"), 1}} {
		if n, err := s.Recall(t.Context(), c.queue); err != nil || n != c.want {
			t.Errorf("%s: %d were called back, %v", c.queue, n, err)
		}
	}
	dueFollow(t, s)
}
