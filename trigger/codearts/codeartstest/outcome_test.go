package codeartstest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts/codeartstest"
)

func TestOutcomesInJSON(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want []codeartstest.Outcome
		says string // of a refusal
	}{
		"all members": {
			body: `{"job_id":"` + jobID + `","result":"FAILURE","build_result":"x","queued":"1s","after":2.5,"step":"Test","message":"m","times":3}`,
			want: []codeartstest.Outcome{{
				JobID: jobID, Result: "FAILURE", BuildResult: "x", Queued: time.Second, After: 2500 * time.Millisecond,
				Step: "Test", Message: "m", Times: 3,
			}},
		},
		"nothing":               {body: `{}`, want: []codeartstest.Outcome{{}}},
		"several":               {body: `[{"result":"timeout"},{"result":"Hm?"}]`, want: []codeartstest.Outcome{{Result: "Hm?"}}},
		"several jobs":          {body: `[{"result":"timeout"},{"job_id":"` + jobID + `"}]`, want: []codeartstest.Outcome{{Result: "timeout"}, {JobID: jobID}}},
		"an unknown member":     {body: `{"resutl":"FAILURE"}`, says: "resutl"},
		"one of two is wrong":   {body: `[{},{"times":-1}]`, says: "at least 0"},
		"a job id that is none": {body: `{"job_id":"x"}`, says: "job_id"},
		"a result too long":     {body: `{"result":"` + strings.Repeat("x", 65) + `"}`, says: "at most 64"},
		"a result of two lines": {body: `{"result":"a\nb"}`, says: "printable"},
		"a step of two lines":   {body: `{"step":"a\nb"}`, says: "step"},
		"no duration":           {body: `{"queued":"soon"}`, says: "queued"},
		"neither":               {body: `{"after":[]}`, says: "after is neither"},
		"no time at all":        {body: `{"after":"0s"}`, says: "after is more than 0"},
		"before it began":       {body: `{"queued":"-1s"}`, says: "at least 0"},
		"not JSON":              {body: `{`, says: "unexpected end"},
	} {
		t.Run(name, func(t *testing.T) {
			server := codeartstest.NewServer(codeartstest.Options{})
			defer server.Close()
			c := client(t)
			status, answer, _ := do(t, c, "POST", server.URL+"/_outcomes", test.body)
			if test.says != "" {
				if says, _ := at(answer, "error_msg").(string); status != 400 || !strings.Contains(says, test.says) {
					t.Errorf("%d %v, want %q", status, answer, test.says)
				}
				test.want = []codeartstest.Outcome{}
			} else if status != 201 {
				t.Errorf("%d %v", status, answer)
			}
			list := func() (got []codeartstest.Outcome) {
				_, raw, _ := do(t, c, "GET", server.URL+"/_outcomes", "")
				b, err := json.Marshal(raw)
				if err == nil {
					err = json.Unmarshal(b, &got)
				}
				if err != nil {
					t.Error(err)
				}
				return got
			}
			if diff := cmp.Diff(test.want, list()); diff != "" {
				t.Errorf("GET (-want +got):\n%s", diff)
			}
			if status, _, _ := do(t, c, "DELETE", server.URL+"/_outcomes", ""); status != 204 || len(list()) != 0 {
				t.Errorf("DELETE: %d, %v are left", status, list())
			}
		})
	}
}

// Which outcome a build has.
func TestOutcomesInOrder(t *testing.T) {
	now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	server := codeartstest.NewServer(codeartstest.Options{Now: func() time.Time { return now }, BuildTime: time.Second})
	defer server.Close()
	for _, o := range []codeartstest.Outcome{
		{Result: "all"},
		{Result: "all twice", Times: 2},
		{Result: "replaced", JobID: jobID},
		{Result: "job", JobID: jobID},
		{Result: "job once", JobID: jobID, Times: 1},
		{Result: "job once more", JobID: jobID, Times: 1},
	} {
		if err := server.AddOutcome(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.AddOutcome(codeartstest.Outcome{Times: -1}); err == nil {
		t.Error("an outcome for minus one build")
	}
	c := client(t)
	for _, job := range []string{jobID, otherJob} {
		for range 4 {
			do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+job+`"}`)
		}
	}
	server.ClearOutcomes()
	if _, err := server.StartBuild(codeartstest.Build{JobID: jobID}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	got := map[string][]string{}
	for _, b := range server.Builds() {
		got[b.JobID] = append(got[b.JobID], b.State)
	}
	want := map[string][]string{
		jobID:    {"job once", "job once more", "job", "job", "SUCCESS"},
		otherJob: {"all twice", "all twice", "all", "all"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What each call says of a build, from the queue to its end.
func TestBuildInAllCalls(t *testing.T) {
	type says struct {
		Running, State, Listed, Status, Abort, Result, Info, Message, Steps any
		Building                                                            any
	}
	queued := says{Running: "InQueue", State: "", Listed: "1", Status: "inqueue", Abort: "", Building: true, Result: "", Info: "InQueue", Message: "", Steps: "//"}
	running := says{
		Running: "Running", State: "", Listed: "1", Status: "running", Abort: "", Building: true, Result: "", Info: "Running", Message: "",
		Steps: "success/running/",
	}
	for name, test := range map[string]struct {
		outcome codeartstest.Outcome
		options codeartstest.Options
		after   time.Duration
		stop    bool // at the start
		want    says
	}{
		"in the queue":                  {outcome: codeartstest.Outcome{Queued: time.Second}, after: 999 * time.Millisecond, want: queued},
		"in the queue, to be stopped":   {outcome: codeartstest.Outcome{Queued: time.Second}, options: codeartstest.Options{StopLag: time.Second}, stop: true, want: queued},
		"out of the queue":              {outcome: codeartstest.Outcome{Queued: time.Second}, after: time.Second, want: running},
		"shortly before its end":        {outcome: codeartstest.Outcome{Queued: time.Second, After: time.Hour}, after: time.Hour, want: running},
		"by itself, after a build time": {after: time.Minute - 1, want: running},
		"a success": {after: time.Minute, want: says{
			Running: "Finished", State: "SUCCESS", Listed: "1", Status: "success", Abort: "", Building: false, Result: "SUCCESS", Info: "SUCCESS",
			Message: "", Steps: "success/success/success",
		}},
		"a failure": {
			outcome: codeartstest.Outcome{Result: "FAILURE", Queued: time.Second, After: time.Second, Step: "Test", Message: "exit 1"}, after: 2 * time.Second,
			want: says{
				Running: "Finished", State: "FAILURE", Listed: "1", Status: "failure", Abort: "", Building: false, Result: "FAILURE", Info: "FAILURE",
				Message: "exit 1", Steps: "success/error/",
			},
		},
		"another opinion": {
			outcome: codeartstest.Outcome{Result: "-", BuildResult: "FAILURE", After: time.Second}, after: time.Second,
			want: says{
				Running: "Finished", State: "", Listed: "1", Status: "finished", Abort: "", Building: false, Result: "FAILURE", Info: "Finished",
				Message: "", Steps: "success/success/success",
			},
		},
		"stopped while it runs": {
			outcome: codeartstest.Outcome{Message: "never"}, options: codeartstest.Options{StopLag: time.Second}, stop: true, after: time.Second,
			want: says{
				Running: "Finished", State: "ABORTED", Listed: "1", Status: "aborted", Abort: "aborted", Building: false, Result: "ABORTED", Info: "ABORTED",
				Message: "", Steps: "success//",
			},
		},
		"stopped in the queue": {
			outcome: codeartstest.Outcome{Queued: time.Hour}, stop: true,
			want: says{
				Running: "Finished", State: "ABORTED", Listed: "1", Status: "aborted", Abort: "aborted", Building: false, Result: "ABORTED", Info: "ABORTED",
				Message: "", Steps: "//",
			},
		},
		"stopped too late": {
			outcome: codeartstest.Outcome{After: time.Second}, options: codeartstest.Options{StopLag: time.Second}, stop: true, after: time.Second,
			want: says{
				Running: "Finished", State: "SUCCESS", Listed: "1", Status: "success", Abort: "", Building: false, Result: "SUCCESS", Info: "SUCCESS",
				Message: "", Steps: "success/success/success",
			},
		},
		"in the queue, and not listed": {
			outcome: codeartstest.Outcome{Queued: time.Second}, options: codeartstest.Options{QueuedUnlisted: true},
			want: says{
				Running: "InQueue", State: "", Listed: "0", Status: "inqueue", Abort: "", Building: true, Result: "", Info: "InQueue", Message: "", Steps: "//",
			},
		},
		"out of the queue, and listed": {
			outcome: codeartstest.Outcome{Queued: time.Second}, options: codeartstest.Options{QueuedUnlisted: true, QueuedNoStart: true}, after: time.Second,
			want: running,
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
			test.options.Now, test.options.Location = func() time.Time { return now }, time.UTC
			server := codeartstest.NewServer(test.options)
			defer server.Close()
			if err := server.AddOutcome(test.outcome); err != nil {
				t.Fatal(err)
			}
			c := client(t)
			do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+jobID+`"}`)
			if test.stop {
				if status, answer, _ := do(t, c, "POST", server.URL+"/v1/job/"+jobID+"/stop?build_no=1", ""); status != 200 {
					t.Fatal(status, answer)
				}
			}
			now = now.Add(test.after)
			get := func(path string) any {
				t.Helper()
				status, answer, _ := do(t, c, "GET", server.URL+path, "")
				if status != 200 {
					t.Fatal(path, status, answer)
				}
				if result := at(answer, "result"); result != nil {
					return result
				}
				return answer
			}
			record, info := get("/v1/record/"+jobID+"/1/build-info-record"), get("/v1/record/"+jobID+"/1/record-info")
			list := get("/v1/record/" + jobID + "/list?start_time=2026-03-01%2003:00:00&end_time=2026-03-01%2005:00:00")
			if listed := at(list, "job_build_states", 0); listed != nil {
				if diff := cmp.Diff(record, listed); diff != "" {
					t.Errorf("the list differs from the record (-record +list):\n%s", diff)
				}
			}
			build, status, details := get("/v1/job/"+jobID+"/1/build-info"), get("/v1/job/"+jobID+"/status?build_no=1"), get("/v3/jobs/"+jobID+"/1/history-details")
			var steps []string
			for i := range 3 {
				step, _ := at(details, "build_steps", i, "status").(string)
				steps = append(steps, step)
			}
			got := says{
				Running: at(record, "job_running_status"), State: at(record, "state"), Listed: at(list, "total_record"),
				Status: at(status, "status"), Abort: at(status, "abort_status"),
				Building: at(build, "building"), Result: at(build, "build_result"),
				Info: at(info, "status"), Message: at(info, "err_msg"), Steps: strings.Join(steps, "/"),
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (at(info, "finish_time") != "") != (at(record, "job_running_status") == "Finished") {
				t.Errorf("finish_time is %v", at(info, "finish_time"))
			}
			if builds := get("/_builds"); at(builds, 0, "state") != got.State || at(builds, 0, "stopped") != test.stop {
				t.Errorf("GET /_builds: %v", builds)
			}
		})
	}
}

// A queued build may have no start.
func TestQueuedWithoutStart(t *testing.T) {
	now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	server := codeartstest.NewServer(codeartstest.Options{Now: func() time.Time { return now }, QueuedNoStart: true})
	defer server.Close()
	if err := server.AddOutcome(codeartstest.Outcome{Queued: time.Second}); err != nil {
		t.Fatal(err)
	}
	c := client(t)
	do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+jobID+`"}`)
	for _, want := range []any{nil, float64(now.UnixMilli())} {
		_, answer, _ := do(t, c, "GET", server.URL+"/v1/record/"+jobID+"/1/build-info-record", "")
		if got := at(answer, "result", "start_time"); got != want {
			t.Errorf("start_time is %v, want %v", got, want)
		}
		now = now.Add(time.Second)
	}
}

// A job that is deleted takes its builds along.
func TestDeletedJob(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{})
	defer server.Close()
	c := client(t)
	for _, job := range []string{jobID, otherJob} {
		do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+job+`"}`)
	}
	if status, _, _ := do(t, c, "DELETE", server.URL+"/_jobs/"+jobID, ""); status != 204 {
		t.Error(status)
	}
	for path, want := range map[string]string{
		"GET /v1/record/" + jobID + "/1/build-info-record": "DEVCB.00031006",
		"GET /v1/record/" + jobID + "/1/record-info":       "DEVCB.00031006",
		"GET /v1/record/" + jobID + "/list":                "DEVCB.00031006",
		"GET /v1/job/" + jobID + "/1/build-info":           "DEVCB.00031006",
		"GET /v1/job/" + jobID + "/status":                 "DEVCB.00031006",
		"GET /v3/jobs/" + jobID + "/1/history-details":     "DEVCB.00031006",
		"POST /v1/job/" + jobID + "/stop?build_no=1":       "CB.00031006",
		"POST /v3/jobs/" + jobID + "/1/stop":               "CB.00031006",
		"GET /v1/job/" + otherJob + "/1/build-info":        "",
	} {
		method, path, _ := strings.Cut(path, " ")
		_, answer, _ := do(t, c, method, server.URL+path, "")
		code, _ := at(answer, "error_code").(string)
		if code == "" {
			code, _ = at(answer, "error", "code").(string)
		}
		if code != want {
			t.Errorf("%s %s: %v, want %q", method, path, answer, want)
		}
	}
	if status, answer, _ := do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+jobID+`"}`); status != 404 || server.RunCount() != 2 {
		t.Errorf("RunJob: %d %v", status, answer)
	}
	if builds := server.Builds(); len(builds) != 1 || builds[0].JobID != otherJob {
		t.Errorf("builds: %+v", builds)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{Tokens: []string{"T"}})
	defer server.Close()
	if err := server.AddFault(codeartstest.Fault{Path: codeartstest.PathList, Drop: codeartstest.DropBefore, Times: 1}); err != nil {
		t.Fatal(err)
	}
	c := client(t)
	for range 2 { // the first is dropped, the second is not let in
		do(t, c, "GET", server.URL+"/v1/record/"+jobID+"/list", "")
	}
	do(t, c, "POST", server.URL+"/v3/jobs/build", `{"job_id":"`+jobID+`"}`, "X-Auth-Token", "T")
	do(t, c, "POST", server.URL+"/v3/jobs/unknown", `{}`)
	_, counts, _ := do(t, c, "GET", server.URL+"/_requests", "")
	if at(counts, "list") != 2.0 || at(counts, "run") != 1.0 || at(counts, "stop") != 0.0 || server.Requests("") != 3 || server.Requests(codeartstest.PathList) != 2 {
		t.Errorf("%v, %d in all", counts, server.Requests(""))
	}
}
