package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"buildbridge/cmd/internal/e2e/program"
	"buildbridge/handlers/admin"
	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/trigger/store"
)

// resultRules have a rule whose builds of pushes replace each other, and one for tags. The
// console's address is that of an example.
const resultRules = `version: 1
sources:
  github:
    provider: github
    secrets: [{env: E2E_SECRET}]
    api: {url: %s, token: {file: host-token}}
    report: true
targets:
  north:
    endpoint: %s
    credentials: {access_key: {env: E2E_AK}, secret_key: {env: E2E_SK}}
    console_url: 'https://console.example.com/{job_id}/{build_no}'
rules:
  - name: cart
    repository: acme/shop
    when: {push: {}}
    concurrency: {replace: running}
    jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46}]
  - name: release
    repository: acme/shop
    when: {tag: {}}
    jobs: [{job_id: 0b7c1d52e0f94c54a1d3f1f7c2a98e60}]
`

// loop is a bridge between two simulators: one is the service, and one the code host.
type loop struct {
	*world
	*bridge
	service, host string // URLs
	hostAddress   string // where only the host listens, or nobody
	hosting       *process
	n             int // deliveries so far
}

func newLoop(t *testing.T, args ...string) *loop {
	t.Helper()
	l := &loop{world: &world{t: t, dir: t.TempDir()}}
	keys := []string{"simulator", "--listen", "127.0.0.1:0", "--access-key", "AK", "--secret-key", "SK", "--build-time", "1s"}
	l.service = begin(t, l.dir, nil, keys...).address("simulator listening on ")
	l.hostAddress = program.HoldPort(t)
	l.serveHost()
	l.write("host-token", "host-s3cret\n")
	l.write("rules.yaml", fmt.Sprintf(resultRules, l.host, l.service))
	l.bridge = l.serve(args...)
	return l
}

// serveHost starts the code host, which has forgotten what it was told before.
func (l *loop) serveHost() {
	l.t.Helper()
	l.hosting = begin(l.t, l.dir, nil, "simulator", "--listen", "127.0.0.1:0", "--host-listen", l.hostAddress, "--host-token", "host-s3cret")
	l.host = l.hosting.address("A code host that takes statuses, with the token of --host-token,")
}

// next says how the next build ends.
func (l *loop) next(outcome string) {
	l.t.Helper()
	l.post(l.service+"/_outcomes", http.Header{"Content-Type": {"application/json"}}, []byte(outcome), http.StatusCreated)
}

func (l *loop) post(url string, header http.Header, body []byte, want int) string {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header = header
	status, answer := do(l.t, req)
	if status != want {
		l.t.Fatalf("POST %s gives %d: %s", url, status, answer)
	}
	return answer
}

// change delivers a push or a tag, and gives its build.
func (l *loop) change(c codehosttest.Change) (build string) {
	l.t.Helper()
	l.n++
	c.Repository, c.Pusher, c.Message, c.Before = "acme/shop", "ann", "Count twice", commitOf(0)
	header, body := codehosttest.GitHub(fmt.Sprint("delivery-", l.n), c, "")
	codehost.Sign("github", secret, header, body)
	var answer struct{ Builds []struct{ ID string } }
	if err := json.Unmarshal([]byte(l.post(l.public+"/webhooks/github", header, body, http.StatusAccepted)), &answer); err != nil {
		l.t.Fatal(err)
	}
	return answer.Builds[0].ID
}

func (l *loop) push(n int, branch string) (build string) {
	l.t.Helper()
	return l.change(codehosttest.Change{Branch: branch, Commit: commitOf(n)})
}

func commitOf(n int) string { return fmt.Sprintf("%040d", n) }

// shows waits until a build has a result, and gives the build.
func (l *loop) shows(id string, result store.Result) (b admin.BuildDetail) {
	l.t.Helper()
	eventually(l.t, "build "+id+" has the result "+string(result), func() bool {
		b = list[admin.BuildDetail](l.world, l.bridge, "builds", "show", id)
		return b.Result == result
	})
	return b
}

// started waits until the service has started a build, which may end at once.
func (l *loop) started(id string) {
	l.t.Helper()
	eventually(l.t, "build "+id+" is started", func() bool {
		return list[admin.BuildDetail](l.world, l.bridge, "builds", "show", id).State == store.Started
	})
}

// told waits until the code host was told a state last on a commit and context.
func (l *loop) told(n int, context, state string) (status map[string]string) {
	l.t.Helper()
	eventually(l.t, fmt.Sprintf("the host shows %s as %s on commit %d", context, state, n), func() bool {
		status = nil
		var all []map[string]string
		code, body := get(l.t, l.host+"/_statuses")
		if code == http.StatusOK && json.Unmarshal([]byte(body), &all) != nil {
			l.t.Fatal(body)
		}
		for _, s := range all {
			if s["commit"] == commitOf(n) && s["context"] == context {
				status = s
			}
		}
		return status != nil && status["state"] == state
	})
	return status
}

// What becomes of pushes and tags is told where people look: at the code host, and by the commands.
func TestResults(t *testing.T) {
	t.Parallel()
	l := newLoop(t)
	watch := begin(t, l.dir, []string{"BUILDBRIDGE_ADMIN=" + l.admin}, "builds", "watch")
	eventually(t, "it watches", func() bool { return strings.Contains(watch.output(), "REASON") })
	watched := func(id, fate string) {
		t.Helper()
		line := regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ` + id + `  ` + fate + ` .*acme/shop`)
		eventually(t, "a line that build "+id+" is "+fate, func() bool { return line.MatchString(watch.output()) })
	}

	// All of these run at the same time: a started build has taken its outcome.
	l.next(`{"after":"8s","times":1}`)
	succeeds := l.push(1, "main")
	watched(succeeds, "running")
	l.next(`{"result":"FAILURE","after":"1s","step":"Unit tests","message":"exit status 1","times":1}`)
	fails := l.push(2, "fails")
	l.started(fails)
	l.next(`{"after":"1h","times":1}`)
	replaced := l.push(3, "next")
	l.started(replaced)
	l.next(`{"job_id":"0b7c1d52e0f94c54a1d3f1f7c2a98e60","after":"6s","times":1}`)
	tag := l.change(codehosttest.Change{Tag: "v1", Commit: commitOf(3)})
	newer := l.push(4, "next")
	l.started(newer)
	l.next(`{"after":"1h","times":1}`)
	stopped := l.push(5, "wrong")
	l.shows(stopped, store.Running)
	l.prints(l.bridge, []string{"builds", "stop", stopped, "--reason", "wrong branch"}, "is being stopped")

	b := l.shows(succeeds, store.Success)
	if b.StartedAt.IsZero() || b.EndedAt.Before(b.StartedAt) || b.BuildNumber != "1" || b.Context != "buildbridge/cart" {
		t.Errorf("got %+v", b)
	}
	watched(succeeds, "success")
	status := l.told(1, "buildbridge/cart", "success")
	if status["target_url"] != "https://console.example.com/f9d6c8466d614a9788e9a0acf6c15f46/1" || status["provider"] != "github" ||
		status["repository"] != "acme/shop" || !strings.HasPrefix(status["description"], "Build 1 succeeded in ") {
		t.Errorf("the host was told %v", status)
	}
	l.prints(l.bridge, []string{"builds", "show", succeeds}, "result", "success", "took", "ended",
		"buildbridge/cart on "+commitOf(1)+", at github", "told")

	l.shows(fails, store.Failure)
	watched(fails, "failure")
	if status := l.told(2, "buildbridge/cart", "failure"); !strings.Contains(status["description"], `failed in step "Unit tests"`) {
		t.Errorf("the host was told %v", status)
	}
	l.prints(l.bridge, []string{"builds", "show", fails}, "failure", "failed step", "Unit tests", "exit status 1")
	if out := l.prints(l.bridge, []string{"builds", "list", "--result", "failure"}, fails, "Unit tests: exit status 1"); strings.Contains(out, succeeds) {
		t.Errorf("the list of those that failed has\n%s", out)
	}

	// A newer push stops the one that runs, and only that: the tag is on the same commit.
	l.shows(replaced, store.Aborted)
	watched(replaced, "aborted")
	l.shows(newer, store.Success)
	l.shows(tag, store.Success)
	l.told(3, "buildbridge/cart", "error") // GitHub has no word for what was stopped
	l.told(3, "buildbridge/release/tag", "success")
	l.told(4, "buildbridge/cart", "success")
	l.prints(l.bridge, []string{"builds", "show", replaced}, "aborted", "stopped", "replaced by build "+newer)

	// A person stopped one, with a reason.
	l.shows(stopped, store.Aborted)
	if status := l.told(5, "buildbridge/cart", "error"); !strings.Contains(status["description"], "wrong branch") {
		t.Errorf("the host was told %v", status)
	}
	l.prints(l.bridge, []string{"builds", "list", "--result", "aborted"}, stopped, "wrong branch", replaced)
	l.fails(l.bridge, 1, []string{"builds", "stop", succeeds}, "it does not run: it has ended, with the result success")
	l.fails(l.bridge, 1, []string{"builds", "stop", "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e"}, "no build has the id")

	// The host is away meanwhile: that costs nothing but time.
	l.hosting.signal(os.Interrupt)
	if state := l.hosting.wait(); state.ExitCode() != 0 {
		t.Errorf("the host ends with %v", state)
	}
	away := l.push(6, "main")
	l.shows(away, store.Success)
	eventually(t, "it is said why the host was not told", func() bool {
		b := list[admin.BuildDetail](l.world, l.bridge, "builds", "show", away)
		return b.Status != nil && b.Status.Reason != "" && b.Status.Told == "" && !b.Status.Since.IsZero()
	})
	l.prints(l.bridge, []string{"builds", "show", away}, "not told", "told again")
	l.serveHost()
	l.told(6, "buildbridge/cart", "success")
	eventually(t, "it is told", func() bool {
		b := list[admin.BuildDetail](l.world, l.bridge, "builds", "show", away)
		return b.Status.Reason == "" && b.Status.Told == "success"
	})

	watch.signal(os.Interrupt)
	if state := watch.wait(); state.ExitCode() != 0 {
		t.Errorf("watching ends with %v", state)
	}
	if strings.Contains(l.output(), "host-s3cret") {
		t.Error("the token is logged")
	}
	if n := l.metric(`buildbridge_host_api_requests_total{call="status",code="201",source="github"}`); n == "" || n == "0" {
		t.Errorf("requests to the host are counted as %q", n)
	}
	l.term()
}

// A dry run follows nothing, and tells nobody anything.
func TestResultsOfDryRun(t *testing.T) {
	t.Parallel()
	l := newLoop(t, "--dry-run")
	build := l.push(1, "main")
	eventually(t, "it was tried", func() bool {
		return list[admin.BuildDetail](l.world, l.bridge, "builds", "show", build).State == store.DryRun
	})
	l.fails(l.bridge, 1, []string{"builds", "stop", build}, "it does not run: it is dry_run")
	l.term()
	b := list[admin.BuildDetail](l.world, l.serve(), "builds", "show", build)
	if b.Result != "" || b.Status != nil && b.Status.Told != "" {
		t.Errorf("got %+v", b)
	}
	for _, url := range []string{l.host + "/_statuses", l.service + "/_runs"} {
		if _, body := get(t, url); strings.Contains(body, "{") {
			t.Errorf("%s gives %s", url, body)
		}
	}
}
