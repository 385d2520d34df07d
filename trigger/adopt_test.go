package trigger_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// Two builds of one job and one commit lose their answers; the first was started,
// the second was not. The second must not be taken for the first.
func TestLostCallDoesNotAdoptAnothersBuild(t *testing.T) {
	t.Parallel()
	branch := push(commitA)
	branch.Ref, branch.Parameters = "refs/heads/next", []mapping.Parameter{{Name: "codeBranch", Value: "next"}}
	for phrase, other := range map[string]mapping.Build{
		"the commit on another branch": branch,
		"a tag on the commit":          tag("v1"),
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newTestTrigger(t, settings{sim: codeartstest.Options{TagCommit: func(string) string { return commitA }}})
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropBefore, Times: 1})
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 500}) // nobody finds out before both were called
			first := b.deliver(t, other)[0]
			// It searches more and more rarely: the second will be the first to search.
			until(t, "the first searched four times", func() bool {
				log := b.await(t, first, store.Waiting, store.Calling, store.Unknown).Log
				return len(log) == 2 && log[1].Times > 3
			})
			second := b.deliver(t, push(commitA))[0]
			until(t, "the second is unknown too, or held until the first is known", func() bool {
				got := b.await(t, second, store.Waiting, store.Calling, store.Unknown)
				return got.State == store.Unknown || got.Reason == string(store.HoldCall)
			})
			b.sim.ClearFaults()
			b.await(t, first, store.Started)
			b.await(t, second, store.Started)
			got := map[string]int{}
			for _, r := range b.sim.Runs() {
				got[string(r.Body)]++
			}
			want := map[string]int{}
			for _, id := range []string{first, second} {
				want[string(b.await(t, id, store.Started).Body)]++
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-asked for +started:\n%s", diff)
			}
		})
	}
}

// broken is a service that cannot read one of its records.
type broken struct {
	trigger.Service
	number string
}

func (s broken) Source(ctx context.Context, jobID, number string) (codearts.Source, error) {
	if number == s.number {
		return codearts.Source{}, &codearts.Error{Op: "read record", Fate: codearts.FateRetry, Status: 500}
	}
	return s.Service.Source(ctx, jobID, number)
}

// A record that cannot be read does not prevent a search from finding another one. If there
// is no other, it may be the one.
func TestRecordThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		drop string
		want store.State
	}{
		"the build was started":  {codeartstest.DropAfter, store.Started},
		"it is not known of any": {codeartstest.DropBefore, store.Unknown},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newTestTrigger(t, settings{stopped: true})
			b.SetRules([]trigger.Target{{Target: patient(), Service: broken{b.client(t, patient()), "1"}}}, nil, nil)
			if _, err := b.sim.StartBuild(codeartstest.Build{JobID: job, Tag: "v0"}); err != nil { // number 1, a person's
				t.Fatal(err)
			}
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: c.drop, Times: 1})
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			id := b.deliver(t, tag("v1"))[0]
			until(t, "it is "+string(c.want), func() bool {
				got := b.await(t, id, store.Waiting, store.Calling, store.Unknown, store.Started)
				n := len(got.Log)
				return got.State == c.want && (c.want == store.Started || n > 0 && got.Log[n-1].Times > minSearches)
			})
			if n := b.sim.RunCount(); c.want == store.Unknown && n != 0 || c.want == store.Started && n != 1 {
				t.Errorf("%d builds were started", n)
			}
		})
	}
}

// flaky is a service that cannot read every second record.
type flaky struct {
	trigger.Service
	reads *atomic.Int32
}

func (s flaky) fails() error {
	if s.reads.Add(1)%2 == 0 {
		return &codearts.Error{Op: "read record", Fate: codearts.FateRetry, Status: 500}
	}
	return nil
}

func (s flaky) Source(ctx context.Context, jobID, number string) (codearts.Source, error) {
	if err := s.fails(); err != nil {
		return codearts.Source{}, err
	}
	return s.Service.Source(ctx, jobID, number)
}

func (s flaky) Record(ctx context.Context, jobID, number string, zone *time.Location) (codearts.Record, error) {
	if err := s.fails(); err != nil {
		return codearts.Record{}, err
	}
	return s.Service.Record(ctx, jobID, number, zone)
}

// Some of many records cannot be read each time: those that were read are remembered, so that
// a search ends.
func TestSomeRecordsCannotBeReadEachTime(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		call    mapping.Build // that is lost
		persons codeartstest.Build
	}{
		"what they build":  {tag("v1"), codeartstest.Build{JobID: job, Tag: "v0"}},
		"who started them": {push(commitA), codeartstest.Build{JobID: job, Commit: commitA, Parameters: push(commitA).Parameters}},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newTestTrigger(t, settings{stopped: true, sim: codeartstest.Options{BuildTime: time.Millisecond}})
			b.SetRules([]trigger.Target{{Target: patient(), Service: flaky{b.client(t, patient()), new(atomic.Int32)}}}, nil, nil)
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.await(t, b.deliver(t, push(commitB))[0], store.Started) // it tells in whose name builds are started
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropBefore, Times: 1})
			for range 5 {
				if _, err := b.sim.StartBuild(c.persons); err != nil {
					t.Fatal(err)
				}
			}
			b.await(t, b.deliver(t, c.call)[0], store.Started)
			if n := b.sim.RunCount(); n != 2 {
				t.Errorf("%d builds were started", n)
			}
		})
	}
}

// anew is a service that first gives the record of an earlier build, which a person had started: the job
// was created anew.
type anew struct {
	trigger.Service
	reads *atomic.Int32
}

func (s anew) Record(ctx context.Context, jobID, number string, zone *time.Location) (codearts.Record, error) {
	r, err := s.Service.Record(ctx, jobID, number, zone)
	if s.reads.Add(1) == 1 {
		r.Start, r.StartAgain, r.Executor = r.Start.Add(-time.Hour), r.StartAgain.Add(-time.Hour), "a person"
	}
	return r, err
}

// The record of an earlier build is not remembered as that of ours.
func TestRecordOfAJobBefore(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	b.SetRules([]trigger.Target{{Target: patient(), Service: anew{b.client(t, patient()), new(atomic.Int32)}}}, nil, nil)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.await(t, b.deliver(t, push(commitB))[0], store.Started)
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
	if got := b.await(t, b.deliver(t, push(commitA))[0], store.Started); !got.Adopted || b.sim.RunCount() != 2 {
		t.Errorf("adopted %v, and %d builds were started", got.Adopted, b.sim.RunCount())
	}
}

// lacking is a service that gives the parameters of a build only later.
type lacking struct {
	trigger.Service
	asks *atomic.Int32 // still to be answered without
}

func (s lacking) HistoryParameters(ctx context.Context, jobID, number string) ([]codearts.Parameter, error) {
	if s.asks.Add(-1) >= 0 {
		return nil, nil
	}
	return s.Service.HistoryParameters(ctx, jobID, number)
}

// A build that has no parameters yet may still have the marker.
func TestMarkerThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true, sim: codeartstest.Options{BuildTime: time.Hour}})
	asks := new(atomic.Int32)
	asks.Store(minSearches)
	b.SetRules([]trigger.Target{{Target: patient(), Service: lacking{b.client(t, patient()), asks}}}, nil, nil)
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := push(commitA)
	p.Marker = "BRIDGE"
	if got := b.await(t, b.deliver(t, p)[0], store.Started); !got.Adopted || b.sim.RunCount() != 1 {
		t.Errorf("adopted %v, and %d builds were started", got.Adopted, b.sim.RunCount())
	}
}

// contested is a service whose records are read by somebody else at the same time.
type contested struct {
	trigger.Service
	claim func()
}

func (s contested) Source(ctx context.Context, jobID, number string) (codearts.Source, error) {
	s.claim()
	return s.Service.Source(ctx, jobID, number)
}

// If another build adopts a record first, the searches before stay in the log.
func TestAdoptedBySomebodyElse(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	if _, err := b.sim.StartBuild(codeartstest.Build{JobID: job, Commit: commitA}); err != nil {
		t.Fatal(err)
	}
	other := push(commitB)
	other.Ref = "refs/heads/other"
	ids := b.deliver(t, push(commitA), other)
	quicker := b.await(t, ids[1], store.Waiting)
	quicker.Service = strings.TrimPrefix(b.sim.URL, "http://")
	if _, err := b.store.BeginCall(t.Context(), quicker, time.Now()); err != nil {
		t.Fatal(err)
	}
	b.SetRules([]trigger.Target{{Target: patient(), Service: contested{b.client(t, patient()), func() {
		quicker.State, quicker.BuildNumber, quicker.Adopted = store.Started, "1", true
		if err := b.store.Save(t.Context(), quicker); err != nil {
			t.Error(err)
		}
	}}}}, nil, nil)
	row := b.await(t, ids[0], store.Waiting)
	row.Service = strings.TrimPrefix(b.sim.URL, "http://")
	if _, err := b.store.BeginCall(t.Context(), row, time.Now()); err != nil {
		t.Fatal(err)
	}
	row.State = store.Unknown
	row.Record(store.Attempt{At: row.CalledAt, Outcome: store.Unknown})
	row.Record(store.Attempt{At: row.CalledAt, Outcome: store.Unknown, Search: true})
	if err := b.store.Save(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Work(t.Context(), row.ID); err != nil {
		t.Fatal(err)
	}
	got := b.await(t, row.ID, store.Unknown)
	if len(got.Log) != 2 || got.Log[1].Times != 2 {
		t.Errorf("got %+v, want the call and two searches", got.Log)
	}
}

// A person's build of the same commit, started at another hour, is not ours. If the service
// lists only such builds, it was asked in the wrong zone, and may have others.
func TestWrongTimeZone(t *testing.T) {
	t.Parallel()
	var early atomic.Bool
	early.Store(true)
	target := patient()
	target.Reconcile.TimeZone = time.UTC // the service is at +08:00
	b := newTestTrigger(t, settings{target: target, sim: codeartstest.Options{Now: func() time.Time {
		if early.Load() {
			return time.Now().Add(-8 * time.Hour)
		}
		return time.Now()
	}}})
	if _, err := b.sim.StartBuild(codeartstest.Build{JobID: job, Commit: commitA}); err != nil {
		t.Fatal(err)
	}
	early.Store(false)
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
	id := b.deliver(t, push(commitA))[0]
	until(t, "it searched four times, for longer than its patience", func() bool {
		got := b.await(t, id, store.States()...)
		n := len(got.Log)
		if n == 0 || !got.Log[n-1].Search {
			return false
		}
		if got.State != store.Unknown || !strings.Contains(got.Reason, "reconcile.time_zone") {
			t.Fatalf("got %s, number %q (%s)", got.State, got.BuildNumber, got.Reason)
		}
		return got.Log[n-1].Times >= 4
	})
	b.setTargets(t, patient())
	if got := b.await(t, id, store.Started); !got.Adopted || got.BuildNumber != "2" || b.sim.RunCount() != 1 {
		t.Errorf("adopted %v, number %s, and %d builds were started", got.Adopted, got.BuildNumber, b.sim.RunCount())
	}
}

// Both forms of a record's time are understood, in the zone of the target.
func TestTimesOfRecords(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("UTC-5", -5*60*60)
	for phrase, walls := range map[string]bool{"milliseconds": false, "wall clocks": true} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			target := patient()
			target.Reconcile.Window, target.Reconcile.TimeZone = 0, zone
			b := newTestTrigger(t, settings{target: target, sim: codeartstest.Options{TextTimes: walls, Location: zone}})
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
			if got := b.await(t, b.deliver(t, push(commitA))[0], store.Started); !got.Adopted || b.sim.RunCount() != 1 {
				t.Errorf("adopted %v, and %d builds were started", got.Adopted, b.sim.RunCount())
			}
		})
	}
}

// minSearches is more than the searches for a build that can be found.
const minSearches = 5

// Two targets may lead to one service, with different credentials or limits. A build that one
// of them started is not taken for a build of the other.
func TestTwoTargetsOfOneService(t *testing.T) {
	t.Parallel()
	for phrase, open := range map[string]func(t *testing.T) (north, south *testTrigger){
		"one process": func(t *testing.T) (north, south *testTrigger) {
			t.Helper()
			b := newTestTrigger(t, settings{})
			return b, b
		},
		"replicas": func(t *testing.T) (north, south *testTrigger) {
			t.Helper()
			all := replicas(t, settings{})
			return all[0], all[1]
		},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			north, south := open(t)
			other := patient()
			other.Name, other.Endpoint = "south", north.sim.URL+"/"
			for _, b := range []*testTrigger{north, south} {
				b.setTargets(t, patient(), other)
			}
			north.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropBefore, Times: 1})
			north.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
			one, two := push(commitA), push(commitA)
			two.Target = "south"
			ids := append(north.deliver(t, one), south.deliver(t, two)...)
			numbers := map[string]bool{}
			for _, id := range ids {
				numbers[north.await(t, id, store.Started).BuildNumber] = true
			}
			if n := north.sim.RunCount(); n != 2 || len(numbers) != 2 {
				t.Errorf("%d builds run, with the numbers %v", n, numbers)
			}
		})
	}
}

// A call without an answer is not searched for at a service that it was not sent to.
func TestTargetThatLeadsElsewhere(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 500})
	id := b.deliver(t, push(commitA))[0]
	b.await(t, id, store.Unknown)
	elsewhere := codeartstest.NewServer(codeartstest.Options{})
	t.Cleanup(elsewhere.Close)
	moved := patient()
	moved.Endpoint = elsewhere.URL
	b.setTargets(t, moved)
	until(t, "its reason is where the target leads", func() bool {
		return strings.Contains(b.await(t, id, store.Unknown).Reason, "and leads to ")
	})
	if n := elsewhere.RunCount(); n != 0 {
		t.Errorf("%d builds were started elsewhere", n)
	}
	b.sim.ClearFaults()
	b.setTargets(t, patient()) // back
	b.await(t, id, store.Started)
	if n := b.sim.RunCount(); n != 1 {
		t.Errorf("%d builds run, want 1", n)
	}
}
