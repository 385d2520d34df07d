package pages_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/handlers/pages"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// endedAt is a change that makes a build end so.
func endedAt(result store.Result, number int, at time.Time, took time.Duration) func(*store.Build) {
	return func(b *store.Build) {
		b.State, b.BuildNumber, b.CalledAt, b.StartedAt = store.Started, fmt.Sprint(number), at, at
		b.Result, b.RunningAt, b.EndedAt = result, at, at.Add(took)
	}
}

func withRules(text string) func(*setup) { return func(s *setup) { s.rules = text } }

func TestRulesAreListed(t *testing.T) {
	b := newBridge(t)
	has(t, b.get("/rules", http.StatusOK), `<a href="rules/cart">cart</a>`, `<a href="rules/releases">releases</a>`, "2 rules, digest",
		b.inForce.Rules.Digest(), "acme/*", "north")
	built := b.build(endedAt(store.Failure, 1, time.Now().Add(-time.Minute), time.Second))
	if _, err := b.store.Pause(t.Context(), &store.Pause{Kind: store.PauseRepository, Name: "acme/x", Reason: "moved", Actor: "ada"}); err != nil {
		t.Fatal(err)
	}
	page := b.get("/rules?text=RELEASES&owner=&name=", http.StatusOK)
	has(t, page, "1 of 2 rules", "repository acme/x is paused by ada: moved")
	hasNot(t, page, ">cart<", built.ID)
	page = b.get("/rules?repository=ACME/shop&name=cart", http.StatusOK)
	has(t, page, `href="builds/`+built.ID+`"`, "failure")
	hasNot(t, page, "is paused")
	// A newer build that died is the last result, and one that was canceled is none.
	canceled := b.build(func(b *store.Build) { b.State, b.Reason = store.Dead, "canceled by ada" })
	hasNot(t, b.get("/rules", http.StatusOK), canceled.ID)
	dead := b.build(func(b *store.Build) { b.State, b.Reason = store.Dead, "403" })
	has(t, b.get("/rules", http.StatusOK), `<a href="builds/`+dead.ID+`"><span class="badge bad">dead</span>`)
	has(t, b.get("/rules/cart", http.StatusOK), `builds?rule=cart&amp;state=dead">1 of the last 3 builds</a> died`, `<span class="badge off">canceled</span>`)
	has(t, b.get("/rules?text=none", http.StatusOK), "No rule fits")
	has(t, b.get("/rules?after=500", http.StatusOK), "The list ends before this page")
	has(t, b.get("/rules?after=-1&owner=ada", http.StatusBadRequest), `value="ada"`, "All rules", "is not the next of an earlier page")
	has(t, b.get("/rules?color=red", http.StatusBadRequest), "no such parameter")

	b.inForce.Failed = &admin.FailedReload{At: time.Now(), Faults: 3, First: "rules.yaml:1:2: <b>bad</b>"}
	has(t, b.get("/rules", http.StatusOK), "3 faults, the first: rules.yaml:1:2: &lt;b&gt;bad&lt;/b&gt;", "stay in force")
}

// manyRules is a document with so many rules, whose texts are as long as they may be.
func manyRules(n int) string {
	var text strings.Builder
	text.WriteString(rules)
	for i := range n {
		fmt.Fprintf(&text, "  - {name: '%s%05d', description: '%s', owner: '%s', repository: [%s], when: {push: }, jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%d}]}\n",
			strings.Repeat("規", 120), i, strings.Repeat("<", 300), strings.Repeat("&", 64), strings.Repeat("'acme/"+strings.Repeat("x", 300)+"', ", 4)+"acme/y", i%10)
	}
	return text.String()
}

func TestManyRules(t *testing.T) {
	b := newBridge(t, withRules(manyRules(300)))
	seen, next := 0, "/rules"
	for next != "" {
		page := b.get(next, http.StatusOK)
		if len(page) > 100_000 {
			t.Errorf("%s has %d bytes", next, len(page))
		}
		seen += strings.Count(page, "<tr data-key=")
		_, rest, found := strings.Cut(page, `<a href="?after=`)
		if next = ""; found {
			after, _, _ := strings.Cut(rest, `"`)
			next = "/rules?after=" + after
		}
	}
	if seen != 302 {
		t.Errorf("%d rules on all pages", seen)
	}
	page := b.get("/repositories/acme/y", http.StatusOK)
	if len(page) > 100_000 {
		t.Errorf("the page of a repository has %d bytes", len(page))
	}
	has(t, page, "301 rules name this repository", "?after=")
}

const oneRule = `
version: 1
sources: {github: {provider: github, insecure: true}, gitlab: {provider: gitlab, insecure: true}}
targets:
  north: {region: cn-north-4, credentials: {token: {env: TOKEN}}}
rules:
  - name: %s
    description: %s
    owner: team-a
    source: github
    repository: acme/shop
    when: {push: {branches: [main], skip_marks: true}}
    if: "!event.forced"
    jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1, parameters: {codeBranch: '${event.branch}', secretly: <script>}}]
    paused: until the freeze ends # and a comment
`

// Names go through addresses as they are, and nothing of a rule is taken for HTML.
func TestHostileRules(t *testing.T) {
	for _, name := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `100%`, `%2e%2e`, `a/../../b`, `a//b`, `x?y=1&z#w`, `cart[acme/a]`, `{{.Root}}`,
		`тест 規`, "a\u202eb", `a\b`, `a+b c`, `javascript:alert(1)`, `/`, `a/`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, withRules(fmt.Sprintf(oneRule, "'"+name+"'", "'</p><script>alert(2)</script>'")))
			list := b.get("/rules", http.StatusOK)
			_, rest, found := strings.Cut(list, `<a href="rules/`)
			if !found {
				t.Fatal(list)
			}
			address, _, _ := strings.Cut(rest, `"`)
			base, _ := url.Parse("http://127.0.0.1:8081/rules")
			link, err := base.Parse("rules/" + html.UnescapeString(address)) // as a browser does, which takes dots away
			if err != nil {
				t.Fatal(err)
			}
			page := b.get(link.String(), http.StatusOK)
			has(t, page, "rules.yaml:7", "&lt;/p&gt;&lt;script&gt;alert(2)", "secretly: &lt;script&gt;", "and a comment", "until the freeze ends",
				"team-a", "github", "acme/shop", "!event.forced", "when push: branches", "No build of this rule has ended")
			for _, p := range []string{list, page} {
				hasNot(t, p, "<script>", "<img", "\u202e")
			}
			depth := strings.Count(link.EscapedPath(), "/") - 1
			has(t, page, `<link rel="stylesheet" href="`+strings.Repeat("../", depth)+`static/style.css">`)
		})
	}
}

func TestRuleHasItsResults(t *testing.T) {
	b := newBridge(t, func(s *setup) { s.pages.Links = pages.Links{Dashboard: "https://grafana.example/g"} })
	page := b.get("/rules/cart", http.StatusOK)
	has(t, page, "No build of this rule has ended", "No builds", `href="https://grafana.example/g/d/buildbridge-rules?var-rule=cart"`)
	hasNot(t, page, "<svg", "NaN")
	began := time.Now().Add(-time.Hour).UTC()
	results := []store.Result{store.Success, store.Failure, store.Timeout, store.Aborted, store.Lost}
	for i, result := range results {
		at := began.Add(time.Duration(i) * 5 * time.Minute)
		last := b.build(endedAt(result, i+1, at, time.Duration(i+1)*30*time.Second))
		if result == store.Failure {
			defer func() { has(t, b.get("/rules/cart", http.StatusOK), `href="../builds/`+last.ID+`"`) }()
		}
	}
	b.build(endedAt(store.Running, 9, began, 0), func(s *store.Build) { s.EndedAt = time.Time{} })
	page = b.get("/rules/cart", http.StatusOK)
	has(t, page, `aria-label="The last 5 results, the oldest first: 1 success, 1 failure, 1 aborted, 1 timeout, 1 lost"`,
		`<rect class="good"`, `<rect class="bad"`, `<rect class="warn"`, "<title>failure after 1 min 0 s, refs/heads/main, ", "<title>lost, refs/heads/main, ",
		">✗</text>", ">T</text>", ">–</text>", ">?</text>", "33 %", "typically 1 min 0 s from the start to the end, and 5 of 100 took longer than 2 min 0 s", "5 builds")
	if n := strings.Count(page, "<rect"); n != 5 {
		t.Errorf("%d bars", n)
	}
	hasNot(t, page, "style=")
}

func TestRuleThatIsNotInForceAnyMore(t *testing.T) {
	b := newBridge(t)
	built := b.build(endedAt(store.Success, 1, time.Now().Add(-time.Minute), time.Second))
	b.load(strings.ReplaceAll(rules, "name: cart", "name: wagon"))
	has(t, b.get("/rules/cart", http.StatusOK), "No rule in force has this name", `href="../builds/`+built.ID+`"`, "100 %")
	has(t, b.get("/rules/carts", http.StatusNotFound), "no rule is called &#34;carts&#34;")
	has(t, b.get("/rules/"+url.PathEscape("<script>"), http.StatusNotFound), "&lt;script&gt;")
}

func TestRuleOfForEach(t *testing.T) {
	b := newBridge(t, withRules(strings.Replace(rules, "    repository: acme/shop\n", "    for_each: {repository: {\n      acme/a: {},\n      acme/b: {}}}\n", 1)))
	page := b.get("/rules/cart%5Bacme/b%5D", http.StatusOK)
	has(t, page, "rules.yaml:8", "Its repository, in line 11", "acme/b: {}}}</pre>", `<dt>repositories</dt><dd><code>acme/b</code></dd>`)
}

func TestLongTextOfARule(t *testing.T) {
	var entries strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&entries, "        'acme/shop-%d': {}\n", i)
	}
	b := newBridge(t, withRules(strings.Replace(rules, "    repository: acme/shop\n", "    for_each:\n      repository:\n"+entries.String(), 1)))
	page := b.get("/rules/cart%5Bacme/shop-2999%5D", http.StatusOK)
	if len(page) > 100_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
	has(t, page, `<a href="../../texts/rules/cart%5Bacme/shop-2999%5D">The whole text</a>`, "&#39;acme/shop-2999&#39;: {}</pre>")
	w := b.serve(request(http.MethodGet, "/texts/rules/cart%5Bacme/shop-2999%5D", ""))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || !strings.Contains(w.Body.String(), "'acme/shop-2998': {}\n") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	b.get("/texts/rules/none", http.StatusNotFound)
}

func TestRepository(t *testing.T) {
	b := newBridge(t)
	built := b.build(endedAt(store.Success, 1, time.Now().Add(-time.Minute), time.Second))
	for _, path := range []string{"/repositories/acme/shop", "/repositories/ACME/Shop"} {
		page := b.get(path, http.StatusOK)
		has(t, page, "<h1>Repository acme/shop</h1>", `href="../../builds/`+built.ID+`"`, `href="../../deliveries/`+built.Delivery+`"`,
			`href="../../rules/cart"`, `href="../../rules/releases"`, "Sources: github", "2 rules name this repository")
	}
	if _, err := b.store.Pause(t.Context(), &store.Pause{Kind: store.PauseRepository, Name: "acme/shop", Reason: "it moves", Actor: "ada"}); err != nil {
		t.Fatal(err)
	}
	has(t, b.get("/repositories/acme/shop", http.StatusOK), "repository acme/shop is paused by ada: it moves")
	has(t, b.get("/repositories/acme/web", http.StatusOK), "No builds", `href="../../rules/releases"`)
	has(t, b.get("/repositories/ops/infra", http.StatusNotFound), "no rule names the repository &#34;ops/infra&#34;", `action="../../search"`)
	has(t, b.get("/repositories/"+url.PathEscape(`"><script>`), http.StatusNotFound), "&lt;script&gt;")
	has(t, b.get("/repositories/", http.StatusNotFound))
	has(t, b.get("/rules/", http.StatusNotFound))
}

// A rule for every repository does not make a repository known.
func TestRepositoryOfARuleForAll(t *testing.T) {
	b := newBridge(t, withRules(strings.Replace(rules, "    repository: acme/*\n", "", 1)))
	b.get("/repositories/ops/infra", http.StatusNotFound)
	event := mapping.Event{Kind: mapping.Tag}
	event.SetRepository("ops/infra")
	b.deliver("push", map[string]any{"ref": "refs/tags/v1", "after": commit, "repository": map[string]any{"full_name": "ops/infra"}})
	has(t, b.get("/repositories/ops/infra", http.StatusOK), `href="../../rules/releases"`, "releases")
}
