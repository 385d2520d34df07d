package codearts_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
)

// Fields that are not set are not sent: the service gets neither "" nor null.
func TestRunJobRequestJSON(t *testing.T) {
	tests := map[string]struct {
		request codearts.RunJobRequest
		want    string
	}{
		"a commit": {
			codearts.RunJobRequest{JobID: jobID, SCM: &codearts.SCM{BuildCommitID: commit}},
			`{"job_id":"` + jobID + `","scm":{"build_commit_id":"` + commit + `"}}`,
		},
		"a tag with its type": {
			codearts.RunJobRequest{JobID: jobID, SCM: &codearts.SCM{BuildTag: "v1", BuildType: codearts.BuildTypeTag}},
			`{"job_id":"` + jobID + `","scm":{"build_tag":"v1","build_type":"tag"}}`,
		},
		"parameters, in order, an empty value too": {
			codearts.RunJobRequest{JobID: jobID, Parameters: []codearts.Parameter{{Name: "b", Value: "$(reboot);x"}, {Name: "a"}}},
			`{"job_id":"` + jobID + `","parameter":[{"name":"b","value":"$(reboot);x"},{"name":"a","value":""}]}`,
		},
		"the job alone": {codearts.RunJobRequest{JobID: jobID}, `{"job_id":"` + jobID + `"}`},
	}
	server := codeartstest.NewServer(codeartstest.Options{})
	defer server.Close()
	client := newClient(t, codearts.Options{Endpoint: server.URL})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(test.request)
			if err != nil || string(body) != test.want {
				t.Errorf("%s, %v, want %s", body, err, test.want)
			}
			if _, err := client.RunJob(t.Context(), body); err != nil {
				t.Error("the simulator refuses it:", err)
			}
			runs := server.Runs()
			if got := string(runs[len(runs)-1].Body); got != test.want {
				t.Errorf("arrived as %s", got)
			}
		})
	}
}

// A build number that is not one says only that the service got the call.
func TestBuildNumberThatIsNone(t *testing.T) {
	for name, number := range map[string]string{
		"holds NUL":        `1\u0000`,
		"is two lines":     `1\n2`,
		"is of any length": strings.Repeat("1", 65),
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"actual_build_number":"`+number+`"}`)
			})
			got, err := newClient(t, codearts.Options{Endpoint: url}).RunJob(t.Context(), runBody(t))
			if e := asError(t, err); got != "" || e.Fate != codearts.FateUnknown || strings.Contains(e.Error(), "\x00") {
				t.Errorf("got %q, fate %v: %v", got, e.Fate, err)
			}
		})
	}
}

func TestRunJobOnTheWire(t *testing.T) {
	for agent, want := range map[string]string{"": "buildbridge", "buildbridge/1.2": "buildbridge/1.2"} {
		var got *http.Request
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			got = r
			_, _ = io.WriteString(w, `{"actual_build_number":"1"}`)
		})
		client := newClient(t, codearts.Options{Endpoint: url + "/"})
		codearts.SetClock(client, at(noon()))
		if agent != "" {
			codearts.SetUserAgent(client, agent)
		}
		if _, err := client.RunJob(t.Context(), runBody(t)); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "User-Agent": want, "X-Sdk-Date": "20260301T040000Z",
			"Idempotency-Key": "", "Accept-Encoding": "",
		} {
			if got := got.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if got.Method != http.MethodPost || got.RequestURI != "/v3/jobs/build" || got.ContentLength != int64(len(runBody(t))) {
			t.Errorf("%s %s, %d bytes", got.Method, got.RequestURI, got.ContentLength)
		}
		if authorization := got.Header.Get("Authorization"); !strings.HasPrefix(authorization, "SDK-HMAC-SHA256 Access=AK, SignedHeaders=user-agent;x-sdk-date, Signature=") {
			t.Errorf("Authorization: %s", authorization)
		}
	}
}
