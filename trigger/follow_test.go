package trigger_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// following is a target whose builds are followed.
func following() mapping.Target {
	t := patient()
	t.Follow = true
	return t
}

func each(d time.Duration) func(time.Duration) time.Duration {
	return func(time.Duration) time.Duration { return d }
}

// newFollower is a trigger that follows, with steps of 20 ms unless s says otherwise.
func newFollower(t *testing.T, s settings) *testTrigger {
	t.Helper()
	if s.follow == nil {
		s.follow = each(20 * time.Millisecond)
	}
	if s.target.Name == "" {
		s.target = following()
	}
	if s.sim.BuildTime == 0 {
		s.sim.BuildTime = 100 * time.Millisecond
	}
	return newTestTrigger(t, s)
}

// result waits until a build has one of these results.
func (b *testTrigger) result(t *testing.T, id string, results ...store.Result) (got *store.Build) {
	t.Helper()
	until(t, fmt.Sprintf("build %s has the result %v", id, results), func() (so bool) {
		var err error
		if got, err = b.store.Build(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if got.Result.Final() && !slices.Contains(results, got.Result) {
			t.Fatalf("its result is %s (%s)", got.Result, got.Message)
		}
		return slices.Contains(results, got.Result)
	})
	return got
}

func (b *testTrigger) outcome(t *testing.T, o codeartstest.Outcome) {
	t.Helper()
	if err := b.sim.AddOutcome(o); err != nil {
		t.Fatal(err)
	}
}

// metric is the value of a counter; -1 if there is no such series.
func (b *testTrigger) metric(t *testing.T, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			its := map[string]string{}
			for _, l := range m.GetLabel() {
				its[l.GetName()] = l.GetValue()
			}
			if f.GetName() == name && maps.Equal(its, labels) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func TestBuildsAreFollowed(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		sim     codeartstest.Options
		outcome codeartstest.Outcome
		faults  []codeartstest.Fault
		want    store.Result
		message string // part of it
		step    string
		bare    bool // the record's names are not known
	}{
		"success":                   {want: store.Success},
		"failure":                   {outcome: codeartstest.Outcome{Result: "FAILURE", Step: "compile", Message: "exit\nstatus 1"}, want: store.Failure, step: "compile", message: "exit"},
		"aborted":                   {outcome: codeartstest.Outcome{Result: "ABORTED"}, want: store.Aborted},
		"timeout":                   {outcome: codeartstest.Outcome{Result: "timeout"}, want: store.Timeout},
		"in another case":           {outcome: codeartstest.Outcome{Result: "Success"}, want: store.Success},
		"timeout in upper case":     {outcome: codeartstest.Outcome{Result: "TIMEOUT"}, want: store.Timeout},
		"a state that nobody knows": {outcome: codeartstest.Outcome{Result: "MELTED"}, want: store.Lost, message: `"MELTED"`},
		"no state":                  {outcome: codeartstest.Outcome{Result: codeartstest.ResultNone}, want: store.Lost, message: "not how"},
		"a second opinion":          {outcome: codeartstest.Outcome{Result: "MELTED", BuildResult: "SUCCESS"}, want: store.Success},
		"a second opinion, against": {outcome: codeartstest.Outcome{Result: codeartstest.ResultNone, BuildResult: "FAILURE"}, want: store.Failure},
		"queued":                    {outcome: codeartstest.Outcome{Queued: 100 * time.Millisecond}, want: store.Success},
		"queued, not in the list":   {sim: codeartstest.Options{QueuedUnlisted: true, QueuedNoStart: true}, outcome: codeartstest.Outcome{Queued: 100 * time.Millisecond}, want: store.Success},
		"records that lag":          {sim: codeartstest.Options{RecordLag: 150 * time.Millisecond, TextTimes: true}, want: store.Success},
		"an error inside a 200":     {faults: []codeartstest.Fault{{Path: codeartstest.PathList, Status: 200, Code: "CB.00060100", Message: "busy", Times: 2}}, want: store.Success},
		"an empty answer":           {faults: []codeartstest.Fault{{Path: codeartstest.PathList, Status: 200, Body: "{}", Times: 1}}, want: store.Success},
		"no list":                   {faults: []codeartstest.Fault{{Path: codeartstest.PathList, Status: 500, Times: 2}}, want: store.Success},
		"no permission for a while": {faults: []codeartstest.Fault{{Path: codeartstest.PathList, Status: 403, Times: 1}}, want: store.Success},
		"no answer":                 {faults: []codeartstest.Fault{{Path: codeartstest.PathList, Drop: codeartstest.DropBefore, Times: 1}}, want: store.Success},
		"no details once": {
			outcome: codeartstest.Outcome{Result: "FAILURE", Step: "compile", Message: "exit"}, want: store.Failure, step: "compile", message: "exit",
			faults: []codeartstest.Fault{{Path: codeartstest.PathRecordInfo, Status: 500, Times: 1}},
		},
		"no steps once": {
			outcome: codeartstest.Outcome{Result: "FAILURE", Step: "compile", Message: "exit"}, want: store.Failure, step: "compile", message: "exit",
			faults: []codeartstest.Fault{{Path: codeartstest.PathSteps, Status: 500, Times: 1}},
		},
		"no details at all": {
			want: store.Success, bare: true, faults: []codeartstest.Fault{{Path: codeartstest.PathRecordInfo, Status: 403}},
		},
		"no second opinion for a while": {
			outcome: codeartstest.Outcome{Result: "MELTED", BuildResult: "SUCCESS"}, want: store.Success,
			faults: []codeartstest.Fault{{Path: codeartstest.PathBuildResult, Status: 500, Times: 3}},
		},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newFollower(t, settings{sim: c.sim})
			b.outcome(t, c.outcome)
			for _, f := range c.faults {
				b.fault(t, f)
			}
			got := b.result(t, b.deliver(t, push(commitA))[0], c.want)
			if got.State != store.Started || got.Step != c.step || !strings.Contains(got.Message, c.message) || c.message == "" && got.Message != "" {
				t.Errorf("got %s, step %q, message %q", got.State, got.Step, got.Message)
			}
			if strings.ContainsAny(got.Message, "\n") {
				t.Errorf("a line break in %q", got.Message)
			}
			if got.EndedAt.Before(got.StartedAt) || time.Since(got.EndedAt) > time.Minute {
				t.Errorf("started at %s, ended at %s", got.StartedAt, got.EndedAt)
			}
			if (got.RecordID == "") != c.bare || (got.ProjectID == "") != c.bare {
				t.Errorf("record %q, project %q", got.RecordID, got.ProjectID)
			}
			if n := len(got.Log); n != 1 {
				t.Errorf("the log of attempts has %d", n)
			}
			asked := b.sim.Requests("")
			if open, err := b.store.Running(t.Context()); err != nil || len(open) > 0 {
				t.Errorf("%v are followed, %v", open, err)
			}
			<-time.After(100 * time.Millisecond) // nothing is asked: there is no condition to wait for
			if n := b.sim.Requests(""); n > asked {
				t.Errorf("%d requests after its end", n-asked)
			}
		})
	}
}

// edited is a service with other records.
type edited struct {
	trigger.Service
	edit func(number string, r codearts.Record) codearts.Record
}

func (s edited) Following(ctx context.Context, jobID string, from, to time.Time, zone *time.Location, numbers []string) (map[string]codearts.Record, error) {
	found, err := s.Service.Following(ctx, jobID, from, to, zone, numbers)
	for number, r := range found {
		found[number] = s.edit(number, r)
	}
	return found, err
}

// A running status that nobody knows is that of a build which runs. And a record that is older than
// the build is of another build with the same number.
func TestRecordsThatSayNothing(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		edit func(r codearts.Record) codearts.Record
		runs bool
	}{
		"an unknown running status": {func(r codearts.Record) codearts.Record { r.JobRunningStatus = "Thinking"; return r }, true},
		"no running status":         {func(r codearts.Record) codearts.Record { r.JobRunningStatus = ""; return r }, true},
		"of an earlier build": {func(r codearts.Record) codearts.Record {
			r.JobRunningStatus, r.State, r.Start = "Finished", "FAILURE", time.Now().Add(-48*time.Hour)
			return r
		}, false},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newFollower(t, settings{stopped: true})
			var looks atomic.Int32
			var really atomic.Bool
			service := edited{b.client(t, following()), func(_ string, r codearts.Record) codearts.Record {
				looks.Add(1)
				if !really.Load() {
					r = c.edit(r)
				}
				return r
			}}
			b.SetRules([]trigger.Target{{Target: following(), Service: service}}, nil, nil)
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			id := b.deliver(t, push(commitA))[0]
			until(t, "it was looked at three times", func() bool { return looks.Load() > 3 })
			if got := b.result(t, id, store.Running); got.RunningAt.IsZero() == c.runs {
				t.Errorf("runs since %s", got.RunningAt)
			}
			really.Store(true)
			b.result(t, id, store.Success)
		})
	}
}

func TestJobThatIsDeleted(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}})
	id := b.deliver(t, push(commitA))[0]
	until(t, "it runs", func() bool { return !b.result(t, id, store.Running).RunningAt.IsZero() })
	b.sim.DeleteJob(job)
	if got := b.result(t, id, store.Lost); !strings.Contains(got.Message, "the job was deleted") || got.State != store.Started {
		t.Errorf("got %s, %q", got.State, got.Message)
	}
}

// One call says that there is no such job, another reads a record of it.
func TestJobThatIsThere(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 404, Code: "CB.00031006", Times: 2})
	b.result(t, b.deliver(t, push(commitA))[0], store.Success)
}

func TestStoppedByAPerson(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}})
	id := b.deliver(t, push(commitA))[0]
	got := b.result(t, id, store.Running)
	if err := b.client(t, following()).Stop(t.Context(), job, got.BuildNumber); err != nil {
		t.Fatal(err)
	}
	if got := b.result(t, id, store.Aborted); got.Stop != "" || !got.StoppedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func TestNotFollowed(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{target: patient(), sim: codeartstest.Options{BuildTime: time.Hour}})
	id := b.deliver(t, push(commitA))[0]
	b.await(t, id, store.Started)
	other := b.deliver(t, tag("v1"))[0]
	b.await(t, other, store.Started)
	if n := b.sim.Requests(""); n != 2 {
		t.Errorf("%d requests for two builds", n)
	}
	// But if a person stops it, its end is of interest.
	if _, err := b.StopBuild(t.Context(), id, mapping.By{Actor: "ann", Why: "wrong branch"}); err != nil {
		t.Fatal(err)
	}
	if got := b.result(t, id, store.Aborted); got.StoppedAt.IsZero() || got.Stop != "stopped by ann: wrong branch" {
		t.Errorf("got %+v", got)
	}
	if got := b.await(t, other, store.Started); got.Result != store.NoResult {
		t.Errorf("got %s", got.Result)
	}
}

func TestHundredBuildsOfAJobAreOneRequest(t *testing.T) {
	t.Parallel()
	const step = 250 * time.Millisecond
	b := newFollower(t, settings{follow: each(step), sim: codeartstest.Options{BuildTime: time.Hour}})
	var ids []string
	for i := range 100 {
		p := push(fmt.Sprintf("%040x", i+1))
		p.Ref = fmt.Sprintf("refs/heads/b%d", i)
		ids = append(ids, b.deliver(t, p)...)
	}
	for _, id := range ids {
		b.await(t, id, store.Started)
	}
	before, begin := b.sim.Requests(codeartstest.PathList), time.Now()
	until(t, "it was asked three times", func() bool { return b.sim.Requests(codeartstest.PathList) > before+2 })
	n, took := b.sim.Requests(codeartstest.PathList)-before, time.Since(begin)
	if most := int(took/step) + 2; n > most {
		t.Errorf("%d lists in %s, want at most %d", n, took, most)
	}
	if n := b.sim.Requests(codeartstest.PathBuildInfo); n > 0 {
		t.Errorf("%d records by themselves", n)
	}
	for _, id := range ids {
		if _, err := b.StopBuild(t.Context(), id, mapping.By{Actor: "ann", Why: "why"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		b.result(t, id, store.Aborted)
	}
	if n := b.sim.Requests(codeartstest.PathRecordInfo); n != len(ids) {
		t.Errorf("%d details of %d builds", n, len(ids))
	}
}

func TestFollowingGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	for phrase, died := range map[string]bool{"stopped": false, "died": true} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			clock := new(shifted)
			b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour, Now: clock.Now}, follow: each(3 * time.Second)})
			id := b.deliver(t, push(commitA))[0]
			b.result(t, id, store.Running)
			b.close(t)
			if died { // it had the job, and its lease goes on
				b.change(t, "sqlite", `UPDATE follows SET worker = 'dead', due_at = ? WHERE job_id = ?`, time.Now().Add(2*time.Second).UnixMicro(), job)
			}
			b.open(t, settings{target: following(), follow: each(20 * time.Millisecond)})
			clock.skip(time.Hour)
			b.result(t, id, store.Success)
		})
	}
}

func TestReplicasAskOnce(t *testing.T) {
	t.Parallel()
	const step = 300 * time.Millisecond
	all := replicas(t, settings{target: following(), follow: each(step), sim: codeartstest.Options{BuildTime: 3 * time.Second}})
	begin := time.Now()
	id := all[0].deliver(t, push(commitA))[0]
	all[2].result(t, id, store.Success)
	took := time.Since(begin)
	if n, most := all[0].sim.Requests(codeartstest.PathList), int(took/step)+2; n > most {
		t.Errorf("%d lists in %s, want at most %d", n, took, most)
	}
	if n := all[0].sim.Requests(codeartstest.PathRecordInfo); n != 1 {
		t.Errorf("%d details", n)
	}
}

// While the service throttles, nothing is asked of it.
func TestFollowingIsThrottled(t *testing.T) {
	t.Parallel()
	for phrase, path := range map[string]string{"list": codeartstest.PathList, "details": codeartstest.PathRecordInfo, "stop": codeartstest.PathStop} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newFollower(t, settings{})
			b.fault(t, codeartstest.Fault{Path: path, Status: 429, RetryAfter: 4, Times: 1})
			if path == codeartstest.PathStop {
				b.outcome(t, codeartstest.Outcome{After: time.Hour})
			}
			id := b.deliver(t, push(commitA))[0]
			if path == codeartstest.PathStop {
				b.result(t, id, store.Running)
				if _, err := b.StopBuild(t.Context(), id, mapping.By{Actor: "ann", Why: "why"}); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "it throttles", func() bool { return b.sim.Requests(path) > 0 })
			begin, n := time.Now(), b.sim.Requests("")
			until(t, "it is asked again", func() bool { return b.sim.Requests("") > n })
			if took := time.Since(begin); took < time.Second {
				t.Errorf("it was asked again after %s", took)
			}
			b.result(t, id, store.Success, store.Aborted)
		})
	}
}

// A service that is down is asked more and more rarely, and never more often than it would be.
func TestFollowingFails(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{follow: each(100 * time.Millisecond)})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 500})
	id := b.deliver(t, push(commitA))[0]
	begin := time.Now()
	until(t, "it failed a few times", func() bool { return b.sim.Requests(codeartstest.PathList) > 3 })
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("four requests in %s", took)
	}
	if got := b.result(t, id, store.Running); got.State != store.Started {
		t.Errorf("got %s", got.State)
	}
	b.sim.ClearFaults()
	b.result(t, id, store.Success)
	if n := b.metric(t, "buildbridge_follow_requests_total", map[string]string{"target": "north", "code": "500"}); n < 3 {
		t.Errorf("%v requests failed", n)
	}
}

func TestCapsOfFollowing(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		change  string
		noRules bool
		down    bool
		ended   bool

		throttled bool
		want      store.Result
		message   string
	}{
		"running for a day":              {change: `UPDATE builds SET running_at = started_at - 25 * 3600000000, started_at = started_at - 25 * 3600000000`, want: store.Lost, message: "24 h"},
		"started three days ago":         {change: `UPDATE builds SET started_at = started_at - 73 * 3600000000, running_at = 0`, want: store.Lost, message: "72 h"},
		"nobody ran for three days":      {change: `UPDATE builds SET started_at = started_at - 73 * 3600000000`, ended: true, want: store.Success},
		"queued for two days":            {change: `UPDATE builds SET started_at = started_at - 48 * 3600000000`, want: store.Running},
		"its target is not in the rules": {change: `UPDATE builds SET started_at = started_at - 73 * 3600000000`, noRules: true, want: store.Lost, message: "not in the rules"},
		"the service is down":            {change: `UPDATE builds SET started_at = started_at - 73 * 3600000000`, down: true, want: store.Lost, message: "500"},
		"the service throttles for ever": {change: `UPDATE builds SET started_at = started_at - 73 * 3600000000`, throttled: true, want: store.Lost, message: "429"},
		"it waits for a person, and its target is not in the rules": {
			change: `UPDATE builds SET started_at = started_at - 900 * 3600000000, running_at = started_at - 900 * 3600000000,
				waited_at = started_at - 73 * 3600000000, message = 'waits for a person at the service'`,
			noRules: true, want: store.Lost, message: "not in the rules",
		},
		"not in the rules, but not so old": {change: `UPDATE builds SET started_at = started_at - 3600000000`, noRules: true, want: store.Running},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newFollower(t, settings{follow: each(time.Hour), sim: codeartstest.Options{BuildTime: time.Hour}})
			if c.ended {
				b.outcome(t, codeartstest.Outcome{After: time.Millisecond})
				b.fault(t, codeartstest.Fault{Path: codeartstest.PathRecordInfo, Status: 500, Times: 1})
			}
			if phrase == "queued for two days" {
				b.outcome(t, codeartstest.Outcome{Queued: time.Hour})
			}
			id := b.deliver(t, push(commitA))[0]
			b.result(t, id, store.Running)
			b.close(t)
			b.change(t, "sqlite", c.change)
			b.change(t, "sqlite", `UPDATE follows SET due_at = 1`)
			if c.down {
				b.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 500})
			}
			if c.throttled {
				b.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 429, RetryAfter: 1})
			}
			b.open(t, settings{stopped: true, target: following(), follow: each(20 * time.Millisecond)})
			if c.noRules {
				b.SetRules(nil, nil, nil)
			}
			lists := b.sim.Requests(codeartstest.PathList)
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.want == store.Running && !c.noRules {
				until(t, "it was looked at", func() bool { return b.sim.Requests(codeartstest.PathList) > lists+1 })
			}
			if got := b.result(t, id, c.want); !strings.Contains(got.Message, c.message) || got.State != store.Started {
				t.Errorf("got %s, %q", got.State, got.Message)
			}
		})
	}
}

// What was started without an answer, what was answered late, and replays are followed too.
func TestAdoptedAndReplayedBuildsAreFollowed(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
	id := b.deliver(t, push(commitA))[0]
	if got := b.result(t, id, store.Success); !got.Adopted {
		t.Errorf("got %+v", got)
	}
	again, err := b.Replay(t.Context(), id, mapping.By{Actor: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	b.result(t, again.ID, store.Success)
}

// A build that runs is stopped, after a newer one was started, and not before.
func TestNewerBuildReplacesThoseThatRun(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}})
	newer := func(commit string) mapping.Build {
		p := push(commit)
		p.Concurrency.Replace = mapping.ReplaceRunning
		return p
	}
	first := b.deliver(t, newer(commitA))[0]
	b.result(t, first, store.Running)
	byHand, err := b.Replay(t.Context(), first, mapping.By{Actor: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	b.result(t, byHand.ID, store.Running)
	release := b.deliver(t, tag("v1"))[0]
	b.result(t, release, store.Running)

	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropBefore})
	second := b.deliver(t, newer(commitB))[0]
	until(t, "it was called in vain", func() bool { return b.await(t, second, store.Waiting, store.Calling, store.Unknown).Attempts > 0 })
	if n := b.sim.Requests(codeartstest.PathStop); n != 0 {
		t.Errorf("%d stops before the newer build was started", n)
	}
	b.sim.ClearFaults()
	if got := b.result(t, first, store.Aborted); got.Stop != "replaced by build "+second || got.SupersededBy != second || got.StoppedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	if got := b.await(t, second, store.Started); !b.await(t, first, store.Started).StoppedAt.After(got.StartedAt) {
		t.Error("it was stopped before the newer one was started")
	}
	for _, id := range []string{second, byHand.ID, release} {
		if got := b.result(t, id, store.Running); got.Stop != "" {
			t.Errorf("it is to be stopped: %s", got.Stop)
		}
	}
	if n := b.sim.Requests(codeartstest.PathStop); n != 1 {
		t.Errorf("%d stops", n)
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		sim     codeartstest.Options
		queued  time.Duration
		fault   codeartstest.Fault
		want    store.Result // a success if it runs to its end
		message string
		calls   int // at least; exactly if refused
		refused bool
	}{
		"taken":                          {want: store.Aborted, calls: 1},
		"by its old path":                {sim: codeartstest.Options{OldStop: true}, want: store.Aborted, calls: 1},
		"too late":                       {sim: codeartstest.Options{StopLag: 2 * time.Hour}, want: store.Success, calls: 1},
		"tried again":                    {fault: codeartstest.Fault{Path: codeartstest.PathStop, Status: 500, Times: 2}, want: store.Aborted, calls: 3},
		"tried again without a right":    {fault: codeartstest.Fault{Path: codeartstest.PathStop, Status: 401, Times: 2}, want: store.Aborted, calls: 3},
		"tried again after no answer":    {fault: codeartstest.Fault{Path: codeartstest.PathStop, Drop: codeartstest.DropBefore, Times: 2}, want: store.Aborted, calls: 3},
		"refused":                        {fault: codeartstest.Fault{Path: codeartstest.PathStop, Status: 403}, want: store.Success, message: "does not stop", calls: 1, refused: true},
		"refused, without a code":        {fault: codeartstest.Fault{Path: codeartstest.PathStop, Status: 404, Body: "<html>", ContentType: "text/html"}, want: store.Success, message: "does not stop", calls: 2, refused: true},
		"tried again if it is not there": {queued: time.Hour, fault: codeartstest.Fault{Path: codeartstest.PathStop, Status: 400, Code: "DEV.CB.032011", Times: 1}, want: store.Aborted, calls: 2},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			clock := new(shifted)
			c.sim.BuildTime, c.sim.Now = time.Hour, clock.Now
			b := newFollower(t, settings{sim: c.sim})
			b.outcome(t, codeartstest.Outcome{Queued: c.queued})
			if c.fault.Path != "" {
				b.fault(t, c.fault)
			}
			id := b.deliver(t, push(commitA))[0]
			until(t, "it runs", func() bool {
				return !b.result(t, id, store.Running).RunningAt.IsZero() || c.queued > 0
			})
			if _, err := b.StopBuild(t.Context(), id, mapping.By{Actor: "ann", Why: strings.Repeat("x", 1000) + "\x1b"}); err != nil {
				t.Fatal(err)
			}
			if c.want == store.Success {
				until(t, "the stop is answered", func() bool {
					got := b.result(t, id, store.Running)
					return got.Message != "" || !got.StoppedAt.IsZero()
				})
				clock.skip(time.Hour)
			}
			got := b.result(t, id, c.want)
			if !strings.Contains(got.Message, c.message) || len(got.Stop) > 600 || strings.Contains(got.Stop, "\x1b") || got.StoppedAt.IsZero() != c.refused {
				t.Errorf("stopped at %s because of %q, message %q", got.StoppedAt, got.Stop, got.Message)
			}
			if n := b.sim.Requests(codeartstest.PathStop); n < c.calls || c.refused && n != c.calls {
				t.Errorf("%d stop calls, want %d", n, c.calls)
			}
			if _, err := b.StopBuild(t.Context(), id, mapping.By{Actor: "ann", Why: "again"}); err == nil {
				t.Error("it was stopped after its end")
			}
		})
	}
}

// A person who asks once more after the service refused a stop is not told that all is well.
func TestStopIsToldAgain(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathStop, Status: 403, Times: 1})
	id := b.deliver(t, push(commitA))[0]
	b.result(t, id, store.Running)
	if _, err := b.StopBuild(t.Context(), id, mapping.By{Actor: "ann", Why: "ann"}); err != nil {
		t.Fatal(err)
	}
	until(t, "the stop is refused", func() bool {
		got, err := b.store.Build(t.Context(), id)
		return err == nil && got.Message != ""
	})
	if _, err := b.StopBuild(t.Context(), id, mapping.By{Actor: "ann", Why: "bob"}); err != nil {
		t.Fatal(err)
	}
	if got := b.result(t, id, store.Aborted); got.Stop != "stopped by ann: bob" {
		t.Errorf("it was stopped because of %q", got.Stop)
	}
}

func TestThreePushesThatSettleAreOneBuild(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{})
	var ids []string
	for i := range 3 {
		p := push(fmt.Sprintf("%040x", i+1))
		p.Concurrency = mapping.Concurrency{Replace: mapping.ReplaceWaiting, Settle: 5 * time.Second}
		ids = append(ids, b.deliver(t, p)...)
	}
	got := b.result(t, ids[2], store.Success)
	if wait := got.CalledAt.Sub(got.ReceivedAt); wait < 4990*time.Millisecond {
		t.Errorf("it was called after %s", wait)
	}
	for _, id := range ids[:2] {
		b.await(t, id, store.Superseded)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("%040x", 3)}, b.runs(t)); diff != "" {
		t.Error(diff)
	}
}

func TestMaxRunning(t *testing.T) {
	t.Parallel()
	clock := new(shifted)
	b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour, Now: clock.Now}})
	var want, ids []string
	for i := range 4 {
		p := push(fmt.Sprintf("%040x", i+1))
		p.Concurrency.MaxRunning = 1
		want = append(want, p.Commit)
		ids = append(ids, b.deliver(t, p)...)
	}
	for i, id := range ids {
		until(t, "it runs, and the next one says what it waits for", func() bool {
			runs := 0
			for _, state := range b.sim.Builds() {
				if state.Running != "Finished" {
					runs++
				}
			}
			if runs > 1 {
				t.Fatalf("%d run", runs)
			}
			return b.await(t, id, store.States()...).State == store.Started &&
				(i+1 == len(ids) || b.await(t, ids[i+1], store.States()...).Reason == string(store.HoldRunning))
		})
		clock.skip(time.Hour)
		b.result(t, id, store.Success)
	}
	if diff := cmp.Diff(want, b.runs(t)); diff != "" {
		t.Error(diff)
	}
}

func TestEndIsSeen(t *testing.T) {
	t.Parallel()
	spans, log := tracetest.NewSpanRecorder(), &said{}
	b := newFollower(t, settings{traces: sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)), log: log})
	for _, r := range store.Results() {
		if r.Final() != (b.metric(t, "buildbridge_build_results_total", map[string]string{"rule": "cart", "target": "north", "result": string(r)}) == 0) {
			t.Errorf("the series of %s", r)
		}
	}
	b.outcome(t, codeartstest.Outcome{Result: "FAILURE", Step: "compile", Message: "exit"})
	got := b.result(t, b.deliver(t, push(commitA))[0], store.Failure)
	span, commit := ended(t, spans, "build", 1)[0], ended(t, spans, "commit", 1)[0]
	if !span.StartTime().Equal(got.StartedAt) || !span.EndTime().Equal(got.EndedAt) || span.Parent().SpanID() != commit.SpanContext().SpanID() ||
		text(span, "result") != "failure" || text(span, "step") != "compile" || span.Status().Code != codes.Error {
		t.Errorf("from %s to %s, parent %v, %v, %v", span.StartTime(), span.EndTime(), span.Parent(), span.Attributes(), span.Status())
	}
	until(t, "the log says it", func() bool {
		return log.has(`level=WARN msg="build ended"`) && log.has("result=failure") && log.has("step=compile") && log.has("message=exit") && log.has("build_number=1")
	})
	if n := b.metric(t, "buildbridge_build_results_total", map[string]string{"rule": "cart", "target": "north", "result": "failure"}); n != 1 {
		t.Errorf("%v failures", n)
	}
	if n, err := testutil.GatherAndCount(b.reg, "buildbridge_builds_running", "buildbridge_build_duration_seconds"); err != nil || n != 2 {
		t.Errorf("%d series, %v", n, err)
	}
}

// A job that counts from one again gives a number a second time: its record says nothing of the first.
func TestNumberGivenTwice(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{follow: each(time.Hour), sim: codeartstest.Options{BuildTime: time.Hour}})
	first := b.deliver(t, push(commitA))[0]
	b.result(t, first, store.Running)
	old := b.sim
	b.close(t)
	b.sim = codeartstest.NewServer(codeartstest.Options{BuildTime: 50 * time.Millisecond}) // the job is new
	t.Cleanup(b.sim.Close)
	b.change(t, "sqlite", `UPDATE builds SET service = ?`, strings.TrimPrefix(b.sim.URL, "http://"))
	b.change(t, "sqlite", `UPDATE follows SET due_at = 1`)
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 500}) // until both have the number
	b.open(t, settings{target: following(), follow: each(20 * time.Millisecond)})
	second := b.deliver(t, push(commitB))[0]
	b.await(t, second, store.Started)
	b.sim.ClearFaults()
	if got := b.result(t, first, store.Lost); !strings.Contains(got.Message, "gave its number to another build") {
		t.Errorf("got %q", got.Message)
	}
	b.result(t, second, store.Success)
	if n := old.Requests(codeartstest.PathList); n != 0 {
		t.Errorf("the first service was asked %d times", n)
	}
}

func TestDryRunFollowsNothing(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}, follow: each(time.Hour)})
	id := b.deliver(t, push(commitA))[0]
	b.result(t, id, store.Running)
	b.close(t)
	b.change(t, "sqlite", `UPDATE follows SET due_at = 1`)
	b.open(t, settings{target: following(), dryRun: true, follow: each(time.Millisecond)})
	b.await(t, b.deliver(t, push(commitB))[0], store.DryRun)
	if n := b.sim.Requests(""); n != 1 {
		t.Errorf("%d requests, want that of the first build", n)
	}
}

// The steps that docs/delivery-guarantee.md names.
func TestStepsOfFollowing(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]time.Duration{
		0: 5 * time.Second, 59 * time.Second: 5 * time.Second, time.Minute: 15 * time.Second,
		9 * time.Minute: 15 * time.Second, 10 * time.Minute: time.Minute, 50 * time.Hour: time.Minute,
	} {
		if got := trigger.FollowStep(age); got != want {
			t.Errorf("after %s: %s, want %s", age, got, want)
		}
	}
}
