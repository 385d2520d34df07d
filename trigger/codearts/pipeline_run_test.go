package codearts_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts"
)

func TestOutcomeOfPipelineRun(t *testing.T) {
	for status, want := range map[string]struct {
		outcome                codearts.Outcome
		queued, waits, ignored bool
	}{
		"COMPLETED": {outcome: codearts.OutcomeSucceeded},
		"failed":    {outcome: codearts.OutcomeFailed},
		"CANCELED":  {outcome: codearts.OutcomeAborted},
		"IGNORED":   {outcome: codearts.OutcomeAborted, ignored: true},
		"RUNNING":   {},
		"INIT":      {},
		"QUEUED":    {queued: true},
		"PAUSED":    {waits: true},
		"Suspend":   {waits: true},
		"NEW":       {},
		"":          {},
	} {
		r := codearts.PipelineRun{Status: status}
		if r.Outcome() != want.outcome || r.Queued() != want.queued || r.WaitsForPerson() != want.waits || r.Ignored() != want.ignored {
			t.Errorf("%q: %q, queued %t, waits %t, ignored %t", status, r.Outcome(), r.Queued(), r.WaitsForPerson(), r.Ignored())
		}
	}
}

// Runs that are started while pages are read push others onto the next page.
func TestPipelineRuns(t *testing.T) {
	const all = 250
	var asked []string
	from, to := noon().Add(-time.Hour), noon().Add(time.Microsecond)
	client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.RequestURI != pipelinePath+"/pipeline-runs/list" {
			t.Errorf("%s %s, %v", r.Method, r.RequestURI, err)
		}
		asked = append(asked, string(body))
		var q struct{ Offset, Limit int }
		if err := json.Unmarshal(body, &q); err != nil {
			t.Error(err)
		}
		items := []string{}
		for i := q.Offset - len(asked) + 1; i < min(q.Offset+min(q.Limit, 60), all); i++ { // pages are shorter than asked for
			items = append(items, fmt.Sprintf(`{"pipeline_run_id":"run-%d","run_number":%d,"status":"RUNNING","trigger_type":"Manual","executor_id":"e",
				"start_time":1772337600123,"end_time":null,"build_params":{"build_type":"branch","target_branch":"main","commit_id":"%s"}}`, i, i, commit))
		}
		_, _ = fmt.Fprintf(w, `{"offset":%d,"limit":100,"total":%d,"pipeline_runs":[%s]}`, q.Offset, all, strings.Join(items, ","))
	})})
	runs, err := client.PipelineRuns(t.Context(), pipeline, from, to)
	if err != nil {
		t.Fatal(err)
	}
	want := codearts.PipelineRun{
		ID: "run-0", Status: "RUNNING", TriggerType: "Manual", Executor: "e", Start: noon().Add(123 * time.Millisecond),
		Built: []codearts.Built{{Branch: "main", Commit: commit}},
	}
	if diff := cmp.Diff(want, runs[0]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for i := range all {
		if n := len(slices.Collect(func(yield func(int) bool) {
			for _, r := range runs {
				if r.ID == fmt.Sprintf("run-%d", i) && !yield(i) {
					return
				}
			}
		})); n != 1 {
			t.Errorf("run %d comes %d times", i, n)
		}
	}
	if want := `{"end_time":"1772337600001","limit":100,"offset":0,"sort_dir":"desc","sort_key":"start_time","start_time":"1772334000000","status":[]}`; asked[0] != want {
		t.Errorf("asked %s, want %s", asked[0], want)
	}
}

// What is no list proves nothing, and a service that never ends is left.
func TestListsOfAnotherShape(t *testing.T) {
	for name, test := range map[string]struct {
		status  int
		answer  string
		member  string
		fails   bool
		fate    codearts.Fate
		members int
	}{
		"none":                 {answer: `{"total":0,"%":[]}`},
		"null":                 {answer: `{"total":0,"%":null}`},
		"one of which no more": {answer: `{"total":1,"%":[{"id":"q","pipeline_run_id":"r"}]}`, members: 1},
		"one without an id":    {answer: `{"total":1,"%":[{}]}`},
		"nothing":              {answer: `{}`, fails: true, fate: codearts.FateRetry},
		"an object":            {answer: `{"%":{}}`, fails: true, fate: codearts.FateRetry},
		"a list of numbers":    {answer: `{"%":[7]}`, fails: true, fate: codearts.FateRetry},
		"a bare list":          {answer: `[]`, fails: true, fate: codearts.FateRetry},
		"a page":               {answer: `<html>`, fails: true, fate: codearts.FateRetry},
		"an error in a 200":    {answer: `{"error_code":"DEVPIPE.1","%":[]}`, fails: true, fate: codearts.FateDead},
		"a failure":            {status: 500, fails: true, fate: codearts.FateRetry},
		"no member":            {answer: `{"error":{"code":"DEVPIPE.00011412","message":"x"}}`, fails: true, fate: codearts.FateDead},
		"no end":               {answer: `{"total":100000,"%":[` + strings.Repeat(`{"pipeline_run_id":"r"},`, 99) + `{"pipeline_run_id":"r"}]}`, fails: true, fate: codearts.FateDead},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				name := "pipeline_runs"
				if requests++; r.Method == http.MethodGet {
					name = "queuedPipelines"
				}
				if test.status != 0 {
					w.WriteHeader(test.status)
				}
				_, _ = io.WriteString(w, strings.Replace(test.answer, "%", name, 1))
			})})
			runs, runsErr := client.PipelineRuns(t.Context(), pipeline, noon(), noon())
			queued, queuedErr := client.QueuedRuns(t.Context(), pipeline)
			for _, err := range []error{runsErr, queuedErr} {
				if !test.fails {
					if err != nil {
						t.Error(err)
					}
				} else if e := asError(t, err); e.Fate != test.fate {
					t.Errorf("fate %v: %v", e.Fate, err)
				}
			}
			if len(queued) != test.members || len(runs) != test.members && name != "one without an id" {
				t.Errorf("%v, %v", runs, queued)
			}
			if requests > 200 {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

func TestQueuedRuns(t *testing.T) {
	client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.RequestURI != pipelinePath+"/queued-pipeline?limit=100&offset=0" {
			t.Errorf("%s %s", r.Method, r.RequestURI)
		}
		_, _ = io.WriteString(w, `{"total":2,"queuedPipelines":[
			{"id":"`+queue+`","pipeline_run_id":"`+runID+`","enqueue_time":1772337600000,"trigger_type":"Manual","creator_id":"e","status":"QUEUED"},
			{"id":17,"pipeline_run_id":"run-2","enqueue_time":"1772337600001","status":"QUEUED_TIME_OUT"}]}`)
	})})
	runs, err := client.QueuedRuns(t.Context(), pipeline)
	want := []codearts.QueuedRun{
		{ID: queue, RunID: runID, Status: "QUEUED", TriggerType: "Manual", Enqueued: noon()},
		{ID: "17", RunID: "run-2", Status: "QUEUED_TIME_OUT", Enqueued: noon().Add(time.Millisecond)},
	}
	if diff := cmp.Diff(want, runs); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// The service gives less at a time than it was asked for, and does not say how many there are.
func TestQueuedRunsOfShortPages(t *testing.T) {
	for phrase, ignoresOffset := range map[string]bool{"pages of ten": false, "always the same page": true} {
		t.Run(phrase, func(t *testing.T) {
			const all = 60
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				first, end := 0, all
				if !ignoresOffset {
					first, _ = strconv.Atoi(r.FormValue("offset"))
					end = min(first+10, all)
				}
				items := []string{}
				for i := first; i < end; i++ {
					items = append(items, fmt.Sprintf(`{"id":"q%d","pipeline_run_id":"r%d"}`, i, i))
				}
				_, _ = fmt.Fprintf(w, `{"queuedPipelines":[%s]}`, strings.Join(items, ","))
			})})
			if runs, err := client.QueuedRuns(t.Context(), pipeline); err != nil || len(runs) != all {
				t.Errorf("%d runs, %v", len(runs), err)
			}
		})
	}
}

func TestPipelineRun(t *testing.T) {
	const (
		link   = "https://devcloud.cn-north-4.huaweicloud.com/cicd/project/p/pipeline/detail/x/y?v=1"
		source = `"sources":[{"type":"artifact","params":{}},{"type":"code","params":{"build_params":{"target_branch":"main","tag":"v1","commit_id":"` + commit + `"}}},
			{"type":"code","params":{"build_params":{"target_branch":"stable","commit_id":null}}}]`
		stages = `"stages":[{"name":"Check","status":"COMPLETED","jobs":[{"name":"lint","status":"SKIPPED"}]},
			{"name":"Build","status":"%[1]s","pre":[{"name":"gate","status":"COMPLETED"}],"jobs":[{"name":"image","status":"COMPLETED"},
				{"name":"unit tests","status":"%[1]s","steps":[{"name":"checkout","status":"COMPLETED"},{"name":"go\ntest","status":"%[1]s"}]},
				{"name":"never","status":"INIT"}]},
			{"name":"Deploy","status":"INIT"}]`
	)
	for name, test := range map[string]struct {
		answer string
		want   codearts.PipelineRun
		fate   codearts.Fate // of an error, if want is zero
		none   bool
	}{
		"all of it": {
			answer: `{"id":"` + runID + `","pipeline_run_id":null,"run_number":7,"description":"nightly bb-01a2\u0000","status":"COMPLETED","trigger_type":"Manual",
				"executor_id":"` + queue + `","executor_name":"bot","start_time":1772337600000,"end_time":1772337660000,"detail_url":"` + link + `",` + source + `}`,
			want: codearts.PipelineRun{
				Status: "COMPLETED", TriggerType: "Manual", Executor: queue, Start: noon(), End: noon().Add(time.Minute),
				Built: []codearts.Built{{Branch: "main", Tag: "v1", Commit: commit}, {Branch: "stable"}}, Description: "nightly bb-01a2", Address: link,
			},
		},
		"little of it":        {answer: `{"id":"` + runID + `","executor_name":"bot"}`, want: codearts.PipelineRun{Executor: "bot"}},
		"a link to nowhere":   {answer: `{"id":"` + runID + `","detail_url":"javascript:alert(1)"}`, want: codearts.PipelineRun{}},
		"a link without host": {answer: `{"id":"` + runID + `","detail_url":"https:///x"}`, want: codearts.PipelineRun{}},
		"a link with a user":  {answer: `{"id":"` + runID + `","detail_url":"https://a:b@x"}`, want: codearts.PipelineRun{}},
		"failed":              {answer: `{"id":"` + runID + `","status":"FAILED",` + fmt.Sprintf(stages, "FAILED") + `}`, want: codearts.PipelineRun{Status: "FAILED", Stage: "Build", Step: "go test"}},
		"failed beside the others": {
			answer: `{"id":"` + runID + `","status":"FAILED",` + fmt.Sprintf(stages, "ASYNC_FAILED") + `}`,
			want:   codearts.PipelineRun{Status: "FAILED", Stage: "Build", Step: "go test"},
		},
		"failed at the gate": {
			answer: `{"id":"` + runID + `","status":"FAILED","stages":[{"identifier":"s1","status":"FAILED","pre":[{"name":"gate","status":"FAILED"}]}]}`,
			want:   codearts.PipelineRun{Status: "FAILED", Stage: "s1", Step: "gate"},
		},
		"failed in a job without steps": {
			answer: `{"id":"` + runID + `","status":"FAILED","stages":[7,{"name":"s","status":"RUNNING","jobs":[null,{"name":"j","status":"FAILED","steps":"x"}]}]}`,
			want:   codearts.PipelineRun{Status: "FAILED", Stage: "s", Step: "j"},
		},
		"failed for no reason":  {answer: `{"id":"` + runID + `","status":"FAILED","stages":{}}`, want: codearts.PipelineRun{Status: "FAILED"}},
		"paused":                {answer: `{"id":"` + runID + `","status":"PAUSED",` + fmt.Sprintf(stages, "PAUSED") + `}`, want: codearts.PipelineRun{Status: "PAUSED", Stage: "Build"}},
		"suspended":             {answer: `{"id":"` + runID + `","status":"SUSPEND",` + fmt.Sprintf(stages, "PAUSED") + `}`, want: codearts.PipelineRun{Status: "SUSPEND", Stage: "Build"}},
		"running":               {answer: `{"id":"` + runID + `","status":"RUNNING",` + fmt.Sprintf(stages, "RUNNING") + `}`, want: codearts.PipelineRun{Status: "RUNNING"}},
		"the latest run":        {answer: `{"id":"` + queue + `","status":"COMPLETED"}`, none: true},
		"no run":                {answer: `{"status":"COMPLETED"}`, fate: codearts.FateRetry},
		"an error in a 200":     {answer: `{"error":{"code":"DEVPIPE.1"},"id":"` + runID + `"}`},
		"no answer of that run": {answer: `[]`, fate: codearts.FateRetry},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.RequestURI != pipelinePath+"/pipeline-runs/detail?pipeline_run_id="+runID {
					t.Errorf("%s %s", r.Method, r.RequestURI)
				}
				_, _ = io.WriteString(w, test.answer)
			})})
			run, err := client.PipelineRun(t.Context(), pipeline, runID)
			if err != nil {
				if e := asError(t, err); e.Fate != test.fate || e.NoSuchBuild() != test.none || run.ID != "" {
					t.Errorf("%+v, fate %v, none %t: %v", run, e.Fate, e.NoSuchBuild(), err)
				}
				return
			}
			test.want.ID = runID
			if diff := cmp.Diff(test.want, run); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRunVariables(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   []codearts.Parameter
		fate   codearts.Fate
	}{
		"a bare list": {
			answer: `[{"name":"MARKER","value":"bb-1","type":"string","is_secret":false,"is_runtime":true},{"name":"KEY","value":" ** "},{"name":"N","value":7}]`,
			want:   []codearts.Parameter{{Name: "MARKER", Value: "bb-1"}, {Name: "KEY", Value: " ** "}, {Name: "N", Value: "7"}},
		},
		"none":              {answer: `[]`, want: []codearts.Parameter{}},
		"an error in a 200": {answer: `{"error_code":"DEVPIPE.00011412","error_msg":"x"}`},
		"an object":         {answer: `{"name":"MARKER"}`, fate: codearts.FateRetry},
		"a list of numbers": {answer: `[7]`, fate: codearts.FateRetry},
		"nothing":           {fate: codearts.FateRetry},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.RequestURI != pipelinePath+"/pipeline-runs/"+runID+"/run-variables?mode=0" {
					t.Errorf("%s %s", r.Method, r.RequestURI)
				}
				_, _ = io.WriteString(w, test.answer)
			})})
			got, err := client.RunVariables(t.Context(), pipeline, runID)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if test.want == nil {
				if e := asError(t, err); e.Fate != test.fate {
					t.Errorf("fate %v: %v", e.Fate, err)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
