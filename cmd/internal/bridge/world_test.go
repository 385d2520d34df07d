package bridge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/cmd/internal/e2e/program"
	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret = "It's a Secret to Everybody"
	commit = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
	before = "9049f1265b7d61be4a8904a9a27120d2064dab3b"
	object = "d1c3a0e7c6f04b0f8b0a6d7f7c1f9d7b3a5e2c41" // of an annotated tag

	pushJob = "f9d6c8466d614a9788e9a0acf6c15f46"
	tagJob  = "0b7c1d52e0f94c54a1d3f1f7c2a98e60"
)

// rules are what the tests serve; %s is the address of the simulator.
const rules = `version: 1
sources:
  github:
    provider: github
    secrets: [{env: E2E_SECRET}]
    max_body: 4KiB
targets:
  north:
    endpoint: %s
    credentials: {access_key: {env: E2E_AK}, secret_key: {env: E2E_SK}}
    timeout: 20s
    reconcile: {patience: 200ms}
rules:
  - name: cart
    repository: acme/shop
    when: {push: {paths: ['services/cart/**']}}
    jobs:
      - job_id: f9d6c8466d614a9788e9a0acf6c15f46
        parameters: {codeBranch: "${event.branch}"}
  - name: release
    repository: acme/shop
    when: {tag: {tags: ['v*']}}
    jobs:
      - job_id: 0b7c1d52e0f94c54a1d3f1f7c2a98e60
        parameters: {version: '${event.tag.trimPrefix("v")}'}
`

// world is a bridge between a code host, which is the test, and a simulator.
type world struct {
	*bridge.Bridge
	t         *testing.T
	simulator *codeartstest.Server
	database  string
	rules     atomic.Value // string: what the next reload reads
	logs      *program.Log
	http      *http.Client
}

// newWorld starts a simulator and, with the options it changes, a bridge.
func newWorld(t *testing.T, change ...func(*bridge.Options)) *world {
	t.Helper()
	t.Setenv("E2E_SECRET", secret)
	t.Setenv("E2E_AK", "AK")
	t.Setenv("E2E_SK", "SK")
	w := &world{
		t: t,
		simulator: codeartstest.NewServer(codeartstest.Options{
			Keys: []codeartstest.Key{{AccessKey: "AK", SecretKey: "SK"}},
		}),
		database: filepath.Join(t.TempDir(), "buildbridge.db"),
		logs:     &program.Log{},
		http:     &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	t.Cleanup(w.simulator.Close)
	w.rules.Store(fmt.Sprintf(rules, w.simulator.URL))
	w.start(change...)
	t.Cleanup(w.stop)
	return w
}

func (w *world) options() bridge.Options {
	return bridge.Options{
		Rules: func() (*mapping.Ruleset, []mapping.Fault, error) {
			return mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: []byte(w.rules.Load().(string))})
		},
		Settings: bridge.Settings{Database: w.database, Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0"},
		Logger:   slog.New(slog.NewJSONHandler(w.logs, nil)),
		Version:  "v0.0.1",
		Revision: "abc",
	}
}

func (w *world) start(change ...func(*bridge.Options)) {
	w.t.Helper()
	o := w.options()
	for _, c := range change {
		c(&o)
	}
	var err error
	if w.Bridge, err = bridge.Start(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

// stop stops the bridge, unless it was stopped.
func (w *world) stop() {
	w.t.Helper()
	if w.Bridge == nil {
		return
	}
	if err := w.Stop(context.WithoutCancel(w.t.Context()), 10*time.Second); err != nil {
		w.t.Errorf("stop: %v", err)
	}
	w.Bridge = nil
}

// push is a push of one commit that the rules build.
func push() codehosttest.Change {
	return codehosttest.Change{
		Repository: "acme/shop", Branch: "main", Before: before, Commit: commit,
		Message: "Count twice", Files: []string{"services/cart/cart.go"}, Pusher: "ann",
	}
}

// delivery is a signed delivery of GitHub.
func delivery(id string, c codehosttest.Change, tagObject string) (http.Header, []byte) {
	header, body := codehosttest.GitHub(id, c, tagObject)
	codehost.Sign("github", secret, header, body)
	return header, body
}

// answer is the answer to a delivery.
type answer struct {
	status   int
	raw      string
	Delivery string                 `json:"delivery"`
	Outcome  string                 `json:"outcome"`
	Reason   string                 `json:"reason"`
	Of       string                 `json:"of"`
	Builds   []mapping.BuildReceipt `json:"builds"`
	Rules    []mapping.Verdict      `json:"rules"`
}

// post posts to a path of the public listener.
func (w *world) post(path string, header http.Header, body []byte) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.PublicURL()+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header = header
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, raw: strings.TrimSpace(string(raw))}
	if err := json.Unmarshal(raw, &a); err != nil {
		w.t.Fatalf("answer %d is no JSON: %s", res.StatusCode, raw)
	}
	return a
}

// accept sends a change and wants it accepted with one build.
func (w *world) accept(id string, c codehosttest.Change, tagObject string) answer {
	w.t.Helper()
	header, body := delivery(id, c, tagObject)
	a := w.post("/webhooks/github", header, body)
	if a.status != http.StatusAccepted || a.Outcome != "accepted" || len(a.Builds) != 1 {
		w.t.Fatalf("answer %d: %s, want one accepted build", a.status, a.raw)
	}
	return a
}

// get gets a path of the admin listener.
func (w *world) get(path string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.AdminURL()+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do(req)
}

func (w *world) do(req *http.Request) (int, string) {
	w.t.Helper()
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// metric returns the value of a series in /metrics, "" if there is none.
func (w *world) metric(series string) string {
	w.t.Helper()
	_, text := w.get("/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			return value
		}
	}
	return ""
}

// deadline is the longest wait: far longer than any of them takes.
const deadline = 2 * time.Minute

// eventually waits until a condition holds.
func (w *world) eventually(what string, so func() bool) {
	w.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(deadline); !so(); <-ticker.C {
		if time.Now().After(end) {
			w.t.Fatalf("not within %s: %s\n%s", deadline, what, w.logs)
		}
	}
}

// finished waits until a build of a rule ended in an outcome.
func (w *world) finished(rule, outcome string, builds int) {
	w.t.Helper()
	series := fmt.Sprintf(`buildbridge_builds_total{outcome=%q,rule=%q,target="north"}`, outcome, rule)
	w.eventually(fmt.Sprintf("%s %d", series, builds), func() bool { return w.metric(series) == fmt.Sprint(builds) })
}

// bodies returns the RunJob bodies that started a build.
func (w *world) bodies() []string {
	var bodies []string
	for _, run := range w.simulator.Runs() {
		bodies = append(bodies, string(run.Body))
	}
	return bodies
}
