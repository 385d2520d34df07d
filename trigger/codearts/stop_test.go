package codearts_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
)

func TestStop(t *testing.T) {
	for name, old := range map[string]bool{"by the current call": false, "by its predecessor": true} {
		t.Run(name, func(t *testing.T) {
			now := noon()
			server := codeartstest.NewServer(codeartstest.Options{
				Now: func() time.Time { return now }, OldStop: old, StopLag: 10 * time.Second, BuildTime: time.Minute,
			})
			defer server.Close()
			client := newClient(t, codearts.Options{Endpoint: server.URL})
			codearts.SetClock(client, at(now))
			for range 3 {
				if _, err := client.RunJob(t.Context(), runBody(t)); err != nil {
					t.Fatal(err)
				}
			}
			outcome := func(no string) codearts.Outcome {
				t.Helper()
				record, err := client.Record(t.Context(), jobID, no, nil)
				if err != nil {
					t.Fatal(err)
				}
				return record.Outcome()
			}
			for range 2 {
				if err := client.Stop(t.Context(), jobID, "2"); err != nil {
					t.Fatal(err)
				}
			}
			if got := outcome("2"); got != codearts.OutcomeNone {
				t.Errorf("at once it is %q", got)
			}
			now = now.Add(10 * time.Second)
			if got := []codearts.Outcome{outcome("1"), outcome("2"), outcome("3")}; got[0] != "" || got[1] != codearts.OutcomeAborted || got[2] != "" {
				t.Errorf("of three builds the second was stopped: %q", got)
			}
			if err := client.Stop(t.Context(), jobID, "2"); err != nil {
				t.Error("it has ended already:", err)
			}

			now = now.Add(45 * time.Second)
			if err := client.Stop(t.Context(), jobID, "3"); err != nil {
				t.Error(err)
			}
			now = now.Add(10 * time.Second)
			if got := outcome("3"); got != codearts.OutcomeSucceeded {
				t.Errorf("it ended before the stop came, and is %q", got)
			}
			if e := asError(t, client.Stop(t.Context(), jobID, "4")); e.Fate != codearts.FateDead || !e.NoSuchBuild() {
				t.Error("a build that is not there:", e)
			}
			server.DeleteJob(jobID)
			if e := asError(t, client.Stop(t.Context(), jobID, "1")); e.Fate != codearts.FateDead || !e.NoSuchJob() {
				t.Error("a job that was deleted:", e)
			}
		})
	}
}

// The requests of a stop, and what becomes of the answers to each.
func TestStopProtocol(t *testing.T) {
	const (
		current = "POST /v1/job/" + jobID + `/stop?build_no=5 {"build_no": 5}`
		before  = `POST /v3/jobs/stop {"job_id": "` + jobID + `", "build_no": "5"}`
	)
	type answer struct {
		status int
		body   string
	}
	for name, test := range map[string]struct {
		answers []answer
		fails   bool
		fate    codearts.Fate
	}{
		"done":                         {answers: []answer{{200, `{"status":"success"}`}}},
		"ended already":                {answers: []answer{{400, `{"error":{"code":"DEV.CB.032302"}}`}}},
		"ended already, in a 200":      {answers: []answer{{200, `{"error":{"code":"DEV.CB.032302"},"status":"error"}`}}},
		"an error in a 200":            {answers: []answer{{200, `{"status":"error"}`}}, fails: true, fate: codearts.FateRetry},
		"success false":                {answers: []answer{{200, `{"success":false}`}}, fails: true, fate: codearts.FateRetry},
		"nothing in a 200":             {answers: []answer{{200, ``}}, fails: true, fate: codearts.FateRetry},
		"no such job":                  {answers: []answer{{404, `{"error_code":"CB.00031006"}`}}, fails: true, fate: codearts.FateDead},
		"no permission":                {answers: []answer{{403, `{"error_code":"x"}`}}, fails: true, fate: codearts.FateDead},
		"the service fails":            {answers: []answer{{500, ``}}, fails: true, fate: codearts.FateRetry},
		"not published":                {answers: []answer{{404, `{"error_code":"APIGW.0101"}`}, {200, `{"result":true}`}}},
		"not found":                    {answers: []answer{{404, `<html>`}, {200, `{"result":true}`}}},
		"not published, ended already": {answers: []answer{{404, `{"error_code":"APIGW.0101"}`}, {400, `{"error_code":"DEV.CB.032302"}`}}},
		"not published, result false":  {answers: []answer{{404, `{"error_code":"APIGW.0101"}`}, {200, `{"result":false}`}}, fails: true, fate: codearts.FateRetry},
		"neither published":            {answers: []answer{{404, `{"error_code":"APIGW.0101"}`}, {404, `{"error_code":"APIGW.0101"}`}}, fails: true, fate: codearts.FateDead},
	} {
		t.Run(name, func(t *testing.T) {
			var requests []string
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				requests = append(requests, fmt.Sprintf("%s %s %s", r.Method, r.URL, body))
				if len(requests) <= len(test.answers) {
					w.WriteHeader(test.answers[len(requests)-1].status)
					_, _ = io.WriteString(w, test.answers[len(requests)-1].body)
				}
			})})
			err := client.Stop(t.Context(), jobID, "5")
			if diff := cmp.Diff([]string{current, before}[:len(test.answers)], requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if test.fails {
				if e := asError(t, err); e.Fate != test.fate {
					t.Errorf("fate %v: %v, want %v", e.Fate, e, test.fate)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
