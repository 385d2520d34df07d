package codearts_test

import (
	"cmp"
	"io"
	"net/http"
	"strings"
	"testing"

	"buildbridge/trigger/codearts"
)

func TestStopRun(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		answer string
		run    string // its status
		fails  bool
		fate   codearts.Fate
	}{
		"stopped":                  {answer: `{"success":true}`},
		"ended already":            {status: 400, answer: `{"error_code":"DEVPIPE.1","error_msg":"not running"}`, run: "COMPLETED"},
		"ended already, in a 200":  {answer: `{"success":false}`, run: "CANCELED"},
		"refused":                  {status: 400, answer: `{"error_code":"DEVPIPE.1"}`, run: "RUNNING", fails: true},
		"not done":                 {answer: `{"success":false}`, run: "RUNNING", fails: true, fate: codearts.FateRetry},
		"refused, and not to read": {status: 403, answer: `{"error_code":"DEVPIPE.00011412"}`, fails: true},
		"a failure":                {status: 502, run: "RUNNING", fails: true, fate: codearts.FateRetry},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					if test.run == "" {
						w.WriteHeader(http.StatusForbidden)
					}
					_, _ = io.WriteString(w, `{"id":"`+runID+`","status":"`+test.run+`"}`)
					return
				}
				body, err := io.ReadAll(r.Body)
				if err != nil || r.RequestURI != pipelinePath+"/pipeline-runs/"+runID+"/stop" || string(body) != "{}" {
					t.Errorf("%s %s %q, %v", r.Method, r.RequestURI, body, err)
				}
				w.WriteHeader(cmp.Or(test.status, http.StatusOK))
				_, _ = io.WriteString(w, test.answer)
			})})
			err := client.StopRun(t.Context(), pipeline, runID)
			if !test.fails {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := asError(t, err); e.Fate != test.fate {
				t.Errorf("fate %v: %v", e.Fate, err)
			}
		})
	}
}

func TestCancelQueuedRun(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		answer string
		fails  bool
		fate   codearts.Fate
	}{
		"cancelled":         {answer: `{"success":true}`},
		"of another shape":  {answer: `{}`},
		"not done":          {answer: `{"success":false}`, fails: true, fate: codearts.FateRetry},
		"nothing":           {fails: true, fate: codearts.FateRetry},
		"no longer queued":  {status: 400, answer: `{"error_code":"DEVPIPE.1"}`, fails: true},
		"an error in a 200": {answer: `{"error":{"code":"DEVPIPE.1"}}`, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || r.Method != http.MethodPost || r.RequestURI != pipelinePath+"/"+runID+"/cancel-queuing/"+queue || string(body) != "{}" {
					t.Errorf("%s %s %q, %v", r.Method, r.RequestURI, body, err)
				}
				w.WriteHeader(cmp.Or(test.status, http.StatusOK))
				_, _ = io.WriteString(w, test.answer)
			})})
			err := client.CancelQueuedRun(t.Context(), pipeline, runID, queue)
			if !test.fails {
				if err != nil {
					t.Error(err)
				}
			} else if e := asError(t, err); e.Fate != test.fate {
				t.Errorf("fate %v: %v", e.Fate, err)
			}
		})
	}
}

// What is no id becomes no part of an address.
func TestPipelineCallsWithoutID(t *testing.T) {
	client := newClient(t, codearts.Options{Endpoint: serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Error("a request:", r.URL)
	})})
	for _, id := range []string{"", "x/../y", "x?y=z", strings.Repeat("a", 65), "a b", "ü"} {
		calls := map[string]error{
			"stop":      client.StopRun(t.Context(), pipeline, id),
			"cancel":    client.CancelQueuedRun(t.Context(), pipeline, id, queue),
			"queue id":  client.CancelQueuedRun(t.Context(), pipeline, runID, id),
			"variables": second(client.RunVariables(t.Context(), pipeline, id)),
		}
		for of, p := range map[string]codearts.Pipeline{
			"project": {ProjectID: id, ID: pipeline.ID}, "pipeline": {ProjectID: pipeline.ProjectID, ID: id},
		} {
			calls["run of a "+of] = second(client.RunPipeline(t.Context(), p, nil))
			calls["list of a "+of] = second(client.PipelineRuns(t.Context(), p, noon(), noon()))
			calls["queue of a "+of] = second(client.QueuedRuns(t.Context(), p))
			calls["read of a "+of] = second(client.PipelineRun(t.Context(), p, runID))
			calls["latest of a "+of] = second(client.LatestRun(t.Context(), p))
			calls["info of a "+of] = second(client.PipelineInfo(t.Context(), p))
		}
		for call, err := range calls {
			if e := asError(t, err); e.Fate != codearts.FateDead || e.Status != 0 {
				t.Errorf("%s %q: %v", call, id, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }
