package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/handlers/pages"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

var (
	at        = time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)
	formToken = regexp.MustCompile(`name="form_token" value="([^"]+)"`)
	lastKnown = regexp.MustCompile(`name="last" value="([^"]*)"`)
	tags      = regexp.MustCompile(`<[^>]*>`)
	steps     = regexp.MustCompile(`(?s)<ol class="steps">(.*?)</ol>`)
)

// way is the line of steps of a page as text, a line for each.
func way(t *testing.T, page string) []string {
	t.Helper()
	found := steps.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("there are no steps: %s", page)
	}
	var lines []string
	for item := range strings.SplitSeq(found[1], "</li>") {
		if text := strings.Join(strings.Fields(tags.ReplaceAllString(item, " ")), " "); text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

func started(b *store.Build) {
	b.CalledAt, b.State, b.BuildNumber, b.StartedAt, b.Result = at, store.Started, "17", at.Add(time.Second), store.Running
	if len(b.Log) == 0 {
		b.Log = []store.Attempt{{At: at, Took: time.Second, Outcome: store.Started}}
	}
}

func ended(result store.Result) func(*store.Build) {
	return func(b *store.Build) {
		started(b)
		b.Result, b.RunningAt, b.EndedAt = result, at.Add(13*time.Second), at.Add(75*time.Second)
	}
}

func TestWayOfABuild(t *testing.T) {
	const (
		called  = "Called 2026-03-04 10:00:00"
		start17 = "Started 10:00:01 Build 17 of its job."
	)
	notYet := []string{"Called not yet", "Started not yet", "Queued not yet", "Running not yet", "Ended not yet"}
	gone := []string{"Started never", "Queued never", "Running never", "Ended never"}
	list := func(lists ...[]string) []string {
		all := []string{"Received", "Committed"}
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	for name, test := range map[string]struct {
		change []func(*store.Build)
		want   []string // the beginnings of the steps
	}{
		"it waits": {nil, list([]string{"Held now It waits for its turn. Looked at next: 2"}, notYet)},
		"it settles": {[]func(*store.Build){func(b *store.Build) { b.DueAt = b.ReceivedAt.Add(20 * time.Second) }}, list([]string{
			"Held now It settles: a newer push before then would take its place. Looked at next: 2",
		}, notYet)},
		"it settled": {[]func(*store.Build){started, func(b *store.Build) { b.CalledAt = b.ReceivedAt.Add(20 * time.Second) }}, list([]string{
			"Held It waited for 20 s: for a newer push", "Called ", "Started",
		})},
		"it is held":    {[]func(*store.Build){func(b *store.Build) { b.Reason = string(store.HoldRunning) }}, list([]string{"Held now max_running: "}, notYet)},
		"it was queued": {[]func(*store.Build){started}, list([]string{called, start17, "Queued now 10:00:01", "Running not yet", "Ended not yet"})},
		"its call had no answer": {[]func(*store.Build){func(b *store.Build) {
			b.CalledAt, b.State, b.Reason, b.DueAt = at, store.Unknown, "timeout", time.Now().Add(time.Minute)
			b.Log = []store.Attempt{{At: at, Took: time.Second, Outcome: store.Unknown, Error: "timeout"}}
		}}, list([]string{called, "Looked for now No answer came to the call", "Started not yet", "Queued not yet"})},
		"it is tried again": {[]func(*store.Build){func(b *store.Build) {
			b.CalledAt, b.State, b.Reason = at, store.Waiting, "503: try later"
			b.Log = []store.Attempt{{At: at, Took: time.Second, Outcome: store.Waiting, Error: "503: try later"}}
		}}, list([]string{called, "Held now 503: try later", "Started not yet"})},
		"it runs": {[]func(*store.Build){started, func(b *store.Build) { b.RunningAt = at.Add(13 * time.Second) }}, list([]string{
			called, start17, "Queued for 12 s", "Running now 10:00:13", "Ended not yet",
		})},
		"it failed": {[]func(*store.Build){ended(store.Failure)}, list([]string{
			called, start17, "Queued for 12 s", "Running 10:00:13", "Ended failure 10:01:15 It ran for 1 min 2 s.",
		})},
		"nobody follows it": {[]func(*store.Build){started, func(b *store.Build) { b.Result = store.NoResult }}, list([]string{
			called, start17, "Queued not known", "Running not known", "Ended not known Builds of this target are not followed.",
		})},
		"it ended, and nobody knows when it ran": {[]func(*store.Build){ended(store.Success), func(b *store.Build) { b.RunningAt = time.Time{} }}, list([]string{
			called, start17, "Queued not known", "Running not known", "Ended success 10:01:15",
		})},
		"it was refused": {[]func(*store.Build){func(b *store.Build) {
			b.CalledAt, b.State, b.Reason = at, store.Dead, "no such job"
			b.Log = []store.Attempt{{At: at, Took: time.Second, Outcome: store.Dead, Error: "no such job"}}
		}}, list([]string{called, "Dead 10:00:00 no such job"}, gone)},
		"it was a dry run": {[]func(*store.Build){func(b *store.Build) {
			b.State, b.Log = store.DryRun, []store.Attempt{{At: at, Outcome: store.DryRun}}
		}}, list([]string{"Dry run 2026-03-04 10:00:00 It would have been called.", "Called never"}, gone)},
		"it was superseded":          {[]func(*store.Build){func(b *store.Build) { b.State = store.Superseded }}, list([]string{"Superseded", "Called never"}, gone)},
		"a state of a newer version": {[]func(*store.Build){func(b *store.Build) { b.State = "frozen" }}, list(notYet)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			got := way(t, b.get("/builds/"+b.build(test.change...).ID, http.StatusOK))
			for i, want := range test.want {
				if i >= len(got) || !strings.HasPrefix(got[i], want) {
					t.Fatalf("got\n%s\nwant at %d %q", strings.Join(got, "\n"), i, want)
				}
			}
		})
	}
}

// startedRun is started for the run of a pipeline.
func startedRun(b *store.Build) {
	started(b)
	b.BuildNumber = runID
}

func TestWayOfARun(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*store.Build)
		want   []string // the beginnings of the steps from the third on
	}{
		"it is queued": {func(b *store.Build) { b.QueueID = "q1" }, []string{
			"Started 10:00:01 Run 7f3a7f3a of its pipeline.", "Queued now 10:00:01 at the service: its pipeline ran as many as it may.", "Running not yet",
		}},
		"it was found": {func(b *store.Build) { b.Adopted = true }, []string{
			"Started 10:00:01 Run 7f3a7f3a of its pipeline. It was found in the records of the pipeline.",
		}},
		"it waits for a person": {func(b *store.Build) {
			b.RunningAt, b.WaitedAt, b.Message = at.Add(13*time.Second), at.Add(time.Hour), store.WaitsForPerson+": stage Approve"
		}, []string{"Started", "Queued for 12 s", "Running 10:00:13", "Waits for a person now 11:00:00 waits for a person at the service: stage Approve", "Ended not yet"}},
		"it goes on": {func(b *store.Build) { b.RunningAt, b.WaitedAt = at.Add(13*time.Second), at.Add(time.Hour) }, []string{
			"Started", "Queued for 12 s", "Running now 10:00:13", "Waited for a person until 11:00:00", "Ended not yet",
		}},
		"it waited for a person, and was stopped": {func(b *store.Build) {
			b.RunningAt, b.WaitedAt, b.Result, b.EndedAt = at.Add(13*time.Second), at.Add(time.Hour), store.Aborted, at.Add(2*time.Hour)
		}, []string{"Started", "Queued for 12 s", "Running 10:00:13", "Waited for a person last seen 11:00:00", "Ended aborted 12:00:00"}},
		"it was stopped in the queue": {func(b *store.Build) {
			b.QueueID, b.Result, b.EndedAt, b.Message = "q1", store.Aborted, at.Add(21*time.Second), store.NeverRan+": it was taken out"
		}, []string{"Started", "Queued for 20 s at the service: its pipeline ran as many as it may.", "Running never", "Ended aborted 10:00:21"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t)
			got := way(t, b.get("/builds/"+b.run(startedRun, test.change).ID, http.StatusOK))
			for i, want := range test.want {
				if i += 3; i >= len(got) || !strings.HasPrefix(got[i], want) {
					t.Fatalf("got\n%s\nwant at %d %q", strings.Join(got, "\n"), i, want)
				}
			}
		})
	}
}

// The page of a run has what is of a pipeline, its address in the console, and that it built another commit.
func TestBuildThatIsARun(t *testing.T) {
	b := newBridge(t)
	other := strings.Repeat("9", 40)
	ran := b.run(startedRun, func(b *store.Build) { b.RanCommit, b.Console = other, "https://console.example.com/run" })
	page := b.get("/builds/"+ran.ID, http.StatusOK)
	has(t, page, "<dt>Pipeline</dt><dd><a href=\"../builds?job_id="+pipeline, "<dt>Project</dt><dd><code>"+project, "<dt>Run</dt><dd>"+runID,
		"<dt>Stages</dt><dd><code>s1</code>", "Variables of the pipeline", "GIT_SHA", `<a href="https://console.example.com/run"`,
		"The service built the commit", "builds?commit="+other, "and not that of the push: a run of a pipeline builds")
	hasNot(t, page, "RunJob", "the job", ">Job<")

	page = b.get("/builds/"+b.run(startedRun, func(b *store.Build) {
		b.BuildNumber, b.RanCommit, b.Console = strings.Repeat("5", 32), b.Commit, "javascript:alert(1)"
	}).ID, http.StatusOK)
	hasNot(t, page, "The service built the commit", "javascript:")

	b.run(startedRun, func(b *store.Build) {
		b.BuildNumber, b.WaitedAt, b.Message = strings.Repeat("6", 32), at, store.WaitsForPerson
	})
	has(t, b.get("/builds", http.StatusOK), `<span class="badge warn">waits for a person</span>`)
}

// The end of a build that a person canceled, and a pause, are steps with their times.
func TestWayThatPeopleChanged(t *testing.T) {
	b := newBridge(t)
	running := b.build(started)
	if _, err := b.store.Stop(t.Context(), running.ID, "wrong branch"); err != nil {
		t.Fatal(err)
	}
	page := b.get("/builds/"+running.ID, http.StatusOK)
	has(t, strings.Join(way(t, page), "\n"), "Stop asked for, and not taken by the service yet wrong branch")

	canceled := b.build()
	if _, err := b.store.Cancel(t.Context(), canceled.ID, "eva", "wrong branch"); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(way(t, b.get("/builds/"+canceled.ID, http.StatusOK)), "\n")
	has(t, got, "Canceled ", "canceled by eva: wrong branch\nCalled never")

	if _, err := b.store.Pause(t.Context(), &store.Pause{Kind: store.PauseAll, Reason: "freeze", Actor: "eva"}); err != nil {
		t.Fatal(err)
	}
	held := b.build()
	if _, err := b.store.Hold(t.Context(), held, time.Now()); err != nil {
		t.Fatal(err)
	}
	has(t, strings.Join(way(t, b.get("/builds/"+held.ID, http.StatusOK)), "\n"), "Held now ", "everything is paused: freeze")
}

// What came from outside is text, and what is long is cut.
func TestBuildPageShowsWhatIsStored(t *testing.T) {
	const hostile = `<script>alert(1)</script>`
	b := newBridge(t, func(s *setup) {
		s.rules = strings.NewReplacer("region: cn-north-4,", "region: cn-north-4, console_url: 'https://console.example/{job_id}/{build_no}',",
			"branches: [main]", "branches: ['**']", "name: cart", "name: 'cart[acme/shop]'").Replace(rules)
		s.pages.Links = pages.Links{Trace: "https://traces.example/{trace_id}", Dashboard: "https://grafana.example"}
	})
	branch := "topic/" + hostile
	answer := b.push(branch, func(body map[string]any) {
		body["head_commit"] = map[string]any{"id": commit, "message": hostile, "author": map[string]any{"name": "Ada" + hostile}}
		body["pusher"] = map[string]any{"name": hostile}
	})
	built := b.changed(answer.Builds[0].ID, func(to *store.Build) {
		ended(store.Failure)(to)
		to.Step, to.Message = "compile"+hostile, "exit 1 "+hostile+strings.Repeat("x", 5000)
		to.Log = nil
		for range store.MaxAttempts {
			to.Log = append(to.Log, store.Attempt{At: at, Took: time.Second, Outcome: store.Waiting, Error: hostile + strings.Repeat("y", 3000)})
		}
	})
	page := b.get("/builds/"+built.ID, http.StatusOK)
	hasNot(t, page, "<script>alert")
	has(
		t, page, "topic/&lt;script&gt;", "compile&lt;script&gt;", "exit 1 &lt;script&gt;", "Ada&lt;script&gt;", `href="../deliveries/`+answer.Delivery,
		`href="../rules/cart%5Bacme/shop%5D"`, `href="https://github.com/acme/shop/commit/`+commit+`" rel="noreferrer noopener"`,
		`href="https://console.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1/17" rel="noreferrer noopener"`,
		`href="https://grafana.example/d/buildbridge-rules?var-rule=cart%5Bacme%2Fshop%5D&amp;var-target=north"`,
		"<code>codeBranch</code>", `builds/`+built.ID+`/body"`, ">a push to <",
	)
	if len(page) > 100_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
	w := b.serve(request(http.MethodGet, "/builds/"+built.ID+"/body", ""))
	if got := w.Header().Get("Content-Type"); w.Code != 200 || got != "text/plain; charset=UTF-8" || w.Body.String() != string(built.Body) {
		t.Errorf("the body is %d %s %s", w.Code, got, w.Body)
	}
}

// A repository's address in a body that leads elsewhere than to a web page is no link.
func TestBuildLinksOnlyToWebPages(t *testing.T) {
	b := newBridge(t)
	answer := b.push("main", func(body map[string]any) {
		body["repository"] = map[string]any{"full_name": "acme/shop", "html_url": "javascript:alert(1)"}
	})
	page := b.get("/builds/"+answer.Builds[0].ID, http.StatusOK)
	hasNot(t, page, "javascript:", "at the code host")
}

func TestBuildOfATagAndReplays(t *testing.T) {
	b := newBridge(t)
	answer := b.push("", func(body map[string]any) { body["ref"], body["created"] = "refs/tags/v1", true })
	first := b.changed(answer.Builds[0].ID, ended(store.Failure))
	again, err := builds{b}.Replay(t.Context(), first.ID, mapping.By{Actor: "eva", Why: "flaky <b>"})
	if err != nil {
		t.Fatal(err)
	}
	page := b.get("/builds/"+first.ID, http.StatusOK)
	has(t, b.get("/builds", http.StatusOK), `href="builds?commit=`+commit)
	has(t, page, "the tag v1", `href="../builds/`+again.ID+`"`, `href="../builds?replay_of=`+first.ID)
	has(t, b.get("/builds/"+again.ID, http.StatusOK), "Replay asked for", "flaky &lt;b&gt;", "<dd>eva</dd>", `Replay of</dt><dd><a href="../builds/`+first.ID)
}

func TestListOfBuilds(t *testing.T) {
	b := newBridge(t)
	var all []*store.Build
	for range 3 {
		all = append(all, b.build())
	}
	b.changed(all[0].ID, func(to *store.Build) { to.State, to.Reason = store.Dead, "x" })
	page := b.get("/builds?limit=2&rule=cart&state=&commit=+&job_id=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", http.StatusOK)
	has(t, page, all[2].ID, all[1].ID, `name="rule" value="cart"`, `name="job_id" value="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"`)
	hasNot(t, page, all[0].ID)
	older := regexp.MustCompile(`href="(\?[^"]*)" rel="next"`).FindStringSubmatch(page)
	if older == nil || !strings.Contains(older[1], "rule=cart") {
		t.Fatalf("there is no way to older builds: %s", page)
	}
	page = b.get("/builds"+strings.ReplaceAll(older[1], "&amp;", "&"), http.StatusOK)
	has(t, page, all[0].ID, ">dead<")
	hasNot(t, page, all[2].ID)

	page = b.get("/builds?rule=nobody&since=2h", http.StatusOK)
	has(t, page, "There are no builds with rule nobody, since 2h", `href="builds"`, `value="2h"`)
	for _, query := range []string{"since=2026-01-31", "since=2026-01-31+10:00", "since=1d12h", "until=2126-01-31", "since=2026-01-31T10:00:00Z"} {
		has(t, b.get("/builds?"+query, http.StatusOK), all[0].ID)
	}
	hasNot(t, b.get("/builds?until=2h", http.StatusOK), all[0].ID)
}

// A filter that makes no sense is said to be so, and kept.
func TestListOfBuildsWithBadFilters(t *testing.T) {
	b := newBridge(t)
	for query, says := range map[string]string{
		"state=gone&rule=cart":    "none of waiting",
		"since=yesterday":         "is not a time such as",
		"commit=xyz":              "is no commit",
		"limit=0":                 "is not a number",
		"colour=%3Cscript%3E":     "no such parameter",
		"rule=a&rule=b":           "given 2 times",
		"rule=cart&after=garbage": "not the next of an earlier page",
	} {
		page := b.get("/builds?"+query, http.StatusBadRequest)
		has(t, page, says, `href="builds">All builds</a>`, `class="filters"`)
		hasNot(t, page, "<script>a")
		if strings.Contains(query, "rule=cart") {
			has(t, page, `name="rule" value="cart"`)
		}
	}
}

// A page past the end says so.
func TestListOfBuildsPastTheEnd(t *testing.T) {
	b := newBridge(t)
	b.build()
	b.build()
	page := b.get("/builds?limit=1", http.StatusOK)
	older := regexp.MustCompile(`after=([^"&]+)`).FindStringSubmatch(page)
	if older == nil {
		t.Fatal(page)
	}
	page = b.get("/builds?limit=1&rule=nobody&after="+older[1], http.StatusOK)
	has(t, page, "There are no older builds with rule nobody", "The first page of this list")
}

// A list with the longest names that there can be is no large page.
func TestListsAreNotLarge(t *testing.T) {
	b := newBridge(t, func(s *setup) { s.rules = strings.Replace(rules, "branches: [main]", "branches: ['**']", 1) })
	for i := range 60 {
		b.push(fmt.Sprintf("%03d/", i)+strings.Repeat("<&>", 300), func(body map[string]any) {
			body["head_commit"] = map[string]any{"id": commit, "message": strings.Repeat("<", 300)}
		})
	}
	refs := make([]string, 60)
	for i := range refs {
		refs[i] = fmt.Sprintf("refs/heads/%03d/", i) + strings.Repeat("<&>", 80)
	}
	b.lost("acme/"+strings.Repeat("<&>", 40), refs...)
	for _, path := range []string{
		"/builds", "/builds?limit=1000", "/deliveries", "/deliveries?limit=1000", "/missed", "/missed?limit=1000",
	} {
		page := b.get(path, http.StatusOK)
		if len(page) > 100_000 {
			t.Errorf("%s has %d bytes", path, len(page))
		}
		has(t, page, `rel="next"`)
	}
}

func TestBadIDsLeadOn(t *testing.T) {
	b := newBridge(t)
	first, second := b.build(), b.build()
	for path, test := range map[string]struct {
		status int
		says   []string
	}{
		"/builds/x": {http.StatusNotFound, []string{"an id is a UUID", "To the first page"}},
		"/builds/0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e": {http.StatusNotFound, []string{"no build has the id"}},
		"/builds/" + first.Delivery:                    {http.StatusNotFound, []string{"it is the id of a delivery", `href="../deliveries/` + first.Delivery + `"`}},
		"/builds/" + first.ID[:6]: {http.StatusConflict, []string{
			"the beginning of more than one id", `href="../builds/` + first.ID + `"`, `href="../builds/` + second.ID + `"`,
		}},
		"/deliveries/" + first.ID: {http.StatusNotFound, []string{`href="../builds/` + first.ID + `"`, `href="../deliveries/` + first.Delivery + `"`}},
		"/builds/x/body":          {http.StatusNotFound, []string{"an id is a UUID"}},
	} {
		has(t, b.get(path, test.status), test.says...)
	}
	has(t, b.get("/builds/"+first.ID[:35], http.StatusOK), first.ID)
}

// act sends a form of a build's page as somebody who operates; also with what that page has hidden in its form.
func (b *bridge) act(path string, form url.Values) *httptest.ResponseRecorder {
	b.t.Helper()
	form.Set("form_token", b.formToken(path))
	return b.send(path, form, writeToken)
}

func (b *bridge) formToken(action string) string {
	b.t.Helper()
	// Any page that has a form of the visitor: that of this build may have none.
	page := b.serve(request(http.MethodGet, path.Dir(action), writeToken)).Body.String()
	if found := formToken.FindStringSubmatch(page); found != nil {
		return found[1]
	}
	other := b.push("main").Builds[0].ID
	found := formToken.FindStringSubmatch(b.serve(request(http.MethodGet, "/builds/"+other, writeToken)).Body.String())
	if found == nil {
		b.t.Fatal("no page has a form")
	}
	return found[1]
}

func (b *bridge) send(path string, form url.Values, token string) *httptest.ResponseRecorder {
	r := request(http.MethodPost, path, token)
	r2 := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Body, r.ContentLength = r2.Body, r2.ContentLength
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.serve(r)
}

func TestFormsOfABuild(t *testing.T) {
	b := newBridge(t)
	dead := b.build(func(to *store.Build) { to.State, to.Reason = store.Dead, "no such job" })
	running, waiting := b.build(started), b.build()
	for name, test := range map[string]struct {
		path  string
		says  func(*store.Build) string
		build *store.Build
	}{
		"cancel": {"cancel", func(b *store.Build) string { return b.Reason }, waiting},
		"stop":   {"stop", func(b *store.Build) string { return b.Stop }, running},
	} {
		w := b.act("/builds/"+test.build.ID+"/"+test.path, url.Values{"reason": {" it was " + name + "ed "}})
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "./../../builds/"+test.build.ID {
			t.Errorf("%s: got %d %q %s", name, w.Code, w.Header().Get("Location"), w.Body)
		}
		if got := test.says(b.changed(test.build.ID)); !strings.Contains(got, "it was "+name+"ed") {
			t.Errorf("%s: the build says %q", name, got)
		}
	}
	w := b.act("/builds/"+dead.ID+"/replay", url.Values{"last": {""}})
	again := path.Base(w.Header().Get("Location"))
	if w.Code != http.StatusSeeOther || again == dead.ID {
		t.Fatalf("got %d %s", w.Code, w.Header())
	}
	if got := b.changed(again); got.ReplayOf != dead.ID || got.By.Actor != "write" {
		t.Errorf("got %+v", got)
	}
}

// A form that comes too late is refused by a page that says what the build is now.
func TestFormsThatComeTooLate(t *testing.T) {
	b := newBridge(t)
	dead := b.build(func(to *store.Build) { to.State, to.Reason = store.Dead, "no such job" })
	failed, running, canceled := b.build(ended(store.Failure)), b.build(started), b.build()
	again, err := builds{b}.Replay(t.Context(), dead.ID, mapping.By{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Cancel(t.Context(), canceled.ID, "eva", ""); err != nil {
		t.Fatal(err)
	}
	b.changed(again.ID, func(to *store.Build) { to.State, to.Reason = store.Dead, "again" })
	for name, test := range map[string]struct {
		path string
		says []string
	}{
		"a replay that is sent twice":           {"/builds/" + dead.ID + "/replay", []string{"it is replayed already", `href="../../builds/` + again.ID + `"`}},
		"a replay of what runs":                 {"/builds/" + canceled.ID + "/stop", []string{"it does not run: it is dead", `href="../../builds/` + canceled.ID + `"`}},
		"a stop of what has ended":              {"/builds/" + failed.ID + "/stop", []string{"it has ended, with the result failure", `href="../../builds/` + failed.ID + `"`}},
		"a cancel of what was canceled":         {"/builds/" + canceled.ID + "/cancel", []string{"it was canceled by eva"}},
		"a cancel of what runs":                 {"/builds/" + running.ID + "/cancel", []string{"it is started, and can be stopped"}},
		"a reason that is too long":             {"/builds/" + running.ID + "/stop", nil},
		"a replay of a build that nobody knows": {"/builds/0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e/replay", nil},
	} {
		form, status := url.Values{}, http.StatusConflict
		switch {
		case strings.Contains(name, "too long"):
			form.Set("reason", strings.Repeat("a", 1025))
			status, test.says = http.StatusBadRequest, []string{"reason: give one line"}
		case strings.Contains(name, "nobody knows"):
			status, test.says = http.StatusNotFound, []string{"no build has the id"}
		}
		w := b.act(test.path, form)
		if w.Code != status {
			t.Errorf("%s: got %d, want %d", name, w.Code, status)
		}
		has(t, w.Body.String(), test.says...)
	}
	if got := b.changed(running.ID).Stop; got != "" {
		t.Errorf("it is stopped because of %q", got)
	}
}

// A form is shown if it makes sense for the state of the build, to those who may send it.
func TestWhichFormsABuildHas(t *testing.T) {
	for name, test := range map[string]struct {
		change []func(*store.Build)
		form   string
	}{
		"waiting": {nil, "cancel"},
		"running": {[]func(*store.Build){started}, "stop"},
		"stopped": {[]func(*store.Build){started, func(to *store.Build) { to.StoppedAt = at }}, "stop"},
		"unknown": {[]func(*store.Build){func(to *store.Build) { to.CalledAt, to.State = at, store.Unknown }}, ""},
		"success": {[]func(*store.Build){ended(store.Success)}, "replay"},
		"dead":    {[]func(*store.Build){func(to *store.Build) { to.State = store.Dead }}, "replay"},
	} {
		b := newBridge(t)
		built := b.build(test.change...)
		page := b.serve(request(http.MethodGet, "/builds/"+built.ID, writeToken)).Body.String()
		for _, form := range []string{"replay", "stop", "cancel"} {
			if got := strings.Contains(page, fmt.Sprintf(`id=%q`, form)); got != (form == test.form) {
				t.Errorf("%s: the form %s is there: %v", name, form, got)
			}
		}
		page = b.get("/builds/"+built.ID, http.StatusOK)
		hasNot(t, page, `class="action"`)
	}
	b := newBridge(t)
	page := b.serve(request(http.MethodGet, "/builds/"+b.build(func(to *store.Build) { to.State = store.Dead }).ID, writeToken)).Body.String()
	if found := lastKnown.FindStringSubmatch(page); found == nil || found[1] != "" {
		t.Errorf("the form knows the replay %q", found)
	}
	readOnly := newBridge(t, func(s *setup) { s.pages.ReadOnly = true })
	hasNot(t, readOnly.serve(request(http.MethodGet, "/builds/"+readOnly.build().ID, writeToken)).Body.String(), `class="action"`, "Log in to act")

	reading := newBridge(t, func(s *setup) {
		s.Access = admin.Access{Tokens: []admin.Token{token(admin.Read, readToken), token(admin.Operate, operateToken)}}
	})
	built := reading.build()
	page = reading.serve(request(http.MethodGet, "/builds/"+built.ID, readToken)).Body.String()
	has(t, page, "Log in to act")
	hasNot(t, page, `class="action"`)
	if w := reading.send("/builds/"+built.ID+"/cancel", url.Values{}, readToken); w.Code != http.StatusForbidden {
		t.Errorf("who may only read gets %d", w.Code)
	}
	if got := reading.changed(built.ID).State; got != store.Waiting {
		t.Errorf("the build is %s", got)
	}
}

// A page that nothing happened to is the same again: it is sent anew only if it differs.
func TestBuildPageIsTheSameAgain(t *testing.T) {
	b := newBridge(t)
	built := b.build()
	first := b.get("/builds/"+built.ID, http.StatusOK)
	if again := b.get("/builds/"+built.ID, http.StatusOK); again != first {
		t.Errorf("it changes by itself:\n%s\n%s", first, again)
	}
}
