package codeartstest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts/codeartstest"
)

// Which of three builds a stop is for, by each call.
func TestStops(t *testing.T) {
	v1, v3 := "/v1/job/"+jobID+"/stop", "/v3/jobs/stop"
	for name, test := range map[string]struct {
		options   codeartstest.Options
		path      string
		body      string
		header    []string
		status    int
		code      string
		stopped   string // numbers
		afterward time.Duration
	}{
		"the number in query and body":   {path: v1 + "?build_no=2", body: `{"build_no":2}`, stopped: "2"},
		"in the query alone":             {path: v1 + "?build_no=2", stopped: "2"},
		"in the body alone":              {path: v1, body: `{"build_no":2}`, stopped: "2"},
		"as a text":                      {path: v1, body: `{"build_no":"2"}`, stopped: "2"},
		"two numbers":                    {path: v1 + "?build_no=1", body: `{"build_no":2}`, status: 400, code: "CB.00060200"},
		"no number: the newest":          {path: v1, stopped: "3"},
		"an empty body: the newest":      {path: v1, body: `{}`, stopped: "3"},
		"a body that is no JSON":         {path: v1 + "?build_no=2", body: `{`, status: 400, code: "CB.00060200"},
		"a number too high":              {path: v1 + "?build_no=4", status: 400, code: "DEV.CB.032011"},
		"a number that is none":          {path: v1 + "?build_no=x", status: 400, code: "DEV.CB.032011"},
		"one that has ended":             {path: v1 + "?build_no=2", afterward: time.Minute, status: 400, code: "DEV.CB.032302"},
		"not published":                  {options: codeartstest.Options{OldStop: true}, path: v1 + "?build_no=2", status: 404, code: "APIGW.0101"},
		"the old call":                   {options: codeartstest.Options{OldStop: true}, path: v3, body: `{"job_id":"` + jobID + `","build_no":"2"}`, stopped: "2"},
		"the old call, without a number": {path: v3, body: `{"job_id":"` + jobID + `"}`, status: 400, code: "DEV.CB.032011"},
		"the old call, not text":         {path: v3, body: `{"job_id":"` + jobID + `","build_no":2}`, status: 400, code: "CB.00060200"},
		"the old call, no job":           {path: v3, body: `{"build_no":"2"}`, status: 400, code: "CB.00060200"},
		"the old call, not said to be JSON": {
			path: v3, body: `{"job_id":"` + jobID + `","build_no":"2"}`, header: []string{"Content-Type", "text/plain"}, status: 400, code: "CB.00060200",
		},
		"the older call": {path: "/v3/jobs/" + jobID + "/2/stop", stopped: "2"},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
			test.options.Now = func() time.Time { return now }
			server := codeartstest.NewServer(test.options)
			defer server.Close()
			c := client(t)
			for range 3 {
				do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+jobID+`"}`)
			}
			now = now.Add(test.afterward)
			status, answer, _ := do(t, c, "POST", server.URL+test.path, test.body, test.header...)
			code, _ := at(answer, "error_code").(string)
			if code == "" {
				code, _ = at(answer, "error", "code").(string)
			}
			if status != max(test.status, 200) || code != test.code {
				t.Errorf("%d %v, want %d %q", status, answer, test.status, test.code)
			}
			stopped := ""
			for _, b := range server.Builds() {
				if b.Stopped != (b.State == "ABORTED") {
					t.Errorf("%+v", b)
				}
				if b.Stopped {
					stopped += b.BuildNo
				}
			}
			if stopped != test.stopped {
				t.Errorf("stopped are %q, want %q", stopped, test.stopped)
			}
		})
	}
}

// A stop takes its time, and asking twice makes it no longer.
func TestStopLag(t *testing.T) {
	now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	server := codeartstest.NewServer(codeartstest.Options{Now: func() time.Time { return now }, StopLag: 10 * time.Second, BuildTime: time.Minute})
	defer server.Close()
	c := client(t)
	do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+jobID+`"}`)
	var got []string
	for range 3 {
		status, answer, _ := do(t, c, "POST", server.URL+"/v1/job/"+jobID+"/stop?build_no=1", "")
		got = append(got, fmt.Sprint(status, " ", at(answer, "status"), " ", at(answer, "error", "code"), " ", server.Builds()[0].Running))
		now = now.Add(5 * time.Second)
	}
	want := []string{"200 success <nil> Running", "200 success <nil> Running", "400 error DEV.CB.032302 Finished"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
