package hostapitest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/trigger/hostapi/hostapitest"
)

const (
	commit = "3f786850e387550fdab836ed7e6dc881de23001b"
	other  = "89e6c98d92887913cadf06b2adb97f26cde4849b"
	token  = "t0ken"

	github    = "/api/v3/repos/acme/shop/statuses/" + commit
	gitlab    = "/api/v4/projects/acme%2Fshop/statuses/" + commit
	gitee     = "/api/v5/repos/acme/shop/check-runs"
	gitea     = "/api/v1/repos/acme/shop/statuses/" + commit
	bitbucket = "/2.0/repositories/acme/shop/commit/" + commit + "/statuses/build"
	server    = "/rest/api/latest/projects/acme/repos/shop/commits/" + commit + "/builds"
	oldServer = "/rest/build-status/1.0/commits/" + commit
	azure     = "/org/acme/_apis/git/repositories/shop/commits/" + commit + "/statuses?api-version=7.1"
)

// ask sends a request with the token in a header; a body that begins with a brace is JSON.
func ask(t *testing.T, s http.Handler, method, path, header, body string) (w *httptest.ResponseRecorder, dropped bool) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	name, value, _ := strings.Cut(header, ": ")
	r.Header.Set(name, value)
	r.Header.Set("User-Agent", "test")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	w = httptest.NewRecorder()
	defer func() { dropped = recover() != nil }()
	s.ServeHTTP(w, r)
	return w, false
}

func TestStrict(t *testing.T) {
	const bearer, plain, private = "Authorization: Bearer " + token, "Authorization: token " + token, "PRIVATE-TOKEN: " + token
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+token))
	long := func(n int) string { return strings.Repeat("é", n) }
	url := "https://ci.example.com/"
	run := "access_token=" + token + "&head_sha=" + commit + "&output[title]=t&output[summary]=s&"
	tests := map[string]struct {
		path, header, body string
		status             int
		says               string
	}{
		"github":                  {github, bearer, `{"state":"success","context":"c"}`, 201, ""},
		"github, older header":    {github, plain, `{"state":"success"}`, 201, `"default"`},
		"github, other header":    {github, private, `{"state":"success"}`, 401, "Bad credentials"},
		"github, no token":        {github, "", `{"state":"success"}`, 401, ""},
		"github, form":            {github, bearer, `state=success`, 400, ""},
		"github, state":           {github, bearer, `{"state":"running"}`, 422, "state is not included"},
		"github, description":     {github, bearer, `{"state":"success","description":"` + long(140) + `"}`, 201, ""},
		"github, its length":      {github, bearer, `{"state":"success","description":"` + long(141) + `"}`, 422, "description is too long"},
		"github, context":         {github, bearer, `{"state":"success","context":"` + long(256) + `"}`, 422, "context is too long"},
		"github, URL":             {github, bearer, `{"state":"success","target_url":"ci"}`, 422, "target_url"},
		"github, short id":        {strings.Replace(github, commit, commit[:7], 1), bearer, `{"state":"success"}`, 422, "No commit found"},
		"gitlab":                  {gitlab, private, `{"state":"running","name":"c"}`, 201, `"pipeline_id":`},
		"gitlab, bearer":          {gitlab, bearer, `{"state":"running","context":"c"}`, 201, ""},
		"gitlab, basic":           {gitlab, basic, `{"state":"running"}`, 401, "401 Unauthorized"},
		"gitlab, state":           {gitlab, private, `{"state":"failure"}`, 400, "valid value"},
		"gitlab, no state":        {gitlab, private, `state`, 400, "missing"},
		"gitlab, URL's length":    {gitlab, private, `{"state":"running","target_url":"` + url + strings.Repeat("x", 250) + `"}`, 400, "target_url"},
		"gitlab, URL":             {gitlab, private, `{"state":"running","target_url":"ftp://x"}`, 400, "is blocked"},
		"gitlab, name":            {gitlab, private, `{"state":"running","name":"` + long(256) + `"}`, 400, "name"},
		"gitlab, description":     {gitlab, private, `{"state":"running","description":"` + long(256) + `"}`, 400, "description"},
		"gitlab, pipeline":        {gitlab, private, `{"state":"running","pipeline_id":7}`, 404, "404 Pipeline"},
		"gitee":                   {gitee, "", run + "name=c", 201, `"id":`},
		"gitee, header":           {gitee, plain, strings.Replace(run, "access_token", "x", 1) + "name=c", 401, ""},
		"gitee, JSON":             {gitee, "", `{"access_token":"` + token + `"}`, 401, ""},
		"gitee, name":             {gitee, "", run, 400, "name"},
		"gitee, its length":       {gitee, "", run + "name=" + long(101), 400, "name"},
		"gitee, status":           {gitee, "", run + "name=c&status=pending", 400, "status"},
		"gitee, conclusion":       {gitee, "", run + "name=c&status=completed", 400, "conclusion"},
		"gitee, output":           {gitee, "", strings.Replace(run, "summary", "text", 1) + "name=c", 400, "output"},
		"gitee, title":            {gitee, "", strings.Replace(run, "=t&", "="+long(201)+"&", 1) + "name=c", 400, "output[title]"},
		"gitee, time":             {gitee, "", run + "name=c&started_at=now", 400, "started_at"},
		"gitea":                   {gitea, plain, `{"state":"warning","context":" c "}`, 201, `"context":"c"`},
		"gitea, bearer":           {gitea, bearer, `{"state":"success"}`, 401, ""},
		"gitea, any length":       {gitea, plain, `{"state":"success","context":"` + long(1000) + `"}`, 201, ""},
		"bitbucket":               {bitbucket, bearer, `{"key":"c","url":"` + url + `","state":"STOPPED"}`, 201, ""},
		"bitbucket, basic":        {bitbucket, basic, `{"key":"c","url":"` + url + `","state":"STOPPED"}`, 201, ""},
		"bitbucket, key":          {bitbucket, bearer, `{"key":"` + long(41) + `","url":"` + url + `","state":"STOPPED"}`, 400, "at most 40 characters (it has 41)"},
		"bitbucket, no key":       {bitbucket, bearer, `{"url":"` + url + `","state":"STOPPED"}`, 400, "key"},
		"bitbucket, no URL":       {bitbucket, bearer, `{"key":"c","state":"STOPPED"}`, 400, "url"},
		"bitbucket, URL's length": {bitbucket, bearer, `{"key":"c","url":"` + url + strings.Repeat("x", 450) + `","state":"STOPPED"}`, 400, "at most 450"},
		"bitbucket, name":         {bitbucket, bearer, `{"key":"c","url":"` + url + `","name":"` + long(256) + `","state":"STOPPED"}`, 400, "name"},
		"bitbucket, state":        {bitbucket, bearer, `{"key":"c","url":"` + url + `","state":"CANCELLED"}`, 400, "state"},
		"server":                  {server, bearer, `{"key":"c","url":"` + url + `","state":"CANCELLED","ref":"refs/heads/main"}`, 204, ""},
		"server, blank URL":       {server, bearer, `{"key":"c","url":" ","state":"CANCELLED"}`, 400, "url"},
		"server, short ref":       {server, bearer, `{"key":"c","url":"` + url + `","state":"CANCELLED","ref":"main"}`, 400, "invalid branch"},
		"server, key":             {server, bearer, `{"key":"` + long(256) + `","url":"` + url + `","state":"CANCELLED"}`, 400, "key"},
		"server, state":           {server, bearer, `{"key":"c","url":"` + url + `","state":"STOPPED"}`, 400, "state"},
		"old server":              {oldServer, bearer, `{"key":"c","url":"` + url + `","state":"FAILED"}`, 204, ""},
		"old server, state":       {oldServer, bearer, `{"key":"c","url":"` + url + `","state":"CANCELLED"}`, 400, "state"},
		"azure":                   {azure, basic, `{"state":"succeeded","context":{"name":"c"}}`, 201, ""},
		"azure, no organisation":  {strings.TrimPrefix(azure, "/org"), basic, `{"state":"succeeded","context":{"name":"c"}}`, 201, ""},
		"azure, bearer":           {azure, bearer, `{"state":"succeeded","context":{"name":"c"}}`, 203, "Sign In"},
		"azure, no version":       {strings.TrimSuffix(azure, "?api-version=7.1"), basic, `{"state":"succeeded","context":{"name":"c"}}`, 400, "api-version"},
		"azure, version":          {strings.Replace(azure, "7.1", "7.2", 1), basic, `{"state":"succeeded","context":{"name":"c"}}`, 400, "supports is 7.1."},
		"azure, state":            {azure, basic, `{"state":"success","context":{"name":"c"}}`, 400, "state"},
		"azure, no name":          {azure, basic, `{"state":"succeeded"}`, 400, "name"},
		"another path":            {"/api/v3/repos/acme", bearer, `{}`, 404, ""},
		"another path of servers": {"/rest/api/latest/projects", bearer, `{}`, 404, "null for uri"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := hostapitest.New(hostapitest.Options{Token: token})
			w, _ := ask(t, s, "POST", test.path, test.header, test.body)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			told := s.Statuses()
			if taken := test.status == 201 || test.status == 204; taken != (len(told) == 1) {
				t.Errorf("told %+v", told)
			}
		})
	}
}

// TestStatuses reads what the hosts were told as a person would.
func TestStatuses(t *testing.T) {
	s := hostapitest.NewServer(hostapitest.Options{})
	defer s.Close()
	get := func() string {
		w, _ := ask(t, s, "GET", "/_statuses", "", "")
		return w.Body.String()
	}
	if got := get(); got != `[]` {
		t.Errorf("before: %s", got)
	}
	ask(t, s, "POST", github, "", `{"state":"pending","context":"c","description":"d","target_url":"https://ci.example.com"}`)
	ask(t, s, "POST", gitlab, "", `{"state":"success","name":"c"}`)
	want := `[{"provider":"github","repository":"acme/shop","commit":"` + commit + `","context":"c","state":"pending","description":"d","target_url":"https://ci.example.com"},` +
		`{"provider":"gitlab","repository":"acme/shop","commit":"` + commit + `","context":"c","state":"success","description":"","target_url":""}]`
	if got := get(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	url := s.URL
	s.SetDown(true)
	s.SetDown(false)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/_statuses", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Transport{DisableKeepAlives: true}
	res, err := client.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var told []hostapitest.Status
	if err := json.NewDecoder(res.Body).Decode(&told); err != nil || len(told) != 2 {
		t.Errorf("after it was down: %+v, %v", told, err)
	}
}

// TestShown: what people see is the newest status, except for what each host keeps beside it.
func TestShown(t *testing.T) {
	type told struct{ path, header, body string }
	var (
		first  = "Private-Token: " + token
		second = "Private-Token: another"
		build  = func(state string) string { return `{"name":"c","state":"` + state + `","ref":"main"}` }
	)
	tests := map[string]struct {
		told  []told
		shown string
	}{
		"newest":                 {[]told{{gitea, "Authorization: token " + token, `{"state":"pending"}`}, {gitea, "Authorization: token " + token, `{"state":"success"}`}}, "success"},
		"github without case":    {[]told{{github, "Authorization: token " + token, `{"state":"pending","context":"c"}`}, {github, "Authorization: token " + token, `{"state":"error","context":"C"}`}}, "error"},
		"gitea with case":        {[]told{{gitea, "Authorization: token " + token, `{"state":"pending","context":"c"}`}, {gitea, "Authorization: token " + token, `{"state":"error","context":"C"}`}}, "pending error"},
		"gitlab":                 {[]told{{gitlab, first, build("pending")}, {gitlab, first, build("success")}, {gitlab, first, build("pending")}}, "pending"},
		"gitlab, another user":   {[]told{{gitlab, first, build("pending")}, {gitlab, second, build("success")}}, "pending success"},
		"gitlab, another branch": {[]told{{gitlab, first, build("pending")}, {gitlab, first, `{"name":"c","state":"success","ref":"v1"}`}}, "pending success"},
		"gitlab, newest of all":  {[]told{{gitlab, first, build("pending")}, {"pipeline", "", ""}, {gitlab, first, `{"name":"c","state":"success"}`}}, "pending success"},
		"gitee, two":             {[]told{{gitee, "", "queued"}, {gitee, "", "queued"}}, "queued queued"},
		"gitee, one after":       {[]told{{gitee, "", "completed&conclusion=failure"}, {gitee, "", "queued"}}, "queued"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := hostapitest.New(hostapitest.Options{Token: token, Tokens: []hostapitest.Token{{Value: "another", User: "another"}}})
			for _, told := range test.told {
				if told.path == "pipeline" {
					s.AddPipeline("acme/shop", commit, "refs/merge-requests/1/head")
					continue
				}
				if told.path == gitee {
					told.body = "access_token=" + token + "&head_sha=" + commit + "&name=c&output[title]=t&output[summary]=s&status=" + told.body
				}
				if w, _ := ask(t, s, "POST", told.path, told.header, told.body); w.Code != 201 {
					t.Fatalf("%s: %d %s", told.body, w.Code, w.Body)
				}
			}
			var states []string
			for _, shown := range s.Shown() {
				states = append(states, shown.State)
			}
			if got := strings.Join(states, " "); got != test.shown {
				t.Errorf("shown %q, want %q", got, test.shown)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	tests := map[string]struct {
		fault  string
		status int // 0: dropped
		says   string
		told   int
	}{
		"a status":            {`{"status":503,"message":"slow down","retry_after":7,"header":{"X-A":"b"}}`, 503, `{"message":"slow down"}`, 0},
		"a page":              {`{"status":502,"page":"<html>"}`, 502, "<html>", 0},
		"dropped before":      {`{"drop":"before"}`, 0, "", 0},
		"dropped after":       {`{"drop":"after"}`, 0, "", 1},
		"slow":                {`{"delay":"1ms"}`, 201, "", 1},
		"another host":        {`{"provider":"gitlab","status":503}`, 201, "", 1},
		"this host":           {`{"provider":"github","status":503}`, 503, "", 0},
		"another method":      {`{"method":"GET","status":503}`, 201, "", 1},
		"always":              {`{"probability":1,"status":503}`, 503, "", 0},
		"the first":           {`[{"provider":"gitea","status":500},{"status":502},{"status":503}]`, 502, "", 0},
		"unknown member":      {`{"statsu":503}`, 201, "", 1},
		"nothing":             {`{}`, 201, "", 1},
		"unknown drop":        {`{"drop":"now"}`, 201, "", 1},
		"unknown delay":       {`{"delay":"soon"}`, 201, "", 1},
		"negative delay":      {`{"delay":"-1s"}`, 201, "", 1},
		"a status out of all": {`{"status":99}`, 201, "", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := hostapitest.New(hostapitest.Options{})
			added, _ := ask(t, s, "POST", "/_faults", "", test.fault)
			if refused := test.told == 1 && !strings.Contains(name, "another") && test.status == 201 && name != "slow"; refused != (added.Code == 400) {
				t.Errorf("%d %s", added.Code, added.Body)
			}
			w, dropped := ask(t, s, "POST", github, "", `{"state":"success"}`)
			if dropped != (test.status == 0) || !dropped && w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("dropped %v, %d %s", dropped, w.Code, w.Body)
			}
			if got := len(s.Statuses()); got != test.told {
				t.Errorf("told %d times, want %d", got, test.told)
			}
			if name == "a status" && (w.Header().Get("Retry-After") != "7" || w.Header().Get("X-A") != "b") {
				t.Errorf("header %v", w.Header())
			}
		})
	}
}

func TestFaultsEnd(t *testing.T) {
	s := hostapitest.New(hostapitest.Options{})
	ask(t, s, "POST", "/_faults", "", `[{"status":500,"times":2},{"status":501,"times":1,"delay":"1ns"}]`)
	for i, want := range []int{500, 500, 501, 201} {
		if w, _ := ask(t, s, "POST", github, "", `{"state":"success"}`); w.Code != want {
			t.Errorf("call %d: %d, want %d", i, w.Code, want)
		}
		if w, _ := ask(t, s, "GET", "/_faults", "", ""); i == 0 && w.Body.String() != `[{"status":500,"times":1},{"status":501,"times":1,"delay":"1ns"}]` {
			t.Errorf("left: %s", w.Body)
		}
	}
	if err := s.AddFault(hostapitest.Fault{Status: 500}); err != nil {
		t.Fatal(err)
	}
	ask(t, s, "DELETE", "/_faults", "", "")
	if w, _ := ask(t, s, "GET", "/_faults", "", ""); w.Body.String() != `[]` {
		t.Errorf("left: %s", w.Body)
	}
	if err := s.AddFault(hostapitest.Fault{}); err == nil {
		t.Error("a fault without anything was taken")
	}
}

func TestPerHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hostapitest.New(hostapitest.Options{PerHour: 2})
		for name, path := range map[string]string{"github": github, "gitea": gitea} {
			for _, want := range []int{201, 201, 0} {
				w, _ := ask(t, s, "POST", path, "", `{"state":"success"}`)
				switch {
				case want == 201 && w.Code != 201,
					want == 0 && name == "github" && (w.Code != 403 || w.Header().Get("X-Ratelimit-Reset") == ""),
					want == 0 && name == "gitea" && (w.Code != 429 || w.Header().Get("Retry-After") != "3601"):
					t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
				}
			}
		}
		time.Sleep(time.Hour)
		if w, _ := ask(t, s, "POST", github, "", `{"state":"success"}`); w.Code != 201 {
			t.Errorf("after an hour: %d", w.Code)
		}
	})
}

func TestCheckRuns(t *testing.T) {
	s := hostapitest.New(hostapitest.Options{Commits: []string{commit}})
	send := func(method, path, body string) *httptest.ResponseRecorder {
		w, _ := ask(t, s, method, path, "", body+"&name=c&output[title]=t&output[summary]=s")
		return w
	}
	if w := send("POST", gitee, "head_sha="+other); w.Code != 404 {
		t.Errorf("no such commit: %d", w.Code)
	}
	var run struct {
		ID json.Number `json:"id"`
	}
	if err := json.Unmarshal(send("POST", gitee, "head_sha="+commit).Body.Bytes(), &run); err != nil {
		t.Fatal(err)
	}
	if w := send("PATCH", gitee+"/"+run.ID.String(), "conclusion=success"); w.Code != 200 {
		t.Errorf("an end: %d %s", w.Code, w.Body)
	}
	if w := send("PATCH", gitee+"/"+run.ID.String(), "conclusion=failure"); w.Code != 400 {
		t.Errorf("a second end: %d", w.Code)
	}
	if w := send("PATCH", gitee+"/4711", "conclusion=failure"); w.Code != 404 {
		t.Errorf("no such check run: %d", w.Code)
	}
	list := "/api/v5/repos/acme/shop/commits/" + commit + "/check-runs"
	for query, want := range map[string]string{"": `"total_count":1`, "?check_name=c": `"conclusion":"success"`, "?check_name=d": `"total_count":0`} {
		if w, _ := ask(t, s, "GET", list+query, "", ""); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("list%s: %d %s", query, w.Code, w.Body)
		}
	}
}
