package codeartstest_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts/codeartstest"
)

const (
	pipelines = "/v5/" + projectID + "/api/pipelines/"
	flow      = pipelines + pipelineID
)

// pipelineWorld is a simulator without a network, whose clock the test sets.
type pipelineWorld struct {
	*codeartstest.Simulator

	t   *testing.T
	now time.Time
}

func newPipelineWorld(t *testing.T, o codeartstest.Options, set string) *pipelineWorld {
	t.Helper()
	w := &pipelineWorld{t: t, now: time.UnixMilli(1_800_000_000_000)}
	o.Now = func() time.Time { return w.now }
	w.Simulator = codeartstest.New(o)
	if set != "" {
		if status, answer := w.ask("POST", "/_pipelines", `{"pipeline_id":"`+pipelineID+`",`+set+`}`); status != 201 {
			t.Fatalf("%d %v", status, answer)
		}
	}
	return w
}

func (w *pipelineWorld) ask(method, path, body string, header ...string) (int, any) {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	var v any
	if err := json.Unmarshal(answer.Body.Bytes(), &v); err != nil {
		w.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	return answer.Code, v
}

// run starts a run, which may be queued, and gives its id and that of its entry in the queue.
func (w *pipelineWorld) run(body string) (id, queueID string) {
	w.t.Helper()
	status, answer := w.ask("POST", flow+"/run", body)
	id, _ = at(answer, "pipeline_run_id").(string)
	if id == "" {
		id, _ = at(answer, "error", "pipeline_run_id").(string)
		queueID, _ = at(answer, "error", "queue_id").(string)
	}
	if status != 200 || id == "" {
		w.t.Fatalf("%d %v", status, answer)
	}
	return id, queueID
}

func (w *pipelineWorld) detail(id string) any {
	w.t.Helper()
	_, answer := w.ask("GET", flow+"/pipeline-runs/detail?pipeline_run_id="+id, "")
	return answer
}

// statuses gives those of all runs in the list, the oldest first.
func (w *pipelineWorld) statuses() string {
	w.t.Helper()
	_, answer := w.ask("POST", flow+"/pipeline-runs/list", `{"limit":100,"sort_dir":"asc"}`)
	runs, _ := at(answer, "pipeline_runs").([]any)
	var out []string
	for _, r := range runs {
		out = append(out, fmt.Sprint(at(r, "status")))
	}
	return strings.Join(out, " ")
}

func (w *pipelineWorld) queued() string {
	w.t.Helper()
	_, answer := w.ask("GET", flow+"/queued-pipeline?offset=0&limit=100", "")
	entries, _ := at(answer, "queuedPipelines").([]any)
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprint(at(e, "status")))
	}
	return strings.Join(out, " ")
}

func TestRunPipelineBodies(t *testing.T) {
	variable := func(name, value string) string {
		return fmt.Sprintf(`{"variables":[{"name":%q,"value":%q}]}`, name, value)
	}
	source := func(params string) string { return `{"sources":[{"type":"code","params":{` + params + `}}]}` }
	build := func(build string) string { return source(`"build_params":{"build_type":` + build + `}`) }
	many := `{"variables":[` + strings.TrimSuffix(strings.Repeat(`{"name":"a","value":""},`, 101), ",") + `]}`
	for name, test := range map[string]struct {
		set    string
		path   string // flow+"/run" if not set
		body   string
		header []string
		status int
		code   string
		says   string
	}{
		"nothing":                     {body: `{}`},
		"a branch":                    {body: build(`"branch","event_type":"Manual","target_branch":"main"`)},
		"a tag":                       {body: build(`"tag","tag":"v1"`)},
		"all of a source":             {body: source(`"git_type":"gitcode","git_url":"https://x/y.git","endpoint_id":"e","alias":"a","default_branch":"m","build_params":{"build_type":"branch","target_branch":"main","commit_id":null}`)},
		"two sources":                 {body: `{"sources":[{"type":"code","params":{"build_params":{"build_type":"tag","tag":"v1"}}},{"type":"artifact"}]}`},
		"stages":                      {body: `{"choose_stages":["a"],"choose_jobs":["JOB_x"],"execution_plan_id":""}`},
		"a description of 1024":       {body: `{"description":"` + strings.Repeat("é", 1024) + `"}`},
		"a description of 1025":       {body: `{"description":"` + strings.Repeat("é", 1025) + `"}`, says: "at most 1024"},
		"a value of 8192":             {body: variable("a", strings.Repeat("é", 8192))},
		"a value of 8193":             {body: variable("a", strings.Repeat("é", 8193)), says: "longer than 8192"},
		"a name of 129":               {body: variable(strings.Repeat("a", 129), ""), says: "1 to 128"},
		"a name with a dash":          {body: variable("a-b", ""), says: "1 to 128"},
		"a predefined name":           {body: variable("COMMIT_ID", ""), says: "must not be set"},
		"a name of the executor":      {body: variable("EXECUTE_USER_NAME", ""), says: "must not be set"},
		"a name of an alias":          {set: `"sources":[{"alias":"shop"}]`, body: variable("shop_COMMIT_ID", ""), says: "must not be set"},
		"a name of no alias":          {body: variable("shop_COMMIT_ID", "")},
		"101 variables":               {body: many, says: "at most 100"},
		"a value that is a number":    {body: `{"variables":[{"name":"a","value":1}]}`, says: "not the JSON expected"},
		"a value that is null":        {body: `{"variables":[{"name":"a","value":null}]}`, says: "both strings"},
		"an undeclared name, taken":   {set: `"variables":[]`, body: variable("a", "")},
		"an undeclared name, ignored": {set: `"variables":[],"undeclared":"ignored"`, body: variable("a", "")},
		"an undeclared name, refused": {set: `"variables":[{"name":"a"}],"undeclared":"refused"`, body: variable("a", ""), says: "not declared as set at run time"},
		"an empty stage":              {body: `{"choose_stages":[""]}`, says: "identifiers"},
		"a branch and a tag":          {body: build(`"branch","target_branch":"main","tag":"v1"`), says: "no tag"},
		"a branch without a name":     {body: build(`"branch","target_branch":""`), says: "needs target_branch"},
		"a tag without a name":        {body: build(`"tag","target_branch":"main"`), says: "needs tag"},
		"a type never heard of":       {body: build(`"commitId","commit_id":"x"`), says: "not branch or tag"},
		"an event never heard of":     {body: build(`"tag","tag":"v1","event_type":"manual"`), says: "event_type"},
		"a host never heard of":       {body: source(`"git_type":"bitbucket","git_url":"x","build_params":{"build_type":"tag","tag":"v1"}`), says: "git_type"},
		"a host without an address":   {body: source(`"git_type":"github","build_params":{"build_type":"tag","tag":"v1"}`), says: "only one of"},
		"a source without what":       {body: source(`"alias":"a"`), says: "build_params is missing"},
		"a source of no type":         {body: `{"sources":[{"params":{}}]}`, says: "not code or artifact"},
		"no body":                     {status: 400, code: "PARSE_REQUEST_DATA_EXCEPTION"},
		"no JSON":                     {body: `{`, status: 400, code: "PARSE_REQUEST_DATA_EXCEPTION"},
		"an array":                    {body: `[]`, says: "not the JSON expected"},
		"a charset":                   {body: `{}`, header: []string{"Content-Type", "application/json; charset=utf-8"}, status: 400, code: "APIGW.0106"},
		"the charset of the SDK":      {body: `{}`, header: []string{"Content-Type", "application/json;charset=UTF-8"}},
		"the project of IAM":          {body: `{}`, header: []string{"X-Project-Id", projectID}, status: 401, code: "APIGW.0301", says: "get token error,status:400"},
		"a project that is none":      {path: "/v5/x/api/pipelines/" + pipelineID + "/run", body: `{}`, status: 400, code: "DEVPIPE.00011412"},
		"another project":             {set: `"project_id":"` + jobID + `"`, body: `{}`, status: 200, code: "DEVPIPE.00011136"},
		"a pipeline id that is none":  {path: pipelines + "x/run", body: `{}`, status: 400, code: "DEVPIPE.00011401"},
		"the id of a job":             {path: pipelines + jobID + "/run", body: `{}`, status: 400, code: "DEVPIPE.00011401"},
		"not a member":                {set: `"no_member":true`, body: `{}`, status: 400, code: "DEVPIPE.00011412"},
		"banned":                      {set: `"banned":true`, body: `{}`, status: 400, says: "banned"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newPipelineWorld(t, codeartstest.Options{}, test.set)
			if err := w.SetJob(codeartstest.Job{JobID: jobID}); err != nil {
				t.Fatal(err)
			}
			if test.says != "" && test.status == 0 {
				test.status, test.code = 400, "DEVPIPE.00010001"
			}
			path, refused := flow+"/run", test.status != 0
			if test.path != "" {
				path = test.path
			}
			status, answer := w.ask("POST", path, test.body, test.header...)
			if !refused {
				id, _ := at(answer, "pipeline_run_id").(string)
				want := []codeartstest.Run{{BuildNo: id, PipelineID: pipelineID, Body: json.RawMessage(test.body)}}
				if diff := cmp.Diff(want, w.Runs()); status != 200 || len(id) != 32 || diff != "" {
					t.Errorf("%d %v, -want +got:\n%s", status, answer, diff)
				}
				return
			}
			says := fmt.Sprint(at(answer, "error_msg"))
			if status != test.status || test.code != "" && at(answer, "error_code") != test.code || !strings.Contains(says, test.says) || w.RunCount() != 0 {
				t.Errorf("%d %v, want %d %s %q; %d runs", status, answer, test.status, test.code, test.says, w.RunCount())
			}
		})
	}
}

func TestPipelinesInJSON(t *testing.T) {
	all := `{"pipeline_id":"` + pipelineID + `","project_id":"` + projectID + `","name":"n","description":"d","banned":true,"no_member":true,
		"concurrency":{"limit":2,"exceed_action":"ABORT","tenant":true},"queue_timeout":"5s",
		"variables":[{"name":"a","value":"b","is_runtime":true,"is_secret":true}],"undeclared":"refused",
		"sources":[{"alias":"a","git_type":"gitee","git_url":"u","default_branch":"m"}],
		"hide_description":true,"honour_commit":true,"heads":{"main":"c"}}`
	for name, test := range map[string]struct{ body, says string }{
		"all members":              {body: all},
		"a number of seconds":      {body: `{"pipeline_id":"` + pipelineID + `","queue_timeout":5}`},
		"several":                  {body: `[` + all + `,` + all + `]`},
		"no id":                    {body: `{}`, says: "pipeline_id"},
		"a project that is none":   {body: strings.Replace(all, projectID, "x", 1), says: "project_id"},
		"an unknown member":        {body: strings.Replace(all, "banned", "baned", 1), says: "baned"},
		"a limit below 0":          {body: strings.Replace(all, `"limit":2`, `"limit":-1`, 1), says: "at least 0"},
		"an unknown exceed_action": {body: strings.Replace(all, "ABORT", "abort", 1), says: "exceed_action"},
		"an unknown undeclared":    {body: strings.Replace(all, "refused", "x", 1), says: "undeclared"},
		"a variable with a dash":   {body: strings.Replace(all, `"name":"a"`, `"name":"a-b"`, 1), says: "1 to 128"},
		"no duration":              {body: strings.Replace(all, "5s", "soon", 1), says: "queue_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newPipelineWorld(t, codeartstest.Options{}, "")
			status, answer := w.ask("POST", "/_pipelines", test.body)
			if says := fmt.Sprint(at(answer, "error_msg")); test.says != "" && (status != 400 || !strings.Contains(says, test.says)) {
				t.Errorf("%d %v, want %q", status, answer, test.says)
			}
			if test.says == "" && status != 201 {
				t.Errorf("%d %v", status, answer)
			}
			if name != "all members" {
				return
			}
			var want any
			if err := json.Unmarshal([]byte("["+all+"]"), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, answer); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPipelineRunsAreListed(t *testing.T) {
	t.Parallel()
	w := newPipelineWorld(t, codeartstest.Options{RecordLag: 2 * time.Second, CommitLag: 5 * time.Second, BuildTime: time.Hour}, "")
	start := w.now
	var ids []string
	for range 3 {
		id, _ := w.run(`{"description":"secret"}`)
		ids = append(ids, id)
		w.now = w.now.Add(time.Second)
	}
	ms := func(after time.Duration) string { return fmt.Sprint(start.Add(after).UnixMilli()) }
	wall := func(after time.Duration) string {
		return start.Add(after).In(time.FixedZone("", 8*60*60)).Format(time.DateTime)
	}
	w.now = start.Add(2 * time.Second)
	if got := w.statuses(); got != "RUNNING" {
		t.Errorf("before the lag is over: %s", got)
	}
	if got := at(w.detail(ids[2]), "id"); got != ids[0] {
		t.Errorf("before the lag is over: the detail of %v, want that of the newest to be seen", got)
	}
	w.now = start.Add(5 * time.Second)
	for name, test := range map[string]struct {
		body  string
		total float64
		want  []string
	}{
		"all":                 {body: `{}`, total: 3, want: []string{ids[2], ids[1], ids[0]}},
		"the oldest first":    {body: `{"sort_key":"start_time","sort_dir":"asc"}`, total: 3, want: ids},
		"a window":            {body: `{"start_time":"` + ms(time.Second) + `","end_time":"` + ms(time.Second) + `"}`, total: 1, want: ids[1:2]},
		"after a millisecond": {body: `{"start_time":"` + ms(time.Second+time.Millisecond) + `"}`, total: 1, want: ids[2:]},
		"by the wall clock":   {body: `{"start_time":"` + wall(time.Second) + `","end_time":"` + wall(time.Second) + `"}`, total: 1, want: ids[1:2]},
		"a page":              {body: `{"offset":1,"limit":1}`, total: 3, want: ids[1:2]},
		"past the end":        {body: `{"offset":3,"limit":100}`, total: 3},
		"by status":           {body: `{"status":["FAILED"]}`},
	} {
		status, answer := w.ask("POST", flow+"/pipeline-runs/list", test.body)
		var got []string
		list, _ := at(answer, "pipeline_runs").([]any)
		for _, r := range list {
			got = append(got, fmt.Sprint(at(r, "pipeline_run_id")))
		}
		if status != 200 || at(answer, "total") != test.total || !cmp.Equal(got, test.want) {
			t.Errorf("%s: %d, total %v, %v, want %v", name, status, at(answer, "total"), got, test.want)
		}
		if text := fmt.Sprint(answer); strings.Contains(text, "secret") {
			t.Errorf("%s: the list has the description: %s", name, text)
		}
	}
	for name, body := range map[string]string{
		"a number": `{"start_time":1}`, "no time": `{"start_time":"soon"}`, "a limit of 101": `{"limit":101}`, "an offset below 0": `{"offset":-1}`,
		"an order": `{"sort_dir":"up"}`,
	} {
		if status, answer := w.ask("POST", flow+"/pipeline-runs/list", body); status != 400 || at(answer, "error_code") != "DEVPIPE.00010001" {
			t.Errorf("%s: %d %v", name, status, answer)
		}
	}
	if got := at(w.detail(ids[0]), "sources", 0, "params", "build_params", "commit_id"); got == nil {
		t.Error("no commit after its lag")
	}
	if got := at(w.detail(ids[1]), "sources", 0, "params", "build_params", "commit_id"); got != nil {
		t.Errorf("commit %v before its lag is over", got)
	}
}

func TestRunDetail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ set, want string }{
		"as it was sent": {want: "bb-1"},
		"hidden":         {set: `"hide_description":true,"description":"of the pipeline"`, want: "of the pipeline"},
	} {
		w := newPipelineWorld(t, codeartstest.Options{}, test.set)
		if status, answer := w.ask("GET", flow+"/pipeline-runs/detail", ""); status != 404 {
			t.Errorf("%s: without any run: %d %v", name, status, answer)
		}
		first, _ := w.run(`{"description":"bb-1"}`)
		second, _ := w.run(`{}`)
		if got := at(w.detail(first), "description"); got != test.want {
			t.Errorf("%s: %v, want %q", name, got, test.want)
		}
		if got := at(w.detail(strings.Repeat("0", 32)), "id"); got != second {
			t.Errorf("%s: of an unknown run: %v, want the newest", name, got)
		}
		if _, answer := w.ask("GET", flow+"/pipeline-runs/detail", ""); at(answer, "id") != second {
			t.Errorf("%s: without a run: %v, want the newest", name, answer)
		}
	}
}

func TestRunVariables(t *testing.T) {
	t.Parallel()
	w := newPipelineWorld(t, codeartstest.Options{}, `"undeclared":"ignored","variables":[
		{"name":"SHA","value":"none","is_runtime":true},{"name":"KEY","value":"k","is_runtime":true,"is_secret":true},{"name":"FIXED","value":"f"}]`)
	id, _ := w.run(`{"variables":[{"name":"SHA","value":"c0ffee"},{"name":"KEY","value":"s3cret"},{"name":"FIXED","value":"x"},{"name":"OTHER","value":"x"}]}`)
	values := func(path string) string {
		_, answer := w.ask("GET", path, "")
		list, _ := answer.([]any)
		var out []string
		for _, v := range list {
			out = append(out, fmt.Sprint(at(v, "name"), "=", at(v, "value")))
		}
		return strings.Join(out, " ")
	}
	for path, want := range map[string]string{
		"/pipeline-runs/" + id + "/run-variables?mode=0": "SHA=c0ffee KEY=****** FIXED=f",
		"/pipeline-runs/" + id + "/run-variables?mode=2": "",
		"/list-runtime-vars":                             "SHA=none KEY=******",
	} {
		if got := values(flow + path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := values(flow + "/pipeline-runs/" + id + "/run-variables?mode=1"); !strings.Contains(got, "PIPELINE_RUN_ID="+id) {
		t.Errorf("of the system: %q", got)
	}
	if status, _ := w.ask("GET", flow+"/pipeline-runs/x/run-variables", ""); status != 404 {
		t.Errorf("of no run: %d", status)
	}
}

func TestCommitOfARun(t *testing.T) {
	t.Parallel()
	const pinned = `{"sources":[{"type":"code","params":{"build_params":{"build_type":"branch","target_branch":"main","commit_id":"c0ffee"}}}]}`
	w := newPipelineWorld(t, codeartstest.Options{Head: func(_, branch string) string { return "head of " + branch }}, "")
	commit := func(body string) any {
		id, _ := w.run(body)
		return at(w.detail(id), "sources", 0, "params", "build_params", "commit_id")
	}
	if got := commit(pinned); got != "head of main" {
		t.Errorf("%v, want what Options.Head says", got)
	}
	if status, _ := w.ask("POST", "/_pipelines/"+pipelineID+"/heads", `{"main":"beef"}`); status != 201 {
		t.Error(status)
	}
	if got := commit(pinned); got != "beef" {
		t.Errorf("%v, want the head that was set: no commit is honoured", got)
	}
	if err := w.SetPipeline(codeartstest.Pipeline{PipelineID: pipelineID, HonourCommit: true}); err != nil {
		t.Fatal(err)
	}
	if got := commit(pinned); got != "c0ffee" {
		t.Errorf("%v, want the commit that was sent", got)
	}
}

// A queued run builds the head at the time when it begins.
func TestQueue(t *testing.T) {
	t.Parallel()
	for _, unlisted := range []bool{false, true} {
		w := newPipelineWorld(t, codeartstest.Options{BuildTime: time.Minute, QueuedUnlisted: unlisted}, `"concurrency":{"limit":1},"queue_timeout":"100s"`)
		first, queueID := w.run(`{}`)
		if queueID != "" {
			t.Error("the first one was queued")
		}
		second, _ := w.run(`{}`)
		third, queueID := w.run(`{}`)
		status, answer := w.ask("POST", flow+"/run", `{}`) // the fourth
		if status != 200 || at(answer, "error_code") != "DEVPIPE.00011169" || at(answer, "pipeline_run_id") != nil {
			t.Errorf("%d %v", status, answer)
		}
		want := "RUNNING QUEUED QUEUED QUEUED"
		if unlisted {
			want = "RUNNING"
			if got := at(w.detail(second), "id"); got != first {
				t.Errorf("the detail of %v, want that of the newest to be seen", got)
			}
		}
		if list, queue := w.statuses(), w.queued(); list != want || queue != "QUEUED QUEUED QUEUED" {
			t.Errorf("%s; queue %s", list, queue)
		}

		for path, code := range map[string]string{
			"/pipeline-runs/" + third + "/stop":                 "DEVPIPE.00010003",
			"/" + third + "/cancel-queuing/" + third:            "DEVPIPE.00010003",
			"/" + third + "/something-else/" + queueID:          "APIGW.0101",
			"/" + strings.Repeat("0", 32) + "/cancel-queuing/0": "DEVPIPE.00010003",
		} {
			if _, answer := w.ask("POST", flow+path, `{}`); at(answer, "error_code") != code {
				t.Errorf("%s: %v, want %s", path, answer, code)
			}
		}
		if status, answer := w.ask("POST", flow+"/"+third+"/cancel-queuing/"+queueID, `{}`); status != 200 || at(answer, "success") != true {
			t.Errorf("cancel: %d %v", status, answer)
		}

		w.now = w.now.Add(50 * time.Second)
		w.SetHead(pipelineID, "master", "old")
		w.now = w.now.Add(15 * time.Second) // the second one began 5 s ago, and nobody had looked
		w.SetHead(pipelineID, "master", "new")
		want = "COMPLETED RUNNING CANCELED QUEUED"
		if unlisted {
			want = "COMPLETED RUNNING"
		}
		if list, queue := w.statuses(), w.queued(); list != want || queue != "QUEUED" {
			t.Errorf("%s; queue %s", list, queue)
		}
		if got := at(w.detail(second), "sources", 0, "params", "build_params", "commit_id"); got != "old" {
			t.Errorf("commit %v, want the head when it began", got)
		}

		w.now = w.now.Add(40 * time.Second) // the second one runs until 120 s
		want = "COMPLETED RUNNING CANCELED"
		if unlisted {
			want = "COMPLETED RUNNING"
		}
		if list, queue := w.statuses(), w.queued(); list != want || queue != "QUEUED_TIME_OUT" {
			t.Errorf("%s; queue %s, want the last one to be dropped", list, queue)
		}
		w.now = w.now.Add(15 * time.Second)
		if got := at(w.detail(second), "status"); got != "COMPLETED" {
			t.Errorf("%v 60 s after the first one ended", got)
		}
	}
}

func TestOverTheLimit(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		`"concurrency":{"limit":1,"exceed_action":"QUEUE"}`: "DEVPIPE.00011169",
		`"concurrency":{"limit":1,"tenant":true}`:           "DEVPIPE.00011170",
		`"concurrency":{"limit":1,"exceed_action":"ABORT"}`: "DEVPIPE.00011104",
	} {
		w := newPipelineWorld(t, codeartstest.Options{}, set)
		w.run(`{}`)
		status, answer := w.ask("POST", flow+"/run", `{}`)
		if status != 200 || at(answer, "error_code") != want {
			t.Errorf("%s: %d %v, want %s", set, status, answer, want)
		}
		aborted := strings.Contains(set, "ABORT")
		_, failures := w.ask("GET", flow+"/trigger-failed-record?offset=0&limit=10", "")
		if got := at(failures, "triggerFailedRecordVOS", 0, "trigger_type") == "Manual"; got != aborted || aborted != (w.RunCount() == 1) {
			t.Errorf("%s: %d runs, failures %v", set, w.RunCount(), failures)
		}
	}
	w := newPipelineWorld(t, codeartstest.Options{}, `"concurrency":{"limit":1}`)
	for range 101 {
		w.run(`{}`)
	}
	if _, answer := w.ask("POST", flow+"/run", `{}`); at(answer, "error_code") != "DEVPIPE.00011104" {
		t.Errorf("%v, want the queue to be full", answer)
	}
}

func TestOutcomesOfRuns(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		outcome string
		want    string // at once, in the queue, and after 1, 2 and 3 seconds
		resume  bool   // after 2 seconds
	}{
		"as set":               {outcome: `{}`, want: "RUNNING;RUNNING;RUNNING;COMPLETED"},
		"failed":               {outcome: `{"result":"FAILED","after":"1s"}`, want: "RUNNING;FAILED;FAILED;FAILED"},
		"cancelled":            {outcome: `{"result":"CANCELED","after":1}`, want: "RUNNING;CANCELED;CANCELED;CANCELED"},
		"ignored":              {outcome: `{"result":"IGNORED","after":1}`, want: "RUNNING;IGNORED;IGNORED;IGNORED"},
		"in the words of jobs": {outcome: `{"result":"FAILURE","after":1}`, want: "RUNNING;FAILED;FAILED;FAILED"},
		"any word":             {outcome: `{"result":"Hm?","after":1}`, want: "RUNNING;Hm?;Hm?;Hm?"},
		"queued":               {outcome: `{"queued":"2s","after":"1s"}`, want: "QUEUED, in the queue;QUEUED, in the queue;RUNNING;COMPLETED"},
		"paused":               {outcome: `{"paused":"1s","after":"2s"}`, want: "RUNNING;PAUSED;PAUSED;PAUSED"},
		"suspended, resumed":   {outcome: `{"paused":"1s","after":"2s","suspend":true}`, want: "RUNNING;SUSPEND;RUNNING;COMPLETED", resume: true},
		"of another pipeline":  {outcome: `{"job_id":"` + jobID + `","result":"FAILED","after":1}`, want: "RUNNING;RUNNING;RUNNING;COMPLETED"},
		"of this pipeline":     {outcome: `{"job_id":"` + pipelineID + `","result":"FAILED","after":1}`, want: "RUNNING;FAILED;FAILED;FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newPipelineWorld(t, codeartstest.Options{BuildTime: 3 * time.Second}, "")
			if status, answer := w.ask("POST", "/_outcomes", test.outcome); status != 201 {
				t.Fatalf("%d %v", status, answer)
			}
			id, _ := w.run(`{}`)
			for i, want := range strings.Split(test.want, ";") {
				if i == 2 && test.resume {
					if _, answer := w.ask("POST", "/_pipelines/"+pipelineID+"/resume?run_id="+id, ""); at(answer, "resumed") != 1.0 {
						t.Errorf("resume: %v", answer)
					}
				}
				got := fmt.Sprint(at(w.detail(id), "status"))
				if w.queued() != "" {
					got += ", in the queue"
				}
				if state := w.Builds()[0].State; got != want || !strings.HasPrefix(want, state) {
					t.Errorf("after %d s: %s, %s, want %s", i, got, state, want)
				}
				w.now = w.now.Add(time.Second)
			}
		})
	}
	w := newPipelineWorld(t, codeartstest.Options{}, "")
	if status, answer := w.ask("POST", "/_outcomes", `{"suspend":true}`); status != 400 {
		t.Errorf("%d %v, want suspend to need paused", status, answer)
	}
}

// A run that waits for a person, or failed, can be stopped, or retried with its id.
func TestStopAndRetryOfRuns(t *testing.T) {
	t.Parallel()
	w := newPipelineWorld(t, codeartstest.Options{BuildTime: time.Minute}, `"concurrency":{"limit":1}`)
	for _, o := range []codeartstest.Outcome{{Paused: time.Second, After: time.Minute, Times: 1}, {Result: "FAILED", After: time.Second, Times: 1}} {
		if err := w.AddOutcome(o); err != nil {
			t.Fatal(err)
		}
	}
	paused, _ := w.run(`{}`)
	w.now = w.now.Add(time.Hour)
	failed, queueID := w.run(`{}`)
	if stages := at(w.detail(paused), "stages"); at(stages, 1, "status") != "PAUSED" || queueID == "" {
		t.Errorf("%v; queue id %q", stages, queueID)
	}
	if status, answer := w.ask("PUT", flow+"/pipeline-runs/"+paused+"/retry", ""); status != 400 {
		t.Errorf("retry of a paused one: %d %v", status, answer)
	}
	for i, want := range []int{200, 400} {
		if status, answer := w.ask("POST", flow+"/pipeline-runs/"+paused+"/stop", ""); status != want {
			t.Errorf("stop %d: %d %v, want %d", i, status, answer, want)
		}
	}
	if got := w.statuses(); got != "CANCELED RUNNING" {
		t.Error(got)
	}
	if _, answer := w.ask("PUT", flow+"/pipeline-runs/"+paused+"/retry", ""); at(answer, "error_code") != "DEVPIPE.00011169" || at(answer, "error", "pipeline_run_id") != paused {
		t.Errorf("retry over the limit: %v", answer)
	}
	w.now = w.now.Add(2 * time.Second)
	if got := w.statuses(); got != "RUNNING FAILED" {
		t.Error(got)
	}
	if got := at(w.detail(failed), "id"); got != failed {
		t.Error(got)
	}
	if status, _ := w.ask("POST", flow+"/pipeline-runs/x/stop", `{}`); status != 404 {
		t.Errorf("stop of no run: %d", status)
	}
}

// Who is no member of the project sees nothing, and is told so only by some calls.
func TestNoMember(t *testing.T) {
	t.Parallel()
	w := newPipelineWorld(t, codeartstest.Options{}, "")
	id, _ := w.run(`{}`)
	if err := w.SetPipeline(codeartstest.Pipeline{PipelineID: pipelineID, NoMember: true}); err != nil {
		t.Fatal(err)
	}
	for path, list := range map[string]string{
		"POST /pipeline-runs/list": "pipeline_runs", "GET /queued-pipeline": "queuedPipelines", "GET /trigger-failed-record": "triggerFailedRecordVOS",
		"GET /pipeline-runs/detail?pipeline_run_id=" + id: "", "GET ": "", "GET /list-runtime-vars": "",
		"GET /pipeline-runs/" + id + "/run-variables": "", "POST /pipeline-runs/" + id + "/stop": "", "PUT /pipeline-runs/" + id + "/retry": "",
	} {
		method, path, _ := strings.Cut(path, " ")
		status, answer := w.ask(method, flow+path, `{}`)
		if list == "" && at(answer, "error_code") != "DEVPIPE.00011412" || list != "" && (at(answer, "total") != 0.0 || !cmp.Equal(at(answer, list), []any{})) {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	if _, answer := w.ask("POST", pipelines+"status", `["`+pipelineID+`"]`); !cmp.Equal(answer, []any{}) {
		t.Errorf("status: %v", answer)
	}
}

func TestRunByAPerson(t *testing.T) {
	t.Parallel()
	w := newPipelineWorld(t, codeartstest.Options{RecordLag: time.Hour}, "")
	status, answer := w.ask("POST", "/_builds", `{"pipeline_id":"`+pipelineID+`","branch":"main","commit":"c0ffee","description":"by hand","parameter":[{"name":"A","value":"b"}]}`)
	id, _ := at(answer, "build_no").(string)
	if status != 201 || len(id) != 32 || w.RunCount() != 0 {
		t.Fatalf("%d %v, %d runs", status, answer, w.RunCount())
	}
	detail := w.detail(id)
	if at(detail, "executor_name") != "person" || at(detail, "trigger_type") != "Manual" || at(detail, "description") != "by hand" ||
		at(detail, "sources", 0, "params", "build_params", "commit_id") != "c0ffee" {
		t.Errorf("%v", detail)
	}
	want := []codeartstest.BuildState{{PipelineID: pipelineID, BuildNo: id, Running: "Running", State: "RUNNING", ByHand: true}}
	if diff := cmp.Diff(want, w.Builds()); diff != "" {
		t.Error(diff)
	}
	for _, body := range []string{`{"pipeline_id":"x"}`, `{"pipeline_id":"` + pipelineID + `","job_id":"` + jobID + `"}`, `{"pipeline_id":"` + pipelineID + `","parameter":[{"name":"a-b"}]}`} {
		if status, answer := w.ask("POST", "/_builds", body); status != 400 {
			t.Errorf("%s: %d %v", body, status, answer)
		}
	}
}

// What is known as a pipeline is no job, and what is known as a job is no pipeline.
func TestPipelineIsNoJob(t *testing.T) {
	t.Parallel()
	w := newPipelineWorld(t, codeartstest.Options{}, "")
	w.run(`{}`)
	if status, answer := w.ask("POST", "/v3/jobs/build", `{"job_id":"`+pipelineID+`"}`); status != 404 {
		t.Errorf("the pipeline as a job: %d %v", status, answer)
	}
	if status, answer := w.ask("POST", "/v3/jobs/build", `{"job_id":"`+jobID+`"}`); status != 200 {
		t.Errorf("%d %v", status, answer)
	}
	if _, answer := w.ask("GET", pipelines+jobID, ""); at(answer, "error_code") != "DEVPIPE.00011401" {
		t.Errorf("the job as a pipeline: %v", answer)
	}
	_, runs := w.ask("GET", "/_runs", "")
	if at(runs, 0, "pipeline_id") != pipelineID || at(runs, 1, "build_no") != "1" || at(runs, 1, "pipeline_id") != nil {
		t.Errorf("/_runs: %v", runs)
	}
	w.ask("POST", "/_faults", `{"path":"pipeline-list","job_id":"`+pipelineID+`","status":503,"code":"x"}`)
	if status, _ := w.ask("POST", flow+"/pipeline-runs/list", `{}`); status != 503 {
		t.Errorf("the fault of the pipeline: %d", status)
	}
	w.DeleteJob(pipelineID)
	if _, answer := w.ask("GET", flow, ""); at(answer, "error_code") != "DEVPIPE.00011401" {
		t.Errorf("deleted: %v", answer)
	}
	if n := w.Requests(codeartstest.PathPipelineRun); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestJobDisabled(t *testing.T) {
	t.Parallel()
	w := newPipelineWorld(t, codeartstest.Options{}, "")
	const path = "/v1/job/" + jobID + "/check/disable"
	if status, answer := w.ask("GET", path, ""); status != 200 || at(answer, "result") != nil || at(answer, "status") != "success" {
		t.Errorf("%d %v", status, answer)
	}
	if err := w.SetJob(codeartstest.Job{JobID: jobID, Disabled: true, DisabledReason: "too old"}); err != nil {
		t.Fatal(err)
	}
	if _, answer := w.ask("GET", path, ""); at(answer, "result", "disabled") != 1.0 || at(answer, "result", "reson") != "too old" {
		t.Errorf("%v", answer)
	}
}
