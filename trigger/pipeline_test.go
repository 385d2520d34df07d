package trigger_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

const (
	pipelineID = "0123456789abcdef0123456789abcdef"
	projectID  = "fedcba9876543210fedcba9876543210"
)

// flow is a push that runs a pipeline.
func flow(commit string) mapping.Build {
	b := push(commit)
	b.Action, b.JobID, b.ProjectID, b.Parameters = mapping.ActionPipeline, pipelineID, projectID, nil
	b.Sources = []mapping.CodeSource{{Branch: "main"}}
	return b
}

func (b *testTrigger) setPipeline(t *testing.T, p codeartstest.Pipeline) {
	t.Helper()
	p.PipelineID = pipelineID
	if err := b.sim.SetPipeline(p); err != nil {
		t.Fatal(err)
	}
}

func TestRequestOfAPipeline(t *testing.T) {
	t.Parallel()
	const id = "01999999-0000-7000-8000-000000000000"
	for phrase, c := range map[string]struct {
		change func(b *mapping.Build)
		want   string
	}{
		"a branch": {
			func(*mapping.Build) {},
			`{"sources":[{"type":"code","params":{"build_params":{"build_type":"branch","event_type":"Manual","target_branch":"main"}}}],` +
				`"description":"bb-` + id + ` rule cart ` + commitA + `"}`,
		},
		"a tag of a repository, pinned sources, a marker and stages": {
			func(b *mapping.Build) {
				b.Commit, b.Tag, b.Stages, b.Marker = "", "v1", []string{"one"}, "BRIDGE"
				b.Parameters = []mapping.Parameter{{Name: "a", Value: "b"}}
				b.Sources = []mapping.CodeSource{
					{GitType: "codehub", GitURL: "https://host/shop.git", CodehubID: "7", Alias: "shop", DefaultBranch: "master", Tag: "v1"},
					{GitType: "github", EndpointID: "e", Branch: "main", Commit: commitB},
				}
			},
			`{"sources":[{"type":"code","params":{"git_type":"codehub","git_url":"https://host/shop.git","codehub_id":"7","alias":"shop",` +
				`"default_branch":"master","build_params":{"build_type":"tag","event_type":"Manual","tag":"v1"}}},` +
				`{"type":"code","params":{"git_type":"github","endpoint_id":"e","build_params":{"build_type":"branch","event_type":"Manual",` +
				`"target_branch":"main","commit_id":"` + commitB + `"}}}],"description":"bb-` + id + ` rule cart",` +
				`"variables":[{"name":"a","value":"b"},{"name":"BRIDGE","value":"` + id + `"}],"choose_stages":["one"]}`,
		},
		"what the pipeline is set to, by a rule with a long name": {
			func(b *mapping.Build) { b.Sources, b.Commit, b.Rule = nil, "", strings.Repeat("é", 2000) },
			`{"description":"bb-` + id + ` rule ` + strings.Repeat("é", 500) + `"}`,
		},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			build := flow(commitA)
			c.change(&build)
			got, err := json.Marshal(trigger.Request(build, id))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Each end of a run, and what people are told of it.
func TestRunOfAPipelineIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	for outcome, c := range map[string]struct {
		result        store.Result
		step, message string
	}{
		"COMPLETED": {result: store.Success},
		"FAILED":    {result: store.Failure, step: "compile"},
		"CANCELED":  {result: store.Aborted},
		"IGNORED":   {result: store.Aborted, message: "the service ignored this one"},
	} {
		t.Run(outcome, func(t *testing.T) {
			t.Parallel()
			log := new(said)
			b := newFollower(t, settings{log: log})
			b.sim.SetHead(pipelineID, "main", commitB)
			b.outcome(t, codeartstest.Outcome{Result: outcome, Step: c.step})
			id := b.deliver(t, flow(commitA))[0]
			got := b.result(t, id, c.result)
			if got.Step != c.step || !strings.Contains(got.Message, c.message) || c.message == "" && got.Message != "" {
				t.Errorf("step %q, message %q", got.Step, got.Message)
			}
			if got.RanCommit != commitB || !strings.HasPrefix(got.Console, "http") || got.EndedAt.IsZero() || got.Seen != got.CalledAt.UnixMicro() {
				t.Errorf("got %+v", got)
			}
			if !log.has("builds another commit") || log.has("does not show its marker") {
				t.Error("the log does not say that another commit is built, or says something else")
			}
		})
	}
}

// A run may build other code sources too, at other commits, and none that the event is of.
func TestCommitOfARunIsThatOfTheEvent(t *testing.T) {
	t.Parallel()
	other, event := mapping.CodeSource{Alias: "lib", Branch: "stable"}, mapping.CodeSource{Alias: "shop", Branch: "main"}
	for phrase, c := range map[string]struct {
		sources []mapping.CodeSource
		want    string
	}{
		"only of the event":  {[]mapping.CodeSource{event}, commitB},
		"first of the event": {[]mapping.CodeSource{event, other}, commitB},
		"first of another":   {[]mapping.CodeSource{other, event}, ""}, // the simulator tells only that of the first
		"only of another":    {[]mapping.CodeSource{other}, ""},
		"nothing was sent":   {nil, ""},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			log := new(said)
			b := newFollower(t, settings{log: log})
			for _, branch := range []string{"main", "stable", "master"} {
				b.sim.SetHead(pipelineID, branch, commitB)
			}
			build := flow(commitA)
			build.Sources = c.sources
			got := b.result(t, b.deliver(t, build)[0], store.Success)
			if got.RanCommit != c.want || log.has("builds another commit") != (c.want != "") {
				t.Errorf("it ran %q, and the log speaks of another commit: %t", got.RanCommit, log.has("builds another commit"))
			}
		})
	}
}

// One list tells of all runs of a pipeline that they run.
func TestListTellsThatRunsRun(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}, follow: each(300 * time.Millisecond)})
	b.sim.SetHead(pipelineID, "main", commitB)
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathPipelineDetail, Status: 500})
	var ids []string
	for i := range 4 {
		build := flow(commitB)
		build.Rule = fmt.Sprint("rule ", i)
		ids = append(ids, b.deliver(t, build)...)
	}
	for _, id := range ids {
		until(t, "it runs", func() bool { return !b.result(t, id, store.Running).RunningAt.IsZero() })
		if got := b.result(t, id, store.Running); got.Console == "" {
			t.Errorf("it has no address: %+v", got)
		}
	}
}

// A third of the answers is lost, and a third of the calls too. Each build is started once, as a
// run that carries its marker.
func TestLostAnswersRunNoPipelineTwice(t *testing.T) {
	t.Parallel()
	const builds = 9
	b := newTestTrigger(t, settings{})
	for i := range builds {
		switch i % 3 {
		case 0:
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathPipelineRun, Drop: codeartstest.DropAfter, Times: 1})
		case 1:
			b.fault(t, codeartstest.Fault{Path: codeartstest.PathPipelineRun, Drop: codeartstest.DropBefore, Times: 1})
		}
	}
	b.setPipeline(t, codeartstest.Pipeline{Concurrency: codeartstest.PipelineConcurrency{Limit: 2}})
	var ids []string
	for i := range builds {
		build := flow(fmt.Sprintf("%040x", i+1))
		build.Ref = fmt.Sprintf("refs/heads/%d", i)
		ids = append(ids, b.deliver(t, build)...)
	}
	runs := map[string]string{}
	for _, id := range ids {
		runs[b.await(t, id, store.Started).BuildNumber] = id
	}
	if n := b.sim.RunCount(); n != builds || len(runs) != builds {
		t.Errorf("%d runs of %d builds, want %d", n, len(runs), builds)
	}
	for _, run := range b.sim.Runs() {
		if !strings.Contains(string(run.Body), "bb-"+runs[run.BuildNo]+" ") {
			t.Errorf("run %s has the body %s, and is taken for that of build %q", run.BuildNo, run.Body, runs[run.BuildNo])
		}
	}
}

// The description of runs is hidden, so that a missing marker proves nothing: a run that may be ours
// is neither taken for it nor made again, and the build says so.
func TestPipelineThatHidesTheMarkerIsHeld(t *testing.T) {
	t.Parallel()
	target := patient()
	target.RetryFor = 2 * time.Second
	b := newTestTrigger(t, settings{target: target})
	b.setPipeline(t, codeartstest.Pipeline{HideDescription: true, Description: "builds the shop"})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathPipelineRun, Drop: codeartstest.DropAfter, Times: 1})
	got := b.await(t, b.deliver(t, flow(commitA))[0], store.Dead, store.Started)
	if want := "does not show the marker bb-" + got.ID; got.State != store.Dead || !strings.Contains(got.Reason, want) ||
		!strings.Contains(got.Reason, "`marker: VARIABLE`") {
		t.Errorf("it is %s: %s", got.State, got.Reason)
	}
	if n := b.sim.RunCount(); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
}

// The list of runs is empty, whatever the pipeline has run: it is not believed.
func TestEmptyListOfRunsIsNotBelieved(t *testing.T) {
	t.Parallel()
	target := patient()
	target.RetryFor = 2 * time.Second
	b := newTestTrigger(t, settings{target: target})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathPipelineRun, Drop: codeartstest.DropAfter, Times: 1})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathPipelineList, Status: 200, Body: `{"offset":0,"limit":100,"total":0,"pipeline_runs":[]}`})
	got := b.await(t, b.deliver(t, flow(commitA))[0], store.Dead, store.Started)
	if n := b.sim.RunCount(); n != 1 || got.State != store.Dead || !strings.Contains(got.Reason, "the list of runs proves nothing") {
		t.Errorf("%d runs, and it is %s: %s", n, got.State, got.Reason)
	}
}

func TestQueuedRunIsStopped(t *testing.T) {
	t.Parallel()
	for phrase, unlisted := range map[string]bool{"it is in the list too": false, "it is only in the queue": true} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour, QueuedUnlisted: unlisted}})
			b.setPipeline(t, codeartstest.Pipeline{Concurrency: codeartstest.PipelineConcurrency{Limit: 1}})
			next := flow(commitB)
			next.Ref = "refs/heads/next"
			ids := b.deliver(t, flow(commitA))
			b.await(t, ids[0], store.Started)
			ids = append(ids, b.deliver(t, next)...)
			queued := b.await(t, ids[1], store.Started)
			if queued.QueueID == "" {
				t.Errorf("got %+v, want a queued run", queued)
			}
			if _, err := b.StopBuild(t.Context(), queued.ID, mapping.By{}); err != nil {
				t.Fatal(err)
			}
			if got := b.result(t, ids[1], store.Aborted); !got.RunningAt.IsZero() || got.StoppedAt.IsZero() || !strings.HasPrefix(got.Message, store.NeverRan) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// What it waited in the queue is not part of its run, though the service gives the time when it was
// queued as its start. The answer to its call is lost, or not.
func TestQueuedRunRunsSinceItLeftTheQueue(t *testing.T) {
	t.Parallel()
	for phrase, drop := range map[string]string{"answered": "", "found": codeartstest.DropAfter} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: 3 * time.Second}})
			b.outcome(t, codeartstest.Outcome{After: time.Hour, Times: 1})
			b.setPipeline(t, codeartstest.Pipeline{Concurrency: codeartstest.PipelineConcurrency{Limit: 1}})
			first := b.await(t, b.deliver(t, flow(commitA))[0], store.Started)
			next := flow(commitB)
			next.Ref = "refs/heads/next"
			if drop != "" {
				b.fault(t, codeartstest.Fault{Path: codeartstest.PathPipelineRun, Drop: drop, Times: 1})
			}
			second := b.await(t, b.deliver(t, next)[0], store.Started)
			stopped := time.Now()
			if _, err := b.StopBuild(t.Context(), first.ID, mapping.By{}); err != nil {
				t.Fatal(err)
			}
			b.result(t, first.ID, store.Aborted)
			got := b.result(t, second.ID, store.Success)
			if got.QueueID == "" || got.Adopted != (drop != "") || got.RunningAt.Before(stopped.Truncate(time.Microsecond)) {
				t.Errorf("the first was stopped at %s, and the second is %+v", stopped, got)
			}
		})
	}
}

// The service refuses to take a run out of the queue: it is told to stop it once it runs.
func TestQueuedRunThatCannotBeTakenOutIsStoppedLater(t *testing.T) {
	t.Parallel()
	for phrase, answer := range map[string]codeartstest.Fault{
		"refused":        {Status: 400, Code: "DEVPIPE.1"},
		"taken, in vain": {Status: 200, Body: `{"success":true}`},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}})
			b.setPipeline(t, codeartstest.Pipeline{Concurrency: codeartstest.PipelineConcurrency{Limit: 1}})
			first := b.await(t, b.deliver(t, flow(commitA))[0], store.Started)
			next := flow(commitB)
			next.Ref = "refs/heads/next"
			second := b.await(t, b.deliver(t, next)[0], store.Started)
			answer.Path = codeartstest.PathPipelineCancel
			b.fault(t, answer)
			if _, err := b.StopBuild(t.Context(), second.ID, mapping.By{}); err != nil {
				t.Fatal(err)
			}
			until(t, "the service is told to take it out", func() bool { return b.sim.Requests(codeartstest.PathPipelineCancel) > 0 })
			if _, err := b.StopBuild(t.Context(), first.ID, mapping.By{}); err != nil {
				t.Fatal(err)
			}
			b.result(t, first.ID, store.Aborted)
			if got := b.result(t, second.ID, store.Aborted); got.Message != "" || b.sim.Requests(codeartstest.PathPipelineStop) < 2 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestRunOfADeletedPipelineIsLost(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}})
	id := b.deliver(t, flow(commitA))[0]
	b.result(t, id, store.Running)
	for _, path := range []string{codeartstest.PathPipelineDetail, codeartstest.PathPipelineInfo} {
		b.fault(t, codeartstest.Fault{Path: path, Status: 400, Code: "DEVPIPE.00011401"})
	}
	if got := b.result(t, id, store.Lost); !strings.Contains(got.Message, "the pipeline was deleted") {
		t.Errorf("message %q", got.Message)
	}
}

// Runs are asked about by the list from three young ones on, of which only those are read that changed.
func TestManyRunsAreFollowedByTheirList(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}})
	var ids []string
	for i := range 4 {
		build := flow(fmt.Sprintf("%040x", i+1))
		build.Ref = fmt.Sprintf("refs/heads/%d", i)
		ids = append(ids, b.deliver(t, build)...)
	}
	for _, id := range ids {
		b.result(t, id, store.Running)
	}
	lists := func() int { return b.sim.Requests(codeartstest.PathPipelineList) }
	begun := lists() + 2 // a look that began with two runs may still read them
	until(t, "the runs are listed", func() bool { return lists() >= begun })
	reads, more := b.sim.Requests(codeartstest.PathPipelineDetail), lists()+5
	until(t, "they are listed again and again", func() bool { return lists() >= more })
	if again := b.sim.Requests(codeartstest.PathPipelineDetail) - reads; again > 0 {
		t.Errorf("runs of which nothing changed were read %d times", again)
	}
}

func TestRunThatIsDroppedFromTheQueueIsLost(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{})
	b.setPipeline(t, codeartstest.Pipeline{QueueTimeout: 50 * time.Millisecond})
	b.outcome(t, codeartstest.Outcome{Queued: time.Hour})
	if got := b.result(t, b.deliver(t, flow(commitA))[0], store.Lost); !strings.Contains(got.Message, "dropped it from the queue") {
		t.Errorf("message %q", got.Message)
	}
}

func TestRunWaitsForAPerson(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{})
	b.outcome(t, codeartstest.Outcome{Paused: time.Millisecond, After: 20 * time.Millisecond})
	id := b.deliver(t, flow(commitA))[0]
	var paused *store.Build
	until(t, "it waits", func() bool {
		var err error
		if paused, err = b.store.Build(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return paused.WaitsForPerson()
	})
	if paused.WaitedAt.IsZero() || paused.RunningAt.IsZero() {
		t.Errorf("got %+v", paused)
	}
	b.sim.Resume(pipelineID, "")
	got := b.result(t, id, store.Success)
	if got.Message != "" {
		t.Errorf("message %q", got.Message)
	}
}

// A run waits for a person for longer than a build is followed. The time until then does not count.
func TestPersonMayTakeDays(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{})
	b.outcome(t, codeartstest.Outcome{Paused: time.Millisecond, After: 20 * time.Millisecond})
	id := b.deliver(t, flow(commitA))[0]
	waits := func() bool {
		got, err := b.store.Build(t.Context(), id)
		return err == nil && got.WaitsForPerson()
	}
	until(t, "it waits", waits)
	b.close(t)
	b.change(t, "sqlite", `UPDATE builds SET started_at = started_at - 100 * 3600000000, running_at = running_at - 100 * 3600000000,
		waited_at = waited_at - 99 * 3600000000`)
	b.change(t, "sqlite", `UPDATE follows SET due_at = 1`)
	looks := b.sim.Requests(codeartstest.PathPipelineDetail)
	b.open(t, settings{target: following(), follow: each(20 * time.Millisecond)})
	until(t, "it was looked at", func() bool { return b.sim.Requests(codeartstest.PathPipelineDetail) > looks+1 })
	if !waits() {
		t.Error("it waits no longer")
	}
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathPipelineDetail, Status: 500, Times: 4})
	b.sim.Resume(pipelineID, "")
	b.result(t, id, store.Success)
}

// A pipeline with as many runs as it may have refuses one for now. Others are not in its way.
func TestTooManyRunsAreTriedLater(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{sim: codeartstest.Options{BuildTime: time.Hour}})
	b.setPipeline(t, codeartstest.Pipeline{Concurrency: codeartstest.PipelineConcurrency{Limit: 1, ExceedAction: codeartstest.ExceedAbort}})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathPipelineRun, Status: 200, Code: "DEVPIPE.00011105", Times: 1})
	id := b.deliver(t, flow(commitA))[0]
	var got *store.Build
	until(t, "it was refused", func() bool {
		var err error
		if got, err = b.store.Build(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return got.State == store.Waiting && got.Attempts == 1
	})
	if wait := got.DueAt.Sub(got.CalledAt); wait < 10*time.Second || wait > time.Minute {
		t.Errorf("it is tried again after %s", wait)
	}
	b.await(t, b.deliver(t, push(commitB))[0], store.Started)
}

func TestTargetWithoutPipelines(t *testing.T) {
	t.Parallel()
	target := patient()
	target.RetryFor = time.Second
	b := newTestTrigger(t, settings{stopped: true, target: target})
	b.SetRules([]trigger.Target{{Target: target, Service: b.client(t, target)}}, nil, b.rules)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := b.await(t, b.deliver(t, flow(commitA))[0], store.Dead)
	if !strings.Contains(got.Reason, "write its pipeline_endpoint") || got.Attempts != 0 {
		t.Errorf("attempts %d, reason %q", got.Attempts, got.Reason)
	}
}

func TestReplayOfAPipelineHasItsOwnMarker(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	build := flow(commitA)
	build.Marker = "BRIDGE"
	first := b.await(t, b.deliver(t, build)[0], store.Started)
	replay, err := b.Replay(t.Context(), first.ID, mapping.By{})
	if err != nil {
		t.Fatal(err)
	}
	got := b.await(t, replay.ID, store.Started)
	want, err := json.Marshal(trigger.Request(build, replay.ID))
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Body) != string(want) || got.ProjectID != projectID || got.Action != mapping.ActionPipeline || got.BuildNumber == first.BuildNumber {
		t.Errorf("got %+v with the body %s", got, got.Body)
	}
}

func TestDisabledJobIsSaid(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Status: 400, Code: "CB.00060200", Times: 1})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathJobDisabled, Status: 200, Body: `{"result":{"disabled":1,"forbiddener":"ann","reson":"moved to a pipeline","forbidden_time":1764000000000},"error":null,"status":"success"}`, Times: 1})
	got := b.await(t, b.deliver(t, push(commitA))[0], store.Dead)
	if want := "the job is disabled by ann since 2025-11-24T16:00:00Z: moved to a pipeline: run job: "; !strings.HasPrefix(got.Reason, want) {
		t.Errorf("reason %q, want it to begin with %q", got.Reason, want)
	}
}

var _ trigger.PipelineService = (*codearts.Client)(nil)
