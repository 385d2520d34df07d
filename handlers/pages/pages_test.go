package pages_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/handlers/codehost"
	"buildbridge/handlers/pages"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rules are those in force, unless a test has others.
const rules = `
version: 1
sources:
  github: {provider: github, insecure: true}
targets:
  north: {region: cn-north-4, credentials: {token: {env: TOKEN}}}
rules:
  - name: cart
    repository: acme/shop
    when: {push: {branches: [main]}}
    jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1, parameters: {codeBranch: '${event.branch}'}}]
  - name: releases
    repository: acme/*
    when: {tag: {tags: ['v*']}}
    jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2}]
`

const (
	readToken    = "a-token-for-reading"
	operateToken = "a-token-for-operating"
	writeToken   = "a-token-for-writing"

	commit = "1111111111111111111111111111111111111111"
)

// token is a token of somebody, who is called as their role.
func token(role admin.Role, value mapping.Secret) admin.Token {
	return admin.Token{Name: role.String(), Role: role, Value: func() (mapping.Secret, error) { return value, nil }}
}

// bridge is the pages over a SQLite database. What comes in is decided by real rules; what is called
// is fake: a build is what a test makes of it.
type bridge struct {
	http.Handler
	t      *testing.T
	store  *store.Store
	api    *admin.API
	server *handlers.Server
	log    logText

	overview admin.Overview     // what Status gives
	inForce  admin.RulesInForce // what Rules gives
}

// setup is what a test may change before the pages are made.
type setup struct {
	admin.Options               // of the API
	pages         pages.Options // API is set later
	rules         string
}

// newBridge makes a bridge which this machine may read without a token, and change with writeToken.
func newBridge(t *testing.T, change ...func(*setup)) *bridge {
	t.Helper()
	b := &bridge{t: t, overview: admin.Overview{Version: "1.2.3", Started: time.Now().UTC()}}
	logger := slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	db, err := store.Open(t.Context(), store.Options{
		Database: filepath.Join(t.TempDir(), "test.db"), KeepIgnored: 1000, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	b.store = db
	if b.server, err = handlers.New(handlers.Options{Acceptor: b, Logger: logger}); err != nil {
		t.Fatal(err)
	}
	s := setup{
		Options: admin.Options{
			Store: db, Builds: builds{b}, Deliveries: b.server, Pauses: pauses{b}, Logger: logger,
			Status: func(context.Context) (admin.Overview, error) { return b.overview, nil },
			Rules:  func() *admin.RulesInForce { return &b.inForce },
			Access: admin.Access{Loopback: true, Made: token(admin.Write, writeToken)},
		},
		pages: pages.Options{Version: "1.2.3", Logger: logger},
		rules: rules,
	}
	for _, c := range change {
		c(&s)
	}
	b.load(s.rules)
	if b.api, err = admin.New(s.Options); err != nil {
		t.Fatal(err)
	}
	s.pages.API = b.api
	if b.Handler, err = pages.New(s.pages); err != nil {
		t.Fatal(err)
	}
	return b
}

// load puts rules in force.
func (b *bridge) load(text string) {
	b.t.Helper()
	ruleset, _, err := mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: []byte(text)})
	if err != nil {
		b.t.Fatal(err)
	}
	st := &handlers.State{Rules: ruleset, Sources: map[string]*handlers.Source{}}
	for _, source := range ruleset.Sources() {
		st.Sources[source.Name] = &handlers.Source{Source: *source, Keys: codehost.Keys{Insecure: source.Insecure}}
	}
	b.server.Swap(st)
	b.inForce = admin.RulesInForce{Rules: ruleset, LoadedAt: time.Now()}
}

// Accept keeps a delivery and its builds as a trigger would. It waits for nothing.
func (b *bridge) Accept(ctx context.Context, d mapping.Delivery, planned []mapping.Build) (receipt mapping.Receipt, err error) {
	row := stored(d)
	rows := make([]*store.Build, len(planned))
	for i, p := range planned {
		rows[i] = &store.Build{
			ID: newID(), Delivery: d.ID, Rule: p.Rule, Target: p.Target, JobID: p.JobID, Repository: p.Repository, Ref: p.Ref,
			Tag: p.Tag, Commit: p.Commit, TagCommit: p.TagCommit, Context: p.Context, Pusher: p.Pusher, Title: p.Title,
			Origin: d.Origin, By: d.By, State: store.Waiting, ReceivedAt: d.ReceivedAt, Deadline: d.ReceivedAt.Add(time.Hour),
			Newest: p.Concurrency.Replace != mapping.ReplaceNone, Reason: p.Dead,
		}
		if rows[i].Body, err = json.Marshal(map[string]any{"job_id": p.JobID, "parameter": p.Parameters}); err != nil {
			return receipt, err
		}
		if p.Dead != "" {
			rows[i].State, rows[i].Body = store.Dead, []byte{}
		}
		receipt.Builds = append(receipt.Builds, mapping.BuildReceipt{ID: rows[i].ID, Rule: p.Rule, JobID: p.JobID, Reason: p.Dead})
	}
	receipt.DuplicateOf, err = b.store.Accept(ctx, row, rows)
	return receipt, err
}

// Ignore keeps a delivery that built nothing.
func (b *bridge) Ignore(d mapping.Delivery, reason mapping.Reason, verdicts []mapping.Verdict) {
	row := stored(d)
	row.Outcome, row.Reason = store.Ignored, string(reason)
	row.Verdicts, _ = json.Marshal(verdicts)
	b.store.LogIgnored(row)
}

func stored(d mapping.Delivery) *store.Delivery {
	d.Body = bytes.Clone(d.Body)
	row := &store.Delivery{Delivery: d}
	row.Events = nil
	if len(d.Events) > 0 {
		first := &d.Events[0]
		row.Repository, row.Ref, row.Commit, row.Pusher, row.Title = first.Repository, first.Ref, first.Commit, first.Pusher, first.Title()
	}
	return row
}

// builds are replayed, stopped and canceled, and not called.
type builds struct{ b *bridge }

func (f builds) Replay(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
	old, err := f.b.store.Build(ctx, id)
	if err != nil {
		return nil, err
	}
	last, err := f.b.store.LastReplay(ctx, old)
	if err != nil {
		return nil, err
	}
	return f.ReplayListed(ctx, store.Replayable{ID: id, Last: last}, by)
}

func (f builds) ReplayListed(ctx context.Context, r store.Replayable, by mapping.By) (*store.Build, error) {
	old, err := f.b.store.Build(ctx, r.ID)
	switch {
	case err != nil:
		return nil, err
	case !old.State.Final():
		return nil, fmt.Errorf("build %s is %s: %w", old.ID, old.State, store.ErrNotResolved)
	case len(old.Body) == 0:
		return nil, fmt.Errorf("build %s: %w %s", old.ID, store.ErrNoBody, old.Delivery)
	}
	again := &store.Build{
		ID: newID(), Delivery: old.Delivery, Rule: old.Rule, Target: old.Target, JobID: old.JobID, Repository: old.Repository,
		Ref: old.Ref, Tag: old.Tag, Commit: old.Commit, Body: old.Body, ReplayOf: old.Original(), ByHand: true, By: by,
		Origin: old.Origin, State: store.Waiting, ReceivedAt: time.Now(), Deadline: time.Now().Add(time.Hour),
	}
	if err := f.b.store.AddReplay(ctx, again, r.Last); err != nil {
		return nil, fmt.Errorf("build %s: %w", old.ID, err)
	}
	return again, nil
}

func (f builds) StopBuild(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
	return f.b.store.Stop(ctx, id, cmp.Or(by.Why, "asked for"))
}

func (f builds) Cancel(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
	return f.b.store.Cancel(ctx, id, by.Actor, by.Why)
}

type pauses struct{ b *bridge }

func (p pauses) Pause(ctx context.Context, asked *store.Pause) (*store.Pause, error) {
	return p.b.store.Pause(ctx, asked)
}

func (p pauses) Resume(ctx context.Context, kind store.PauseKind, name string, _ mapping.By) (*store.Pause, error) {
	return p.b.store.EndPause(ctx, kind, name)
}

func (p pauses) Pauses(ctx context.Context) ([]*store.Pause, map[string]string, error) {
	all, err := p.b.store.Pauses(ctx)
	return all, nil, err
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// push delivers a push to a branch of acme/shop and gives the answer. change alters its JSON.
func (b *bridge) push(branch string, change ...func(body map[string]any)) handlers.Answer {
	b.t.Helper()
	body := map[string]any{
		"ref": "refs/heads/" + branch, "before": strings.Repeat("2", 40), "after": commit,
		"repository":  map[string]any{"full_name": "acme/shop", "html_url": "https://github.com/acme/shop", "default_branch": "main"},
		"pusher":      map[string]any{"name": "ada"},
		"head_commit": map[string]any{"id": commit, "message": "Mend the cart\n\nIt fell over.", "author": map[string]any{"name": "Ada"}},
		"commits":     []any{map[string]any{"id": commit, "message": "Mend the cart", "modified": []string{"cart/wheel.go"}}},
		"salt":        newID(), // deliveries of the same body would be duplicates
	}
	for _, c := range change {
		c(body)
	}
	return b.deliver("push", body)
}

// deliver sends a delivery of GitHub and gives the answer.
func (b *bridge) deliver(event string, body map[string]any) (answer handlers.Answer) {
	b.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/webhooks/github", bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Github-Event", event)
	r.Header.Set("X-Github-Delivery", newID())
	w := httptest.NewRecorder()
	b.server.Public().ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		b.t.Fatal(err)
	}
	answer.Status = w.Code
	return answer
}

// build delivers a push to main, which the rule cart builds, and gives its build as change leaves it: its
// State, Reason, Log and what comes with a call, a number or a result. change is called more than once.
func (b *bridge) build(change ...func(*store.Build)) *store.Build {
	b.t.Helper()
	answer := b.push("main")
	if len(answer.Builds) != 1 {
		b.t.Fatalf("the push gives %+v", answer)
	}
	return b.changed(answer.Builds[0].ID, change...)
}

// The ids of a pipeline, of its project and of a run.
const (
	pipeline = "b17dc0de000000000000000000000001"
	project  = "c0dea875000000000000000000000002"
	runID    = "7f3a7f3a7f3a7f3a7f3a7f3a7f3a7f3a"
)

// run is build for a push that runs a pipeline.
func (b *bridge) run(change ...func(*store.Build)) *store.Build {
	b.t.Helper()
	d := &store.Delivery{
		Delivery: mapping.Delivery{
			ID: newID(), Source: "github", Provider: "github", DuplicateKey: newID(), Event: "push", Origin: mapping.OriginWebhook,
			ReceivedAt: time.Now(), Body: []byte("{}"),
		},
		Repository: "acme/shop", Ref: "refs/heads/run",
	}
	built := &store.Build{
		ID: newID(), Delivery: d.ID, Rule: "cart", Target: "north", Action: mapping.ActionPipeline, JobID: pipeline, ProjectID: project,
		Repository: d.Repository, Ref: d.Ref, Commit: strings.Repeat("8", 40), ReceivedAt: d.ReceivedAt, Deadline: d.ReceivedAt.Add(time.Hour),
		Body: []byte(`{"description":"bb","variables":[{"name":"GIT_SHA","value":"8888"}],"choose_stages":["s1"]}`),
	}
	if _, err := b.store.Accept(b.t.Context(), d, []*store.Build{built}); err != nil {
		b.t.Fatal(err)
	}
	return b.changed(built.ID, change...)
}

// changed changes a build that waits, as build does.
func (b *bridge) changed(id string, change ...func(*store.Build)) *store.Build {
	b.t.Helper()
	ctx := b.t.Context()
	built, err := b.store.Build(ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(change) == 0 {
		return built
	}
	apply := func(to *store.Build) {
		for _, c := range change {
			c(to)
		}
	}
	wanted := *built
	if apply(&wanted); !wanted.CalledAt.IsZero() {
		if hold, err := b.store.BeginCall(ctx, built, wanted.CalledAt); err != nil || hold != "" {
			b.t.Fatal(hold, err)
		}
	}
	apply(built)
	if err := b.store.Save(ctx, built); err != nil {
		b.t.Fatal(err)
	}
	if built.Result != store.NoResult {
		apply(built)
		if err := b.store.SaveResult(ctx, built); err != nil {
			b.t.Fatal(err)
		}
	}
	if built, err = b.store.Build(ctx, id); err != nil {
		b.t.Fatal(err)
	}
	return built
}

// request is a request from this machine. The token may be "".
func request(method, target, token string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "127.0.0.1:8081"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func (b *bridge) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// get wants a status, and gives the page.
func (b *bridge) get(path string, status int) string {
	b.t.Helper()
	w := b.serve(request(http.MethodGet, path, ""))
	if w.Code != status {
		b.t.Fatalf("GET %s gives %d, want %d: %s", path, w.Code, status, w.Body)
	}
	return w.Body.String()
}

// has wants texts in a page, as they are in HTML.
func has(t *testing.T, page string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(page, want) {
			t.Errorf("the page has not %q:\n%s", want, page)
		}
	}
}

// hasNot wants that a page has none of these texts.
func hasNot(t *testing.T, page string, unwanted ...string) {
	t.Helper()
	for _, text := range unwanted {
		if strings.Contains(page, text) {
			t.Errorf("the page has %q:\n%s", text, page)
		}
	}
}

// logText is a log that may be written to while it is read.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestPagesThatAreNotThere(t *testing.T) {
	b := newBridge(t)
	page := b.get("/nothing/"+url.PathEscape("<script>"), http.StatusNotFound)
	has(t, page, "There is no page at /nothing/&lt;script&gt;", `href="../"`)
	hasNot(t, page, "<script>")
}

func TestPagesNeedAnAPI(t *testing.T) {
	if _, err := pages.New(pages.Options{}); err == nil || !strings.Contains(err.Error(), "Options.API is missing") {
		t.Errorf("got %v", err)
	}
}

func TestBuildsAreListedAndShown(t *testing.T) {
	b := newBridge(t)
	built := b.build()
	has(t, b.get("/builds", http.StatusOK), `href="builds/`+built.ID+`"`)
	has(t, b.get("/builds/"+built.ID, http.StatusOK), "Build "+built.ID[:8])
}
