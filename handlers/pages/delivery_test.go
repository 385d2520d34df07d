package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// ignored delivers a push that no rule matches, and waits until it is stored.
func (b *bridge) ignored(branch string, change ...func(body map[string]any)) string {
	b.t.Helper()
	answer := b.push(branch, change...)
	if answer.Outcome != "ignored" {
		b.t.Fatalf("the push gives %+v", answer)
	}
	b.stored(answer.Delivery)
	return answer.Delivery
}

// stored waits until a delivery that built nothing is stored: the log of them is written a moment later.
func (b *bridge) stored(id string) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := b.store.Delivery(b.t.Context(), id); err == nil {
			return
		} else if time.Now().After(end) {
			b.t.Fatal(err)
		}
	}
}

// reject sends a delivery that is rejected, and gives its id.
func (b *bridge) reject() string {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/webhooks/github", strings.NewReader("{"))
	r.Header.Set("X-Github-Event", "push<b>")
	r.Header.Set("Content-Type", "application/json")
	b.server.Public().ServeHTTP(httptest.NewRecorder(), r)
	return b.server.Rejected()[0].ID
}

// post sends a form of a page, with the token for operating.
func (b *bridge) post(path string, form url.Values, status int) *httptest.ResponseRecorder {
	b.t.Helper()
	page := b.serve(request(http.MethodGet, "/deliveries/"+b.push("main").Delivery, writeToken)).Body.String()
	if token := regexp.MustCompile(`name="form_token" value="([^"]+)"`).FindStringSubmatch(page); token != nil {
		form.Set("form_token", token[1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "127.0.0.1:8081"
	r.Header.Set("Authorization", "Bearer "+writeToken)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := b.serve(r)
	if w.Code != status {
		b.t.Fatalf("POST %s gives %d, want %d: %s", path, w.Code, status, w.Body)
	}
	return w
}

func TestDeliveriesAreFiltered(t *testing.T) {
	b := newBridge(t)
	accepted, ignored, rejected := b.push("main").Delivery, b.ignored("dev"), b.reject()
	tests := map[string]struct {
		query string
		want  []string
	}{
		"all":                           {"", []string{accepted, ignored}},
		"empty fields are left out":     {"outcome=&reason=&source=&origin=&repository=&ref=&commit=", []string{accepted, ignored}},
		"accepted":                      {"outcome=accepted", []string{accepted}},
		"by reason":                     {"reason=no_match", []string{ignored}},
		"by branch":                     {"ref=dev", []string{ignored}},
		"by commit":                     {"commit=1111111", []string{accepted, ignored}},
		"by repository":                 {"repository=acme/other", nil},
		"since, in short":               {"since=2h", []string{accepted, ignored}},
		"until, in short":               {"until=2h", nil},
		"rejected":                      {"outcome=rejected", []string{rejected}},
		"rejected, with another reason": {"outcome=rejected&reason=too_large", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			page := b.get("/deliveries?"+test.query, http.StatusOK)
			for _, id := range []string{accepted, ignored, rejected} {
				if got, want := strings.Contains(page, `href="deliveries/`+id), strings.Contains(strings.Join(test.want, " "), id); got != want {
					t.Errorf("delivery %s is listed: %v, want %v", id, got, want)
				}
			}
		})
	}
}

func TestFiltersThatMakeNoSenseStay(t *testing.T) {
	b := newBridge(t)
	for query, wants := range map[string][]string{
		"commit=xyz%3Cb%3E":               {`value="xyz&lt;b&gt;"`, "is no commit"},
		"outcome=rejected&repository=a/b": {`value="a/b"`, `value="rejected" selected`, "found by source, reason"},
		"after=nonsense&ref=main":         {`value="main"`, "not the next of an earlier page"},
		"limit=0":                         {"not a number from 1"},
		"colour=red":                      {"no such parameter"},
		"since=yesterday":                 {"is not a time such as", `value="yesterday"`},
	} {
		t.Run(query, func(t *testing.T) {
			page := b.get("/deliveries?"+query, http.StatusBadRequest)
			has(t, page, append(wants, "data-filter", `href="deliveries">All deliveries`)...)
			hasNot(t, page, "<b>")
		})
	}
}

// A filter that is not in the form stays there, and a list that is empty says what was asked for.
func TestFiltersAreKept(t *testing.T) {
	b := newBridge(t)
	page := b.get("/deliveries?tag=v1&since=2h", http.StatusOK)
	has(t, page, `name="tag" value="v1"`, `name="since" value="2h"`, "There are no deliveries with since 2h, tag v1", `href="deliveries">All deliveries`)
}

func TestDeliveriesPageByPage(t *testing.T) {
	b := newBridge(t)
	first, second := b.push("main").Delivery, b.push("main").Delivery
	page := b.get("/deliveries?outcome=accepted&limit=1", http.StatusOK)
	has(t, page, second)
	hasNot(t, page, first)
	older := regexp.MustCompile(`href="(\?[^"]+)" rel="next"`).FindStringSubmatch(page)
	if older == nil {
		t.Fatal(page)
	}
	page = b.get("/deliveries"+strings.ReplaceAll(older[1], "&amp;", "&"), http.StatusOK)
	has(t, page, first)
	hasNot(t, page, second, `rel="next"`)
}

func TestDeliveryThenAndNow(t *testing.T) {
	b := newBridge(t)
	tag := b.deliver("push", map[string]any{
		"ref": "refs/tags/v1", "after": commit, "repository": map[string]any{"full_name": "acme/shop"},
		"head_commit": map[string]any{"id": commit, "message": "x"},
	})
	push, ignored := b.push("main"), b.ignored("dev")
	b.load(strings.Replace(rules, "[main]", "[dev, 'release/**']", 1))

	page := b.get("/deliveries/"+ignored, http.StatusOK)
	has(t, page, "every rule that names the repository has a clause that does not match. Rule cart: push.branches: ",
		"push.branches: &#34;dev&#34; matches none of [main]", // then
		"<code>push.branches: [dev, release/**]</code> · <span class=\"ref\">dev</span> · yes",
		"it matches", "1 build would be made", "cart/wheel.go", "X-Github-Event", "&#34;full_name&#34;: &#34;acme/shop&#34;")
	page = b.get("/deliveries/"+push.Delivery, http.StatusOK)
	has(t, page, "it matched", `href="../builds/`+push.Builds[0].ID,
		"<code>push.branches: [main]</code> · <span class=\"ref\">main</span> · yes", // then
		"push.branches: &#34;main&#34; matches none of [dev, release/**]", "nothing would be built",
		`<div><span class="badge bad">no</span> when: the event is a push, and the rule has tag only`)
	page = b.get("/deliveries/"+tag.Delivery, http.StatusOK)
	has(t, page, "<h2>Tag <span class=\"ref\">v1</span></h2>", "<code>tag.tags: [v*]</code> · <span class=\"ref\">v1</span> · yes",
		"the event is a tag, and the rule has push only", "not known")

	b.load(strings.ReplaceAll(strings.Replace(rules, "cart", "trolley", 1), "acme/*", "other/*"))
	page = b.get("/deliveries/"+ignored, http.StatusOK)
	has(t, page, "there was no such rule, or it did not name the repository", "Rules then", ">cart</a>", ">releases</a>", "not asked")

	for _, branch := range []string{"a", "b", "c"} { // the rules of then are not kept for ever
		b.load(strings.Replace(rules, "[main]", "["+branch+"]", 1))
	}
	page = b.get("/deliveries/"+push.Delivery, http.StatusOK)
	has(t, page, "it matched", "it built nothing; whether it was there, and which clause failed, is not kept")
	hasNot(t, page, "[main]", `<div><span class="badge bad">no</span> it built nothing`) // a rule that came later was not asked
	b.load(strings.ReplaceAll(rules, "github", "gitlab"))
	page = b.get("/deliveries/"+ignored, http.StatusOK)
	has(t, page, "the rules have no source &#34;github&#34; any more", ">cart</a>")
	hasNot(t, page, "<h2>Replay</h2>")
}

// The ids of one delivery and its builds differ also in short, and lead to their pages.
func TestIDsInShort(t *testing.T) {
	const job = "jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1, parameters: {codeBranch: '${event.branch}'}}"
	b := newBridge(t, func(s *setup) {
		s.rules = strings.Replace(rules, job, job+", {job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2}", 1)
	})
	answer := b.push("main")
	if len(answer.Builds) != 2 {
		t.Fatalf("%+v", answer)
	}
	page := b.get("/deliveries/"+answer.Delivery, http.StatusOK)
	for _, made := range answer.Builds {
		shown := regexp.MustCompile(`builds/` + made.ID + `">build ([0-9a-f-]+)<`).FindStringSubmatch(page)
		if shown == nil {
			t.Fatal(page)
		}
		has(t, b.get("/builds/"+shown[1], http.StatusOK), "<code>"+made.ID+"</code>")
	}
}

func TestDeliveriesOfOtherKinds(t *testing.T) {
	b := newBridge(t)
	ping := b.deliver("ping", map[string]any{"zen": "x", "hook": map[string]any{}}).Delivery
	b.stored(ping)
	has(t, b.get("/deliveries/"+ping, http.StatusOK), "a test call of the code host", "<h2>Left out</h2>")

	id := b.reject()
	page := b.get("/deliveries/"+id, http.StatusOK)
	has(t, page, "refused with 400", "malformed", "push&lt;b&gt;", "is not kept: have the code host send it again")
	hasNot(t, page, "<h2>Replay</h2>", `/body">`)
	b.get("/deliveries/"+id+"/body", http.StatusNotFound)
	b.get("/deliveries/"+id[:len(id)-4], http.StatusOK)
}

func TestDeliveryIDsThatAreWrong(t *testing.T) {
	b := newBridge(t)
	built := b.push("main")
	for path, status := range map[string]int{
		"/deliveries/" + newID():              http.StatusNotFound,
		"/deliveries/x":                       http.StatusNotFound,
		"/deliveries/" + built.Builds[0].ID:   http.StatusNotFound,
		"/deliveries/" + newID() + "/body":    http.StatusNotFound,
		"/deliveries/%3Cscript%3E":            http.StatusNotFound,
		"/deliveries/" + built.Delivery + "/": http.StatusNotFound,
	} {
		hasNot(t, b.get(path, status), "<script>")
	}
}

func TestBodyIsSavedAsItIsStored(t *testing.T) {
	b := newBridge(t)
	id := b.push("main", func(body map[string]any) { body["secret"], body["note"] = "hush", "<script>alert(1)</script>" }).Delivery
	w := b.serve(request(http.MethodGet, "/deliveries/"+id+"/body", ""))
	h := w.Header()
	if w.Code != http.StatusOK || h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("X-Content-Type-Options") != "nosniff" ||
		h.Get("Content-Disposition") != `attachment; filename="delivery-`+id+`.json"` {
		t.Error(w.Code, h)
	}
	stored, err := b.store.Delivery(t.Context(), id)
	if err != nil || w.Body.String() != string(stored.Body) {
		t.Errorf("%v, got %s", err, w.Body)
	}
}

func TestBodyThatIsGone(t *testing.T) {
	b := newBridge(t)
	row := &store.Delivery{
		Delivery:   mapping.Delivery{ID: newID(), Source: "github", Provider: "github", ReceivedAt: time.Now(), DuplicateKey: "x"},
		Repository: "acme/shop", Ref: "refs/heads/main", Outcome: store.Ignored, Reason: "no_rule",
	}
	b.store.LogIgnored(row)
	b.stored(row.ID)
	page := b.get("/deliveries/"+row.ID, http.StatusOK)
	has(t, page, "The body is not kept any more.", "have the code host send it again")
	hasNot(t, page, "<h2>Replay</h2>")
	has(t, b.get("/deliveries/"+row.ID+"/body", http.StatusGone), "not kept any more")
}

func TestReplayForm(t *testing.T) {
	b := newBridge(t)
	id := b.push("main").Delivery
	hasNot(t, b.get("/deliveries/"+id, http.StatusOK), "form_token")

	// A replay with one build leads to that build, and is not done twice.
	form := url.Values{"newest": {""}, "reason": {"because"}}
	to := b.post("/deliveries/"+id+"/replay", form, http.StatusSeeOther).Header().Get("Location")
	build := regexp.MustCompile(`builds/([0-9a-f-]{36})$`).FindStringSubmatch(to)
	if build == nil {
		t.Fatal(to)
	}
	replayed, err := b.store.Build(t.Context(), build[1])
	if err != nil || replayed.By.Why != "because" || replayed.By.Actor != "write" {
		t.Fatalf("%v, %+v", err, replayed)
	}
	has(t, b.post("/deliveries/"+id+"/replay", form, http.StatusConflict).Body.String(), "replayed already")
	has(t, b.get("/deliveries/"+id, http.StatusOK), `Replayed as</dt><dd><a href="../deliveries/`+replayed.Delivery)
	// Who knows of that replay may ask for another one.
	b.post("/deliveries/"+id+"/replay", url.Values{"newest": {replayed.Delivery}}, http.StatusSeeOther)

	// One that builds nothing leads to its own page, which is there.
	ignored := b.ignored("dev")
	to = b.post("/deliveries/"+ignored+"/replay", url.Values{"newest": {""}}, http.StatusSeeOther).Header().Get("Location")
	_, path, ok := strings.Cut(to, "deliveries/")
	if !ok {
		t.Fatal(to)
	}
	has(t, b.get("/deliveries/"+path, http.StatusOK), `Replay of</dt><dd><a href="../deliveries/`+ignored)
	b.post("/deliveries/"+ignored+"/replay", url.Values{"newest": {""}}, http.StatusConflict)

	b.post("/deliveries/"+ignored+"/replay", url.Values{"newest": {path}, "reason": {"two\nlines"}}, http.StatusBadRequest)
	b.post("/deliveries/"+b.reject()+"/replay", url.Values{}, http.StatusConflict)
	b.post("/deliveries/"+newID()+"/replay", url.Values{}, http.StatusNotFound)
}

func TestLargeBodyIsNotDecodedUnasked(t *testing.T) {
	b := newBridge(t)
	answer := b.push("main", func(body map[string]any) { body["padding"] = strings.Repeat("<\u202e ", 400_000) })
	build := b.get("/builds/"+answer.Builds[0].ID, http.StatusOK)
	has(t, build, "of github (push)")
	hasNot(t, build, "<dt>Author")
	has(t, b.get("/builds/"+b.build().ID, http.StatusOK), "<dt>Author")
	id := answer.Delivery
	began := time.Now()
	page := b.get("/deliveries/"+id, http.StatusOK)
	t.Logf("%d bytes in %v", len(page), time.Since(began))
	has(t, page, "The body is large", `href="?events=all"`, "The beginning of")
	hasNot(t, page, "cart/wheel.go</code></li>")
	has(t, b.get("/deliveries/"+id+"?events=all", http.StatusOK), "cart/wheel.go</code></li>", "it matches")
}

// Whatever comes from outside is text, and a page stays small.
func TestHostileDeliveries(t *testing.T) {
	const evil = "<script>alert(1)</script>\u202e\u2066"
	hostile := "version: 1\nsources: {github: {provider: github, insecure: true}}\n" +
		"targets: {north: {region: cn-north-4, credentials: {token: {env: TOKEN}}}}\nrules:\n"
	for i := range 200 {
		hostile += fmt.Sprintf("  - {name: '<b>rule %d</b>', repository: '**', when: {push: {branches: ['<i>%d', '<script>*', main]}}, "+
			"jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1, name: 'job<u>', paths: ['%s**']}]}\n", i, i, strings.Repeat("<", 200))
	}
	b := newBridge(t, func(s *setup) { s.rules = hostile })
	files := make([]string, 2000)
	for i := range files {
		files[i] = strings.Repeat(evil, 20) + fmt.Sprint(i)
	}
	answer := b.push("<script>x</script>\u202e"+strings.Repeat("<", 400), func(body map[string]any) {
		body["head_commit"] = map[string]any{"id": commit, "message": strings.Repeat(evil, 50), "author": map[string]any{"name": evil}}
		body["commits"] = []any{map[string]any{"id": commit, "message": "x", "modified": files}}
		body["pusher"] = map[string]any{"name": evil}
		body["repository"] = map[string]any{"full_name": "acme/<b>" + strings.Repeat("<", 400), "html_url": "javascript:alert(1)"}
	})
	if answer.Status != http.StatusOK {
		t.Fatalf("%+v", answer)
	}
	b.stored(answer.Delivery)
	b.reject()
	built := b.push("main", func(body map[string]any) {
		body["head_commit"] = map[string]any{"id": commit, "message": strings.Repeat(evil, 50), "author": map[string]any{"name": evil}}
		body["commits"] = []any{map[string]any{"id": commit, "message": "x", "modified": []string{strings.Repeat("<", 220)}}}
		body["note"] = strings.Repeat(`"<`+"\U000e0001", 100_000)
	})
	if len(built.Builds) < 100 {
		t.Fatalf("%+v", built)
	}
	for _, path := range []string{
		"/deliveries/" + answer.Delivery, "/deliveries/" + built.Delivery, "/deliveries", "/deliveries?outcome=rejected", "/deliveries?repository=" + url.QueryEscape(evil),
		"/deliveries/" + b.server.Rejected()[0].ID,
	} {
		page := b.serve(request(http.MethodGet, path, writeToken)).Body.String()
		if len(page) > 100_000 {
			t.Errorf("%s has %d bytes", path, len(page))
		}
		hasNot(t, page, "<script>", "<b>", "<i>", "<u>", "javascript:", "ZgotmplZ")
		if !strings.Contains(path, "?repository") && strings.ContainsFunc(page, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsGraphic(r) }) {
			t.Errorf("%s has characters that do not print", path)
		}
	}
}

// Only web addresses are linked.
func TestWebAddressOfARepository(t *testing.T) {
	b := newBridge(t)
	for address, linked := range map[string]bool{
		"https://github.com/acme/shop": true, "http://git.local/x": true, "javascript:alert(1)": false, "//evil.example/x": false,
		"data:text/html,x": false, "": false,
	} {
		id := b.push("main", func(body map[string]any) {
			body["repository"] = map[string]any{"full_name": "acme/shop", "html_url": address}
		}).Delivery
		page := b.get("/deliveries/"+id, http.StatusOK)
		if got := strings.Contains(page, `rel="noreferrer noopener"`); got != linked {
			t.Errorf("%q is linked: %v", address, got)
		}
	}
}
