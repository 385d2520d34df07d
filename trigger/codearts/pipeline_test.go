package codearts_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
)

// The calls about pipelines, one after the other, against the simulator.
func TestPipeline(t *testing.T) {
	now := noon()
	server := codeartstest.NewServer(codeartstest.Options{
		Now: func() time.Time { return now }, BuildTime: 10 * time.Minute, IAMProject: strings.Repeat("f", 32),
	})
	defer server.Close()
	if err := server.SetPipeline(codeartstest.Pipeline{
		PipelineID: pipeline.ID, ProjectID: pipeline.ProjectID, Name: "shop", HonourCommit: true,
		Concurrency: codeartstest.PipelineConcurrency{Limit: 1}, Sources: []codeartstest.PipelineSource{{Alias: "shop"}},
		Variables: []codeartstest.PipelineVariable{{Name: "MARKER", Runtime: true}, {Name: "KEY", Value: "x", Secret: true}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := server.AddOutcome(codeartstest.Outcome{JobID: pipeline.ID, Paused: time.Minute, Times: 1}); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, codearts.Options{Endpoint: server.URL})
	codearts.SetClock(client, at(now))

	info, err := client.PipelineInfo(t.Context(), pipeline)
	if diff := cmp.Diff(codearts.PipelineInfo{
		Name: "shop", Sources: 1, Aliases: []string{"shop"}, Variables: []codearts.PipelineVariable{{Name: "MARKER", Runtime: true}, {Name: "KEY", Secret: true}},
	}, info); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}

	body, err := json.Marshal(codearts.RunPipelineRequest{
		Description: "bb-1",
		Sources: []codearts.PipelineSource{{Type: "code", Params: codearts.PipelineSourceParams{
			Alias: "shop", Build: codearts.PipelineCommit{BuildType: "branch", EventType: "Manual", TargetBranch: "main", CommitID: commit},
		}}},
		Variables: []codearts.Parameter{{Name: "MARKER", Value: "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.LatestRun(t.Context(), pipeline); !asError(t, err).NoSuchBuild() {
		t.Error(err)
	}
	first, err := client.RunPipeline(t.Context(), pipeline, body)
	if err != nil || first.RunID == "" || first.QueueID != "" {
		t.Fatalf("%+v, %v", first, err)
	}
	if latest, err := client.LatestRun(t.Context(), pipeline); err != nil || latest.ID != first.RunID || latest.Description != "bb-1" {
		t.Errorf("%+v, %v", latest, err)
	}
	second, err := client.RunPipeline(t.Context(), pipeline, nil)
	if err != nil || second.RunID == "" || second.QueueID == "" {
		t.Fatalf("%+v, %v", second, err)
	}

	read := func(of codearts.RunStart) codearts.PipelineRun {
		t.Helper()
		run, err := client.PipelineRun(t.Context(), pipeline, of.RunID)
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	want := codearts.PipelineRun{
		ID: first.RunID, Status: "RUNNING", TriggerType: "Manual", Start: noon(), Built: []codearts.Built{{Branch: "main", Commit: commit}}, Description: "bb-1",
	}
	if diff := cmp.Diff(want, read(first), cmpopts.IgnoreFields(codearts.PipelineRun{}, "Address", "Executor")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if variables, err := client.RunVariables(t.Context(), pipeline, first.RunID); err != nil || variables[0] != (codearts.Parameter{Name: "MARKER", Value: "1"}) {
		t.Errorf("%v, %v", variables, err)
	}
	runs, err := client.PipelineRuns(t.Context(), pipeline, noon(), noon())
	if err != nil || len(runs) == 0 || runs[len(runs)-1].ID != first.RunID || runs[len(runs)-1].Built[0].Commit != commit {
		t.Errorf("%+v, %v", runs, err)
	}
	if none, err := client.PipelineRuns(t.Context(), pipeline, noon().Add(time.Second), noon().Add(time.Hour)); err != nil || len(none) != 0 {
		t.Errorf("of the future: %v, %v", none, err)
	}
	queued, err := client.QueuedRuns(t.Context(), pipeline)
	if diff := cmp.Diff([]codearts.QueuedRun{{ID: second.QueueID, RunID: second.RunID, Status: "QUEUED", TriggerType: "Manual", Enqueued: noon()}}, queued); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if !read(second).Queued() {
		t.Errorf("%+v", read(second))
	}

	now = now.Add(2 * time.Minute)
	if run := read(first); !run.WaitsForPerson() || run.Stage == "" || run.Step != "" {
		t.Errorf("%+v", run)
	}
	if err := client.CancelQueuedRun(t.Context(), pipeline, second.RunID, second.QueueID); err != nil {
		t.Error(err)
	}
	if queued, err := client.QueuedRuns(t.Context(), pipeline); err != nil || len(queued) != 0 {
		t.Errorf("%v, %v", queued, err)
	}
	for range 2 { // it has ended already
		if err := client.StopRun(t.Context(), pipeline, first.RunID); err != nil {
			t.Error(err)
		}
	}
	if run := read(first); run.Outcome() != codearts.OutcomeAborted || run.End.IsZero() {
		t.Errorf("%+v", run)
	}

	if _, err := client.PipelineRun(t.Context(), pipeline, runID); !asError(t, err).NoSuchBuild() {
		t.Error(err)
	}
	other := codearts.Pipeline{ProjectID: pipeline.ProjectID, ID: strings.Repeat("a", 32)}
	if _, err := client.RunPipeline(t.Context(), codearts.Pipeline{ProjectID: other.ID, ID: pipeline.ID}, nil); !asError(t, err).NoSuchJob() {
		t.Error("of another project:", err)
	}
	_, err = client.RunPipeline(t.Context(), codearts.Pipeline{ProjectID: strings.Repeat("f", 32), ID: pipeline.ID}, nil)
	if e := asError(t, err); e.Fate != codearts.FateDead || !strings.Contains(e.Error(), "check project_id: it is that of the CodeArts project") {
		t.Error("of the IAM project:", err)
	}
	if err := server.SetPipeline(codeartstest.Pipeline{PipelineID: other.ID, NoMember: true}); err != nil {
		t.Fatal(err)
	}
	if runs, err := client.PipelineRuns(t.Context(), other, noon(), noon()); err != nil || len(runs) != 0 {
		t.Error("who is no member sees none:", runs, err)
	}
	if _, err := client.PipelineInfo(t.Context(), other); asError(t, err).Reason() != codearts.ReasonPermission {
		t.Error("no member:", err)
	}
	// An id of a pipeline in the place of a job's, and the other way round.
	if _, err := client.RunJob(t.Context(), []byte(`{"job_id":"`+pipeline.ID+`"}`)); !strings.Contains(asError(t, err).Error(), "write pipeline_id with project_id") {
		t.Error(err)
	}
	if err := server.SetJob(codeartstest.Job{JobID: jobID}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RunPipeline(t.Context(), codearts.Pipeline{ProjectID: pipeline.ProjectID, ID: jobID}, nil); !strings.Contains(asError(t, err).Error(), "write job_id") {
		t.Error(err)
	}
}
