package observe

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"buildbridge/cmd/internal/e2e/program"
	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi/hostapitest"
)

// rulesText takes the addresses of the simulators. The job of payments is one that
// the service refuses, and the last rule one that nobody's push matches. GitHub takes few
// statuses, so only releases have one there.
const rulesText = `version: 1
sources:
  github: {provider: github, secrets: [{env: NEW_SECRET}, {env: OLD_SECRET}], api: {url: '%[3]s', token: {env: HOST_TOKEN}}}
  gitea: {provider: gitea, secrets: [{env: NEW_SECRET}, {env: OLD_SECRET}], api: {url: '%[3]s', token: {env: HOST_TOKEN}}, report: true, catch_up: {every: 15m}}
  sandbox: {provider: github, secrets: [{env: NEW_SECRET}], rate_limit: {per_second: 1, burst: 1}}
targets:
  north: {endpoint: '%[1]s', credentials: {access_key: {env: AK}, secret_key: {env: SK}}}
  south: {endpoint: '%[2]s', credentials: {access_key: {env: AK}, secret_key: {env: SK}}, reconcile: {window: 1m, patience: 5s}}
rules:
  - {name: cart, repository: acme/shop, when: {push: {branches: [main], paths: ['services/cart/**']}}, concurrency: {replace: running},
     jobs: [{job_id: ` + cartJob + `, target: north}]}
  - {name: checkout, repository: acme/shop, when: {push: {branches: ['**'], paths: ['services/checkout/**']}},
     jobs: [{job_id: ` + checkoutJob + `, target: north}]}
  - {name: shop-release, repository: acme/shop, when: {tag: {tags: ['v*']}}, report: true,
     jobs: [{job_id: ` + releaseJob + `, target: south}]}
  - {name: website, repository: acme/website, when: {push: {}},
     jobs: [{job_id: ` + websiteJob + `, target: south}]}
  - {name: payments, repository: acme/payments, when: {push: {}},
     jobs: [{job_id: ` + refusedJob + `, target: south}]}
  - {name: legacy-desktop, repository: acme/desktop, when: {push: {branches: ['legacy/**']}}, paused: until it moves,
     jobs: [{job_id: 7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d, target: north}]}
`

const (
	cartJob              = "f9d6c8466d614a9788e9a0acf6c15f46"
	checkoutJob          = "0b7c1d52e0f94c54a1d3f1f7c2a98e60"
	releaseJob           = "5e1a7c3b9d2f4806b8c4e6a0d1f3a572"
	websiteJob           = "3c1b9a8f7e6d5c4b3a291807f6e5d4c3"
	refusedJob           = "9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b"
	hostToken            = "host-token"
	newSecret, oldSecret = "new-secret", "old-secret"

	oldVersion, newVersion = "v0.1.0", "v0.2.0"
)

// world is the program with its simulators.
type world struct {
	*program.Process
	t            *testing.T
	dir          string
	start        func(version string) *program.Process // oldVersion or newVersion, on the same addresses and database
	rules        string                                // its text
	north, south *codeartstest.Server
	host         *hostapitest.Server // of both sources
	client       http.Client
}

// newWorld starts a world. maxWaiting is how many builds may wait.
func newWorld(t *testing.T, maxWaiting int) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	key := codeartstest.Key{AccessKey: "AK", SecretKey: "SK"}
	// A call takes a moment, as it does over a network.
	slow := codeartstest.Fault{Path: codeartstest.PathRun, Delay: 60 * time.Millisecond, Probability: 0.5}
	for _, s := range []**codeartstest.Server{&w.north, &w.south} {
		*s = codeartstest.NewServer(codeartstest.Options{Keys: []codeartstest.Key{key}, BuildTime: 3 * time.Second})
		t.Cleanup((*s).Close)
		w.fault(*s, slow)
	}
	w.host = hostapitest.NewServer(hostapitest.Options{Token: hostToken})
	t.Cleanup(w.host.Close)
	w.outcomes()
	w.rules = fmt.Sprintf(rulesText, w.north.URL, w.south.URL, w.host.URL)
	w.writeRules(w.rules)
	env := []string{"HOST_TOKEN=" + hostToken, "NEW_SECRET=" + newSecret, "OLD_SECRET=" + oldSecret, "AK=" + key.AccessKey, "SK=" + key.SecretKey}
	addresses := []string{program.HoldPort(t), program.HoldPort(t)}
	binaries := map[string]string{}
	for _, version := range []string{oldVersion, newVersion} {
		binary, err := program.Build(t.TempDir(), false, "-ldflags", "-X main.version="+version)
		if err != nil {
			t.Fatal(err)
		}
		binaries[version] = binary
	}
	w.start = func(version string) *program.Process {
		return program.Serve(t, w.dir, filepath.Join(w.dir, version+".log"), env, binaries[version], "serve",
			"--rules", "rules.yaml", "--listen", addresses[0], "--admin-listen", addresses[1], "--max-waiting", strconv.Itoa(maxWaiting))
	}
	w.Process = w.start(oldVersion)
	w.pause(`{"kind": "repository", "name": "acme/desktop", "reason": "it moves"}`)
	w.pause(fmt.Sprintf(`{"kind": "rule", "name": "legacy-desktop", "reason": "it moves", "until": %q}`, time.Now().Add(time.Hour).Format(time.RFC3339)))
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// pause pauses something by the admin API.
func (w *world) pause(what string) {
	w.t.Helper()
	token, err := os.ReadFile(filepath.Join(w.dir, "buildbridge.db.admin-token"))
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.Admin+"/api/v1/pauses", strings.NewReader(what))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		w.t.Fatalf("pause %s: %s", what, res.Status)
	}
}

func (w *world) writeRules(text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "rules.yaml"), []byte(text), 0o600); err != nil {
		w.t.Error(err)
	}
}

// fault sets the fault of a simulator, in place of the one before.
func (w *world) fault(s *codeartstest.Server, faults ...codeartstest.Fault) {
	w.t.Helper()
	s.ClearFaults()
	refused := codeartstest.Fault{Path: codeartstest.PathRun, JobID: refusedJob, Status: http.StatusForbidden, Code: "CB.00030009"}
	for _, f := range append([]codeartstest.Fault{refused}, faults...) {
		if err := s.AddFault(f); err != nil {
			w.t.Error(err)
		}
	}
}

// outcomes says how builds end. A cart takes so long that a newer one stops it, a checkout fails
// now and then, releases take too long or end as nobody knows, and the website is not built
// well until somebody has mended it.
func (w *world) outcomes() {
	w.t.Helper()
	for _, o := range []struct {
		at *codeartstest.Server
		codeartstest.Outcome
	}{
		{w.north, codeartstest.Outcome{JobID: cartJob, After: 8 * time.Second}},
		{w.north, codeartstest.Outcome{JobID: checkoutJob, Times: 4}},
		{w.north, codeartstest.Outcome{JobID: checkoutJob, Times: 3, Result: codeartstest.ResultFailure, Step: "Unit tests", After: 2 * time.Second}},
		{w.south, codeartstest.Outcome{JobID: releaseJob, Times: 1, Result: "MELTED", After: time.Second}},
		{w.south, codeartstest.Outcome{JobID: releaseJob, Result: codeartstest.ResultTimeout, Queued: 2 * time.Second, After: 4 * time.Second}},
		{w.south, codeartstest.Outcome{JobID: websiteJob, Times: 6, Result: codeartstest.ResultFailure, Step: "Lint", Message: "exit status 1"}},
	} {
		if err := o.at.AddOutcome(o.Outcome); err != nil {
			w.t.Error(err)
		}
	}
}

// hostFault sets the fault of the code host, in place of the one before.
func (w *world) hostFault(f hostapitest.Fault) {
	w.t.Helper()
	w.host.ClearFaults()
	if err := w.host.AddFault(f); err != nil {
		w.t.Error(err)
	}
}

// delivery is one call of a code host.
type delivery struct {
	source, secret, event string // github, newSecret and push if not set
	id                    string // a new one if not set
	change                codehosttest.Change
	body                  string // instead of the change's
	method                string // POST if not set
}

func (w *world) send(ctx context.Context, d delivery) {
	provider := "github"
	source, id, method, event := "github", uuid.NewString(), http.MethodPost, "push"
	for _, set := range []struct {
		to    *string
		value string
	}{{&source, d.source}, {&id, d.id}, {&method, d.method}, {&event, d.event}} {
		if set.value != "" {
			*set.to = set.value
		}
	}
	d.change.Pusher, d.change.Message = "ann", "Count the items"
	if d.change.Commit == "" {
		d.change.Commit = fmt.Sprintf("%040x", rand.Uint64())
	}
	header, body := codehosttest.GitHub(id, d.change, "")
	header.Set("X-GitHub-Event", event)
	if source == "gitea" {
		provider = "gitea"
		header.Set("X-Gitea-Event", event)
		header.Set("X-Gitea-Delivery", id)
	}
	if d.body != "" {
		body = []byte(d.body)
	}
	secret := newSecret
	if d.secret != "" {
		secret = d.secret
	}
	codehost.Sign(provider, secret, header, body)
	req, err := http.NewRequestWithContext(ctx, method, w.Public+"/webhooks/"+source, bytes.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return
	}
	req.Header = header
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Error(err)
		return
	}
	_ = res.Body.Close() // what was answered is in the metrics, which is what this is about
}

// day sends deliveries for that long. Meanwhile a service throttles and another does not
// answer, the code host takes no statuses for a while, a key is rotated, a rules file has a fault, there is a new version, and a stranger
// guesses secrets. What has to be seen by p and is over later is waited for.
func (w *world) day(p *prometheus, lasting time.Duration) {
	w.t.Helper()
	ctx := w.t.Context()
	var sent sync.WaitGroup
	defer sent.Wait()
	began := time.Now()
	at := func() float64 { return time.Since(began).Seconds() / lasting.Seconds() }
	// Nothing comes meanwhile, and it takes no time of the day.
	pause := func(do func()) {
		paused := time.Now()
		do()
		began = began.Add(time.Since(paused))
	}
	seen := func(expr string) { pause(func() { p.await(w.t, expr) }) }
	events := []struct {
		at float64
		do func()
	}{
		{0.2, func() {
			w.fault(w.north, codeartstest.Fault{Path: codeartstest.PathRun, Status: http.StatusTooManyRequests, Code: "APIG.0308", RetryAfter: 2})
		}},
		{0.25, func() { w.hostFault(hostapitest.Fault{Status: http.StatusBadGateway}) }},
		{0.45, func() { w.writeRules(strings.Replace(w.rules, "branches: [main]", "branchs: [main]", 1)) }}, // seen once it stood still for 2 s
		{0.5, func() { w.fault(w.north, codeartstest.Fault{Path: codeartstest.PathRun, Delay: 40 * time.Millisecond}) }},
		{0.55, func() {
			seen(`max_over_time(buildbridge_statuses_waiting{source="gitea"}[1h]) > 0`)
			w.hostFault(hostapitest.Fault{Status: http.StatusNotFound, Message: "Not Found", Times: 1})
		}},
		{0.65, func() {
			seen(`min_over_time(buildbridge_rules_reload_successful[1h]) == 0`)
			w.writeRules(w.rules)
		}},
		{0.68, func() {
			pause(func() {
				sent.Wait()
				w.Term()
				w.client.CloseIdleConnections()
				w.Process = w.start(newVersion)
			})
		}},
		{0.7, func() {
			w.fault(w.south, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 2},
				codeartstest.Fault{Path: codeartstest.PathRun, Delay: 80 * time.Millisecond, Probability: 0.5})
		}},
	}
	for n := 0; at() < 1; n++ {
		for len(events) > 0 && at() >= events[0].at {
			events[0].do()
			events = events[1:]
		}
		for _, d := range traffic(n, at()) {
			sent.Go(func() { w.send(ctx, d) })
		}
		// Busier in the middle of the day.
		wait := time.Duration(float64(400*time.Millisecond) / (0.6 + math.Sin(math.Pi*at())))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// traffic is what comes at the n-th moment, at that part of the day.
func traffic(n int, at float64) []delivery {
	key := oldSecret
	if at > 0.5 { // the host was given the new one
		key = newSecret
	}
	push := func(repository, branch, file string) codehosttest.Change {
		return codehosttest.Change{Repository: repository, Branch: branch, Files: []string{file}, Before: "9049f1265b7d61be4a8904a9a27120d2064dab3b"}
	}
	branch := fmt.Sprintf("feature/%d", n)
	checkout := push("acme/shop", branch, "services/checkout/pay.go")
	list := []delivery{{secret: key, change: checkout}}
	for _, some := range []struct {
		every int
		delivery
	}{
		{2, delivery{secret: key, change: push("acme/shop", "main", "services/cart/cart.go")}},
		{3, delivery{source: "gitea", change: push("acme/website", "main", "index.html")}},
		{4, delivery{secret: key, change: push("acme/shop", branch, "docs/readme.md")}},                                   // no clause matches
		{7, delivery{source: "gitea", change: push("acme/unknown", "main", "main.go")}},                                   // no rule
		{9, delivery{source: "gitea", change: push("acme/payments", "main", "pay.go")}},                                   // dead
		{11, delivery{secret: key, change: codehosttest.Change{Repository: "acme/shop", Tag: fmt.Sprintf("v1.0.%d", n)}}}, // a release
		{13, delivery{secret: key, event: "issues", body: `{"action": "opened"}`}},
		{17, delivery{secret: key, event: "ping", body: `{"zen": "Keep it logically awesome."}`}},
		{19, delivery{secret: key, body: `{"ref": `}},
		{23, delivery{source: "sandbox", change: push("acme/sandbox", "main", "a")}},
		{23, delivery{source: "sandbox", change: push("acme/sandbox", "main", "b")}}, // too soon after the other
		{29, delivery{source: "old-name", change: checkout}},
		{31, delivery{method: http.MethodGet}},
	} {
		if n%some.every == 1 {
			list = append(list, some.delivery)
		}
	}
	if n%10 == 1 { // the host sends it again, a few moments later
		twice := delivery{id: fmt.Sprintf("again-%d", n/20), secret: key, change: push("acme/website", "again", "index.html")}
		list = append(list, twice)
	}
	if at > 0.85 && at < 0.92 {
		stranger := delivery{secret: "guessed", change: checkout}
		list = append(list, stranger, stranger, delivery{source: "admin", change: checkout})
	}
	return list
}
