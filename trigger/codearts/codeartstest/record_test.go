package codeartstest_test

import (
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

func TestRecordsLag(t *testing.T) {
	now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	server := codeartstest.NewServer(codeartstest.Options{
		Now: func() time.Time { return now }, RecordLag: 10 * time.Second, CommitLag: 20 * time.Second, BuildTime: 30 * time.Second,
	})
	defer server.Close()
	c := client(t)
	do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+jobID+`","scm":{"build_tag":"v1"},"parameter":[{"name":"MARK","value":"b-1"}]}`)

	// The wall clock of the service is 8 hours ahead.
	list := server.URL + "/v1/record/" + jobID + "/list?" + url.Values{
		"start_time": {"2026-03-01 12:00:00"}, "end_time": {"2026-03-01 12:00:00"},
	}.Encode()
	tests := []struct {
		after               time.Duration
		records             string
		commit              bool
		tag                 any
		running, state      any
		status, parameterIs any
	}{
		{after: 9 * time.Second, records: "0"},
		{after: 10 * time.Second, records: "1", tag: "", running: "Running", state: "", status: "Running", parameterIs: "b-1"},
		{after: 20 * time.Second, records: "1", commit: true, tag: "v1", running: "Running", state: "", status: "Running", parameterIs: "b-1"},
		{after: 30 * time.Second, records: "1", commit: true, tag: "v1", running: "Finished", state: "SUCCESS", status: "SUCCESS", parameterIs: "b-1"},
	}
	start := now
	for _, test := range tests {
		t.Run(test.after.String(), func(t *testing.T) {
			now = start.Add(test.after)
			_, listed, _ := do(t, c, "GET", list, "")
			record := at(listed, "result", "job_build_states", 0)
			if got := at(listed, "result", "total_record"); got != test.records {
				t.Errorf("%v records: %v", got, listed)
			}
			if at(record, "job_running_status") != test.running || at(record, "state") != test.state {
				t.Errorf("record: %v", record)
			}
			if commit, _ := at(record, "commit_id").(string); (len(commit) == 40) != test.commit {
				t.Errorf("commit %q", commit)
			}
			_, info, _ := do(t, c, "GET", server.URL+"/v1/record/"+jobID+"/1/record-info", "")
			if at(info, "result", "tag") != test.tag || at(info, "result", "status") != test.status {
				t.Errorf("record info: %v", info)
			}
			_, parameters, _ := do(t, c, "GET", server.URL+"/v1/job/"+jobID+"/1/history-parameters", "")
			if at(parameters, "result", 0, "value") != test.parameterIs {
				t.Errorf("parameters: %v", parameters)
			}
		})
	}
}

func TestRecordListLimits(t *testing.T) {
	now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	server := codeartstest.NewServer(codeartstest.Options{Now: func() time.Time { return now }, Location: time.UTC, Jobs: []string{jobID}})
	defer server.Close()
	for range 12 {
		if _, err := server.StartBuild(codeartstest.Build{JobID: jobID}); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		job    string
		query  map[string]string
		status int
		first  any // number of the first record
		count  int
	}{
		"ten on the first page": {first: 12.0, count: 10},
		"the second page":       {query: map[string]string{"page_index": "1"}, first: 2.0, count: 2},
		"a page past the end":   {query: map[string]string{"page_index": "9"}},
		"a page of 100":         {query: map[string]string{"page_size": "100"}, first: 12.0, count: 12},
		"before":                {query: map[string]string{"end_time": "2026-03-01 03:59:59"}},
		"after":                 {query: map[string]string{"start_time": "2026-03-01 04:00:01"}},
		"31 days":               {query: map[string]string{"start_time": "2026-02-01 04:00:00", "end_time": "2026-03-04 04:00:00"}, first: 12.0, count: 10},
		"31 days and a second":  {query: map[string]string{"start_time": "2026-02-01 03:59:59", "end_time": "2026-03-04 04:00:00"}, status: 400},
		"backwards":             {query: map[string]string{"start_time": "2026-03-03 00:00:00"}, status: 400},
		"no start":              {query: map[string]string{"start_time": ""}, status: 400},
		"another form":          {query: map[string]string{"start_time": "2026-03-01T04:00:00Z"}, status: 400},
		"a page of 101":         {query: map[string]string{"page_size": "101"}, status: 400},
		"a page of none":        {query: map[string]string{"page_size": "0"}, status: 400},
		"page minus one":        {query: map[string]string{"page_index": "-1"}, status: 400},
		"a page beyond numbers": {query: map[string]string{"page_index": "99999999999"}, status: 400},
		"another job":           {job: otherJob, status: 422},
		"a job that is none":    {job: "x", status: 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			query := url.Values{"start_time": {"2026-03-01 03:00:00"}, "end_time": {"2026-03-01 05:00:00"}}
			for k, v := range test.query {
				query.Set(k, v)
			}
			if test.job == "" {
				test.job = jobID
			}
			status, answer, _ := do(t, client(t), "GET", server.URL+"/v1/record/"+test.job+"/list?"+query.Encode(), "")
			if test.status != 0 {
				if status != test.status || at(answer, "error", "code") == nil {
					t.Errorf("%d %v, want %d", status, answer, test.status)
				}
				return
			}
			states, _ := at(answer, "result", "job_build_states").([]any)
			if status != 200 || len(states) != test.count || at(answer, "result", "job_build_states", 0, "number") != test.first {
				t.Errorf("%d %v, want %d records from %v", status, answer, test.count, test.first)
			}
		})
	}
}

func TestStopAndByHand(t *testing.T) {
	now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	server := codeartstest.NewServer(codeartstest.Options{Now: func() time.Time { return now }})
	defer server.Close()
	c := client(t)
	status, answer, _ := do(t, c, "POST", server.URL+"/_builds", `{"job_id":"`+jobID+`","commit":"c0ffee","branch":"main"}`)
	if status != 201 || at(answer, "build_no") != "1" {
		t.Fatalf("by hand: %d %v", status, answer)
	}
	for name, body := range map[string]string{
		"no job": `{}`, "commit and tag": `{"job_id":"` + jobID + `","commit":"a","tag":"b"}`, "unknown member": `{"job_id":"` + jobID + `","kommit":"a"}`,
	} {
		if status, answer, _ := do(t, c, "POST", server.URL+"/_builds", body); status != 400 {
			t.Errorf("%s: %d %v", name, status, answer)
		}
	}
	if n := server.RunCount(); n != 0 {
		t.Errorf("%d runs, though nobody called RunJob", n)
	}
	stop := func(no string) string {
		status, answer, _ := do(t, c, "POST", server.URL+"/v3/jobs/stop", `{"job_id":"`+jobID+`","build_no":`+strconv.Quote(no)+`}`)
		return fmt.Sprint(status, " ", at(answer, "result"), " ", at(answer, "error_code"))
	}
	for i, want := range []string{"200 true <nil>", "400 <nil> DEV.CB.032302"} {
		if got := stop("1"); got != want {
			t.Errorf("stop %d: %s, want %s", i, got, want)
		}
	}
	if got, want := stop("2"), "400 <nil> DEV.CB.032011"; got != want {
		t.Errorf("no such build: %s, want %s", got, want)
	}
	_, info, _ := do(t, c, "GET", server.URL+"/v1/record/"+jobID+"/1/build-info-record", "")
	if at(info, "result", "state") != "ABORTED" || at(info, "result", "trigger_type") != "MANUAL" || at(info, "result", "commit_id") != "c0ffee" {
		t.Errorf("record: %v", info)
	}
}
