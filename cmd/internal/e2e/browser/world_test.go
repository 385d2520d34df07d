package browser

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/cmd/internal/e2e/program"
	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi/hostapitest"
)

// What a stranger would like a page to run. Each is in a branch, a message, a name of a rule, a pusher or a file.
const (
	hostileScript = `<script>alert("script")</script>`
	hostileImage  = `"><img/src=x/onerror=alert(1)>`
	hostileURL    = `javascript:alert(2)`
	hostileMarks  = "\u202egnp.exe\u202c\u2066" // they turn the direction of text
)

// rulesText takes the addresses of the simulators and the hostile texts.
const rulesText = `version: 1
sources:
  github: {provider: github, secrets: [{env: SECRET}], api: {url: '%[2]s', token: {env: HOST_TOKEN}}, report: true, catch_up: {every: 1s, missed: report}}
targets:
  north: {endpoint: '%[1]s', credentials: {access_key: {env: AK}, secret_key: {env: SK}}, console_url: 'https://console.example.com/{job_id}/{build_no}'}
  south: {endpoint: '%[1]s', credentials: {access_key: {env: AK}, secret_key: {env: SK}}}
  west: {endpoint: '%[1]s', credentials: {access_key: {env: AK}, secret_key: {env: SK}}}
defaults: {target: north, owner: team-shop}
rules:
  - name: cart
    description: The cart of the shop.
    repository: acme/shop
    when: {push: {branches: [main, 'release/**'], paths: ['services/cart/**'], paths_ignore: ['**/*.md'], skip_marks: true}}
    jobs: [{job_id: ` + cartJob + `, parameters: {codeBranch: '${event.branch}', commit: '${event.commit}'}}]
  - name: checkout
    repository: acme/shop
    when: {push: {paths: ['services/checkout/**']}}
    concurrency: newest
    jobs:
      - {job_id: ` + checkoutJob + `, name: unit}
      - {job_id: ` + browserJob + `, name: browser, target: south, if: 'event.branch != "main"'}
  - name: release
    repository: acme/shop
    when: {tag: {tags: ['v*'], semver: '>=1.0.0'}}
    jobs: [{job_id: ` + releaseJob + `, target: south, parameters: {version: '${event.tag.trimPrefix("v")}'}}]
  - name: website
    owner: team-web
    for_each: {repository: {acme/website: {job: ` + websiteJob + `}, acme/blog: {job: ` + blogJob + `}}}
    when: {push: {}}
    jobs: [{job_id: '${each.job}', target: south}]
  - {name: payments, repository: acme/payments, when: {push: {}}, jobs: [{job_id: ` + refusedJob + `, target: west}]}
  - {name: desktop, repository: acme/desktop, when: {push: {}}, concurrency: newest, paused: until it moves, jobs: [{job_id: ` + desktopJob + `}]}
  - {name: nightly, repository: acme/nightly, when: {push: {}}, jobs: [{job_id: ` + nightlyJob + `, target: south}]}
  - {name: live, repository: acme/live, when: {push: {}}, jobs: [{job_id: ` + liveJob + `}]}
  - name: '%[3]s'
    description: '%[4]s'
    owner: '%[5]s'
    repository: acme/strange
    when: {push: {paths: ['**']}}
    jobs: [{job_id: ` + strangeJob + `, parameters: {branch: '${event.branch}', message: '${event.title}'}}]
`

// The jobs. The service refuses refusedJob, and nightlyJob runs on and on.
const (
	cartJob     = "f9d6c8466d614a9788e9a0acf6c15f46"
	checkoutJob = "0b7c1d52e0f94c54a1d3f1f7c2a98e60"
	browserJob  = "1c7c1d52e0f94c54a1d3f1f7c2a98e61"
	releaseJob  = "5e1a7c3b9d2f4806b8c4e6a0d1f3a572"
	websiteJob  = "3c1b9a8f7e6d5c4b3a291807f6e5d4c3"
	blogJob     = "4d1b9a8f7e6d5c4b3a291807f6e5d4c4"
	refusedJob  = "9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b"
	desktopJob  = "7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d"
	nightlyJob  = "8b6b5c4d3e2f1a0b9c8d7e6f5a4b3c2e"
	liveJob     = "6f5e4d3c2b1a09f8e7d6c5b4a3928170"
	strangeJob  = "2a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2f"

	hostToken, secret = "host-token", "It's a Secret to Everybody"
	readToken         = "for-people-who-push"
)

// world is the program with its simulators.
type world struct {
	*program.Process
	t       *testing.T
	dir     string
	pages   string // the address of the pages that can only be read
	start   func(flags ...string) *program.Process
	service *codeartstest.Server
	host    *hostapitest.Server
	client  *http.Client
	commits *atomic.Int64
}

// as is the same world for another test.
func (w *world) as(t *testing.T) *world {
	same := *w
	same.t = t
	return &same
}

// newWorld starts a world.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), client: &http.Client{}, commits: new(atomic.Int64)}
	t.Cleanup(w.client.CloseIdleConnections)
	key := codeartstest.Key{AccessKey: "AK", SecretKey: "SK"}
	w.service = codeartstest.NewServer(codeartstest.Options{Keys: []codeartstest.Key{key}, BuildTime: 100 * time.Millisecond})
	t.Cleanup(w.service.Close)
	w.host = hostapitest.NewServer(hostapitest.Options{Token: hostToken})
	t.Cleanup(w.host.Close)
	w.outcomes()
	rules := fmt.Sprintf(rulesText, w.service.URL, w.host.URL, hostileImage, hostileScript+hostileMarks, hostileURL)
	if err := os.WriteFile(filepath.Join(w.dir, "rules.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := program.Build(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"HOST_TOKEN=" + hostToken, "SECRET=" + secret, "AK=" + key.AccessKey, "SK=" + key.SecretKey, "READ_TOKEN=" + readToken}
	addresses, starts := []string{program.HoldPort(t), program.HoldPort(t), program.HoldPort(t)}, 0
	w.pages = "http://" + addresses[2]
	w.start = func(flags ...string) *program.Process {
		starts++
		return program.Serve(t, w.dir, filepath.Join(w.dir, fmt.Sprintf("%d.log", starts)), env, append([]string{
			binary, "serve", "--rules", "rules.yaml", "--listen", addresses[0], "--admin-listen", addresses[1], "--pages-listen", addresses[2],
		}, flags...)...)
	}
	w.Process = w.start("--pages-token", "env:READ_TOKEN")
	return w
}

// outcomes says how builds end, beside those that succeed.
func (w *world) outcomes() {
	w.t.Helper()
	const failure = codeartstest.ResultFailure
	for _, o := range []codeartstest.Outcome{
		{JobID: cartJob, Times: 3, After: time.Second},
		{JobID: cartJob, Times: 1, Result: failure, Step: "Unit tests", Message: "2 of 412 tests failed"},
		{JobID: cartJob, Times: 5},
		{JobID: cartJob, Times: 1, Result: codeartstest.ResultAborted, After: 3 * time.Second},
		{JobID: cartJob, After: 2 * time.Second},
		{JobID: browserJob, Result: failure, Step: "Start the browser", Message: "exit status 1"},
		{JobID: websiteJob, Result: codeartstest.ResultTimeout},
		{JobID: nightlyJob, After: time.Hour},
		{JobID: blogJob, Queued: time.Hour},
		{JobID: liveJob, Result: failure, Step: "Compile", Message: "cart.go:12: undefined: total", Queued: 2 * time.Second, After: 12 * time.Second},
		{JobID: strangeJob, Result: failure, Step: hostileScript, Message: hostileImage + hostileMarks},
	} {
		if err := w.service.AddOutcome(o); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, f := range []codeartstest.Fault{{Path: codeartstest.PathRun, JobID: refusedJob, Status: http.StatusForbidden, Code: "CB.00030009"}} {
		if err := w.service.AddFault(f); err != nil {
			w.t.Fatal(err)
		}
	}
}

// api asks the admin API, with the token that the program made, and gives the answer.
func (w *world) api(method, path, body string) map[string]any {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.Admin+"/api/v1/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token())
	req.Header.Set("Content-Type", "application/json")
	return w.do(req)
}

// token is the one that the program made. It may write.
func (w *world) token() string {
	w.t.Helper()
	token, err := os.ReadFile(filepath.Join(w.dir, "buildbridge.db.admin-token"))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(token))
}

func (w *world) do(req *http.Request) (answer map[string]any) {
	w.t.Helper()
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || json.Unmarshal(text, &answer) != nil || res.StatusCode >= http.StatusInternalServerError {
		w.t.Fatalf("%s %s: %s %q %v", req.Method, req.URL, res.Status, text, err)
	}
	return answer
}

// delivery is one call of the code host.
type delivery struct {
	id, secret, event string // one of its own, the right one and push if not set
	change            codehosttest.Change
	edit              func(body string) string // of what is sent, nil for nothing
}

// send sends a delivery and gives the answer.
func (w *world) send(d delivery) map[string]any {
	w.t.Helper()
	n := w.commits.Add(1)
	d.id = cmp.Or(d.id, fmt.Sprintf("72d3162e-cc78-11e3-81ab-%012x", n))
	d.change.Commit = cmp.Or(d.change.Commit, fmt.Sprintf("%08x55b5875f334f61aebed695e2e4193db5", 0x6dcb09b5+0x01020304*n))
	d.change.Before = "9049f1265b7d61be4a8904a9a27120d2064dab3b"
	d.change.Message = cmp.Or(d.change.Message, "Count the items\n\nAlso those that are free.")
	d.change.Pusher = cmp.Or(d.change.Pusher, "ann")
	header, body := codehosttest.GitHub(d.id, d.change, "")
	if d.event != "" {
		header.Set("X-GitHub-Event", d.event)
	}
	if d.edit != nil {
		body = []byte(d.edit(string(body)))
	}
	codehost.Sign("github", cmp.Or(d.secret, secret), header, body)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.Public+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header = header
	return w.do(req)
}

// push sends a push to a branch, and checks what it is answered with. It gives the ids of its builds.
func (w *world) push(outcome, repository, branch, file string) (builds []string) {
	w.t.Helper()
	return w.sent(outcome, w.send(delivery{change: codehosttest.Change{Repository: repository, Branch: branch, Files: []string{file}}}))
}

func (w *world) sent(outcome string, answer map[string]any) (builds []string) {
	w.t.Helper()
	if answer["outcome"] != outcome {
		w.t.Fatalf("the answer is %v, want the outcome %s", answer, outcome)
	}
	list, _ := answer["builds"].([]any)
	for _, b := range list {
		if b, ok := b.(map[string]any); ok {
			builds = append(builds, fmt.Sprint(b["id"]))
		}
	}
	return builds
}

// await waits until a build has a state or a result.
func (w *world) await(id, want string) {
	w.t.Helper()
	var b map[string]any
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if b = w.api(http.MethodGet, "builds/"+id, ""); b["state"] == want || b["result"] == want {
			return
		}
	}
	w.t.Fatalf("the build is not %s: %v", want, b)
}

// day is what comes on a day.
func (w *world) day() {
	w.t.Helper()
	setRefs := func(repository string, refs map[string]string) {
		if err := w.host.SetRefs(repository, refs); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, repository := range []string{"shop", "website", "blog", "payments", "desktop", "nightly", "live", "strange"} {
		setRefs("acme/"+repository, nil)
	}
	var cart []string
	for range 12 {
		cart = w.push("accepted", "acme/shop", "main", "services/cart/cart.go")
	}
	checkout := w.push("accepted", "acme/shop", "feature/gift-cards", "services/checkout/pay.go")
	release := w.sent("accepted", w.send(delivery{change: codehosttest.Change{Repository: "acme/shop", Tag: "v1.4.0"}}))
	website := w.push("accepted", "acme/website", "main", "index.html")
	nightly := w.push("accepted", "acme/nightly", "main", "all.go")
	w.push("accepted", "acme/blog", "main", "post.md")
	refused := w.push("accepted", "acme/payments", "main", "pay.go")
	w.push("accepted", "acme/desktop", "main", "window.go")
	w.push("accepted", "acme/desktop", "main", "menu.go")
	w.push("ignored", "acme/shop", "main", "services/cart/README.md")
	w.push("ignored", "acme/unknown", "main", "main.go")
	again := delivery{id: "7a0b1c2d-cc78-11e3-81ab-4c9367dc0958", change: codehosttest.Change{Repository: "acme/website", Branch: "again", Files: []string{"a"}}}
	w.sent("accepted", w.send(again))
	w.sent("duplicate", w.send(again))
	w.sent("ignored", w.send(delivery{event: "ping", edit: func(string) string { return `{"zen": "Keep it logically awesome."}` }}))
	w.sent("rejected", w.send(delivery{secret: "guessed", change: codehosttest.Change{Repository: "acme/shop", Branch: "main"}}))
	w.sent("rejected", w.send(delivery{edit: func(string) string { return `{"ref": ` }}))

	w.await(cart[0], "success")
	w.await(checkout[0], "success")
	w.await(checkout[1], "failure")
	w.await(release[0], "success")
	w.await(website[0], "timeout")
	w.await(nightly[0], "running")
	w.await(refused[0], "dead")
	w.api(http.MethodPost, "builds/"+refused[0]+"/replay?why="+url.QueryEscape("the permission was given"), "")
	w.api(http.MethodPost, "builds/"+checkout[1]+"/replay", "")
	w.api(http.MethodPost, "pauses", `{"kind": "target", "name": "west", "reason": "the region moves"}`)
	w.push("accepted", "acme/payments", "main", "pay.go") // waits
	setRefs("acme/website", map[string]string{"refs/heads/lost": strings.Repeat("2", 40)})
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		missed := w.api(http.MethodGet, "missed", "")
		if list, _ := missed["missed"].([]any); len(list) > 0 {
			break
		}
		if time.Now().After(end) {
			w.t.Fatalf("no push was missed: %v", missed)
		}
	}
}

// strange sends a push in which everything is hostile.
func (w *world) strange() {
	w.t.Helper()
	answer := w.send(delivery{
		change: codehosttest.Change{
			Repository: "acme/strange", Branch: "x/" + hostileImage + hostileMarks, Message: hostileScript + hostileMarks + "\n" + hostileImage,
			Pusher: hostileImage, Files: []string{hostileScript, hostileImage, hostileURL, hostileMarks},
		},
		edit: func(body string) string {
			return strings.ReplaceAll(body, "https://github.com/acme/strange", hostileURL)
		},
	})
	w.await(w.sent("accepted", answer)[0], "failure")
}

// newest is the newest of a list, builds or deliveries, that a filter finds.
func (w *world) newest(list, filter string) map[string]any {
	w.t.Helper()
	all, _ := w.api(http.MethodGet, list+"?"+filter, "")[list].([]any)
	if len(all) == 0 {
		w.t.Fatalf("there are no %s with %s", list, filter)
	}
	first, _ := all[0].(map[string]any)
	return first
}

// newestID is its id.
func (w *world) newestID(list, filter string) string {
	w.t.Helper()
	return fmt.Sprint(w.newest(list, filter)["id"])
}
