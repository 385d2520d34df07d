package codeartstest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts/codeartstest"
)

const otherJob = "0123456789abcdefghijklmnopqrstuv"

func TestRunJobBodies(t *testing.T) {
	with := func(rest string) string { return `{"job_id":"` + jobID + `"` + rest + `}` }
	parameter := func(name, value string) string {
		return with(fmt.Sprintf(`,"parameter":[{"name":%q,"value":%q}]`, name, value))
	}
	tests := map[string]struct {
		body   string
		header []string
		status int
		code   string
		says   string
	}{
		"the job alone":                  {body: with(``)},
		"the documented example":         {body: with(`,"parameter":[{"name":"codeBranch","value":"master"}],"scm":{"build_tag":null,"build_commit_id":"c0ffee"}`)},
		"a tag":                          {body: with(`,"scm":{"build_tag":"v1"}`)},
		"a tag with its type":            {body: with(`,"scm":{"build_tag":"v1","build_type":"tag"}`)},
		"a branch":                       {body: with(`,"scm":{"branch":"main","build_type":"branch","repo_id":"1","url":"https://x"}`)},
		"a charset":                      {body: with(``), header: []string{"Content-Type", "application/json; charset=utf-8"}},
		"a value of 8192":                {body: parameter("a", strings.Repeat("é", 8192))},
		"an empty value":                 {body: parameter("a", "")},
		"a name of 128":                  {body: parameter(strings.Repeat("a", 128), "x")},
		"members we do not know":         {body: with(`,"extra":{"a":1}`)},
		"no body":                        {status: 400, code: "CB.00060200", says: "not the JSON expected"},
		"two bodies":                     {body: with(``) + `{}`, status: 400, code: "CB.00060200", says: "not the JSON expected"},
		"a brace too many":               {body: with(``) + `}`, status: 400, code: "CB.00060200", says: "not the JSON expected"},
		"not said to be JSON":            {body: with(``), header: []string{"Content-Type", "text/plain"}, status: 400, code: "CB.00060200", says: "Content-Type"},
		"no job id":                      {body: `{}`, status: 400, code: "CB.00060200", says: "job_id"},
		"a job id in capitals":           {body: strings.ToUpper(with(``)), status: 400, code: "CB.00060200", says: "job_id"},
		"a job id too short":             {body: `{"job_id":"abc"}`, status: 400, code: "CB.00060200", says: "job_id"},
		"another job":                    {body: `{"job_id":"` + strings.Repeat("a", 32) + `"}`, status: 404, code: "CB.00031006", says: "does not exist"},
		"a value that is a number":       {body: with(`,"parameter":[{"name":"a","value":1}]`), status: 400, code: "CB.00060200", says: "not the JSON expected"},
		"a value that is null":           {body: with(`,"parameter":[{"name":"a","value":null}]`), status: 400, code: "CB.00060200", says: "both strings"},
		"a value of 8193":                {body: parameter("a", strings.Repeat("é", 8193)), status: 400, code: "CB.00060200", says: "longer than 8192"},
		"a name of 129":                  {body: parameter(strings.Repeat("a", 129), "x"), status: 400, code: "CB.00060200", says: "1 to 128"},
		"a name with a dash":             {body: parameter("a-b", "x"), status: 400, code: "CB.00060200", says: "1 to 128"},
		"a forbidden name":               {body: parameter("LD_PRELOAD", "x"), status: 400, code: "CB.00060200", says: "must not be set"},
		"a predefined name":              {body: parameter("COMMIT_ID", "x"), status: 400, code: "CB.00060200", says: "must not be set"},
		"a tag and a commit":             {body: with(`,"scm":{"build_tag":"v1","build_commit_id":"c0ffee"}`), status: 400, code: "CB.00060200", says: "both"},
		"an empty tag":                   {body: with(`,"scm":{"build_tag":"","build_commit_id":"c0ffee"}`), status: 400, code: "CB.00060200", says: "build_tag is empty"},
		"an empty commit":                {body: with(`,"scm":{"build_commit_id":""}`), status: 400, code: "CB.00060200", says: "build_commit_id is empty"},
		"an empty scm":                   {body: with(`,"scm":{}`), status: 400, code: "CB.00060200", says: "neither"},
		"a type never heard of":          {body: with(`,"scm":{"build_tag":"v1","build_type":"Tag"}`), status: 400, code: "CB.00060200", says: "is not branch, tag or commitId"},
		"a type that does not fit":       {body: with(`,"scm":{"build_tag":"v1","build_type":"commitId"}`), status: 400, code: "CB.00060200", says: "does not fit"},
		"a body of more than a megabyte": {body: with(`,"x":"` + strings.Repeat("x", 1<<20) + `"`), status: 413},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := codeartstest.NewServer(codeartstest.Options{Jobs: []string{jobID, otherJob}})
			defer server.Close()
			status, answer, header := do(t, client(t), "POST", server.URL+"/v3/jobs/build", test.body, test.header...)
			if header.Get("X-Request-Id") == "" {
				t.Error("no X-Request-Id")
			}
			if test.status == 0 {
				if status != 200 || at(answer, "actual_build_number") != "1" || server.RunCount() != 1 {
					t.Errorf("%d %v, %d builds", status, answer, server.RunCount())
				}
				return
			}
			if message, _ := at(answer, "error_msg").(string); status != test.status || !strings.Contains(message, test.says) ||
				test.code != "" && at(answer, "error_code") != test.code {
				t.Errorf("%d %v, want %d %s %q", status, answer, test.status, test.code, test.says)
			}
			if n := server.RunCount(); n != 0 {
				t.Errorf("%d builds were started", n)
			}
		})
	}
}

// Numbers count per job from 1, daily numbers per day of the service.
func TestNumbers(t *testing.T) {
	now := time.Date(2026, 3, 1, 15, 59, 0, 0, time.UTC) // One minute to midnight at +08:00.
	server := codeartstest.NewServer(codeartstest.Options{Now: func() time.Time { return now }})
	defer server.Close()
	c := client(t)
	run := func(job, path string, want ...any) {
		t.Helper()
		_, answer, _ := do(t, c, "POST", server.URL+path, `{"job_id":"`+job+`"}`)
		if path == "/v1/job/execute" {
			answer = at(answer, "result")
		}
		if diff := cmp.Diff(want, []any{at(answer, "actual_build_number"), at(answer, "daily_build_number")}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	run(jobID, "/v3/jobs/build", "1", "20260301.1")
	run(otherJob, "/v3/jobs/build", "1", "20260301.1")
	run(jobID, "/v1/job/execute", "2", "20260301.2")
	now = now.Add(time.Minute)
	run(jobID, "/v3/jobs/build", "3", "20260302.1")

	status, runs, _ := do(t, c, "GET", server.URL+"/_runs", "")
	want := []any{
		map[string]any{"build_no": "1", "body": map[string]any{"job_id": jobID}},
		map[string]any{"build_no": "1", "body": map[string]any{"job_id": otherJob}},
		map[string]any{"build_no": "2", "body": map[string]any{"job_id": jobID}},
		map[string]any{"build_no": "3", "body": map[string]any{"job_id": jobID}},
	}
	if diff := cmp.Diff(want, runs); status != 200 || diff != "" {
		t.Errorf("/_runs: %d (-want +got):\n%s", status, diff)
	}
	if status, answer, _ := do(t, c, "POST", server.URL+"/v3/jobs/unknown", "{}"); status != 404 || at(answer, "error_code") != "APIGW.0101" {
		t.Errorf("another path: %d %v", status, answer)
	}
}

func TestNothingRanYet(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{})
	defer server.Close()
	if _, runs, _ := do(t, client(t), "GET", server.URL+"/_runs", ""); !cmp.Equal(runs, []any{}) {
		t.Errorf("/_runs: %v, want an empty array", runs)
	}
}

func TestConcurrentRuns(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{})
	defer server.Close()
	c := client(t)
	var group sync.WaitGroup
	var numbers sync.Map
	for range 100 {
		group.Go(func() {
			_, answer, _ := do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+jobID+`"}`)
			if _, twice := numbers.LoadOrStore(at(answer, "actual_build_number"), true); twice {
				t.Error("a number was given twice")
			}
			_ = server.Runs()
		})
	}
	group.Wait()
	if n := server.RunCount(); n != 100 {
		t.Errorf("%d builds", n)
	}
}

// The handler alone, without a network: it is to take over 10,000 a second.
func BenchmarkRunJob(b *testing.B) {
	simulator := codeartstest.New(codeartstest.Options{})
	body := `{"job_id":"` + jobID + `","parameter":[{"name":"codeBranch","value":"main"}],"scm":{"build_commit_id":"3f786850e387550fdab836ed7e6dc881de23001b"}}`
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v3/jobs/build", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			simulator.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				b.Error(w.Code)
			}
		}
	})
}
