package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/trigger/codearts/codeartstest"
)

// deadline is the longest wait: far longer than any of them takes.
const deadline = 2 * time.Minute

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(deadline); !so(); <-ticker.C {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", deadline, what)
		}
	}
}

// process is a running program.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan struct{}
	copied sync.WaitGroup

	mu    sync.Mutex
	lines []string // standard output and standard error
}

// begin starts the program in a folder, with additional environment variables.
func begin(t *testing.T, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), "buildbridge", args...), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	for _, pipe := range []func() (io.ReadCloser, error){p.cmd.StdoutPipe, p.cmd.StderrPipe} {
		r, err := pipe()
		if err != nil {
			t.Fatal(err)
		}
		p.copied.Go(func() {
			for s := bufio.NewScanner(r); s.Scan(); {
				p.mu.Lock()
				p.lines = append(p.lines, s.Text())
				p.mu.Unlock()
			}
		})
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.copied.Wait()
		_ = p.cmd.Wait() // the result is in ProcessState
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // fails if it has ended
		<-p.exited
		if t.Failed() {
			t.Logf("buildbridge %s printed:\n%s", strings.Join(args, " "), p.output())
		}
	})
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", s, err)
	}
}

// wait waits for the end and returns the state.
func (p *process) wait() *os.ProcessState {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(deadline):
		p.t.Fatalf("it did not end within %s", deadline)
	}
	return p.cmd.ProcessState
}

// logged waits for a log line with a message.
func (p *process) logged(message string) map[string]any {
	p.t.Helper()
	var found map[string]any
	eventually(p.t, "log line "+message, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, line := range p.lines {
			var fields map[string]any
			if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
				found = fields
				return true
			}
		}
		select {
		case <-p.exited:
			p.t.Fatalf("it ended without logging %q", message)
		default:
		}
		return false
	})
	return found
}

// address waits for a line that begins with the text, and returns the first URL in it.
func (p *process) address(begin string) string {
	p.t.Helper()
	var url string
	eventually(p.t, "line with "+begin, func() bool {
		for line := range strings.Lines(p.output()) {
			_, after, ok := strings.Cut(line, begin)
			if i := strings.Index(after, "http://"); ok && i >= 0 {
				url = strings.TrimSpace(after[i:])
				return true
			}
		}
		return false
	})
	return url
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// world is a folder with rules.yaml and a database, and a simulator that outlives the
// bridge.
type world struct {
	t         *testing.T
	dir       string
	simulator *codeartstest.Simulator
	calls     atomic.Int64 // of RunJob, failed ones too
	good      string       // the rules
	more      []string     // of the environment
}

const (
	secret = "It's a Secret to Everybody"
	rules  = `version: 1
sources: {github: {provider: github, secrets: [{env: E2E_SECRET}]}}
targets:
  north:
    endpoint: %s
    credentials: {access_key: {env: E2E_AK}, secret_key: {env: E2E_SK}}
    timeout: %s
    reconcile: {patience: 200ms}
rules:
  - name: cart
    repository: acme/shop
    when: {push: {}}
    jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46}]
`
)

func newWorld(t *testing.T, timeout time.Duration, options codeartstest.Options) *world {
	t.Helper()
	options.Keys = []codeartstest.Key{{AccessKey: "AK", SecretKey: "SK"}}
	w := &world{t: t, dir: t.TempDir(), simulator: codeartstest.New(options)}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v3/jobs/build" {
			w.calls.Add(1)
		}
		w.simulator.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections() // without waiting for delayed answers
		server.Close()
	})
	w.good = fmt.Sprintf(rules, server.URL, timeout)
	w.write("rules.yaml", w.good)
	return w
}

func (w *world) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) env() []string {
	return append([]string{"E2E_SECRET=" + secret, "E2E_AK=AK", "E2E_SK=SK"}, w.more...)
}

// bridge is a `serve` that runs.
type bridge struct {
	*process
	public, admin string // URLs
}

func (w *world) serve(args ...string) *bridge {
	w.t.Helper()
	args = append([]string{"serve", "--rules", "rules.yaml", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...)
	b := &bridge{process: begin(w.t, w.dir, w.env(), args...)}
	at := b.logged("serving")
	b.public, b.admin = "http://"+at["listen"].(string), "http://"+at["admin_listen"].(string)
	return b
}

// push sends a signed push to a repository, with additional headers, and returns the status.
func (b *bridge) push(id, repository string, more ...http.Header) int {
	b.t.Helper()
	header, body := codehosttest.GitHub(id, codehosttest.Change{
		Repository: repository, Branch: "main", Before: "9049f1265b7d61be4a8904a9a27120d2064dab3b",
		Commit: "6dcb09b5b57875f334f61aebed695e2e4193db5e", Message: "Count twice", Files: []string{"cart.go"}, Pusher: "ann",
	}, "")
	codehost.Sign("github", secret, header, body)
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.public+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header = header
	for _, h := range more {
		maps.Copy(req.Header, h)
	}
	status, _ := do(b.t, req)
	return status
}

// metric returns the value of a series in /metrics, "" if there is none.
func (b *bridge) metric(series string) string {
	b.t.Helper()
	_, text := get(b.t, b.admin+"/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			return value
		}
	}
	return ""
}

const started = `buildbridge_builds_total{outcome="started",rule="cart",target="north"}`

// accept sends a push that the rules build. Its id is 1.
func (b *bridge) accept() {
	b.t.Helper()
	if status := b.push("1", "acme/shop"); status != http.StatusAccepted {
		b.t.Fatalf("the delivery gives %d", status)
	}
}

// term asks the process to stop, and checks that the exit code is 0.
func (b *bridge) term() {
	b.t.Helper()
	b.signal(syscall.SIGTERM)
	if state := b.wait(); state.ExitCode() != 0 {
		b.t.Errorf("after SIGTERM: %v", state)
	}
}
