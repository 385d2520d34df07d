package trigger_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// shifted is the clock of a service. It is ahead of this machine's clock, by more while something is
// done at another time.
type shifted struct{ ahead, more atomic.Int64 }

func (s *shifted) Now() time.Time {
	return time.Now().Add(time.Duration(s.ahead.Load() + s.more.Load()))
}

// skip moves the clock on.
func (s *shifted) skip(d time.Duration) { s.ahead.Add(int64(d)) }

// strict is a patient target with the default window.
func strict() mapping.Target {
	target := patient()
	target.Reconcile.Window = mapping.DefaultWindow
	return target
}

// scene is a trigger whose service has a person who builds the same commit.
type scene struct {
	*testTrigger
	clock *shifted
}

// person starts a build of a commit, that long from now.
func (s *scene) person(t *testing.T, from time.Duration, build codeartstest.Build) {
	t.Helper()
	s.clock.more.Store(int64(from))
	defer s.clock.more.Store(0)
	build.JobID = job
	if build.Tag == "" {
		build.Commit = commitA
	}
	if _, err := s.sim.StartBuild(build); err != nil {
		t.Fatal(err)
	}
}

// another build of the trigger, of another commit, is started.
func (s *scene) another(t *testing.T) {
	t.Helper()
	s.await(t, s.deliver(t, other())[0], store.Started)
}

func other() mapping.Build {
	b := push(commitB)
	b.Ref = "refs/heads/other"
	return b
}

// bare is a push without parameters: only time and number tell its builds apart.
func bare() mapping.Build {
	b := push(commitA)
	b.Parameters = nil
	return b
}

// marked is a push whose job has a marker.
func marked() mapping.Build {
	b := push(commitA)
	b.Marker = "BRIDGE"
	return b
}

// A call gets no answer, and a person builds the same commit. Whether or not the call started a
// build, the person's is not taken for it, and it is started once.
func TestPersonBuildsTheSameCommit(t *testing.T) {
	t.Parallel()
	main := []mapping.Parameter{{Name: "codeBranch", Value: "main"}}
	for phrase, c := range map[string]struct {
		build  mapping.Build // bare if not set
		ahead  time.Duration // the service's clock
		sim    codeartstest.Options
		before func(t *testing.T, s *scene) // the call
		after  func(t *testing.T, s *scene) // it, but before anybody looks for it
	}{
		"6 s before the call": {
			before: func(t *testing.T, s *scene) { t.Helper(); s.person(t, -6*time.Second, codeartstest.Build{}) },
		},
		"109 s before the call": {
			before: func(t *testing.T, s *scene) { t.Helper(); s.person(t, -109*time.Second, codeartstest.Build{}) },
		},
		"6 s before, by a clock 20 minutes ahead": {
			ahead:  20 * time.Minute,
			before: func(t *testing.T, s *scene) { t.Helper(); s.person(t, -6*time.Second, codeartstest.Build{}) },
		},
		"6 s before, by a clock 20 minutes behind": {
			ahead:  -20 * time.Minute,
			before: func(t *testing.T, s *scene) { t.Helper(); s.person(t, -6*time.Second, codeartstest.Build{}) },
		},
		"6 s before, by a clock that was compared": {
			ahead: 20 * time.Minute,
			before: func(t *testing.T, s *scene) {
				t.Helper()
				s.another(t)
				s.person(t, -6*time.Second, codeartstest.Build{})
			},
		},
		"6 s before, in wall clocks": {
			sim:    codeartstest.Options{TextTimes: true},
			before: func(t *testing.T, s *scene) { t.Helper(); s.person(t, -6*time.Second, codeartstest.Build{}) },
		},
		"a tag, 6 s before": {
			build:  tag("v1"),
			before: func(t *testing.T, s *scene) { t.Helper(); s.person(t, -6*time.Second, codeartstest.Build{Tag: "v1"}) },
		},
		"a moment before, with a number below one that was answered": {
			before: func(t *testing.T, s *scene) {
				t.Helper()
				s.person(t, 0, codeartstest.Build{Executor: "openapi"})
				s.another(t)
			},
		},
		"a moment before, with a number that was in a list": {
			before: func(t *testing.T, s *scene) {
				t.Helper()
				s.person(t, 0, codeartstest.Build{})
				s.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropBefore, Times: 1})
				s.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Status: 403, Times: 1})
				s.await(t, s.deliver(t, other())[0], store.Dead)
			},
		},
		"after the call, with another parameter": {
			build: push(commitA),
			after: func(t *testing.T, s *scene) {
				t.Helper()
				s.person(t, 0, codeartstest.Build{Parameters: []mapping.Parameter{{Name: "codeBranch", Value: "next"}}})
			},
		},
		"after the call, with what the job declares": {
			build: push(commitA), sim: codeartstest.Options{Defaults: []mapping.Parameter{{Name: "codeBranch", Value: "master"}, {Name: "level", Value: "1"}}},
			after: func(t *testing.T, s *scene) { t.Helper(); s.person(t, 0, codeartstest.Build{}) },
		},
		"after the call, without parameters": {
			build: push(commitA), sim: codeartstest.Options{BuildTime: 500 * time.Millisecond},
			after: func(t *testing.T, s *scene) { t.Helper(); s.person(t, 0, codeartstest.Build{}) },
		},
		"after the call, with another parameter, and ends before it has a commit": {
			build: push(commitA), sim: codeartstest.Options{CommitLag: 500 * time.Millisecond, BuildTime: time.Millisecond},
			after: func(t *testing.T, s *scene) {
				t.Helper()
				s.person(t, 0, codeartstest.Build{Parameters: []mapping.Parameter{{Name: "codeBranch", Value: "next"}}})
			},
		},
		"after the call, without our marker": {
			build: marked(), sim: codeartstest.Options{BuildTime: time.Millisecond},
			after: func(t *testing.T, s *scene) { t.Helper(); s.person(t, 0, codeartstest.Build{Parameters: main}) },
		},
		"before the call, without our marker, and still runs": {
			build: marked(),
			before: func(t *testing.T, s *scene) {
				t.Helper()
				s.person(t, 0, codeartstest.Build{})
				s.another(t)
			},
		},
		"after the call, alike, in another name": {
			build:  push(commitA),
			before: func(t *testing.T, s *scene) { t.Helper(); s.another(t) },
			after:  func(t *testing.T, s *scene) { t.Helper(); s.person(t, 0, codeartstest.Build{Parameters: main}) },
		},
		"after the call, alike, in another name, and the records of ours lag": {
			build: push(commitA), sim: codeartstest.Options{RecordLag: 300 * time.Millisecond},
			before: func(t *testing.T, s *scene) { t.Helper(); s.another(t) },
			after:  func(t *testing.T, s *scene) { t.Helper(); s.person(t, 0, codeartstest.Build{Parameters: main}) },
		},
	} {
		for drop, started := range map[string]bool{codeartstest.DropBefore: false, codeartstest.DropAfter: true} {
			t.Run(fmt.Sprintf("%s, ours was started: %t", phrase, started), func(t *testing.T) {
				t.Parallel()
				s := &scene{clock: new(shifted)}
				s.clock.ahead.Store(int64(c.ahead))
				sim := c.sim
				sim.Now = s.clock.Now
				s.testTrigger = newTestTrigger(t, settings{target: strict(), sim: sim})
				if c.before != nil {
					c.before(t, s)
				}
				calls := s.sim.RunCount()
				s.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 500}) // nobody looks yet
				s.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: drop, Times: 1})
				build := c.build
				if build.JobID == "" {
					build = bare()
				}
				id := s.deliver(t, build)[0]
				s.await(t, id, store.Unknown)
				if c.after != nil {
					c.after(t, s)
				}
				s.sim.ClearFaults()
				got := s.await(t, id, store.Started, store.Dead)
				if got.State != store.Started || got.Adopted != started {
					t.Errorf("got %s, number %q, adopted %t (%s)", got.State, got.BuildNumber, got.Adopted, got.Reason)
				}
				runs := s.sim.Runs()[calls:]
				if len(runs) != 1 || runs[0].BuildNo != got.BuildNumber || string(runs[0].Body) != string(got.Body) {
					t.Errorf("started %s, and got number %s", runs, got.BuildNumber)
				}
			})
		}
	}
}

// odd is a service with wrong records.
type odd struct {
	trigger.Service
	record     func(r *codearts.Record)
	listed     func(r *codearts.Record) // in lists alone
	parameters func(p []codearts.Parameter) []codearts.Parameter
}

func (s odd) Records(ctx context.Context, jobID string, from, to time.Time, zone *time.Location) ([]codearts.Record, error) {
	records, err := s.Service.Records(ctx, jobID, from, to, zone)
	for i := range records {
		s.spoil(&records[i])
		if s.listed != nil {
			s.listed(&records[i])
		}
	}
	return records, err
}

func (s odd) Record(ctx context.Context, jobID, number string, zone *time.Location) (codearts.Record, error) {
	r, err := s.Service.Record(ctx, jobID, number, zone)
	s.spoil(&r)
	return r, err
}

func (s odd) spoil(r *codearts.Record) {
	if s.record != nil {
		s.record(r)
	}
}

func (s odd) HistoryParameters(ctx context.Context, jobID, number string) ([]codearts.Parameter, error) {
	p, err := s.Service.HistoryParameters(ctx, jobID, number)
	if err == nil && s.parameters != nil {
		p = s.parameters(p)
	}
	return p, err
}

// A call started a build whose record cannot be read, or differs from all records of our builds: it
// is taken neither for ours nor for another's. RunJob is not called again, and after the deadline the
// build is dead, with what is known.
func TestRecordLeavesItUndecided(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		build   mapping.Build // push if not set
		service odd
		sim     codeartstest.Options
		fault   codeartstest.Fault
		alone   bool // no build of the job was answered before
		want    string
	}{
		"no start":              {service: odd{record: func(r *codearts.Record) { r.Start = time.Time{} }}, want: "does not say when it was started"},
		"no parameters yet":     {service: odd{parameters: func([]codearts.Parameter) []codearts.Parameter { return nil }}, want: "does not have its parameters yet"},
		"parameters unreadable": {fault: codeartstest.Fault{Path: codeartstest.PathParameters, Status: 500}, want: "read parameters: the service failed"},
		"a start that is wrong": {
			service: odd{record: func(r *codearts.Record) { r.Start = r.Start.Add(-time.Minute) }},
			want:    "it was started before the call, but the record of build 1, which is ours, says the same of that",
		},
		"a parameter that is not kept": {
			service: odd{parameters: func([]codearts.Parameter) []codearts.Parameter {
				return []codearts.Parameter{{Name: "level", Value: "1"}}
			}},
			want: "its parameter codeBranch is not what was sent, but neither is that of build 1, which is ours",
		},
		"a parameter that is masked": {
			service: odd{parameters: func([]codearts.Parameter) []codearts.Parameter {
				return []codearts.Parameter{{Name: "codeBranch", Value: "******"}}
			}},
			alone: true,
			want:  "its parameter codeBranch is hidden",
		},
		"it ended before it had a commit": {
			sim:  codeartstest.Options{CommitLag: time.Hour, BuildTime: time.Millisecond},
			want: "does not say what it builds, and it has ended",
		},
		"it ended before it had a marker": {
			build:   marked(),
			sim:     codeartstest.Options{CommitLag: time.Hour, BuildTime: time.Millisecond},
			service: odd{parameters: func([]codearts.Parameter) []codearts.Parameter { return nil }},
			want:    "its parameters do not have BRIDGE, and it has ended",
		},
		"a marker that is not kept": {
			build: marked(),
			sim:   codeartstest.Options{BuildTime: time.Millisecond},
			service: odd{parameters: func(p []codearts.Parameter) []codearts.Parameter {
				return slices.DeleteFunc(p, func(p codearts.Parameter) bool { return p.Name == "BRIDGE" })
			}},
			want: "its parameters do not have BRIDGE, and it has ended",
		},
		"it ended before it had anything": {
			sim:     codeartstest.Options{CommitLag: time.Hour, BuildTime: time.Millisecond},
			service: odd{parameters: func([]codearts.Parameter) []codearts.Parameter { return nil }},
			alone:   true,
			want:    "does not say what it builds, and it has ended",
		},
		"ours unreadable": {fault: codeartstest.Fault{Path: codeartstest.PathBuildInfo, Status: 500}, want: "read build: the service failed"},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			target := strict()
			target.RetryFor = 3 * time.Second
			b := newTestTrigger(t, settings{stopped: true, target: target, sim: c.sim})
			c.service.Service = b.client(t, target)
			b.SetRules([]trigger.Target{{Target: target, Service: c.service}}, nil, nil)
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			calls := 1
			if !c.alone {
				before := other()
				before.Marker = c.build.Marker
				b.await(t, b.deliver(t, before)[0], store.Started)
				calls++
			}
			if c.fault.Path != "" {
				b.fault(t, c.fault)
			}
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
			if c.build.JobID == "" {
				c.build = push(commitA)
			}
			got := b.await(t, b.deliver(t, c.build)[0], store.Started, store.Dead)
			if got.State != store.Dead || !strings.Contains(got.Reason, "it is not known whether") || !strings.Contains(got.Reason, c.want) {
				t.Errorf("got %s, number %q: %s", got.State, got.BuildNumber, got.Reason)
			}
			if n := b.sim.RunCount(); n != calls {
				t.Errorf("%d builds were started, want %d", n, calls)
			}
		})
	}
}

// The record of a build says who started it, whatever the list of builds says.
func TestListWritesExecutorsOtherwise(t *testing.T) {
	t.Parallel()
	for phrase, listed := range map[string]func(r *codearts.Record){
		"not at all":   func(r *codearts.Record) { r.Executor = "" },
		"by an id":     func(r *codearts.Record) { r.Executor = "id of " + r.Executor },
		"as in record": func(*codearts.Record) {},
	} {
		for drop, started := range map[string]bool{codeartstest.DropBefore: false, codeartstest.DropAfter: true} {
			t.Run(fmt.Sprintf("%s, ours was started: %t", phrase, started), func(t *testing.T) {
				t.Parallel()
				s := &scene{testTrigger: newTestTrigger(t, settings{stopped: true, target: strict()}), clock: new(shifted)}
				s.SetRules([]trigger.Target{{Target: strict(), Service: odd{Service: s.client(t, strict()), listed: listed}}}, nil, nil)
				if err := s.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.another(t)
				s.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 500}) // nobody looks yet
				s.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: drop, Times: 1})
				id := s.deliver(t, push(commitA))[0]
				s.await(t, id, store.Unknown)
				s.person(t, 0, codeartstest.Build{Parameters: push(commitA).Parameters})
				s.sim.ClearFaults()
				if got := s.await(t, id, store.Started, store.Dead); got.Adopted != started || s.sim.RunCount() != 2 {
					t.Errorf("%d builds were started, want 2; got %s, adopted %t (%s)", s.sim.RunCount(), got.State, got.Adopted, got.Reason)
				}
			})
		}
	}
}

// A process called before it knew the service's clock, and ended. Another process does not decide by
// a time that may be wrong.
func TestClocksWereNotCompared(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		person time.Duration // from the call
		want   store.State
	}{
		"a person built an hour before":  {-time.Hour, store.Started},
		"a person built a minute before": {-time.Minute, store.Unknown},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			s := &scene{clock: new(shifted)}
			target := strict()
			s.testTrigger = newTestTrigger(t, settings{stopped: true, target: target, sim: codeartstest.Options{Now: s.clock.Now}})
			s.person(t, c.person, codeartstest.Build{})
			id := s.deliver(t, bare())[0]
			row := s.await(t, id, store.Waiting)
			row.Service = strings.TrimPrefix(s.sim.URL, "http://")
			if _, err := s.store.BeginCall(t.Context(), row, time.Now()); err != nil {
				t.Fatal(err)
			}
			s.close(t)
			s.open(t, settings{target: target})
			got := s.await(t, id, store.Unknown, store.Waiting, store.Started)
			until(t, "it is decided, or was searched for often", func() bool {
				got = s.await(t, id, store.States()...)
				often := len(got.Log) > 0 && got.Log[len(got.Log)-1].Times >= minSearches
				return got.State != store.Unknown || c.want != store.Started && often
			})
			if c.want == store.Started { // by a call of its own
				got = s.await(t, id, store.Started, store.Dead)
			}
			if got.State != c.want || got.Adopted {
				t.Errorf("got %s, adopted %t (%s)", got.State, got.Adopted, got.Reason)
			}
			if c.want == store.Unknown && !strings.Contains(got.Reason, "nobody had compared the clocks") {
				t.Errorf("got %q", got.Reason)
			}
		})
	}
}

// An answer is lost in the hour that comes twice when summer time ends, or next to it,
// and the service writes its times as wall clocks.
func TestLostAnswerWhenSummerTimeEnds(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	ends := time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)
	for phrase, from := range map[string]time.Duration{
		"before it":              -61 * time.Minute,
		"at its beginning":       -60 * time.Minute,
		"in it, the first time":  -30 * time.Minute,
		"between both":           -2 * time.Second,
		"in it, the second time": 30 * time.Minute,
		"at its end":             time.Hour - 2*time.Second,
	} {
		for drop, started := range map[string]bool{codeartstest.DropBefore: false, codeartstest.DropAfter: true} {
			t.Run(fmt.Sprintf("%s, it was started: %t", phrase, started), func(t *testing.T) {
				t.Parallel()
				clock := new(shifted)
				clock.ahead.Store(int64(time.Until(ends.Add(from))))
				target := strict()
				target.Reconcile.TimeZone = berlin
				b := newTestTrigger(t, settings{target: target, sim: codeartstest.Options{Now: clock.Now, Location: berlin, TextTimes: true}})
				b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: drop, Times: 1})
				got := b.await(t, b.deliver(t, push(commitA))[0], store.Started, store.Dead)
				if n := b.sim.RunCount(); got.Adopted != started || n != 1 {
					t.Errorf("got %s, adopted %t, and %d builds were started (%s)", got.State, got.Adopted, n, got.Reason)
				}
			})
		}
	}
}
