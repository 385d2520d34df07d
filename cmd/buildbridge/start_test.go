package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

// setRefs gives acme/shop branches and tags at the code host.
func (l *loop) setRefs(refs map[string]string) {
	l.t.Helper()
	body, err := json.Marshal(map[string]any{"repository": "acme/shop", "refs": refs})
	if err != nil {
		l.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.host+"/_refs", bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if status, answer := do(l.t, req); status >= 300 {
		l.t.Fatal(status, answer)
	}
}

// Builds are started by hand: of the newest commit of a branch, of a tag, of a commit. Who waits
// for them sees what becomes of them.
func TestStartByHand(t *testing.T) {
	t.Parallel()
	l := newLoop(t)
	l.setRefs(map[string]string{"refs/heads/main": commitOf(5), "refs/tags/v1": commitOf(4)})
	start := func(more ...string) []string {
		return append([]string{"builds", "start", "--source", "github", "--repository", "acme/shop"}, more...)
	}

	tried := l.prints(l.bridge, start("--branch", "main", "--dry-run"), "acme/shop, main at "+commitOf(5), `rule "cart" matches`,
		`rule "release" does not match: when: `, `would build rule "cart", job f9d6c8466d614a9788e9a0acf6c15f46 on target "north"`, "A dry run: nothing was started.")
	if strings.Contains(tried, "  build ") || len(l.builds(l.bridge)) > 0 {
		t.Errorf("a dry run built something:\n%s", tried)
	}

	l.prints(l.bridge, start("--branch", "main", "--reason", "the webhook was off", "--wait"),
		"acme/shop, main at "+commitOf(5), `of rule "cart", job f9d6c8466d614a9788e9a0acf6c15f46`, "running", "success")
	first := l.builds(l.bridge)[0]
	if first.Actor != "local" || first.Why != "the webhook was off" || first.Commit != commitOf(5) || first.Result != store.Success {
		t.Errorf("got %+v", first)
	}
	l.prints(l.bridge, []string{"builds", "show", first.ID}, "asked for by  local\n", "the webhook was off\n")
	l.prints(l.bridge, []string{"deliveries", "show", first.Delivery}, "start\n", "asked for by  local\n", "the webhook was off\n")
	l.told(5, "buildbridge/cart", "success")
	if !strings.Contains(l.output(), `"origin":"manual","actor":"local","why":"the webhook was off","status":202`) {
		t.Errorf("the log does not say who and why:\n%s", l.output())
	}

	var tagged handlers.Started
	if err := json.Unmarshal([]byte(l.prints(l.bridge, start("--tag", "v1", "--rule", "release", "--json"))), &tagged); err != nil {
		t.Fatal(err)
	}
	if tagged.Outcome != "accepted" || tagged.Commit != commitOf(4) || len(tagged.Builds) != 1 || len(tagged.Rules) != 1 {
		t.Errorf("got %+v", tagged)
	}

	// It is one more build, whatever was built before, and its replay is another.
	l.next(`{"job_id":"f9d6c8466d614a9788e9a0acf6c15f46","result":"FAILURE","step":"Compile","message":"no such package"}`)
	l.fails(l.bridge, 1, start("--branch", "main", "--commit", commitOf(5), "--wait"), "1 build of 1 did not succeed")
	l.prints(l.bridge, []string{"deliveries", "replay", first.Delivery}, "accepted", `of rule "cart"`)

	for says, args := range map[string][]string{
		"mian":                              start("--branch", "mian"),
		"did you mean \"cart\"?":            start("--branch", "main", "--rule", "crat"),
		`the rule "release" does not match`: start("--branch", "main", "--rule", "release"),
		`the rules have no source "gitub"; did you mean "github"?`:            {"builds", "start", "--source", "gitub", "--repository", "acme/shop", "--branch", "main"},
		`no rule names the repository "acme/shap"; did you mean "acme/shop"?`: {"builds", "start", "--source", "github", "--repository", "acme/shap", "--branch", "main"},
	} {
		l.fails(l.bridge, 1, args, says)
	}
	l.fails(l.bridge, 2, start("--branch", "main", "--commit", "0000005"), "git rev-parse 0000005 prints it")
	l.fails(l.bridge, 2, start(), "give either --branch or --tag")
	l.fails(l.bridge, 2, start("--branch", "main", "--tag", "v1"), "give either --branch or --tag")
	l.fails(l.bridge, 2, start("--branch", "main", "--dry-run", "--wait"), "--dry-run starts nothing to --wait for")
	l.term()
}

// A start whose answer is lost is sent again, and is one start.
func TestStartWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	l := newLoop(t)
	bridge, err := url.Parse(l.admin)
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	lossy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := requests.Add(1) == 1
		if first {
			w = httptest.NewRecorder() // and nobody gets it
		}
		httputil.NewSingleHostReverseProxy(bridge).ServeHTTP(w, r)
		if first {
			panic(http.ErrAbortHandler)
		}
	}))
	defer lossy.Close()
	cmd := exec.CommandContext(t.Context(), "buildbridge", "builds", "start", "--source", "github", "--repository", "acme/shop",
		"--branch", "main", "--commit", commitOf(5), "--admin", lossy.URL)
	cmd.Dir = l.dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "this was started before, as delivery ") {
		t.Errorf("got %v: %s", err, out)
	}
	if builds := l.builds(l.bridge); len(builds) != 1 || requests.Load() != 2 {
		t.Errorf("%d requests made the builds %+v", requests.Load(), builds)
	}
	l.term()
}

// Who stops waiting does not stop the builds.
func TestStartWaitingIsInterrupted(t *testing.T) {
	t.Parallel()
	l := newLoop(t)
	l.next(`{"job_id":"f9d6c8466d614a9788e9a0acf6c15f46","result":"SUCCESS","after":"1h"}`)
	p := begin(t, l.dir, []string{"BUILDBRIDGE_ADMIN=" + l.admin}, "builds", "start", "--source", "github", "--repository", "acme/shop",
		"--branch", "main", "--commit", commitOf(5), "--wait")
	eventually(t, "the build runs", func() bool { return strings.Contains(p.output(), "running") })
	p.signal(os.Interrupt)
	if code := p.wait().ExitCode(); code != 1 || !strings.Contains(p.output(), "Not waiting any more: the builds go on. See: buildbridge builds list --delivery ") {
		t.Errorf("exit code %d:\n%s", code, p.output())
	}
	if b := list[admin.BuildPage](l.world, l.bridge, "builds", "list", "--result", "running").Builds; len(b) != 1 {
		t.Errorf("running are %+v", b)
	}
	l.term()
}
