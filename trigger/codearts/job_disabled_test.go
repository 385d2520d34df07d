package codearts_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts"
)

func TestJobDisabled(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		answer string
		want   *codearts.JobDisabled
		fails  bool
		fate   codearts.Fate
	}{
		"enabled":     {answer: `{"result":null,"error":null,"status":"success"}`},
		"enabled too": {answer: `{"result":{"disabled":0},"status":"success"}`},
		"disabled": {
			answer: `{"result":{"disabled":1,"forbiddener":"Ada","reson":"moved to\npipelines","forbidden_time":1772337600000,"job_name":"x"},"error":null,"status":"success"}`,
			want:   &codearts.JobDisabled{By: "Ada", Reason: "moved to pipelines", At: noon()},
		},
		"disabled, in better spelling": {
			answer: `{"result":{"disabled":"1","reason":"x","forbidden_time":"2026-03-01T04:00:00Z"}}`, want: &codearts.JobDisabled{Reason: "x", At: noon()},
		},
		"disabled by a wall clock": {answer: `{"result":{"disabled":true,"forbidden_time":"2026-03-01 12:00:00"}}`, want: &codearts.JobDisabled{}},
		"no right to see it":       {status: 403, answer: `{"error_code":"CB.1"}`, fails: true},
		"nothing":                  {answer: `{}`, fails: true, fate: codearts.FateRetry},
		"another result":           {answer: `{"result":1}`, fails: true, fate: codearts.FateRetry},
		"a failure":                {status: 500, fails: true, fate: codearts.FateRetry},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, codearts.Options{Endpoint: serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.RequestURI != "/v1/job/"+jobID+"/check/disable" {
					t.Errorf("%s %s", r.Method, r.RequestURI)
				}
				if test.status != 0 {
					w.WriteHeader(test.status)
				}
				_, _ = io.WriteString(w, test.answer)
			})})
			got, err := client.JobDisabled(t.Context(), jobID)
			if diff := cmp.Diff(test.want, got); diff != "" || (err != nil) != test.fails {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
			if test.fails && asError(t, err).Fate != test.fate {
				t.Errorf("fate %v: %v", asError(t, err).Fate, err)
			}
		})
	}
	if _, err := newClient(t, codearts.Options{Endpoint: "http://127.0.0.1:1"}).JobDisabled(t.Context(), "x/y"); asError(t, err).Fate != codearts.FateDead {
		t.Error(err)
	}
}
