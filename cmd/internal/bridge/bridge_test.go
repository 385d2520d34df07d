package bridge_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/cmd/internal/e2e/program"
	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

func TestChangeBecomesRunJob(t *testing.T) {
	for name, test := range map[string]struct {
		change    codehosttest.Change
		tagObject string
		rule      string
		want      string
	}{
		"a push is built by its commit": {
			change: push(), rule: "cart",
			want: `{"job_id":"` + pushJob + `","parameter":[{"name":"codeBranch","value":"main"}],"scm":{"build_commit_id":"` + commit + `"}}`,
		},
		"a tag is built by its name, and only that": {
			change: codehosttest.Change{Repository: "acme/shop", Tag: "v2.1.0", Commit: commit, Pusher: "ann"}, rule: "release",
			want: `{"job_id":"` + tagJob + `","parameter":[{"name":"version","value":"2.1.0"}],"scm":{"build_tag":"v2.1.0"}}`,
		},
		"an annotated tag too": {
			change: codehosttest.Change{Repository: "acme/shop", Tag: "v2.1.0", Commit: commit, Pusher: "ann"}, tagObject: object, rule: "release",
			want: `{"job_id":"` + tagJob + `","parameter":[{"name":"version","value":"2.1.0"}],"scm":{"build_tag":"v2.1.0"}}`,
		},
		"a branch's name is text, whatever a shell would do with it": {
			change: func() codehosttest.Change {
				c := push()
				c.Branch = "$(reboot);x"
				return c
			}(), rule: "cart",
			want: `{"job_id":"` + pushJob + `","parameter":[{"name":"codeBranch","value":"$(reboot);x"}],"scm":{"build_commit_id":"` + commit + `"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.accept("1", test.change, test.tagObject)
			if a.Builds[0].Rule != test.rule || a.Builds[0].ID == "" || a.Delivery == "" {
				t.Errorf("answer %s, want a build of %s", a.raw, test.rule)
			}
			w.finished(test.rule, "started", 1)
			if diff := cmp.Diff([]string{test.want}, w.bodies()); diff != "" {
				t.Errorf("RunJob bodies (-want +got):\n%s", diff)
			}
			if got := w.metric(fmt.Sprintf("buildbridge_rule_matches_total{rule=%q}", test.rule)); got != "1" {
				t.Errorf("rule_matches_total is %q, want 1", got)
			}
		})
	}
}

func TestNothingToBuild(t *testing.T) {
	w := newWorld(t)
	elsewhere := push()
	elsewhere.Repository = "acme/web"
	docs := push()
	docs.Files = []string{"README.md"}
	for name, test := range map[string]struct {
		change codehosttest.Change
		reason string
		rules  map[string]string // what the reason of each begins with
	}{
		"no rule names the repository": {change: elsewhere, reason: "no_rule"},
		"a clause of each rule does not match": {change: docs, reason: "no_match", rules: map[string]string{
			"cart": "push.paths: ", "release": "when: ",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			header, body := delivery(name, test.change, "")
			a := w.post("/webhooks/github", header, body)
			if a.status != http.StatusOK || a.Outcome != "ignored" || a.Reason != test.reason {
				t.Errorf("answer %d: %s", a.status, a.raw)
			}
			if len(a.Rules) != len(test.rules) {
				t.Errorf("answer %s, want %d rules", a.raw, len(test.rules))
			}
			for _, v := range a.Rules {
				if begin := test.rules[v.Rule]; v.Matched || begin == "" || !strings.HasPrefix(v.Reason, begin) {
					t.Errorf("rule %s: %+v, want a reason that begins with %q", v.Rule, v, begin)
				}
			}
		})
	}
	if n := w.simulator.RunCount(); n != 0 {
		t.Errorf("%d builds were started", n)
	}
}

func TestRejected(t *testing.T) {
	w := newWorld(t)
	signed := func(body string) (http.Header, []byte) {
		header, _ := codehosttest.GitHub("1", push(), "")
		codehost.Sign("github", secret, header, []byte(body))
		return header, []byte(body)
	}
	for name, test := range map[string]struct {
		path    string // /webhooks/github if not set
		request func() (http.Header, []byte)
		status  int
		reason  string
		answer  string // all of it; "" for any
	}{
		"a wrong secret learns nothing": {
			request: func() (http.Header, []byte) {
				header, body := codehosttest.GitHub("1", push(), "")
				codehost.Sign("github", "guessed", header, body)
				return header, body
			},
			status: 401, reason: "not_authenticated", answer: `{"outcome":"rejected","reason":"not_authenticated"}`,
		},
		"no signature": {
			request: func() (http.Header, []byte) { return codehosttest.GitHub("1", push(), "") },
			status:  401, reason: "not_authenticated", answer: `{"outcome":"rejected","reason":"not_authenticated"}`,
		},
		"an unknown source": {
			path: "/webhooks/gitlab", request: func() (http.Header, []byte) { return delivery("1", push(), "") },
			status: 404, reason: "no_source",
		},
		"a malformed body": {
			request: func() (http.Header, []byte) { return signed(`{"ref":`) }, status: 400, reason: "malformed",
		},
		"a body of the wrong shape": {
			request: func() (http.Header, []byte) { return signed(`null`) }, status: 400, reason: "malformed",
		},
		"a body that is too large": {
			request: func() (http.Header, []byte) { return signed(`{"x":"` + strings.Repeat("x", 4<<10) + `"}`) },
			status:  413, reason: "too_large",
		},
		"a compressed body": {
			request: func() (http.Header, []byte) {
				header, body := delivery("1", push(), "")
				header.Set("Content-Encoding", "gzip")
				return header, body
			},
			status: 415, reason: "encoding",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := test.path
			if path == "" {
				path = "/webhooks/github"
			}
			header, body := test.request()
			a := w.post(path, header, body)
			if a.status != test.status || a.Outcome != "rejected" || a.Reason != test.reason || test.answer != "" && a.raw != test.answer {
				t.Errorf("answer %d: %s, want %d %s", a.status, a.raw, test.status, test.reason)
			}
		})
	}
	if n := w.simulator.RunCount(); n != 0 {
		t.Errorf("%d builds were started", n)
	}
}

func TestDuplicateBuildsOnce(t *testing.T) {
	w := newWorld(t)
	first := w.accept("same id", push(), "")
	header, body := delivery("same id", push(), "")
	a := w.post("/webhooks/github", header, body)
	if a.status != http.StatusOK || a.Outcome != "duplicate" || a.Of != first.Delivery {
		t.Errorf("answer %d: %s, want a duplicate of %s", a.status, a.raw, first.Delivery)
	}
	w.accept("another id", push(), "")
	w.finished("cart", "started", 2)
	if n := w.simulator.RunCount(); n != 2 {
		t.Errorf("%d builds were started, want 2", n)
	}
}

// What goes wrong between the bridge and the service must neither lose a build
// nor make two of it.
func TestServiceFails(t *testing.T) {
	for name, fault := range map[string]codeartstest.Fault{
		"it is busy and may have started the build": {Path: codeartstest.PathRun, Status: 500, Code: "CB.00060100", Times: 1},
		"it is busy and did start the build":        {Path: codeartstest.PathRun, Status: 500, Code: "CB.00060100", Done: true, Times: 1},
		"it throttles":                              {Path: codeartstest.PathRun, Status: 429, RetryAfter: 1, Times: 1},
		"the answer is lost":                        {Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1},
		"the call is lost":                          {Path: codeartstest.PathRun, Drop: codeartstest.DropBefore, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := w.simulator.AddFault(fault); err != nil {
				t.Fatal(err)
			}
			w.accept("1", push(), "")
			w.finished("cart", "started", 1)
			if n := w.simulator.RunCount(); n != 1 {
				t.Errorf("%d builds were started, want 1", n)
			}
		})
	}
}

func TestServiceIsDown(t *testing.T) {
	address := program.HoldPort(t) // nobody listens there until the service is back
	w := newWorld(t)
	w.rules.Store(fmt.Sprintf(rules, "http://"+address))
	w.Reload(t.Context())

	w.accept("1", push(), "")
	w.eventually("a call that was not sent", func() bool {
		n := w.metric(`buildbridge_runjob_requests_total{code="not_sent",target="north"}`)
		return n != "" && n != "0"
	})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w.simulator.Simulator}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	defer func() { _ = server.Close(); <-served }()
	w.finished("cart", "started", 1)
	if n := w.simulator.RunCount(); n != 1 {
		t.Errorf("%d builds were started, want 1", n)
	}
}

func TestDryRunCallsNothing(t *testing.T) {
	w := newWorld(t, func(o *bridge.Options) { o.Trigger.DryRun = true })
	w.accept("1", push(), "")
	w.finished("cart", "dry_run", 1)
	if n := w.simulator.RunCount(); n != 0 {
		t.Errorf("%d builds were started", n)
	}
}

// A reload that loses a source, a target or most rules says so: half a file can be
// well-formed.
func TestReloadTellsWhatIsGone(t *testing.T) {
	const warning = "rules reloaded, and much is gone"
	more := ""
	for i := range 28 {
		more += fmt.Sprintf("  - {name: more-%d, repository: acme/x, when: {push: {}}, jobs: [{job_id: %s, target: north}]}\n", i, pushJob)
	}
	const south = "  south:\n    endpoint: http://127.0.0.1:1\n    credentials: {access_key: {env: E2E_AK}, secret_key: {env: E2E_SK}}\n"
	const gitea = "  gitea: {provider: gitea, secrets: [{env: E2E_SECRET}]}\n"
	w := newWorld(t)
	good := strings.Replace(fmt.Sprintf(rules, w.simulator.URL), "targets:\n", gitea+"targets:\n"+south, 1)
	good = strings.ReplaceAll(good, "46\n        parameters", "46\n        target: north\n        parameters")
	good = strings.ReplaceAll(good, "60\n        parameters", "60\n        target: north\n        parameters") + more
	for _, test := range []struct {
		what, rules string
		want        []string // of the warning; nil if there is none
		change      string   // of the line "rules reloaded"
	}{
		{what: "all is new", rules: good, change: `"rules_added":["more-0","more-1",`},
		{what: "nothing is", rules: "# Ours.\n" + good, change: `"digest_before":`},
		{
			what: "half of the rules are gone", rules: good[:strings.Index(good, "  - {name: more-13,")],
			change: `"rules_removed":["more-13","more-14",`,
		},
		{what: "they are back", rules: good, change: `"more-26","more-27"]}`},
		{
			what: "a rule, a source and a target have changed", change: `"rules_changed":["more-0"],"sources_changed":["gitea"],"targets_changed":["south"]}`,
			rules: strings.NewReplacer("name: more-0, repository: acme/x", "name: more-0, repository: acme/y", "gitea: {provider: gitea",
				"gitea: {provider: forgejo", "127.0.0.1:1\n", "127.0.0.1:2\n").Replace(good),
		},
		{what: "they are as before", rules: good},
		{
			what: "more than half are gone", rules: good[:strings.Index(good, "  - {name: more-6,")],
			want: []string{`"rules":8,"rules_before":30,"rules_gone":["more-6","more-7",`, `"more-25","and 2 more"]}`},
		},
		{what: "they are back again", rules: good},
		{what: "a source is gone", rules: strings.Replace(good, gitea, "", 1), want: []string{`"rules":30,"rules_before":30,"sources_gone":["gitea"]}`}},
		{what: "it is back", rules: good},
		{what: "a target is gone", rules: strings.Replace(good, south, "", 1), want: []string{`"rules":30,"rules_before":30,"targets_gone":["south"]}`}},
	} {
		logged := len(w.logs.String())
		w.rules.Store(test.rules)
		w.Reload(t.Context())
		text := w.logs.String()[logged:]
		if !strings.Contains(text, `"msg":"rules reloaded"`) || strings.Contains(text, warning) != (test.want != nil) {
			t.Errorf("%s: want a warning: %t\n%s", test.what, test.want != nil, text)
		}
		if test.what == "nothing is" && strings.Contains(text, `"rules_`) {
			t.Errorf("a comment changes rules:\n%s", text)
		}
		for _, want := range append(test.want, test.change) {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in\n%s", test.what, want, text)
			}
		}
	}
}

func TestReload(t *testing.T) {
	good := func(w *world) string { return fmt.Sprintf(rules, w.simulator.URL) }
	const reloaded = "buildbridge_rules_reload_successful"
	for name, test := range map[string]struct {
		change func(w *world) string
		fault  []string // what the log says; nil if the new rules are served
	}{
		"a good change is served": {
			change: func(w *world) string { return strings.ReplaceAll(good(w), "acme/shop", "acme/web") },
		},
		"faults are all logged, with their places": {
			change: func(w *world) string {
				return strings.ReplaceAll(strings.ReplaceAll(good(w), "event.branch", "event.brunch"), "max_body", "max_buddy")
			},
			fault: []string{`"file":"rules.yaml","line":6,`, `"line":19,`, `"rule":"cart"`, "brunch", "max_buddy"},
		},
		"secrets that are missing are all logged": {
			change: func(w *world) string {
				return strings.NewReplacer("E2E_SECRET", "E2E_NO_SECRET", "E2E_SK", "E2E_NO_SK").Replace(good(w))
			},
			fault: []string{
				`source \"github\": secrets[0]: environment variable E2E_NO_SECRET is not set`,
				`target \"north\": credentials.secret_key: environment variable E2E_NO_SK is not set`,
			},
		},
		"no YAML at all": {
			change: func(*world) string { return "\t{" },
			fault:  []string{`"file":"rules.yaml","line":1,`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if got := w.metric(reloaded); got != "1" {
				t.Fatalf("%s is %q after the start", reloaded, got)
			}
			w.rules.Store(test.change(w))
			w.Reload(t.Context())
			elsewhere := push()
			elsewhere.Repository = "acme/web"
			if test.fault == nil {
				w.accept("1", elsewhere, "")
				if got := w.metric(reloaded); got != "1" {
					t.Errorf("%s is %q, want 1", reloaded, got)
				}
				return
			}
			w.accept("1", push(), "") // the old rules serve on
			w.finished("cart", "started", 1)
			if got := w.metric(reloaded); got != "0" {
				t.Errorf("%s is %q, want 0", reloaded, got)
			}
			for _, part := range test.fault {
				if !strings.Contains(w.logs.String(), part) {
					t.Errorf("the log does not say %s:\n%s", part, w.logs)
				}
			}
			w.rules.Store(good(w))
			w.Reload(t.Context())
			if got := w.metric(reloaded); got != "1" {
				t.Errorf("%s is %q after a good reload", reloaded, got)
			}
		})
	}
}

// The secret of a source is read anew by a reload, that of a target by each call.
func TestSecretFilesRotate(t *testing.T) {
	dir := t.TempDir()
	put := func(name, value string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("webhook", "old")
	put("sk", "SK")
	w := newWorld(t)
	w.rules.Store(strings.NewReplacer(
		"{env: E2E_SECRET}", "{file: "+filepath.Join(dir, "webhook")+"}",
		"{env: E2E_SK}", "{file: "+filepath.Join(dir, "sk")+"}",
	).Replace(fmt.Sprintf(rules, w.simulator.URL)))
	w.Reload(t.Context())
	status := func(secret string) int {
		header, body := codehosttest.GitHub(secret, push(), "")
		codehost.Sign("github", secret, header, body)
		return w.post("/webhooks/github", header, body).status
	}
	if got := status("old"); got != http.StatusAccepted {
		t.Errorf("the old secret gives %d", got)
	}
	w.finished("cart", "started", 1)
	put("webhook", "new")
	put("sk", "wrong")
	w.Reload(t.Context())
	if old, now := status("old"), status("new"); old != http.StatusUnauthorized || now != http.StatusAccepted {
		t.Errorf("after the rotation the old secret gives %d and the new one %d", old, now)
	}
	w.finished("cart", "dead", 1) // the service refused the new key of the target
}

// A file that has more than a secret in it is named at once, and wherever nobody is
// let in by it.
func TestSecretFilesWithMoreInThem(t *testing.T) {
	dir := t.TempDir()
	put := func(name, value string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("webhook", "s3cret\n\n")
	put("sk", "\ufeffSK")
	w := newWorld(t)
	w.rules.Store(strings.NewReplacer(
		"{env: E2E_SECRET}", "{file: "+filepath.Join(dir, "webhook")+"}",
		"{env: E2E_SK}", "{file: "+filepath.Join(dir, "sk")+"}",
	).Replace(fmt.Sprintf(rules, w.simulator.URL)))
	w.Reload(t.Context())
	logged := func(parts ...string) bool {
		return slices.ContainsFunc(strings.Split(w.logs.String(), "\n"), func(line string) bool {
			return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
		})
	}
	const space = "webhook ends in more white space than one line break"
	for _, line := range [][]string{
		{`"secrets: warning"`, `"source":"github"`, `"error":"secrets[0]: secret file `, space},
		{`"secrets: warning"`, `"target":"north"`, `"error":"credentials.secret_key: secret file `, "sk begins with a byte order mark"},
	} {
		if !logged(line...) {
			t.Errorf("the log has no line with %q:\n%s", line, w.logs)
		}
	}
	status := func(secret string) int {
		header, body := codehosttest.GitHub(secret, push(), "")
		codehost.Sign("github", secret, header, body)
		return w.post("/webhooks/github", header, body).status
	}
	if got := status("s3cret"); got != http.StatusUnauthorized || !logged(`"msg":"delivery"`, `"status":401`, space) {
		t.Errorf("the secret without what is around it gives %d, and the log says\n%s", got, w.logs)
	}
	put("webhook", "another\n")
	w.eventually("the secret alone is taken", func() bool { return status("another") == http.StatusAccepted })
	before := len(w.logs.String())
	if got := status("s3cret"); got != http.StatusUnauthorized || strings.Contains(w.logs.String()[before:], space) {
		t.Errorf("the old secret gives %d, and the log says\n%s", got, w.logs.String()[before:])
	}
	if strings.Contains(w.logs.String(), "s3cret") {
		t.Errorf("the log has the secret:\n%s", w.logs)
	}
}

func TestStopFinishesWhatRuns(t *testing.T) {
	w := newWorld(t)
	if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: 4 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if status, body := w.get("/readyz"); status != http.StatusOK {
		t.Fatalf("/readyz is %d before the stop: %s", status, body)
	}
	a := w.accept("1", push(), "")
	w.eventually("the call is under way", func() bool { return w.simulator.RunCount() == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- w.Stop(context.WithoutCancel(t.Context()), 20*time.Second) }()
	w.eventually("/readyz turns", func() bool {
		status, body := w.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "stopping")
	})
	w.eventually("nothing is accepted", func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.PublicURL(), "http://"))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	w.Bridge = nil
	if b := w.stored(a.Builds[0].ID); b.State != store.Started || b.BuildNumber != "1" || b.Adopted {
		t.Errorf("the build is %s with number %q, want started with the answer of the call", b.State, b.BuildNumber)
	}
}

// A call that does not end within the grace period is cut, and cleared up by the
// next start.
// What strangers send slowly takes no time from calls of RunJob, and the stop does not
// wait for its end.
func TestStopDoesNotWaitForBodies(t *testing.T) {
	w := newWorld(t)
	for _, fault := range []codeartstest.Fault{
		{Path: codeartstest.PathRun, Delay: 4 * time.Second, Times: 1}, {Path: codeartstest.PathRun, Delay: time.Hour},
	} {
		if err := w.simulator.AddFault(fault); err != nil {
			t.Fatal(err)
		}
	}
	for _, source := range []string{"github", "nobody"} {
		// It has 15 seconds for the rest.
		if _, err := io.WriteString(w.dial(), "POST /webhooks/"+source+" HTTP/1.1\r\nHost: bridge\r\nContent-Length: 4000\r\n\r\nx"); err != nil {
			t.Fatal(err)
		}
	}
	first := w.accept("1", push(), "")
	w.eventually("the call is under way", func() bool { return w.simulator.RunCount() == 1 })
	second := w.accept("2", push(), "") // waits for the first
	begin := time.Now()
	if err := w.Stop(context.WithoutCancel(t.Context()), 20*time.Second); err != nil {
		t.Errorf("stop: %v", err)
	}
	w.Bridge = nil
	if took := time.Since(begin); took > 13*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if b := w.stored(first.Builds[0].ID); b.State != store.Started || b.Adopted {
		t.Errorf("the build that was being called is %s (%s), want started with the answer of the call", b.State, b.Reason)
	}
	if b := w.stored(second.Builds[0].ID); b.State != store.Waiting || w.simulator.RunCount() != 1 {
		t.Errorf("the build that waited is %s, of %d calls; want it to wait on, and one call", b.State, w.simulator.RunCount())
	}
}

func TestStopCutsWhatDoesNotEnd(t *testing.T) {
	w := newWorld(t)
	if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: time.Hour, Times: 1}); err != nil {
		t.Fatal(err)
	}
	w.rules.Store(strings.ReplaceAll(w.rules.Load().(string), "timeout: 20s", "timeout: 5m"))
	w.Reload(t.Context())
	w.accept("1", push(), "")
	w.eventually("the call is under way", func() bool { return w.simulator.RunCount() == 1 })
	begin := time.Now()
	if err := w.Stop(context.WithoutCancel(t.Context()), 500*time.Millisecond); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("the stop took %s", took)
	}
	w.rules.Store(strings.ReplaceAll(w.rules.Load().(string), "timeout: 5m", "timeout: 20s"))
	w.start()
	w.finished("cart", "started", 1)
	if n := w.simulator.RunCount(); n != 1 {
		t.Errorf("%d builds were started, want 1", n)
	}
}

// stored reads a build of a bridge that was stopped.
func (w *world) stored(id string) *store.Build {
	w.t.Helper()
	s, err := store.Open(w.t.Context(), store.Options{Database: w.database, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	b, err := s.Build(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func TestMetricsAreThereFromTheStart(t *testing.T) {
	w := newWorld(t)
	for series, want := range map[string]string{
		`buildbridge_rules_loaded`:                    "2",
		`buildbridge_rules_reload_successful`:         "1",
		`buildbridge_rules_changed_timestamp_seconds`: "0",
		`buildbridge_deliveries_total{outcome="accepted",provider="github",reason="",source="github"}`:                  "0",
		`buildbridge_deliveries_total{outcome="rejected",provider="github",reason="not_authenticated",source="github"}`: "0",
		`buildbridge_deliveries_total{outcome="rejected",provider="",reason="no_source",source=""}`:                     "0",
		`buildbridge_rule_matches_total{rule="cart"}`:                                                                   "0",
		`buildbridge_builds_total{outcome="started",rule="release",target="north"}`:                                     "0",
		`buildbridge_runjob_requests_total{code="200",target="north"}`:                                                  "0",
		`buildbridge_signature_key_used_total{key="secrets[0]",source="github"}`:                                        "0",
		`buildbridge_queue_builds{state="waiting",target="north"}`:                                                      "0",
		`buildbridge_queue_oldest_waiting_seconds{target="north"}`:                                                      "0",
		`buildbridge_build_info{goversion="` + runtime.Version() + `",revision="abc",version="v0.0.1"}`:                 "1",
		`buildbridge_delivery_duration_seconds_count{source="github"}`:                                                  "0",
		`buildbridge_runjob_duration_seconds_count{target="north"}`:                                                     "0",
		`buildbridge_build_start_latency_seconds_count{target="north"}`:                                                 "0",
	} {
		if got := w.metric(series); got != want {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}
}

func TestStartFails(t *testing.T) {
	w := newWorld(t)
	taken := strings.TrimPrefix(w.PublicURL(), "http://")
	for name, test := range map[string]struct {
		change func(*bridge.Options)
		want   []string
	}{
		"no rules":             {func(o *bridge.Options) { o.Rules = nil }, []string{"Options.Rules is missing"}},
		"no logger":            {func(o *bridge.Options) { o.Logger = nil }, []string{"Options.Logger is missing"}},
		"no database":          {func(o *bridge.Options) { o.Database = "" }, []string{"Database is missing"}},
		"a database in use":    {func(o *bridge.Options) { o.Database = w.database }, []string{"in use by another process"}},
		"a database elsewhere": {func(o *bridge.Options) { o.Database = "postgres://x" }, []string{"postgres"}},
		"a public address in use": {
			func(o *bridge.Options) { o.Listen = taken }, []string{"public listener (--listen): ", taken, "address already in use"},
		},
		"an admin address in use": {
			func(o *bridge.Options) { o.AdminListen = taken }, []string{"admin listener (--admin-listen): ", taken, "address already in use"},
		},
		"rules with faults": {
			func(o *bridge.Options) {
				o.Rules = func() (*mapping.Ruleset, []mapping.Fault, error) {
					return nil, nil, mapping.Faults{{File: "a.yaml", Line: 1, Column: 2, Message: "one"}, {File: "b.yaml", Line: 3, Column: 4, Message: "two"}}
				}
			},
			[]string{"a.yaml:1:2: one\n", "b.yaml:3:4: two"},
		},
		"secrets that are not there": {
			func(o *bridge.Options) {
				text := strings.NewReplacer("E2E_SECRET", "E2E_NO_SECRET", "E2E_AK", "E2E_NO_AK").Replace(fmt.Sprintf(rules, w.simulator.URL))
				o.Rules = func() (*mapping.Ruleset, []mapping.Fault, error) {
					return mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: []byte(text)})
				}
			},
			[]string{
				`source "github": secrets[0]: environment variable E2E_NO_SECRET is not set`,
				`target "north": credentials.access_key: environment variable E2E_NO_AK is not set`,
			},
		},
		"catch_up without an ignored log": {
			func(o *bridge.Options) {
				text := strings.Replace(fmt.Sprintf(rules, w.simulator.URL), "max_body: 4KiB",
					"api: {token: {env: E2E_SK}, url: 'https://git.example.com'}\n    catch_up: {}", 1)
				o.KeepIgnored = -1
				o.Rules = func() (*mapping.Ruleset, []mapping.Fault, error) {
					return mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: []byte(text)})
				}
			},
			[]string{`source "github": catch_up`, "--keep-ignored 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := w.options()
			o.Database = filepath.Join(t.TempDir(), "other.db")
			test.change(&o)
			b, err := bridge.Start(t.Context(), o)
			if err == nil {
				_ = b.Stop(t.Context(), time.Second)
				t.Fatal("it started")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			// What was done was undone: the database is free again.
			if o.Database == "" || o.Database == w.database || strings.Contains(o.Database, "://") {
				return
			}
			s, err := store.Open(t.Context(), store.Options{Database: o.Database, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatalf("the database is not free: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
