package codearts_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
)

// A build from the queue to its end, in all calls.
func TestFollowToTheEnd(t *testing.T) {
	now := noon()
	zone := time.FixedZone("+13", 13*60*60)
	server := codeartstest.NewServer(codeartstest.Options{Now: func() time.Time { return now }, Location: zone})
	defer server.Close()
	if err := server.AddOutcome(codeartstest.Outcome{
		Result: codeartstest.ResultFailure, Queued: 10 * time.Second, After: 20 * time.Second, Step: "Unit tests", Message: "exit\nstatus 1",
	}); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, codearts.Options{Endpoint: server.URL})
	codearts.SetClock(client, at(now))
	if _, err := client.RunJob(t.Context(), runBody(t)); err != nil {
		t.Fatal(err)
	}
	details := codearts.Details{
		Source: codearts.Source{Commit: commit}, Branch: "main", ProjectID: codeartstest.ProjectID, Region: codeartstest.Region,
		Status: "InQueue", Created: noon(), Started: noon(),
	}
	for _, step := range []struct {
		after           time.Duration
		queued, running bool
		outcome         codearts.Outcome
		change          func()
		failed          string
	}{
		{after: 9 * time.Second, queued: true, change: func() {}},
		{after: 10 * time.Second, running: true, change: func() { details.Status, details.Runs = "Running", noon().Add(10*time.Second) }},
		{after: 29 * time.Second, running: true, change: func() {}},
		{after: 30 * time.Second, outcome: codearts.OutcomeFailed, failed: "Unit tests", change: func() {
			details.Status, details.Message, details.Finished = "FAILURE", "exit status 1", noon().Add(30*time.Second)
		}},
	} {
		t.Run(step.after.String(), func(t *testing.T) {
			now = noon().Add(step.after)
			step.change()
			record, err := client.Record(t.Context(), jobID, "1", zone)
			if err != nil || record.Queued() != step.queued || record.Running() != step.running || record.Outcome() != step.outcome {
				t.Errorf("record: %+v, %v", record, err)
			}
			listed, err := client.Following(t.Context(), jobID, noon(), now, zone, []string{"1"})
			if diff := cmp.Diff(map[string]codearts.Record{"1": record}, listed); err != nil || diff != "" {
				t.Errorf("list: %v (-want +got):\n%s", err, diff)
			}
			info, err := client.BuildInfo(t.Context(), jobID, "1")
			if err != nil || info.Outcome() != step.outcome {
				t.Errorf("outcome: %+v, %v", info, err)
			}
			got, err := client.Details(t.Context(), jobID, "1", zone)
			if err != nil || len(got.RecordID) != 32 {
				t.Errorf("details: %+v, %v", got, err)
			}
			got.RecordID = ""
			if diff := cmp.Diff(details, got); diff != "" { // cmp compares times by Equal
				t.Errorf("details (-want +got):\n%s", diff)
			}
			if failed, err := client.FailedStep(t.Context(), jobID, "1"); err != nil || failed != step.failed {
				t.Errorf("failed step: %q, %v, want %q", failed, err, step.failed)
			}
		})
	}
}

func TestFailedStep(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		step   string
		fails  bool
	}{
		"the first of two":      {answer: `{"build_steps":[{"name":"a","status":"success"},{"name":"b","status":"error"},{"name":"c","status":"error"}]}`, step: "b"},
		"in capitals, and long": {answer: `{"build_steps":[{"name":"a\n` + strings.Repeat("é", 300) + `","status":"ERROR"}]}`, step: "a " + strings.Repeat("é", 253) + "…"},
		"none":                  {answer: `{"build_steps":[{"name":"a","status":""},{"name":"b","status":"running"}]}`},
		"no steps":              {answer: `{"job_name":"x"}`},
		"null":                  {answer: `{"build_steps":null}`},
		"under result":          {answer: `{"result":{"build_steps":[{"name":"a","status":"error"}]}}`, step: "a"},
		"steps that are none":   {answer: `{"build_steps":{}}`, fails: true},
		"a step that is none":   {answer: `{"build_steps":["a"]}`, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v3/jobs/"+jobID+"/7/history-details" {
					t.Error(r.URL.Path)
				}
				_, _ = io.WriteString(w, test.answer)
			})})
			step, err := client.FailedStep(t.Context(), jobID, "7")
			if test.fails {
				if asError(t, err).Fate != codearts.FateRetry {
					t.Error(err)
				}
			} else if err != nil || step != test.step {
				t.Errorf("%q, %v, want %q", step, err, test.step)
			}
		})
	}
}

// Times may be milliseconds, or missing.
func TestDetailsOfOtherForms(t *testing.T) {
	client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"result":{"create_time":1772337600000,"start_time":null,"runnable_time":"later","finish_time":"1772337601500",
			"commit":null,"record_status":"done","err_msg":"`+strings.Repeat("x", 600)+`"}}`)
	})})
	got, err := client.Details(t.Context(), jobID, "7", nil)
	want := codearts.Details{
		Status: "done", Message: strings.Repeat("x", 500) + "…", Created: noon(), Finished: noon().Add(1500 * time.Millisecond),
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
