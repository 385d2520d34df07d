package trigger_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
	"buildbridge/trigger/store/postgrestest"
)

var server postgrestest.Server //nolint:gochecknoglobals // one for all tests

func TestMain(m *testing.M) {
	// The tests mostly wait for time to pass. A flag of the command line is parsed later.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
			code = 1
		}
		os.Exit(code) //nolint:forbidigo // goleak hands over the exit of TestMain
	}))
}

const (
	job     = "f9d6c8466d614a9788e9a0acf6c15f46"
	job2    = "0123456789abcdef0123456789abcdef"
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// testTrigger is a trigger with its store, and the simulator that it calls.
type testTrigger struct {
	*trigger.Trigger
	store *store.Store
	sim   *codeartstest.Server
	reg   *prometheus.Registry
	path  string
	hosts []trigger.Host
	rules *mapping.Ruleset
	loops sync.WaitGroup // of the test
}

type settings struct {
	sim        codeartstest.Options
	target     mapping.Target
	dryRun     bool
	hold       bool
	path       string
	stopped    bool // do not start
	maxWaiting int64
	ignored    int // deliveries that the ignored log has
	hosts      []trigger.Host
	rules      *mapping.Ruleset     // instead of those of the cart
	shared     *codeartstest.Server // instead of one of its own
	traces     trace.TracerProvider
	log        io.Writer // gets the log too
	follow     func(age time.Duration) time.Duration
	buildURL   func(id string) string
}

// said is a log that a test can search.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), text)
}

// count is how many lines match a pattern.
func (s *said) count(pattern string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(regexp.MustCompile("(?m)^.*"+pattern).FindAllString(s.text.String(), -1))
}

// patient is a target whose tests are quick.
func patient() mapping.Target {
	return mapping.Target{
		Name: "north", Timeout: 5 * time.Second, RetryFor: time.Minute,
		Reconcile: mapping.Reconcile{Window: time.Minute, Patience: 400 * time.Millisecond, TimeZone: time.FixedZone("UTC+8", 8*60*60)},
	}
}

func newTestTrigger(t *testing.T, s settings) *testTrigger {
	t.Helper()
	b := &testTrigger{path: s.path, sim: s.shared, hosts: s.hosts, rules: s.rules}
	if b.rules == nil {
		b.rules = cartRules(t)
	}
	if b.sim == nil {
		b.sim = codeartstest.NewServer(s.sim)
		t.Cleanup(b.sim.Close)
	}
	if b.path == "" {
		b.path = filepath.Join(t.TempDir(), "test.db")
	}
	b.open(t, s)
	return b
}

func (b *testTrigger) open(t *testing.T, s settings) {
	t.Helper()
	out := t.Output()
	if s.log != nil {
		out = io.MultiWriter(out, s.log)
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	var err error
	if b.store, err = store.Open(t.Context(), store.Options{Database: b.path, Logger: log, KeepIgnored: s.ignored}); err != nil {
		t.Fatal(err)
	}
	b.reg = prometheus.NewRegistry()
	b.Trigger, err = trigger.New(trigger.Options{Store: b.store, Registerer: b.reg, Logger: log, Settings: trigger.Settings{DryRun: s.dryRun, Hold: s.hold, MaxWaiting: s.maxWaiting}, TracerProvider: s.traces, FollowEvery: s.follow, BuildURL: s.buildURL})
	if err != nil {
		t.Fatal(err)
	}
	if s.target.Name == "" {
		s.target = patient()
	}
	b.setTargets(t, s.target)
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			b.close(t)
		}
	})
	if !s.stopped {
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *testTrigger) close(t *testing.T) {
	t.Helper()
	if b.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := b.store.Close(); err != nil {
		t.Error(err)
	}
	b.store = nil
}

// cartRules has the one rule whose series exist from the start.
func cartRules(t *testing.T) *mapping.Ruleset {
	t.Helper()
	rules, _, err := mapping.Parse([]mapping.Provider{{Name: "github"}}, mapping.File{Name: "rules.yaml", Data: []byte(`version: 1
sources: {github: {provider: github, insecure: true}}
targets: {north: {region: cn-north-4, credentials: {token: {env: TOKEN}}}}
rules: [{name: cart, repository: acme/shop, when: {push: {}}, jobs: [{job_id: ` + job + `}]}]
`)})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func (b *testTrigger) setTargets(t *testing.T, targets ...mapping.Target) {
	t.Helper()
	var at []trigger.Target
	for _, target := range targets {
		client := b.client(t, target) // the simulator is both services
		at = append(at, trigger.Target{Target: target, Service: client, Pipelines: client})
	}
	b.SetRules(at, b.hosts, b.rules)
}

// client calls the target, or the simulator if the target has no endpoint.
func (b *testTrigger) client(t *testing.T, target mapping.Target) *codearts.Client {
	t.Helper()
	if target.Endpoint == "" {
		target.Endpoint = b.sim.URL
	}
	client, err := codearts.New(codearts.Options{
		Endpoint: target.Endpoint, Timeout: target.Timeout,
		Credentials: codearts.Token(func() (mapping.Secret, error) { return "token", nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func push(commit string) mapping.Build {
	return mapping.Build{
		Rule: "cart", Target: "north", JobID: job, Repository: "acme/shop", Ref: "refs/heads/main", Commit: commit,
		Parameters: []mapping.Parameter{{Name: "codeBranch", Value: "main"}},
	}
}

func tag(name string) mapping.Build {
	return mapping.Build{Rule: "cart", Target: "north", JobID: job, Repository: "acme/shop", Ref: "refs/tags/" + name, Tag: name}
}

// deliver accepts a delivery with these builds and returns their ids.
func (b *testTrigger) deliver(t *testing.T, builds ...mapping.Build) []string {
	t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	r, err := b.Accept(t.Context(), mapping.Delivery{
		ID: id, Source: "github", Provider: "github", HostID: id, DuplicateKey: id, Event: "push", ReceivedAt: time.Now(), Body: []byte("{}"),
	}, builds)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range r.Builds {
		ids = append(ids, r.ID)
	}
	return ids
}

// until polls until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(90 * time.Second); !so(); <-poll.C {
		if time.Now().After(end) {
			t.Fatalf("not so: %s", what)
		}
	}
}

// await waits until a build is in one of these states.
func (b *testTrigger) await(t *testing.T, id string, states ...store.State) (got *store.Build) {
	t.Helper()
	until(t, fmt.Sprintf("build %s is %v", id, states), func() (so bool) {
		var err error
		if got, err = b.store.Build(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return slices.Contains(states, got.State)
	})
	return got
}

func (b *testTrigger) fault(t *testing.T, f codeartstest.Fault) {
	t.Helper()
	if err := b.sim.AddFault(f); err != nil {
		t.Fatal(err)
	}
}

// runs are the commits or tags of the builds that the simulator started.
func (b *testTrigger) runs(t *testing.T) []string {
	t.Helper()
	var what []string
	for _, r := range b.sim.Runs() {
		var req codearts.RunJobRequest
		if err := json.Unmarshal(r.Body, &req); err != nil {
			t.Fatal(err)
		}
		what = append(what, req.SCM.BuildCommitID+req.SCM.BuildTag)
	}
	return what
}

func TestRequestNamesExactlyOneOfTagAndCommit(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		build mapping.Build
		want  string
	}{
		"a push": {
			push(commitA),
			`{"job_id":"` + job + `","parameter":[{"name":"codeBranch","value":"main"}],"scm":{"build_commit_id":"` + commitA + `"}}`,
		},
		"a tag": {
			tag("v1"),
			`{"job_id":"` + job + `","scm":{"build_tag":"v1"}}`,
		},
		"a tag with a build type": {
			mapping.Build{JobID: job, Tag: "v1", BuildType: true},
			`{"job_id":"` + job + `","scm":{"build_tag":"v1","build_type":"tag"}}`,
		},
		"a commit with a build type": {
			mapping.Build{JobID: job, Commit: commitA, BuildType: true},
			`{"job_id":"` + job + `","scm":{"build_commit_id":"` + commitA + `","build_type":"commitId"}}`,
		},
		"one of several code sources": {
			mapping.Build{JobID: job, Tag: "v1", Source: mapping.JobSource{Branch: "main", RepoID: "7", URL: "https://host/shop.git"}},
			`{"job_id":"` + job + `","scm":{"build_tag":"v1","branch":"main","repo_id":"7","url":"https://host/shop.git"}}`,
		},
		"a marker": {
			mapping.Build{JobID: job, Commit: commitA, Marker: "BRIDGE", Parameters: []mapping.Parameter{{Name: "a", Value: "b"}}},
			`{"job_id":"` + job + `","parameter":[{"name":"a","value":"b"},{"name":"BRIDGE","value":"id-1"}],"scm":{"build_commit_id":"` + commitA + `"}}`,
		},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(trigger.Request(c.build, "id-1"))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPushAndTagAreStarted(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	p := push(commitA)
	p.Parameters = []mapping.Parameter{{Name: "codeBranch", Value: `$(reboot);x <&>"`}}
	ids := b.deliver(t, p, tag("v1"))
	first := b.await(t, ids[0], store.Started)
	b.await(t, ids[1], store.Started)
	if first.BuildNumber == "" || first.Adopted || first.Attempts != 1 {
		t.Errorf("got %+v", first)
	}
	var got codearts.RunJobRequest
	for _, r := range b.sim.Runs() {
		if r.BuildNo == first.BuildNumber {
			if err := json.Unmarshal(r.Body, &got); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(trigger.Request(p, ""), got); diff != "" {
		t.Error(diff)
	}
}

// Each row of the table of fates, and what it means for a build.
func TestFateOfAnswers(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		fault  codeartstest.Fault
		want   store.State
		reason string // part of it
		runs   int
	}{
		"refused":                        {codeartstest.Fault{Path: codeartstest.PathRun, Status: 400, Code: "CB.00060200"}, store.Dead, "CB.00060200", 0},
		"no such job":                    {codeartstest.Fault{Path: codeartstest.PathRun, Status: 404, Code: "CB.00031006"}, store.Dead, "job_id", 0},
		"no permission":                  {codeartstest.Fault{Path: codeartstest.PathRun, Status: 403}, store.Dead, "permission", 0},
		"an error in a 200":              {codeartstest.Fault{Path: codeartstest.PathRun, Status: 200, Code: "DEV.CB.032000"}, store.Dead, "DEV.CB.032000", 0},
		"throttled once":                 {codeartstest.Fault{Path: codeartstest.PathRun, Status: 429, RetryAfter: 1, Times: 1}, store.Started, "", 1},
		"busy, nothing done":             {codeartstest.Fault{Path: codeartstest.PathRun, Status: 500, Code: "CB.00060100", Times: 1}, store.Started, "", 1},
		"busy, build started":            {codeartstest.Fault{Path: codeartstest.PathRun, Status: 502, Done: true, Times: 1}, store.Started, "", 1},
		"an empty 200, build started":    {codeartstest.Fault{Path: codeartstest.PathRun, Status: 200, Body: " ", Done: true, Times: 1}, store.Started, "", 1},
		"dropped before it was done":     {codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropBefore, Times: 1}, store.Started, "", 1},
		"dropped after it was done":      {codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1}, store.Started, "", 1},
		"answered too late":              {codeartstest.Fault{Path: codeartstest.PathRun, Delay: 8 * time.Second, Done: true, Drop: codeartstest.DropAfter, Times: 1}, store.Started, "", 1},
		"garbage from a gateway, once":   {codeartstest.Fault{Path: codeartstest.PathRun, Status: 502, Body: "<html>", ContentType: "text/html", Times: 1}, store.Started, "", 1},
		"a redirect is not followed":     {codeartstest.Fault{Path: codeartstest.PathRun, Status: 302, Header: map[string]string{"Location": "/_runs"}}, store.Dead, "redirect", 0},
		"throttled with a gateway error": {codeartstest.Fault{Path: codeartstest.PathRun, Status: 403, Code: "APIG.0308", RetryAfter: 1, Times: 1}, store.Started, "", 1},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newTestTrigger(t, settings{})
			b.fault(t, c.fault)
			got := b.await(t, b.deliver(t, push(commitA))[0], store.Started, store.Dead)
			if got.State != c.want || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("got %s (%s), want %s (…%s…)", got.State, got.Reason, c.want, c.reason)
			}
			if n := b.sim.RunCount(); n != c.runs {
				t.Errorf("%d builds were started, want %d", n, c.runs)
			}
			if len(got.Log) == 0 {
				t.Error("the attempts are not in the log")
			}
		})
	}
}

// The process dies while RunJob is on its way: another process finds the build in calling, and searches
// for it before it calls.
func TestCrashInMidCall(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		build   mapping.Build
		arrived bool
	}{
		"a push that arrived":     {push(commitA), true},
		"a push that did not":     {push(commitA), false},
		"a tag that arrived":      {tag("v1"), true},
		"a tag that did not":      {tag("v1"), false},
		"a marker that arrived":   {mapping.Build{Rule: "cart", Target: "north", JobID: job, Ref: "refs/heads/main", Commit: commitA, Marker: "BRIDGE"}, true},
		"a marker that never did": {mapping.Build{Rule: "cart", Target: "north", JobID: job, Ref: "refs/heads/main", Commit: commitA, Marker: "BRIDGE"}, false},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			target := patient()
			b := newTestTrigger(t, settings{stopped: true, target: target, sim: codeartstest.Options{RecordLag: 50 * time.Millisecond, CommitLag: 300 * time.Millisecond}})
			id := b.deliver(t, c.build)[0]
			row := b.await(t, id, store.Waiting)
			row.Service = strings.TrimPrefix(b.sim.URL, "http://")
			if _, err := b.store.BeginCall(t.Context(), row, time.Now()); err != nil {
				t.Fatal(err)
			}
			if c.arrived {
				b.post(t, row.Body)
			}
			b.close(t)
			b.open(t, settings{target: target})
			got := b.await(t, id, store.Started, store.Dead)
			if got.Adopted != c.arrived {
				t.Errorf("adopted %v, want %v: %+v", got.Adopted, c.arrived, got)
			}
			if n := b.sim.RunCount(); n != 1 {
				t.Errorf("%d builds were started, want 1", n)
			}
		})
	}
}

// post calls RunJob by hand.
func (b *testTrigger) post(t *testing.T, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.sim.URL+"/v3/jobs/build", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestSearchThatFailsWaitsVisibly(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathList, Status: 500, Code: "CB.00060100"})
	id := b.deliver(t, push(commitA))[0]
	until(t, "the reason of the search is shown", func() bool {
		got := b.await(t, id, store.Waiting, store.Calling, store.Unknown)
		return strings.HasPrefix(got.Reason, "search: ") && len(got.Log) == 2 && got.Log[1].Times > 1
	})
	b.sim.ClearFaults()
	if got := b.await(t, id, store.Started); !got.Adopted || b.sim.RunCount() != 1 {
		t.Errorf("got %+v and %d runs", got, b.sim.RunCount())
	}
}

// A third of the answers are lost after the build was started; two rules run one
// job for one commit, and people start builds of other commits in between.
func TestLostAnswersStartNothingTwice(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{sim: codeartstest.Options{RecordLag: 20 * time.Millisecond, CommitLag: 100 * time.Millisecond}})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Probability: 0.3})
	want := map[string]int{}
	var ids []string
	for i := range 40 {
		commit := fmt.Sprintf("%040x", i+1)
		one, two := push(commit), push(commit)
		one.Ref = fmt.Sprintf("refs/heads/b%d", i%7)
		two.Ref, two.Rule = one.Ref, "twin"
		builds := []mapping.Build{one, two}
		if i%4 == 0 {
			v := tag(fmt.Sprintf("v%d", i))
			builds = append(builds, v)
			want[v.Tag]++
		}
		want[commit] += 2
		ids = append(ids, b.deliver(t, builds...)...)
		if rand.N(3) == 0 {
			if _, err := b.sim.StartBuild(codeartstest.Build{JobID: job, Commit: fmt.Sprintf("%040x", 1000+i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	adopted := 0
	for _, id := range ids {
		if b.await(t, id, store.Started).Adopted {
			adopted++
		}
	}
	got := map[string]int{}
	for _, what := range b.runs(t) {
		got[what]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if adopted == 0 {
		t.Error("no answer was lost: the test proves nothing")
	}
}

func TestServiceDown(t *testing.T) {
	t.Parallel()
	down := patient()
	down.Endpoint = "http://127.0.0.1:1"
	b := newTestTrigger(t, settings{target: down})
	id := b.deliver(t, push(commitA))[0]
	until(t, "it was called", func() bool { return b.await(t, id, store.Waiting, store.Calling).Attempts > 0 })
	b.setTargets(t, patient())
	if got := b.await(t, id, store.Started); b.sim.RunCount() != 1 || got.Attempts < 2 {
		t.Errorf("%d runs, %d attempts", b.sim.RunCount(), got.Attempts)
	}
}

func TestOrderUnderRetries(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Status: 429, RetryAfter: 1, Times: 1})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropBefore, Times: 2})
	var want, ids []string
	for i := range 8 {
		commit := fmt.Sprintf("%040x", i+1)
		want = append(want, commit)
		ids = append(ids, b.deliver(t, push(commit))...)
	}
	for _, id := range ids {
		b.await(t, id, store.Started)
	}
	if diff := cmp.Diff(want, b.runs(t)); diff != "" {
		t.Error(diff)
	}
}

// A commit that its rule builds once runs once, whatever branches it comes on; a replay of its
// delivery runs it again.
func TestCommitRunsOnce(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	first := push(fmt.Sprintf("%040x", 1))
	first.Once = true
	other := first
	other.Ref = "refs/heads/release"
	ids := append(b.deliver(t, first), b.deliver(t, other)...)
	b.await(t, ids[0], store.Started)
	if got := b.await(t, ids[1], store.Superseded); got.SupersededBy != ids[0] {
		t.Errorf("superseded by %q: %s", got.SupersededBy, got.Reason)
	}
	d := mapping.Delivery{ID: uuid.Must(uuid.NewV7()).String(), Source: "github", Provider: "github", Event: "push", ReceivedAt: time.Now(), Body: []byte("{}"), ReplayOf: "before"}
	r, err := b.Accept(t.Context(), d, []mapping.Build{other})
	if err != nil || r.Builds[0].SupersededBy != "" {
		t.Fatal(r, err)
	}
	b.await(t, r.Builds[0].ID, store.Started)
	if runs := b.runs(t); len(runs) != 2 {
		t.Errorf("runs %v", runs)
	}
}

func TestNewestReplacesWhatWaits(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	target, gate := patient(), make(chan struct{})
	target.Timeout = time.Minute
	answer := sync.OnceFunc(func() { close(gate) })
	defer answer()
	b.SetRules([]trigger.Target{{Target: target, Service: slow{b.client(t, target), gate}}}, nil, b.rules)
	first := push(fmt.Sprintf("%040x", 1))
	first.Concurrency.Replace = mapping.ReplaceWaiting
	ids := b.deliver(t, first)
	b.await(t, ids[0], store.Calling)
	v := tag("v1")
	v.Ref = first.Ref // a tag is never replaced, even if it shares the ordering key
	ids = append(ids, b.deliver(t, v)...)
	for i := range 98 {
		p := push(fmt.Sprintf("%040x", i+2))
		p.Concurrency.Replace = mapping.ReplaceWaiting
		ids = append(ids, b.deliver(t, p)...)
	}
	answer() // to the first call
	last := b.await(t, ids[len(ids)-1], store.Started)
	if got := b.await(t, ids[0], store.Started); got.SupersededBy != "" {
		t.Errorf("a build in calling was replaced: %+v", got)
	}
	if got := b.await(t, ids[1], store.Started); got.Tag != "v1" {
		t.Errorf("got %+v", got)
	}
	for i, id := range ids[2 : len(ids)-1] {
		got := b.await(t, id, store.Superseded, store.Started)
		if got.State == store.Superseded && got.SupersededBy != ids[i+3] {
			t.Errorf("%s is superseded by %s, want %s", id, got.SupersededBy, ids[i+3])
		}
	}
	runs := b.runs(t)
	if len(runs) > 10 || runs[len(runs)-1] != last.Commit {
		t.Errorf("%d builds were started, the last is %s", len(runs), runs[len(runs)-1])
	}
	if n := testutil.CollectAndCount(b.reg, "buildbridge_builds_total"); n == 0 {
		t.Error("no series of builds")
	}
}

func TestDuplicateDelivery(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	d := mapping.Delivery{ID: "d-1", Source: "github", DuplicateKey: "k", ReceivedAt: time.Now(), Body: []byte("{}")}
	if r, err := b.Accept(t.Context(), d, []mapping.Build{push(commitA)}); err != nil || r.DuplicateOf != "" {
		t.Fatal(r, err)
	}
	d.ID = "d-2"
	r, err := b.Accept(t.Context(), d, []mapping.Build{push(commitA)})
	if err != nil || r.DuplicateOf != "d-1" || len(r.Builds) != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	builds, err := b.store.BuildsOf(t.Context(), "d-2")
	if err != nil || len(builds) != 0 {
		t.Errorf("got %v, %v", builds, err)
	}
}

func TestDryRunCallsNothing(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{dryRun: true})
	b.await(t, b.deliver(t, push(commitA))[0], store.DryRun)
	if n := b.sim.RunCount(); n != 0 {
		t.Errorf("%d builds were started", n)
	}
}

func TestTargetThatIsGoneWaits(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	id := b.deliver(t, push(commitA))[0]
	b.setTargets(t)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "it has a reason", func() bool { return b.await(t, id, store.Waiting).Reason != "" })
	if got := b.await(t, id, store.Waiting).Reason; got != `target "north" is not in the rules` {
		t.Errorf("got %q", got)
	}
}

// A target that is not in the rules gets builds after the start.
func TestTargetThatIsGoneGetsItsQueue(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	gone := push(commitA)
	gone.Target = "gone"
	id := b.deliver(t, gone)[0]
	until(t, "its queue is worked, so that it has a reason", func() bool { return b.await(t, id, store.Waiting).Reason != "" })
}

func TestDryRunSparesBuildsThatAreMeant(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	b.deliver(t, push(commitA))
	dry, err := trigger.New(trigger.Options{Store: b.store, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Settings: trigger.Settings{DryRun: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := dry.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "builds wait in the database (1)") {
		t.Errorf("got %v", err)
	}
}

func TestTextThatNoDatabaseTakes(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"sqlite": "", "postgres": server.Database(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTestTrigger(t, settings{path: path})
			p := push(commitA)
			p.Ref = "refs/heads/a\x00b\xff"
			d := mapping.Delivery{
				ID: uuid.NewString(), Source: "github", HostID: "\xfe\x00", DuplicateKey: "id:\xfe\x00", Event: "\xff", ReceivedAt: time.Now(),
				Events: []mapping.Event{{Repository: "a\x00", Ref: p.Ref}},
			}
			r, err := b.Accept(t.Context(), d, []mapping.Build{p})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.await(t, r.Builds[0].ID, store.Started); got.Ref != "refs/heads/ab\uFFFD" {
				t.Errorf("got %q", got.Ref)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	short := patient()
	short.Endpoint, short.RetryFor = "http://127.0.0.1:1", 4*time.Second
	b := newTestTrigger(t, settings{target: short})
	got := b.await(t, b.deliver(t, push(commitA))[0], store.Dead)
	if !strings.HasPrefix(got.Reason, "not started by its deadline, ") || !strings.Contains(got.Reason, "refused") {
		t.Errorf("got %q", got.Reason)
	}
}

func TestDeadOnArrival(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	p := push(commitA)
	p.Dead = "parameter x: no such key"
	got := b.await(t, b.deliver(t, p)[0], store.Dead)
	if got.Reason != p.Dead || b.sim.RunCount() != 0 {
		t.Errorf("got %q and %d runs", got.Reason, b.sim.RunCount())
	}
	if _, err := b.Replay(t.Context(), got.ID, mapping.By{Actor: "ann"}); !errors.Is(err, store.ErrNoBody) {
		t.Errorf("a body without its parameters was replayed: %v", err)
	}
}

func TestDeadTargetHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	dead, gate := patient(), make(chan struct{})
	dead.Name = "dead.TARGET"       // a name that is no queue's
	dead.Timeout = 10 * time.Minute // longer than the test waits for the other
	defer close(gate)
	client := b.client(t, patient())
	b.SetRules([]trigger.Target{
		{Target: patient(), Service: client}, {Target: dead, Service: slow{client, gate}},
	}, nil, b.rules)
	for i := range 2 * trigger.Slots {
		p := push(fmt.Sprintf("%040x", i+1))
		p.Target, p.JobID, p.Ref = dead.Name, job2, fmt.Sprintf("refs/heads/b%d", i)
		b.deliver(t, p)
	}
	until(t, "the dead target has as many calls as it may", func() bool { return b.sim.RunCount() == trigger.Slots })
	b.await(t, b.deliver(t, push(commitB))[0], store.Started)
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	limited := patient()
	limited.RateLimit = mapping.RateLimit{PerSecond: 20, Burst: 1}
	b := newTestTrigger(t, settings{target: limited})
	begin := time.Now()
	var ids []string
	for i := range 21 {
		p := push(commitA)
		p.Ref = fmt.Sprintf("refs/heads/b%d", i)
		ids = append(ids, b.deliver(t, p)...)
	}
	for _, id := range ids {
		b.await(t, id, store.Started)
	}
	if took := time.Since(begin); took < time.Second {
		t.Errorf("21 builds at 20 a second took %s", took)
	}
}

// panics is a service whose client panics.
type panics struct{ trigger.Service }

func (panics) RunJob(context.Context, []byte) (string, error) { panic("at the disco") }

func TestPanicEndsTheBuild(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	b.SetRules([]trigger.Target{{Target: patient(), Service: panics{b.client(t, patient())}}}, nil, nil)
	id := b.deliver(t, push(commitA))[0]
	b.await(t, id, store.Calling, store.Unknown, store.Dead) // not waiting: on the wire it must be looked for
	b.setTargets(t, patient())
}

func TestMetricsAreWellFormedAndKnownAtOnce(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	problems, err := testutil.GatherAndLint(b.reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	want := map[string]int{
		"buildbridge_builds_total":                 5,
		"buildbridge_runjob_requests_total":        3,
		"buildbridge_runjob_failures_total":        5,
		"buildbridge_runjob_duration_seconds":      1,
		"buildbridge_build_start_latency_seconds":  1,
		"buildbridge_queue_builds":                 3,
		"buildbridge_queue_oldest_waiting_seconds": 1,
		"buildbridge_database_bytes":               1,
		"buildbridge_database_free_bytes":          1,
	}
	got := map[string]int{}
	for name := range want {
		n, err := testutil.GatherAndCount(b.reg, name)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = n
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A queue that cannot be counted is not empty: its gauges are removed.
func TestUncountedQueueHasNoGauges(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	defer func() { b.store = nil }()
	until(t, "a queue that cannot be counted has no series", func() bool {
		n, err := testutil.GatherAndCount(b.reg, "buildbridge_queue_builds", "buildbridge_queue_oldest_waiting_seconds")
		if err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
	if err := b.Stop(t.Context()); err != nil {
		t.Log(err)
	}
}
