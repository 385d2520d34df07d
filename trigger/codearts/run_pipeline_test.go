package codearts_test

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts"
)

const (
	runID = "2f1c7e0ab34d4f5f9a3c1d2e5b6a7c8d"
	queue = "9b5d0c4e7a1f4c2e8d3b6f0a1c2d3e4f"
)

var (
	pipeline     = codearts.Pipeline{ProjectID: "5a0d9f2bf8a34a8a8a1d6c3b7e9f0a1b", ID: "c4b1e2d3a4f5467788990a1b2c3d4e5f"}
	pipelinePath = "/v5/" + pipeline.ProjectID + "/api/pipelines/" + pipeline.ID
)

// Fields that are not set are not sent.
func TestRunPipelineRequestJSON(t *testing.T) {
	for name, test := range map[string]struct {
		request codearts.RunPipelineRequest
		want    string
	}{
		"nothing": {want: `{}`},
		"a branch at a commit": {
			request: codearts.RunPipelineRequest{
				Description: "bb-1", ChooseStages: []string{"build"},
				Sources: []codearts.PipelineSource{{Type: "code", Params: codearts.PipelineSourceParams{
					GitType: "codehub", GitURL: "https://x/y.git", CodehubID: "2111230113", DefaultBranch: "master",
					Build: codearts.PipelineCommit{BuildType: "branch", EventType: "Manual", TargetBranch: "main", CommitID: commit},
				}}},
				Variables: []codearts.Parameter{{Name: "GIT_SHA", Value: commit}, {Name: "EMPTY"}},
			},
			want: `{"sources":[{"type":"code","params":{"git_type":"codehub","git_url":"https://x/y.git","codehub_id":"2111230113",` +
				`"default_branch":"master","build_params":{"build_type":"branch","event_type":"Manual","target_branch":"main","commit_id":"` + commit + `"}}}],` +
				`"description":"bb-1","variables":[{"name":"GIT_SHA","value":"` + commit + `"},{"name":"EMPTY","value":""}],"choose_stages":["build"]}`,
		},
		"a tag": {
			request: codearts.RunPipelineRequest{Sources: []codearts.PipelineSource{{Type: "code", Params: codearts.PipelineSourceParams{
				EndpointID: "e", Alias: "a", Build: codearts.PipelineCommit{BuildType: "tag", EventType: "Manual", Tag: "v1"},
			}}}},
			want: `{"sources":[{"type":"code","params":{"endpoint_id":"e","alias":"a","build_params":{"build_type":"tag","event_type":"Manual","tag":"v1"}}}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if body, err := json.Marshal(test.request); err != nil || string(body) != test.want {
				t.Errorf("%s, %v, want %s", body, err, test.want)
			}
		})
	}
}

func TestRunPipelineOnTheWire(t *testing.T) {
	for sent, want := range map[string]string{"": "{}", `{"description":"bb-1"}`: `{"description":"bb-1"}`} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || r.Method != http.MethodPost || r.RequestURI != pipelinePath+"/run" || string(body) != want {
				t.Errorf("%s %s %s, %v", r.Method, r.RequestURI, body, err)
			}
			if got := r.Header.Get("Content-Type"); got != "application/json" { // the gateway refused a charset
				t.Errorf("Content-Type: %q", got)
			}
			w.Header().Set("Date", noon().Format(http.TimeFormat))
			_, _ = io.WriteString(w, `{"pipeline_run_id":"`+runID+`"}`)
		})
		client := newClient(t, codearts.Options{Endpoint: url})
		var body []byte
		if sent != "" {
			body = []byte(sent)
		}
		if start, err := client.RunPipeline(t.Context(), pipeline, body); err != nil || start != (codearts.RunStart{RunID: runID}) {
			t.Errorf("%+v, %v", start, err)
		}
		if now, known := client.Clock(); !known || now.Before(noon()) || now.After(noon().Add(time.Minute)) {
			t.Errorf("the service's clock: %s, %t", now, known)
		}
	}
}

// Every row of the table of answers, and the shapes they come in.
func TestAnswersOfRunPipeline(t *testing.T) {
	const (
		started = `{"pipeline_run_id":"` + runID + `"}`
		within  = `"error":{"pipeline_run_id":"` + runID + `","queue_id":"` + queue + `"}`
		check   = "check the region or pipeline_endpoint of the target"
		member  = "add the user to the project"
		refused = "correct the rule or the pipeline, then replay the build"
	)
	flat := func(code string) string { return `{"error_code":"` + code + `","error_msg":"said so"}` }
	for name, test := range map[string]struct {
		status     int // 200 if not set
		body       string
		retryAfter string
		retryCodes []string

		start  codearts.RunStart // of a success
		fate   codearts.Fate
		says   string // a part of Error()
		reason string
		after  time.Duration
		none   bool // NoSuchJob
	}{
		"started":                         {body: started, start: codearts.RunStart{RunID: runID}},
		"started, with a mark":            {body: "\xef\xbb\xbf" + started, start: codearts.RunStart{RunID: runID}},
		"started, of another form":        {body: `{"pipeline_run_id":"run-7"}`, start: codearts.RunStart{RunID: "run-7"}},
		"queued for the pipeline":         {body: `{"error_code":"DEVPIPE.00011169","error_msg":"queued",` + within + `}`, start: codearts.RunStart{RunID: runID, QueueID: queue}},
		"queued for the tenant":           {body: `{"error_code":"DEVPIPE.00011170","error_msg":"queued",` + within + `}`, start: codearts.RunStart{RunID: runID, QueueID: queue}},
		"queued, with a 400":              {status: 400, body: `{"error_code":"DEVPIPE.00011169",` + within + `}`, start: codearts.RunStart{RunID: runID, QueueID: queue}},
		"queued, all at the top":          {body: `{"error_code":"DEVPIPE.00011169","pipeline_run_id":"` + runID + `","queue_id":17}`, start: codearts.RunStart{RunID: runID, QueueID: "17"}},
		"queued, all within":              {body: `{"error":{"code":"DEVPIPE.00011169","pipeline_run_id":"` + runID + `"}}`, start: codearts.RunStart{RunID: runID}},
		"queued, and no proper queue id":  {body: `{"error_code":"DEVPIPE.00011169","pipeline_run_id":"` + runID + `","queue_id":"../7"}`, start: codearts.RunStart{RunID: runID}},
		"queued without a run id":         {body: flat("DEVPIPE.00011169"), fate: codearts.FateUnknown, says: "queued, and the answer has no run id"},
		"a run id of any length":          {body: `{"pipeline_run_id":"` + strings.Repeat("a", 65) + `"}`, fate: codearts.FateUnknown, says: "no proper run id"},
		"a run id that is a path":         {body: `{"pipeline_run_id":"a/../b"}`, fate: codearts.FateUnknown, says: `no proper run id in the answer (200): "a/../b"; the build may have been started`},
		"a run id and an error":           {body: `{"error_code":"DEVPIPE.1",` + within + `}`, fate: codearts.FateUnknown, says: "an error and a run id in one answer (200 DEVPIPE.1)"},
		"a run id with a 400":             {status: 400, body: started, fate: codearts.FateUnknown, says: "an error and a run id"},
		"a run id with a 401":             {status: 401, body: started, fate: codearts.FateUnknown, says: "an error and a run id"},
		"too many runs":                   {body: flat("DEVPIPE.00011104"), fate: codearts.FateRetry, after: 10 * time.Second, reason: codearts.ReasonThrottled, says: "too many runs at a time (200 DEVPIPE.00011104): said so"},
		"too many runs of the tenant":     {status: 400, body: flat("DEVPIPE.00011105"), fate: codearts.FateRetry, after: 10 * time.Second, reason: codearts.ReasonThrottled},
		"too many runs, with a time":      {body: flat("DEVPIPE.00011105"), retryAfter: "60", fate: codearts.FateRetry, after: time.Minute, reason: codearts.ReasonThrottled},
		"no such pipeline":                {status: 400, body: flat("DEVPIPE.00011401"), says: "if this is the id of a build job write job_id", none: true},
		"a pipeline of another project":   {body: `{"error":{"code":"DEVPIPE.00011136","message":"said so"}}`, says: "no such pipeline in this project (200 DEVPIPE.00011136): said so", none: true},
		"no member":                       {status: 403, body: flat("DEVPIPE.00011412"), says: member, reason: codearts.ReasonPermission},
		"no member, by another code":      {body: flat("DEVPIPE.30021001"), says: member, reason: codearts.ReasonPermission},
		"no member, by an old code":       {body: flat("DEV_21_100169"), says: member, reason: codearts.ReasonPermission},
		"no right to a plug-in":           {body: flat("DEVPIPE.30011001"), says: "plug-ins", reason: codearts.ReasonPermission},
		"no right to an endpoint":         {status: 404, body: flat("DEVPIPE.30011011"), says: "endpoints", reason: codearts.ReasonPermission},
		"no right to a template":          {status: 400, body: flat("DEVPIPE.00011203"), says: "templates", reason: codearts.ReasonPermission},
		"another code":                    {status: 400, body: flat("DEVPIPE.00019999"), says: "refused (400 DEVPIPE.00019999): said so; " + refused},
		"another code, in a 200":          {body: flat("DEVPIPE.00019999"), says: "refused (200 DEVPIPE.00019999): said so; " + refused},
		"another code, in a 500":          {status: 500, body: flat("DEVPIPE.00019999"), fate: codearts.FateUnknown},
		"a code to try again":             {body: flat("DEVPIPE.00019999"), retryCodes: []string{"DEVPIPE.00019999"}, fate: codearts.FateRetry, after: 10 * time.Second},
		"not the code to try again":       {body: flat("DEVPIPE.00019998"), retryCodes: []string{"DEVPIPE.00019999"}},
		"a code to try again, in a 500":   {status: 500, body: flat("DEVPIPE.00019999"), retryCodes: []string{"DEVPIPE.00019999"}, fate: codearts.FateUnknown},
		"the IAM project":                 {status: 401, body: `{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information: Get token error,status:400"}`, says: "check project_id: it is that of the CodeArts project", reason: codearts.ReasonPermission},
		"refused credentials":             {status: 401, body: flat("APIGW.0301"), says: "check the target's credentials", reason: codearts.ReasonCredentials},
		"a clock that is wrong":           {status: 401, body: flat("APIGW.0303"), says: "clock", reason: codearts.ReasonCredentials},
		"a path that is not there":        {status: 404, body: flat("APIGW.0101"), says: check},
		"not found":                       {status: 404, body: `<html>`, says: check + ", project_id and pipeline_id"},
		"no permission":                   {status: 403, body: `{}`, says: "give the user or agency the permission to see, to run and to stop this pipeline", reason: codearts.ReasonPermission},
		"throttled":                       {status: 429, retryAfter: "7", fate: codearts.FateThrottled, after: 7 * time.Second},
		"throttled by the gateway":        {status: 200, body: flat("APIGW.0308"), fate: codearts.FateThrottled},
		"a body that is not understood":   {status: 400, body: flat("PARSE_REQUEST_DATA_EXCEPTION"), says: refused},
		"neither id nor code":             {body: `{}`, fate: codearts.FateUnknown, says: "no run id in the answer (200); the build may have been started"},
		"an id that is null":              {body: `{"pipeline_run_id":null}`, fate: codearts.FateUnknown, says: "no run id"},
		"an error without a code":         {body: `{"error":"busy"}`, fate: codearts.FateUnknown, says: "busy"},
		"nothing":                         {fate: codearts.FateUnknown, says: "no run id"},
		"a list":                          {body: `[{"pipeline_run_id":"` + runID + `"}]`, fate: codearts.FateUnknown, says: "no run id"},
		"a page":                          {body: `<html>`, fate: codearts.FateUnknown, says: "a page instead of JSON"},
		"a failure":                       {status: 503, body: `<html>`, fate: codearts.FateUnknown},
		"the gateway waited in vain":      {status: 504, body: flat("APIGW.0201"), fate: codearts.FateUnknown},
		"a redirect":                      {status: 302, says: "endpoint"},
		"a code of Build in another form": {status: 500, body: flat("CB.00060211"), fate: codearts.FateThrottled},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{RetryCodes: test.retryCodes, Endpoint: serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.WriteHeader(cmp.Or(test.status, http.StatusOK))
				_, _ = io.WriteString(w, test.body)
			})})
			start, err := client.RunPipeline(t.Context(), pipeline, nil)
			if start != test.start {
				t.Errorf("%+v, want %+v", start, test.start)
			}
			if test.start.RunID != "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := asError(t, err)
			if e.Fate != test.fate || e.RetryAfter != test.after || e.NoSuchJob() != test.none || !strings.Contains(e.Error(), test.says) {
				t.Errorf("fate %v, after %s, no pipeline %t: %v", e.Fate, e.RetryAfter, e.NoSuchJob(), e)
			}
			if strings.Contains(e.Error(), "build job") && !test.none {
				t.Errorf("advice about jobs: %v", e)
			}
			reason := map[codearts.Fate]string{
				codearts.FateDead: codearts.ReasonRejected, codearts.FateThrottled: codearts.ReasonThrottled,
			}[test.fate]
			if want := cmp.Or(test.reason, reason, codearts.ReasonUnavailable); e.Reason() != want {
				t.Errorf("reason %s, want %s", e.Reason(), want)
			}
		})
	}
}

// A run whose answer is lost may have been started; one that was not sent was not.
func TestRunPipelineWithoutAnswer(t *testing.T) {
	lost := newClient(t, codearts.Options{Endpoint: serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })})
	if _, err := lost.RunPipeline(t.Context(), pipeline, nil); asError(t, err).Fate != codearts.FateUnknown {
		t.Error(err)
	}
	down := newClient(t, codearts.Options{Endpoint: "http://127.0.0.1:1"})
	if _, err := down.RunPipeline(t.Context(), pipeline, nil); asError(t, err).Fate != codearts.FateRetry {
		t.Error(err)
	}
}

// An answer with a run id is not asked for again, though it says that the credentials are refused.
func TestRunPipelineIsNotRepeated(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   int
	}{
		"with a run id": {`{"error_code":"APIGW.0301","error":{"pipeline_run_id":"` + runID + `"}}`, 1}, "without": {`{"error_code":"APIGW.0301"}`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			client := newClient(t, codearts.Options{Credentials: renewed{}, Endpoint: serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests++
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, test.answer)
			})})
			if _, err := client.RunPipeline(t.Context(), pipeline, nil); err == nil || requests != test.want {
				t.Errorf("%d requests, %v", requests, err)
			}
		})
	}
}

// renewed are credentials that always have others.
type renewed struct{}

func (renewed) Authorize(context.Context, *http.Request, []byte) error { return nil }

func (renewed) Refresh(context.Context, *http.Request, []byte) (bool, error) { return true, nil }

// An answer that repeats what was signed is neither an id nor a message.
func TestRunPipelineAnswersWithASecret(t *testing.T) {
	for name, answer := range map[string]string{
		"as a run id": `{"pipeline_run_id":"%"}`, "as a message": `{"error_code":"DEVPIPE.1","error_msg":"no: %"}`, "as a code": `{"error_code":"%"}`,
	} {
		t.Run(name, func(t *testing.T) {
			const token = "gAAAAABtokenOfTheProject"
			client := newClient(t, codearts.Options{
				Credentials: codearts.Token(secret(token)),
				Endpoint: serve(t, func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, strings.ReplaceAll(answer, "%", token[:len(token)-3]))
				}),
			})
			start, err := client.RunPipeline(t.Context(), pipeline, nil)
			if start != (codearts.RunStart{}) || strings.Contains(asError(t, err).Error(), "token") {
				t.Errorf("%+v, %v", start, err)
			}
		})
	}
}
