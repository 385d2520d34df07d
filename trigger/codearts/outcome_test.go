package codearts_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
)

// A build ends when it is finished, and succeeds only if the service says so.
func TestOutcomeOfRecord(t *testing.T) {
	for name, test := range map[string]struct {
		running, state string
		outcome        codearts.Outcome
		queued, runs   bool
	}{
		"starting":                    {running: "Starting", queued: true},
		"in the queue":                {running: "inqueue", queued: true},
		"running":                     {running: "Running", runs: true},
		"running, with a state":       {running: "Running", state: "SUCCESS", runs: true},
		"a status nobody knows":       {running: "Paused", state: "SUCCESS", runs: true},
		"no status":                   {state: "FAILURE", runs: true},
		"success":                     {running: "Finished", state: "SUCCESS", outcome: codearts.OutcomeSucceeded},
		"success in other cases":      {running: "FINISHED", state: "success", outcome: codearts.OutcomeSucceeded},
		"failure":                     {running: "Finished", state: "Failure", outcome: codearts.OutcomeFailed},
		"aborted":                     {running: "finished", state: "ABORTED", outcome: codearts.OutcomeAborted},
		"timed out":                   {running: "Finished", state: "timeout", outcome: codearts.OutcomeTimedOut},
		"timed out, in capitals":      {running: "Finished", state: "TIMEOUT", outcome: codearts.OutcomeTimedOut},
		"finished without a state":    {running: "Finished", outcome: codearts.OutcomeUnclear},
		"finished in a state unheard": {running: "Finished", state: "SUCCESSFUL", outcome: codearts.OutcomeUnclear},
	} {
		t.Run(name, func(t *testing.T) {
			r := codearts.Record{JobRunningStatus: test.running, State: test.state}
			if r.Outcome() != test.outcome || r.Queued() != test.queued || r.Running() != test.runs {
				t.Errorf("outcome %q, queued %t, running %t, want %q, %t, %t",
					r.Outcome(), r.Queued(), r.Running(), test.outcome, test.queued, test.runs)
			}
		})
	}
}

func TestBuildInfo(t *testing.T) {
	for name, test := range map[string]struct {
		answer  string
		outcome codearts.Outcome
		fails   bool
	}{
		"the documented example": {answer: `{"result":{"building":false,"build_result":"FAILURE","region":"x"},"error":null,"status":"success"}`, outcome: codearts.OutcomeFailed},
		"building":               {answer: `{"result":{"building":true,"build_result":"SUCCESS"}}`},
		"in lower case":          {answer: `{"result":{"building":false,"build_result":"success"}}`, outcome: codearts.OutcomeSucceeded},
		"no result":              {answer: `{"result":{"building":false,"build_result":null}}`, outcome: codearts.OutcomeUnclear},
		"not said":               {answer: `{"result":{"build_result":"SUCCESS"}}`, fails: true},
		"null":                   {answer: `{"result":null}`, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/v1/job/"+jobID+"/7/build-info" {
					t.Errorf("%s %s", r.Method, r.URL.Path)
				}
				_, _ = io.WriteString(w, test.answer)
			})})
			info, err := client.BuildInfo(t.Context(), jobID, "7")
			if test.fails {
				if asError(t, err).Fate != codearts.FateRetry {
					t.Error(err)
				}
				return
			}
			if err != nil || info.Outcome() != test.outcome {
				t.Errorf("%+v (%q), %v, want %q", info, info.Outcome(), err, test.outcome)
			}
		})
	}
}

// The calls that follow a build.
var following = map[string]func(t *testing.T, c *codearts.Client, no string) error{
	"list": func(t *testing.T, c *codearts.Client, no string) error {
		t.Helper()
		_, err := c.Following(t.Context(), jobID, noon(), noon(), nil, []string{no})
		return err
	},
	"record": func(t *testing.T, c *codearts.Client, no string) error {
		t.Helper()
		_, err := c.Record(t.Context(), jobID, no, nil)
		return err
	},
	"outcome": func(t *testing.T, c *codearts.Client, no string) error {
		t.Helper()
		_, err := c.BuildInfo(t.Context(), jobID, no)
		return err
	},
	"details": func(t *testing.T, c *codearts.Client, no string) error {
		t.Helper()
		_, err := c.Details(t.Context(), jobID, no, nil)
		return err
	},
	"steps": func(t *testing.T, c *codearts.Client, no string) error {
		t.Helper()
		_, err := c.FailedStep(t.Context(), jobID, no)
		return err
	},
	"stop": func(t *testing.T, c *codearts.Client, no string) error {
		t.Helper()
		return c.Stop(t.Context(), jobID, no)
	},
}

// What goes wrong with any of these calls says whether to ask again, and is never taken for an
// answer.
func TestFollowingFails(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		answer     string
		retryAfter string

		fate         codearts.Fate
		noJob, noOne bool
		asked        time.Duration
	}{
		"an error in a 200":         {answer: `{"error":{"code":"CB.00030004","message":"busy"},"status":"error","result":null}`, fate: codearts.FateRetry},
		"an error_code in a 200":    {answer: `{"error_code":"CB.00060211","error_msg":"slow","result":{"building":false,"build_result":"SUCCESS"}}`, fate: codearts.FateThrottled},
		"an error without a code":   {answer: `{"error":"nope","result":{"building":false,"build_result":"SUCCESS"}}`, fate: codearts.FateRetry},
		"a page":                    {answer: `<html>`, fate: codearts.FateRetry},
		"throttled":                 {status: 429, retryAfter: "7", fate: codearts.FateThrottled, asked: 7 * time.Second},
		"unavailable":               {status: 503, retryAfter: "9", fate: codearts.FateRetry, asked: 9 * time.Second},
		"the job is gone":           {status: 404, answer: `{"error_code":"CB.00031006"}`, fate: codearts.FateDead, noJob: true},
		"the job is gone, v1":       {status: 422, answer: `{"error":{"code":"DEVCB.00031006"}}`, fate: codearts.FateDead, noJob: true},
		"the job is gone, in a 200": {answer: `{"error":{"code":"CB.00031006"},"status":"error"}`, fate: codearts.FateDead, noJob: true},
		"no such build":             {status: 400, answer: `{"error":{"code":"DEV.CB.032011"}}`, fate: codearts.FateDead, noOne: true},
		"not found":                 {status: 404, answer: `{"error":{"code":"DEV.CB.1"}}`, fate: codearts.FateDead, noOne: true},
		"refused":                   {status: 400, fate: codearts.FateDead},
		"no permission":             {status: 403, fate: codearts.FateDead},
		"a path that is not there":  {status: 404, answer: `{"error_code":"APIGW.0101"}`, fate: codearts.FateDead},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				if test.status != 0 {
					w.WriteHeader(test.status)
				}
				_, _ = io.WriteString(w, test.answer)
			})})
			for call, do := range following {
				e := asError(t, do(t, client, "7"))
				if e.Fate != test.fate || e.NoSuchJob() != test.noJob || e.NoSuchBuild() != test.noOne || e.RetryAfter != test.asked {
					t.Errorf("%s: fate %v, no job %t, no build %t, retry after %s: %v", call, e.Fate, e.NoSuchJob(), e.NoSuchBuild(), e.RetryAfter, e)
				}
				if text := e.Error(); strings.Contains(text, "replay") || strings.Contains(text, "to run") {
					t.Errorf("%s: what to do about a start: %s", call, text)
				}
			}
		})
	}
}

// A call that gets no answer is made again: nothing was started.
func TestFollowingWithoutAnswer(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{})
	defer server.Close()
	if err := server.AddFault(codeartstest.Fault{Drop: codeartstest.DropAfter}); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, codearts.Options{Endpoint: server.URL})
	for call, do := range following {
		if e := asError(t, do(t, client, "7")); e.Fate != codearts.FateRetry || e.NoSuchBuild() || e.NoSuchJob() {
			t.Errorf("%s: fate %v: %v", call, e.Fate, e)
		}
	}
}

// A number that is none becomes no part of an address.
func TestFollowingWithoutNumber(t *testing.T) {
	client := newClient(t, codearts.Options{Endpoint: serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Error("a request:", r.URL)
	})})
	for call, do := range following {
		for _, no := range []string{"", "0", "-1", "5/stop", "1?x=2", "x"} {
			if call == "list" {
				continue
			}
			if e := asError(t, do(t, client, no)); e.Fate != codearts.FateDead || e.Status != 0 {
				t.Errorf("%s of %q: %v", call, no, e)
			}
		}
	}
}
