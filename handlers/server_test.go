package handlers_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"buildbridge/handlers"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rules has the sources and rules that the tests of this package need.
const rules = `
version: 1
sources:
  github: {provider: github, secrets: [{env: NEW}, {env: OLD}], max_body: 4096}
  inside: {provider: github, secrets: [{env: NEW}], allow_from: [10.0.0.0/8, '2001:db8::/32']}
  slow: {provider: github, secrets: [{env: NEW}], rate_limit: {per_second: 0.1, burst: 1}}
  cloud: {provider: bitbucket, secrets: [{env: NEW}]}
targets:
  north: {region: cn-north-4, credentials: {token: {env: TOKEN}}}
rules:
  - name: cart
    repository: acme/shop
    when: {push: {branches: [main]}}
    jobs:
      - job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1
        parameters: {codeBranch: '${event.branch}'}
      - job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2
  - name: releases
    repository: acme/*
    when: {tag: {tags: ['v*']}}
    jobs:
      - job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa3
`

const (
	newSecret = "the new secret"
	oldSecret = "the old secret"
	commit    = "1111111111111111111111111111111111111111"
	before    = "2222222222222222222222222222222222222222"
	zero      = "0000000000000000000000000000000000000000"
)

// stateOf loads rules, with newSecret and oldSecret for the secrets they name.
func stateOf(t testing.TB, documents string) *handlers.State {
	t.Helper()
	ruleset, _, err := mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: []byte(documents)})
	if err != nil {
		t.Fatal(err)
	}
	st := &handlers.State{Rules: ruleset, Sources: map[string]*handlers.Source{}}
	for _, source := range ruleset.Sources() {
		keys := codehost.Keys{Insecure: source.Insecure}
		secrets := map[string]mapping.Secret{"NEW": newSecret, "OLD": oldSecret}
		for _, ref := range source.Secrets {
			keys.Secrets = append(keys.Secrets, secrets[ref.Env])
		}
		for _, ref := range source.Basic {
			keys.Basic = append(keys.Basic, codehost.Basic{Username: ref.Username, Password: secrets[ref.Password.Env]})
		}
		st.Sources[source.Name] = &handlers.Source{Source: *source, Keys: keys}
	}
	return st
}

// memory is an Acceptor that keeps what it is given.
type memory struct {
	mu       sync.Mutex
	accepted []accepted
	ignored  []ignored

	// accept, if set, is called instead.
	accept func(ctx context.Context, d mapping.Delivery, builds []mapping.Build) (mapping.Receipt, error)
}

type accepted struct {
	delivery mapping.Delivery
	builds   []mapping.Build
}

type ignored struct {
	delivery mapping.Delivery
	reason   mapping.Reason
	verdicts []mapping.Verdict
}

func (m *memory) Accept(ctx context.Context, d mapping.Delivery, builds []mapping.Build) (mapping.Receipt, error) {
	if m.accept != nil {
		return m.accept(ctx, d, builds)
	}
	d.Body = bytes.Clone(d.Body)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, earlier := range m.accepted {
		if d.ReplayOf == "" && earlier.delivery.Source == d.Source && earlier.delivery.DuplicateKey == d.DuplicateKey {
			return mapping.Receipt{DuplicateOf: earlier.delivery.ID}, nil
		}
	}
	m.accepted = append(m.accepted, accepted{d, builds})
	var receipt mapping.Receipt
	for i, b := range builds {
		receipt.Builds = append(receipt.Builds, mapping.BuildReceipt{
			ID: "build-" + string(rune('1'+i)), Rule: b.Rule, JobID: b.JobID, Reason: b.Dead,
		})
	}
	return receipt, nil
}

func (m *memory) Ignore(d mapping.Delivery, reason mapping.Reason, verdicts []mapping.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d.Body = bytes.Clone(d.Body)
	m.ignored = append(m.ignored, ignored{d, reason, verdicts})
}

// bridge is a Server with its Acceptor, registry and log.
type bridge struct {
	*handlers.Server
	store    *memory
	registry *prometheus.Registry
	log      *lines
}

// newBridge gives a Server that serves the rules of this file.
func newBridge(t testing.TB, change func(*handlers.Options)) *bridge {
	t.Helper()
	b := &bridge{store: &memory{}, registry: prometheus.NewRegistry(), log: &lines{}}
	options := handlers.Options{
		Acceptor: b.store,
		Registry: b.registry,
		Logger:   slog.New(slog.NewJSONHandler(b.log, nil)),
		Version:  "v1.2.3",
		Revision: "abc",
	}
	if change != nil {
		change(&options)
	}
	server, err := handlers.New(options)
	if err != nil {
		t.Fatal(err)
	}
	server.Swap(stateOf(t, rules))
	b.Server = server
	return b
}

// post sends a request to the public handler, without a network.
func (b *bridge) post(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.Public().ServeHTTP(w, r)
	return w
}

// lines collects what is logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// last gives the last line that was logged, without its time.
func (l *lines) last(t *testing.T) map[string]any {
	t.Helper()
	all := strings.Split(strings.TrimSpace(l.text()), "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(all[len(all)-1]), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	return line
}

// push is the body of a GitHub push.
func push(repository, ref, after string) string {
	body, _ := json.Marshal(map[string]any{
		"ref": ref, "before": before, "after": after, "deleted": after == zero,
		"repository":  map[string]any{"full_name": repository, "default_branch": "main"},
		"head_commit": map[string]any{"id": after, "message": "a message", "author": map[string]any{"name": "Ann"}},
		"pusher":      map[string]any{"name": "ann"},
	})
	return string(body)
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// request is a signed GitHub delivery with an id of its own. The headers, given as name,
// value, name, value, replace its own.
func request(source, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhooks/"+source, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", "push")
	r.Header.Set("X-GitHub-Delivery", uuid.NewString())
	r.Header.Set("X-Hub-Signature-256", sign(newSecret, body))
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// body is the JSON of an answer.
func body(t *testing.T, from io.Reader) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.NewDecoder(from).Decode(&fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := handlers.New(handlers.Options{})
	if err == nil || !strings.Contains(err.Error(), "Options.Acceptor") {
		t.Errorf("got error %v, want one that names Options.Acceptor", err)
	}
}

func TestSwapKeepsTheBucketOfAnUnchangedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, nil)
		status := func() int {
			return b.post(request("slow", push("acme/shop", "refs/heads/main", commit))).Code
		}
		expect := func(when string, want int) {
			t.Helper()
			if got := status(); got != want {
				t.Errorf("%s: status %d, want %d", when, got, want)
			}
		}
		expect("the first of a burst of one", http.StatusAccepted)
		expect("the second", http.StatusTooManyRequests)
		b.Swap(stateOf(t, rules))
		expect("after a reload of the same limit", http.StatusTooManyRequests)
		b.Swap(stateOf(t, strings.Replace(rules, "burst: 1", "burst: 2", 1)))
		expect("after a reload of another limit", http.StatusAccepted)
		expect("the second of two", http.StatusAccepted)
		expect("the third of two", http.StatusTooManyRequests)
		time.Sleep(10 * time.Second)
		expect("ten seconds later, at one in ten seconds", http.StatusAccepted)
		expect("the next", http.StatusTooManyRequests)
	})
}

func TestBeforeTheFirstSwapNoSourceIsKnown(t *testing.T) {
	server, err := handlers.New(handlers.Options{Acceptor: &memory{}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	server.Public().ServeHTTP(w, request("github", push("acme/shop", "refs/heads/main", commit)))
	if w.Code != http.StatusNotFound {
		t.Errorf("status %d, want 404", w.Code)
	}
}
