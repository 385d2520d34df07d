package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	readToken  = "a-token-for-reading"
	writeToken = "a-token-for-writing"
	madeToken  = "a-token-that-was-made"

	operateToken = "a-token-for-operating"
)

// token is a token of somebody, who is called as their role.
func token(role admin.Role, value mapping.Secret) admin.Token {
	return admin.Token{Name: role.String(), Role: role, Value: func() (mapping.Secret, error) { return value, nil }}
}

// api is the API on a SQLite database, with a fake of what replays.
type api struct {
	http.Handler
	t     *testing.T
	store *store.Store
	log   strings.Builder

	commit  string // of the deliveries that built nothing
	message string // of the events of an export

	decided  []mapping.Delivery // by replays
	deciding func()             // called by replays; may be nil
	started  []handlers.Start
	// rejected are those in memory, the newest first.
	rejected []handlers.Rejected
	answer   handlers.Answer
	replays  func(ctx context.Context, r store.Replayable) (*store.Build, error)
	stopped  []string // the reasons of stops
	mu       sync.Mutex
	asked    []mapping.By // of replays and stops
	broken   error        // of the status
}

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Database: filepath.Join(t.TempDir(), "test.db"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newAPI(t *testing.T, db *store.Store, access admin.Access) *api {
	t.Helper()
	a := &api{t: t, store: db}
	log := testLogger(&a.log)
	a.replays = a.replay
	var err error
	a.Handler, err = admin.New(admin.Options{
		Store: a.store, Builds: builds{a}, Deliveries: deliveries{a}, Pauses: pauses{a.store}, Access: access, Logger: log,
		Status: func(context.Context) (admin.Overview, error) { return admin.Overview{Version: "well"}, a.broken },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func testLogger(to *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// writable is an API that this machine may read without a token, and write with writeToken.
func writable(t *testing.T) *api {
	t.Helper()
	return newAPI(t, open(t), admin.Access{Loopback: true, Made: token(admin.Write, writeToken)})
}

type builds struct{ a *api }

func (b builds) Replay(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
	b.a.asked = append(b.a.asked, by)
	return b.a.replays(ctx, store.Replayable{ID: id})
}

func (b builds) ReplayListed(ctx context.Context, r store.Replayable, by mapping.By) (*store.Build, error) {
	b.a.mu.Lock()
	b.a.asked = append(b.a.asked, by)
	b.a.mu.Unlock()
	return b.a.replays(ctx, r)
}

func (b builds) StopBuild(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
	old, err := b.a.store.Build(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case old.State != store.Started:
		return nil, fmt.Errorf("build %s: %w: it is %s", id, store.ErrNotRunning, old.State)
	}
	b.a.stopped, b.a.asked = append(b.a.stopped, by.Why), append(b.a.asked, by)
	old.Stop = by.Why
	return old, nil
}

func (b builds) Cancel(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
	return b.a.store.Cancel(ctx, id, by.Actor, by.Why)
}

// replay stores the build that a trigger would.
func (a *api) replay(ctx context.Context, r store.Replayable) (*store.Build, error) {
	old, err := a.store.Build(ctx, r.ID)
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
		Ref: old.Ref, Body: old.Body, ReplayOf: old.ID, ReceivedAt: time.Now(), Deadline: time.Now().Add(time.Hour),
	}
	return again, a.store.AddReplay(ctx, again, r.Last)
}

type deliveries struct{ a *api }

func (d deliveries) Replay(_ context.Context, old mapping.Delivery, by mapping.By) handlers.Answer {
	d.a.asked = append(d.a.asked, by)
	d.a.decided = append(d.a.decided, old)
	if d.a.deciding != nil {
		d.a.deciding()
	}
	return d.a.answer
}

func (d deliveries) Start(_ context.Context, start handlers.Start) handlers.Started {
	d.a.started = append(d.a.started, start)
	return handlers.Started{Answer: d.a.answer, Repository: start.Repository}
}

func (d deliveries) Decide(old mapping.Delivery) handlers.Decision {
	return handlers.Decision{Outcome: "accepted", Builds: []handlers.Planned{{Rule: old.Source}}}
}

func (d deliveries) Explain(old mapping.Delivery, _ int) handlers.Decision {
	decision := d.Decide(old)
	decision.Events = []handlers.DecidedEvent{{Kind: mapping.Push, Ref: "refs/heads/main"}}
	return decision
}

func (d deliveries) ExplainThen(old mapping.Delivery, most int) (now handlers.Decision, then *handlers.Decision) {
	return d.Explain(old, most), nil
}

func (d deliveries) EventOf(old mapping.Delivery, ref string) *mapping.Event {
	if old.Source != "github" {
		return nil
	}
	return &mapping.Event{Ref: ref, Author: "Ada", URL: "https://github.com/acme/shop"}
}

func (d deliveries) Record(old mapping.Delivery) mapping.Recorded {
	r := mapping.Recorded{ID: old.ID, ReceivedAt: old.ReceivedAt, Source: old.Source, Provider: old.Provider}
	if old.Source == "gone" {
		r.Error = "there is no such source"
		return r
	}
	event := mapping.Event{Source: old.Source, Kind: mapping.Push, Repository: "acme/shop", Ref: "refs/heads/main", Message: d.a.message}
	r.Events = []mapping.RecordedEvent{mapping.NewRecordedEvent(&event)}
	return r
}

func (d deliveries) Rejected() []handlers.Rejected { return d.a.rejected }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// request is a request from this machine.
func request(method, target, token string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "127.0.0.1:8081"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func (a *api) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

// ask wants a status, and JSON into answer if it is one that succeeds.
func (a *api) ask(method, path string, status int, answer any) {
	a.t.Helper()
	w := a.serve(request(method, admin.Prefix+path, writeToken))
	if w.Code != status {
		a.t.Fatalf("%s %s gives %d: %s; want %d", method, path, w.Code, w.Body, status)
	}
	if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
		a.t.Fatal(err)
	}
}

// refused wants a status of 400 or above, and gives what the answer says.
func (a *api) refused(method, path string, status int) string {
	a.t.Helper()
	var said struct{ Error string }
	a.ask(method, path, status, &said)
	if said.Error == "" {
		a.t.Errorf("%s %s does not say why", method, path)
	}
	return said.Error
}

// accept stores a delivery with builds that change may alter.
func (a *api) accept(change ...func(d *store.Delivery, b *store.Build)) (*store.Delivery, *store.Build) {
	a.t.Helper()
	d := &store.Delivery{
		Delivery: mapping.Delivery{
			ID: newID(), Source: "github", Provider: "github", HostID: "72d3162e", Event: "push",
			ReceivedAt: time.Now().UTC().Truncate(time.Microsecond), DuplicateKey: newID(),
			Header: map[string]string{"X-Github-Event": "push"}, Body: []byte(`{"ref":"refs/heads/main","note":"<&>"}`),
		},
		Repository: "acme/shop", Ref: "refs/heads/main",
	}
	b := &store.Build{
		ID: newID(), Delivery: d.ID, Rule: "cart", Target: "north", JobID: "f9d6", Repository: d.Repository, Ref: d.Ref,
		Commit: strings.Repeat("a", 40), Body: []byte(`{"job_id":"f9d6","parameter":[]}`), State: store.Waiting,
		ReceivedAt: d.ReceivedAt, Deadline: d.ReceivedAt.Add(time.Hour),
	}
	for _, c := range change {
		c(d, b)
	}
	state := b.State
	if len(b.Body) > 0 {
		b.State = store.Waiting
	}
	if of, err := a.store.Accept(a.t.Context(), d, []*store.Build{b}); err != nil || of != "" {
		a.t.Fatal(of, err)
	}
	stored, err := a.store.Build(a.t.Context(), b.ID)
	if err != nil {
		a.t.Fatal(err)
	}
	if stored.State != state {
		stored.State = state
		if err := a.store.Save(a.t.Context(), stored); err != nil {
			a.t.Fatal(err)
		}
	}
	return d, stored
}

func state(s store.State) func(*store.Delivery, *store.Build) {
	return func(_ *store.Delivery, b *store.Build) { b.State = s }
}

func ref(name string) func(*store.Delivery, *store.Build) {
	return func(d *store.Delivery, b *store.Build) { d.Ref, b.Ref = name, name }
}

func TestOptionsThatAreMissing(t *testing.T) {
	a := writable(t)
	for missing, o := range map[string]admin.Options{
		"Store":      {Builds: builds{a}, Deliveries: deliveries{a}},
		"Builds":     {Store: a.store, Deliveries: deliveries{a}},
		"Deliveries": {Store: a.store, Builds: builds{a}},
	} {
		if _, err := admin.New(o); err == nil || !strings.Contains(err.Error(), "Options."+missing+" is missing") {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	a := writable(t)
	d, b := a.accept()
	unknown := "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e"
	for name, test := range map[string]struct {
		method, path string
		status       int
		says         string
	}{
		"another path":                    {"GET", "/rules", 404, "/api/v1/rules"},
		"another method":                  {"DELETE", "/builds", 405, "DELETE"},
		"replay by GET":                   {"GET", "/builds/" + unknown + "/replay", 405, "GET"},
		"a build nobody knows":            {"GET", "/builds/" + unknown, 404, "no build has the id " + unknown},
		"a delivery nobody knows":         {"GET", "/deliveries/" + unknown, 404, "no delivery has the id " + unknown},
		"its replay":                      {"POST", "/deliveries/" + unknown + "/replay", 404, "no delivery has the id " + unknown},
		"the replay of that build":        {"POST", "/builds/" + unknown + "/replay", 404, "no build has the id " + unknown},
		"a delivery in place of a build":  {"GET", "/builds/" + d.ID, 404, "it is the id of a delivery"},
		"the same for a replay":           {"POST", "/builds/" + d.ID + "/replay", 404, "it is the id of a delivery"},
		"a build in place of a delivery":  {"GET", "/deliveries/" + b.ID, 404, "it is the id of a build, of the delivery " + d.ID},
		"half an id nobody knows":         {"GET", "/builds/1", 404, `no build has an id that begins with 1`},
		"an id that is none":              {"GET", "/builds/x", 404, `no build has the id "x": an id is a UUID`},
		"an id that a database would not": {"GET", "/deliveries/%00%ff", 404, "an id is a UUID"},
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			if got := a.refused(test.method, test.path, test.status); !strings.Contains(got, test.says) {
				t.Errorf("it says %q, want %q", got, test.says)
			}
		})
	}
	if w := a.serve(request("DELETE", admin.Prefix+"/builds", writeToken)); !strings.Contains(w.Header().Get("Allow"), "GET") {
		t.Errorf("Allow is %q", w.Header().Get("Allow"))
	}
}

func TestDatabaseThatIsGone(t *testing.T) {
	a := writable(t)
	d, b := a.accept(state(store.Dead))
	if err := a.store.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ method, path string }{
		"deliveries":              {"GET", "/deliveries"},
		"a delivery":              {"GET", "/deliveries/" + d.ID},
		"the replay of one":       {"POST", "/deliveries/" + d.ID + "/replay"},
		"builds":                  {"GET", "/builds"},
		"a build":                 {"GET", "/builds/" + b.ID},
		"the replay of that":      {"POST", "/builds/" + b.ID + "/replay"},
		"the replay of all of it": {"POST", "/builds/replay?state=dead"},
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			if got := a.refused(test.method, test.path, http.StatusServiceUnavailable); strings.Contains(got, "sql") {
				t.Errorf("it tells of internals: %s", got)
			}
		})
	}
	if !strings.Contains(a.log.String(), "sql: database is closed") {
		t.Errorf("the log does not say why: %s", a.log.String())
	}
}

func TestNothingIsCached(t *testing.T) {
	w := writable(t).serve(request("GET", admin.Prefix+"/builds", ""))
	want := http.Header{"Content-Type": {"application/json"}, "Content-Length": {"14"}, "Cache-Control": {"no-store"}}
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Error(diff)
	}
}

func TestDeliveryInDetail(t *testing.T) {
	a := writable(t)
	d, b := a.accept(state(store.Dead))
	var got map[string]any
	a.ask("GET", "/deliveries/"+d.ID, http.StatusOK, &got)
	at := d.ReceivedAt.Format(time.RFC3339Nano)
	want := map[string]any{
		"id": d.ID, "received_at": at, "source": "github", "provider": "github", "host_id": "72d3162e", "event": "push",
		"repository": "acme/shop", "ref": "refs/heads/main", "outcome": "accepted",
		"header": map[string]any{"X-Github-Event": "push"},
		"body":   map[string]any{"ref": "refs/heads/main", "note": "<&>"},
		"builds": []any{map[string]any{
			"id": b.ID, "delivery": d.ID, "received_at": at, "state": "dead", "rule": "cart", "target": "north", "job_id": "f9d6",
			"repository": "acme/shop", "ref": "refs/heads/main", "commit": b.Commit, "attempts": 0.0,
			"deadline": b.Deadline.Format(time.RFC3339Nano),
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if w := a.serve(request("GET", admin.Prefix+"/deliveries/"+d.ID, "")); !strings.Contains(w.Body.String(), `"note":"<&>"`) {
		t.Errorf("the body is not as it was: %s", w.Body)
	}
}

// Ignored and duplicate deliveries, and those whose body is not kept any more.
func TestDeliveryThatBuiltNothing(t *testing.T) {
	a := writable(t)
	first, _ := a.accept()
	again := *first
	again.ID = newID()
	if of, err := a.store.Accept(t.Context(), &again, nil); err != nil || of != first.ID {
		t.Fatal(of, err)
	}
	a.store.LogIgnored(&store.Delivery{
		Delivery: mapping.Delivery{ID: newID(), Source: "gitee", Provider: "gitee", ReplayOf: first.ID, ReceivedAt: time.Now()},
		Outcome:  store.Ignored, Reason: "no_match", Verdicts: []byte(`[{"rule":"cart","matched":false,"reason":"push.branches: no"}]`),
	})
	var page admin.DeliveryPage
	for end := time.Now().Add(time.Minute); len(page.Deliveries) < 3; { // the ignored log is written a moment later
		if time.Now().After(end) {
			t.Fatalf("only these are kept: %+v", page.Deliveries)
		}
		a.ask("GET", "/deliveries", http.StatusOK, &page)
	}
	for _, shown := range page.Deliveries {
		switch {
		case shown.Outcome == store.Duplicate && shown.Of == first.ID && shown.Reason == "":
		case shown.Outcome == store.Accepted && shown.ID == first.ID:
		case shown.Outcome == store.Ignored && shown.Reason == "no_match" && shown.ReplayOf == first.ID:
			var detail admin.DeliveryDetail
			a.ask("GET", "/deliveries/"+shown.ID, http.StatusOK, &detail)
			if diff := cmp.Diff([]mapping.Verdict{{Rule: "cart", Reason: "push.branches: no"}}, detail.Rules); diff != "" {
				t.Error(diff)
			}
			if string(detail.Body) != "null" || detail.Builds == nil {
				t.Errorf("got %s, %v", detail.Body, detail.Builds)
			}
		default:
			t.Errorf("got %+v", shown)
		}
	}
}

func TestBuildInDetail(t *testing.T) {
	a := writable(t)
	_, b := a.accept()
	now := time.Now().UTC().Truncate(time.Microsecond)
	if _, err := a.store.BeginCall(t.Context(), b, now); err != nil {
		t.Fatal(err)
	}
	b.Record(store.Attempt{At: now, Took: 1500 * time.Microsecond, Outcome: store.Unknown, Error: "no answer"})
	b.Record(store.Attempt{At: now, Took: time.Second, Outcome: store.Unknown, Search: true})
	b.Record(store.Attempt{At: now, Took: time.Second, Outcome: store.Unknown, Search: true})
	b.State, b.BuildNumber, b.Adopted, b.StartedAt = store.Started, "20", true, now
	b.Result = store.Running
	if err := a.store.Save(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	var got admin.BuildDetail
	a.ask("GET", "/builds/"+b.ID, http.StatusOK, &got)
	want := admin.BuildDetail{
		Build: admin.Build{
			ID: b.ID, Delivery: b.Delivery, ReceivedAt: b.ReceivedAt, State: store.Started, Rule: "cart", Target: "north", JobID: "f9d6",
			Repository: "acme/shop", Ref: "refs/heads/main", Commit: b.Commit, Attempts: 1, CalledAt: now, Deadline: b.Deadline,
			BuildNumber: "20", Adopted: true, StartedAt: now, Result: store.Running,
		},
		Origin: admin.Origin{
			Source: "github", Provider: "github", Event: "push", Author: "Ada",
			RepositoryURL: "https://github.com/acme/shop", CommitURL: "https://github.com/acme/shop/commit/" + b.Commit,
		},
		Log: []admin.Attempt{
			{At: now, Duration: 1.5, Outcome: store.Unknown, Error: "no answer"},
			{At: now, Duration: 1000, Outcome: store.Unknown, Search: true, Times: 2},
		},
		Body: json.RawMessage(`{"job_id":"f9d6","parameter":[]}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What only a run of a pipeline has, by the names of docs/admin-api.md.
func TestRunInDetail(t *testing.T) {
	a := writable(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	_, b := a.accept(func(_ *store.Delivery, b *store.Build) {
		b.Action, b.JobID, b.ProjectID = mapping.ActionPipeline, strings.Repeat("b", 32), strings.Repeat("c", 32)
	})
	if _, err := a.store.BeginCall(t.Context(), b, now); err != nil {
		t.Fatal(err)
	}
	b.State, b.BuildNumber, b.QueueID, b.StartedAt, b.Result = store.Started, strings.Repeat("a", 32), "q1", now, store.Running
	if err := a.store.Save(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	b.RunningAt, b.WaitedAt, b.Message, b.RanCommit = now, now, store.WaitsForPerson+`, in stage "ship"`, strings.Repeat("9", 40)
	if err := a.store.SaveResult(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"action": "pipeline", "job_id": b.JobID, "project_id": b.ProjectID, "build_number": b.BuildNumber, "queue_id": "q1", "result": "running",
		"waits_for_person": true, "waited_at": now.Format(time.RFC3339Nano), "ran_commit": b.RanCommit, "message": b.Message,
	}
	var got map[string]any
	a.ask("GET", "/builds/"+b.ID, http.StatusOK, &got)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	_, job := a.accept()
	got = nil
	a.ask("GET", "/builds/"+job.ID, http.StatusOK, &got)
	for _, name := range []string{"action", "project_id", "queue_id", "waits_for_person", "waited_at", "ran_commit"} {
		if value, has := got[name]; has {
			t.Errorf("a job has %s: %v", name, value)
		}
	}
}

// A build that is not resolved has the time when it is looked at next, or who works on it.
func TestBuildThatIsNotResolvedSaysWhenNext(t *testing.T) {
	a := writable(t)
	_, first := a.accept()
	_, second := a.accept()
	show := func(id string) (shown admin.BuildDetail) {
		t.Helper()
		a.ask("GET", "/builds/"+id, http.StatusOK, &shown)
		return shown
	}
	within := func(what string, got admin.BuildDetail, least, most time.Duration) {
		t.Helper()
		if in := time.Until(got.DueAt); in < least || in > most || got.Worker != "" {
			t.Errorf("%s is due in %v, and worked by %q; want from %v to %v, and nobody", what, in, got.Worker, least, most)
		}
	}
	within("a build that was accepted", show(first.ID), -time.Minute, 0)

	due, err := a.store.Due(t.Context(), "north", 2)
	if err != nil || len(due) != 2 {
		t.Fatal(due, err)
	}
	if got := show(first.ID); got.Worker != a.store.Caller() || !got.DueAt.IsZero() {
		t.Errorf("a build that is worked is due at %v, and worked by %q; want this process, %s", got.DueAt, got.Worker, a.store.Caller())
	}
	due[0].DueAt = time.Now().Add(5 * time.Minute)
	if err := a.store.Save(t.Context(), due[0]); err != nil {
		t.Fatal(err)
	}
	within("a build that waits for its next try", show(first.ID), 4*time.Minute, 5*time.Minute)

	if hold, err := a.store.BeginCall(t.Context(), due[1], time.Now()); err != nil || hold != store.HoldOrder {
		t.Fatal(hold, err)
	}
	held := show(second.ID)
	within("a build that is held", held, 9*time.Minute, 10*time.Minute)
	if held.Reason != string(store.HoldOrder) {
		t.Errorf("a build that is held says %q", held.Reason)
	}

	due[0].State, due[0].BuildNumber = store.Started, "20"
	if err := a.store.Save(t.Context(), due[0]); err != nil {
		t.Fatal(err)
	}
	if got := show(first.ID); !got.DueAt.IsZero() || got.Worker != "" {
		t.Errorf("a build that is started is due at %v, and worked by %q", got.DueAt, got.Worker)
	}
	within("a build whose hold is over", show(second.ID), -time.Minute, 0)

	a.Handler, err = admin.New(admin.Options{Store: endedByHand{a.store}, Builds: builds{a}, Deliveries: deliveries{a}, Access: admin.Access{Loopback: true}})
	if err != nil {
		t.Fatal(err)
	}
	if got := show(second.ID); !got.DueAt.IsZero() || got.Worker != "" {
		t.Errorf("a build that was ended by hand is due at %v, and worked by %q", got.DueAt, got.Worker)
	}
}

// endedByHand is a store with builds that somebody ended by SQL.
type endedByHand struct{ *store.Store }

func (s endedByHand) Build(ctx context.Context, id string) (*store.Build, error) {
	b, err := s.Store.Build(ctx, id)
	if err == nil {
		b.State, b.Worker, b.DueAt = store.Dead, "killed", time.Now()
	}
	return b, err
}

// A build shows the status on its commit, which may be about a newer build.
func TestBuildShowsItsStatus(t *testing.T) {
	a := writable(t)
	reported := func(_ *store.Delivery, b *store.Build) { b.Context = "ci/cart" }
	_, old := a.accept(reported)
	_, next := a.accept(reported)
	for _, b := range []*store.Build{next, old} {
		b.State, b.Result, b.StartedAt = store.Started, store.Running, time.Now()
		if err := a.store.Save(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	_, silent := a.accept(ref("refs/heads/silent"))
	for id, want := range map[string]*admin.Status{
		old.ID:    {Source: "github", Repository: "acme/shop", Commit: old.Commit, Context: "ci/cart", Build: next.ID},
		next.ID:   {Source: "github", Repository: "acme/shop", Commit: old.Commit, Context: "ci/cart", Build: next.ID},
		silent.ID: nil,
	} {
		var got admin.BuildDetail
		a.ask("GET", "/builds/"+id, http.StatusOK, &got)
		if diff := cmp.Diff(want, got.Status, cmpopts.IgnoreFields(admin.Status{}, "Since", "DueAt")); diff != "" {
			t.Error(diff)
		}
		if got.Status != nil && got.Status.DueAt.IsZero() {
			t.Error("it does not say when the host is told")
		}
	}
}

func TestSupersededBuildNamesItsSuccessor(t *testing.T) {
	a := writable(t)
	_, old := a.accept()
	_, next := a.accept(func(_ *store.Delivery, b *store.Build) { b.Newest = true })
	var got admin.BuildDetail
	a.ask("GET", "/builds/"+old.ID, http.StatusOK, &got)
	if got.State != store.Superseded || got.SupersededBy != next.ID {
		t.Errorf("got %+v", got)
	}
}

// unreadable is a store with values that JSON cannot express.
type unreadable struct{ *store.Store }

func (s unreadable) Builds(ctx context.Context, f store.BuildFilter) ([]*store.Build, string, error) {
	builds, next, err := s.Store.Builds(ctx, f)
	for _, b := range builds {
		b.Deadline = time.Date(294_000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return builds, next, err
}

func (s unreadable) Delivery(ctx context.Context, id string) (*store.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	if err == nil {
		d.Verdicts, d.Unreadable = []byte("{}"), "received_at holds 7"
	}
	return d, err
}

// An answer that cannot be encoded is an error, and not sent in part.
func TestAnswerIsNeverCutOff(t *testing.T) {
	a := writable(t)
	d, _ := a.accept()
	var err error
	a.Handler, err = admin.New(admin.Options{Store: unreadable{a.store}, Builds: builds{a}, Deliveries: deliveries{a}, Access: admin.Access{Loopback: true, Made: token(admin.Write, writeToken)}})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.refused("GET", "/builds", http.StatusInternalServerError); !strings.Contains(got, "an error inside buildbridge") {
		t.Errorf("got %q", got)
	}
	var shown admin.DeliveryDetail
	a.ask("GET", "/deliveries/"+d.ID, http.StatusOK, &shown)
	if !strings.HasPrefix(shown.Error, "received_at holds 7; verdicts cannot be read: ") {
		t.Errorf("got %q", shown.Error)
	}
	if got := a.refused("POST", "/deliveries/"+d.ID+"/replay", http.StatusConflict); !strings.Contains(got, "cannot be replayed: received_at holds 7") {
		t.Errorf("got %q", got)
	}
}

func TestReplayOfBuild(t *testing.T) {
	a := writable(t)
	for name, test := range map[string]struct {
		build  func(*store.Delivery, *store.Build)
		status int
		says   string
	}{
		"a dead one":                  {state(store.Dead), 202, ""},
		"one that was started":        {state(store.Started), 202, ""},
		"one that waits":              {state(store.Waiting), 409, "is waiting: it is not resolved yet"},
		"one nobody knows the end of": {state(store.Unknown), 409, "is unknown: it is not resolved yet"},
		"one without a body": {func(_ *store.Delivery, b *store.Build) {
			b.State, b.Reason, b.Body = store.Dead, "parameter x", []byte{}
		}, 409, "replay its delivery"},
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			_, b := a.accept(ref("refs/heads/"+name), test.build)
			if test.status != http.StatusAccepted {
				if got := a.refused("POST", "/builds/"+b.ID+"/replay", test.status); !strings.Contains(got, test.says) {
					t.Errorf("it says %q, want %q", got, test.says)
				}
				return
			}
			var again, stored admin.Build
			a.ask("POST", "/builds/"+b.ID+"/replay", http.StatusAccepted, &again)
			a.ask("GET", "/builds/"+again.ID, http.StatusOK, &stored)
			if stored.ReplayOf != b.ID || stored.State != store.Waiting {
				t.Errorf("got %+v", stored)
			}
			var first admin.BuildDetail
			a.ask("GET", "/builds/"+b.ID, http.StatusOK, &first)
			if diff := cmp.Diff([]admin.Replay{{ID: again.ID, State: store.Waiting}}, first.Replays); diff != "" {
				t.Errorf("the replays of the first (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReplayOfAllThatMatch(t *testing.T) {
	a := writable(t)
	var dead []string
	for i := range 40 { // more than are committed together
		_, b := a.accept(state(store.Dead), ref(fmt.Sprint("refs/heads/", i)))
		dead = append(dead, b.ID)
	}
	_, started := a.accept(state(store.Started), ref("refs/heads/started"))
	_, bodyless := a.accept(ref("refs/heads/bodyless"), func(_ *store.Delivery, b *store.Build) {
		b.State, b.Rule, b.Body = store.Dead, "broken", []byte{}
	})

	replayed := func(r admin.BuildReplays) (ids []string) {
		for _, b := range r.Replayed {
			ids = append(ids, b.ReplayOf)
		}
		return ids
	}
	count := func(want int64) {
		t.Helper()
		var got admin.ReplayCount
		a.ask("GET", "/builds/replay?rule=cart", http.StatusOK, &got)
		if got.State != store.Dead || got.Builds != want || int64(len(got.First)) != min(want, 10) {
			t.Errorf("to be replayed are %+v, want %d", got, want)
		}
		if want > 0 && got.First[0].ID != dead[40-want] {
			t.Errorf("the first to be replayed is %s, want %s", got.First[0].ID, dead[40-want])
		}
	}
	count(40)
	var got admin.BuildReplays
	a.ask("POST", "/builds/replay?rule=cart&limit=10", http.StatusOK, &got)
	count(30)
	if diff := cmp.Diff(dead[:10], replayed(got)); diff != "" || got.Left != 30 || got.Next == "" {
		t.Errorf("%s, %d are left, the next is %q", diff, got.Left, got.Next)
	}
	a.ask("POST", "/builds/replay?rule=cart&limit=1000&after="+got.Next, http.StatusOK, &got)
	if diff := cmp.Diff(dead[10:], replayed(got)); diff != "" || got.Left != 0 {
		t.Errorf("%s, %d are left", diff, got.Left)
	}
	count(0)
	var none admin.BuildReplays
	a.ask("POST", "/builds/replay?rule=cart", http.StatusOK, &none)
	if len(none.Replayed) != 0 || len(none.Skipped) != 0 || none.Left != 0 {
		t.Errorf("what is replayed already is replayed again: %+v", none)
	}
	var broken admin.BuildReplays
	a.ask("POST", "/builds/replay?state=dead", http.StatusOK, &broken)
	if len(broken.Replayed) != 0 || len(broken.Skipped) != 1 || broken.Skipped[0].ID != bodyless.ID {
		t.Errorf("got %+v", broken)
	}
	var asked admin.BuildReplays
	a.ask("POST", "/builds/replay?state=started", http.StatusOK, &asked)
	if diff := cmp.Diff([]string{started.ID}, replayed(asked)); diff != "" {
		t.Errorf("what was started is replayed where that is asked for: %s", diff)
	}
}

// Builds that failed are replayed where that is asked for, without a state: no other has a result.
func TestReplayByResult(t *testing.T) {
	a := writable(t)
	_, failed := a.accept(state(store.Started))
	failed.Result = store.Failure
	if err := a.store.Save(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	a.accept(state(store.Dead), ref("refs/heads/dead"))
	var got admin.BuildReplays
	a.ask("POST", "/builds/replay?result=failure", http.StatusOK, &got)
	if len(got.Replayed) != 1 || got.Replayed[0].ReplayOf != failed.ID {
		t.Errorf("got %+v, want a replay of %s", got, failed.ID)
	}
}

func TestReplayOfAllThatBreaksOff(t *testing.T) {
	a := writable(t)
	for i := range 33 {
		a.accept(state(store.Dead), ref(fmt.Sprint("refs/heads/", i)))
	}
	n := make(chan struct{}, 32)
	a.replays = func(ctx context.Context, r store.Replayable) (*store.Build, error) {
		select {
		case n <- struct{}{}:
			return a.replay(ctx, r)
		default:
			return nil, errors.New("disk is full")
		}
	}
	got := a.refused("POST", "/builds/replay?state=dead", http.StatusServiceUnavailable)
	if !strings.Contains(got, "32 builds were replayed") || strings.Contains(got, "disk") {
		t.Errorf("it says %q", got)
	}
	if !strings.Contains(a.log.String(), "disk is full") {
		t.Error("the log does not say why")
	}
}

func TestReplayOfAllIsNotForTwoAtOnce(t *testing.T) {
	a := writable(t)
	a.accept(state(store.Dead))
	var second atomic.Bool
	a.replays = func(ctx context.Context, r store.Replayable) (*store.Build, error) {
		if !second.Swap(true) {
			w := a.serve(request("POST", admin.Prefix+"/builds/replay?state=dead", writeToken))
			if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "under way") {
				t.Errorf("meanwhile another gets %d %s", w.Code, w.Body)
			}
		}
		return a.replay(ctx, r)
	}
	var got admin.BuildReplays
	a.ask("POST", "/builds/replay?state=dead", http.StatusOK, &got)
	if len(got.Replayed) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestReplayOfDelivery(t *testing.T) {
	a := writable(t)
	d, _ := a.accept()
	for name, test := range map[string]struct {
		answer func(*handlers.Answer)
		status int
		want   string
	}{
		"accepted": {func(r *handlers.Answer) {
			r.Status, r.Outcome, r.ReplayOf = 202, "accepted", d.ID
			r.Builds = []mapping.BuildReceipt{{ID: "b", Rule: "cart", JobID: "j"}}
		}, 202, `{"outcome":"accepted","builds":[{"id":"b","rule":"cart","job_id":"j"}],"replay_of":"` + d.ID + `"}`},
		"ignored": {func(r *handlers.Answer) {
			r.Status, r.Outcome, r.Reason = 200, "ignored", "no_match"
			r.Rules = []mapping.Verdict{{Rule: "cart", Reason: "if: <false>"}}
		}, 200, `{"outcome":"ignored","reason":"no_match","rules":[{"rule":"cart","matched":false,"reason":"if: <false>"}]}`},
		"refused":                {func(r *handlers.Answer) { r.Status, r.Detail = 409, "no source" }, 409, `{"error":"no source"}`},
		"refused without detail": {func(r *handlers.Answer) { r.Status = 500 }, 500, `{"error":"Internal Server Error"}`},
		"malformed now, which the caller cannot fix": {
			func(r *handlers.Answer) { r.Status, r.Detail = 400, "ref is missing" }, 409, `{"error":"ref is missing"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a.decided, a.answer = nil, handlers.Answer{}
			test.answer(&a.answer)
			w := a.serve(request("POST", admin.Prefix+"/deliveries/"+d.ID+"/replay", writeToken))
			if got := strings.TrimSpace(w.Body.String()); w.Code != test.status || got != test.want {
				t.Errorf("got %d %s, want %d %s", w.Code, got, test.status, test.want)
			}
			want := []mapping.Delivery{{
				ID: d.ID, Source: "github", Provider: "github", HostID: "72d3162e", Event: "push", ReceivedAt: d.ReceivedAt,
				Header: d.Header, Body: d.Body, DuplicateKey: "replay:" + d.ID + ":", Origin: mapping.OriginWebhook,
			}}
			if diff := cmp.Diff(want, a.decided); diff != "" {
				t.Error(diff)
			}
		})
	}
}
