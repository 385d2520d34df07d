package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

func TestRules(t *testing.T) {
	parse := func(rules string) *mapping.Ruleset {
		t.Helper()
		rs, _, err := mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: []byte("version: 1\n" +
			"targets: {north: {region: cn-north-4, credentials: {chain: true}}}\nrules:\n" + rules)})
		if err != nil {
			t.Fatal(err)
		}
		return rs
	}
	const job = "when: {push: }, jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46}]}\n"
	before := parse("  - {name: cart, repository: acme/shop, " + job)
	now := parse("  - {name: cart, repository: Acme/*, " + job + "  - {name: web, repository: acme/web, paused: freeze, " + job)
	change := now.Since(before)
	force := &admin.RulesInForce{
		Rules: now, LoadedAt: time.Date(2026, 1, 31, 9, 0, 0, 0, time.FixedZone("", 3600)), Before: before.Digest(), Change: &change,
		Failed: &admin.FailedReload{At: time.Unix(0, 0).UTC(), Faults: 3, First: "rules.yaml:1:1: empty"},
	}
	a := &api{t: t, store: open(t)}
	h, err := admin.New(admin.Options{
		Store: a.store, Builds: builds{a}, Deliveries: deliveries{a}, Rules: func() *admin.RulesInForce { return force },
		Access: admin.Access{Tokens: []admin.Token{token(admin.Read, readToken)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(query, token string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, admin.Prefix+"/rules"+query, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for name, test := range map[string]struct {
		query, token string
		status       int
		rules        string // names, or what the refusal says
	}{
		"all":                     {"", readToken, 200, "cart web"},
		"of a repository":         {"?repository=ACME/shop", readToken, 200, "cart"},
		"of a repository, two":    {"?repository=acme/web", readToken, 200, "cart web"},
		"of an unknown one":       {"?repository=ops/infra", readToken, 200, ""},
		"by name":                 {"?name=web", readToken, 200, "web"},
		"by both":                 {"?name=web&repository=acme/shop", readToken, 200, ""},
		"by nothing":              {"?name=", readToken, 400, "name: empty"},
		"by text and owner":       {"?text=CART&owner=team", readToken, 200, ""},
		"by text":                 {"?text=CART", readToken, 200, "cart"},
		"after what is no number": {"?after=x", readToken, 400, "not the next of an earlier page"},
		"by what is no parameter": {"?repo=acme/shop", readToken, 400, "no such parameter; there are after, limit, name, owner, repository, text"},
		"without a token":         {"", "other", 401, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := ask(test.query, test.token)
			if status != test.status {
				t.Fatalf("%d %s, want %d", status, body, test.status)
			}
			if status != http.StatusOK {
				if !strings.Contains(body, test.rules) {
					t.Errorf("%s, want %q in it", body, test.rules)
				}
				return
			}
			var got admin.Rules
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, d := range got.Rules {
				names = append(names, d.Name)
			}
			if strings.Join(names, " ") != test.rules || got.Total != 2 || got.Digest != now.Digest() {
				t.Errorf("rules %q of %d, digest %s; want %q of 2, %s", names, got.Total, got.Digest, test.rules, now.Digest())
			}
		})
	}
	_, body := ask("?limit=1&text=A", readToken)
	if !strings.Contains(body, `"total":2,"found":2,"rules":[{"name":"cart"`) || !strings.Contains(body, `"next":"1"`) || strings.Contains(body, `"written"`) {
		t.Errorf("the first page: %s", body)
	}
	_, body = ask("?limit=1&text=A&after=1", readToken)
	if !strings.Contains(body, `"rules":[{"name":"web"`) || strings.Contains(body, `"next"`) {
		t.Errorf("the last page: %s", body)
	}
	_, body = ask("?limit=1&after=7", readToken)
	if !strings.Contains(body, `"found":2,"rules":[]`) {
		t.Errorf("a page past the end: %s", body)
	}
	_, body = ask("?name=web", readToken)
	for _, want := range []string{
		`"loaded_at":"2026-01-31T08:00:00Z","digest_before":"` + before.Digest() + `"`,
		`"changed":{"rules":{"added":["web"],"removed":[],"changed":["cart"]},"sources":{"added":[],"removed":[],"changed":[]}`,
		`"failed":{"at":"1970-01-01T00:00:00Z","faults":3,"first":"rules.yaml:1:1: empty"}`,
		`"rules":[{"name":"web","file":"rules.yaml","line":5,"sources":[],"repositories":["acme/web"],"when":{"push":{}},` +
			`"jobs":[{"job_id":"f9d6c8466d614a9788e9a0acf6c15f46","target":"north"}],"paused":"freeze","digest":"`,
		`"written":{"file":"rules.yaml","line":5,"text":"  - {name: web, repository: acme/web, paused: freeze, when: {push: }, jobs: [`,
		`"builds":0,"results":{},"median_s":0,"p95_s":0,"last":[]}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}
