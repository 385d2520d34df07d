package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts/codeartstest"
)

func TestCheckOnline(t *testing.T) {
	const job = "f9d6c8466d614a9788e9a0acf6c15f46"
	for name, test := range map[string]struct {
		jobs  []string // that exist
		env   []string // added
		ok    bool
		lines []string // parts of what is printed
	}{
		"all is well": {
			jobs: []string{job}, ok: true,
			lines: []string{
				`online: source "github": ok: `,
				`online: target "north": job ` + job + ` (job-f9d6c846) of cart: ok: `,
				`online: target "north": ok: the clocks of the service and of this machine agree`,
				"rules.yaml: 1 rule, 1 source, 1 target: ok",
			},
		},
		"the job is not there": {
			jobs:  []string{"0b7c1d52e0f94c54a1d3f1f7c2a98e60"},
			lines: []string{`job ` + job + ` of cart: FAILED: list records: no such job`, "1 of 2 checks online failed"},
		},
		"the credentials do not hold": {
			jobs: []string{job}, env: []string{"E2E_SK=wrong"},
			lines: []string{`of cart: FAILED: list records: credentials refused`, "1 of 2 checks online failed"},
		},
		"secrets are missing": {
			jobs: []string{job}, env: []string{"E2E_AK=", "E2E_SK=", "E2E_SECRET="},
			lines: []string{
				`online: source "github": FAILED: secrets[0]: environment variable E2E_SECRET is empty`,
				`online: target "north": FAILED: credentials.access_key: environment variable E2E_AK is empty; credentials.secret_key: environment variable E2E_SK is empty`,
				"2 of 2 checks online failed",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 5*time.Second, codeartstest.Options{Jobs: test.jobs})
			run := func(args ...string) (string, int) {
				cmd := exec.CommandContext(t.Context(), "buildbridge", append([]string{"check", "--online"}, args...)...)
				cmd.Dir, cmd.Env = w.dir, append(append(os.Environ(), w.env()...), test.env...)
				out, err := cmd.CombinedOutput()
				if cmd.ProcessState == nil {
					t.Fatal(err)
				}
				return string(out), cmd.ProcessState.ExitCode()
			}
			out, code := run()
			if (code == 0) != test.ok || !test.ok && code != 1 {
				t.Errorf("exit code %d", code)
			}
			for _, line := range test.lines {
				if !strings.Contains(out, line) {
					t.Errorf("it does not print %q:\n%s", line, out)
				}
			}
			out, code = run("--json")
			var report struct {
				OK     bool
				Online []struct{ OK bool }
			}
			if err := json.Unmarshal([]byte(out), &report); err != nil || report.OK != test.ok || len(report.Online) < 2 || (code == 0) != test.ok {
				t.Errorf("--json exits with %d and prints %s", code, out)
			}
			if n := w.simulator.RunCount(); n != 0 {
				t.Errorf("it started %d builds", n)
			}
		})
	}
}

func TestSimulator(t *testing.T) {
	p := begin(t, t.TempDir(), nil, "simulator", "--listen", "127.0.0.1:0", "--access-key", "AK", "--secret-key", "SK")
	url := p.address("listening on ")
	if status, body := get(t, url+"/_runs"); status != http.StatusOK || strings.TrimSpace(body) != "[\n]" && strings.TrimSpace(body) != "[]" {
		t.Errorf("GET /_runs gives %d: %q", status, body)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v3/jobs/build",
		strings.NewReader(`{"job_id":"f9d6c8466d614a9788e9a0acf6c15f46"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if status, body := do(t, req); status != http.StatusUnauthorized {
		t.Errorf("a call that is not signed gives %d: %s", status, body)
	}
	p.signal(os.Interrupt)
	if state := p.wait(); state.ExitCode() != 0 {
		t.Errorf("after SIGINT: %v", state)
	}
}

// Each build is printed in one line, even if its body has several.
func TestSimulatorPrintsBuilds(t *testing.T) {
	p := begin(t, t.TempDir(), nil, "simulator", "--listen", "127.0.0.1:0")
	url := p.address("listening on ")
	for _, call := range []struct{ path, body, printed string }{
		{
			path: "/v3/jobs/build", body: "{\n  \"job_id\": \"f9d6c8466d614a9788e9a0acf6c15f46\",\n  \"scm\": {\"build_tag\": \"v1\"}\n}",
			printed: `build number 1: {"job_id":"f9d6c8466d614a9788e9a0acf6c15f46","scm":{"build_tag":"v1"}}`,
		},
		{
			path: "/v5/5f3a1c0b7e2d4896a1b2c3d4e5f60718/api/pipelines/9bc11ea1a2df4ca2a4e5b0ab1b5e4e0f/run", body: "{\n  \"description\": \"x\"\n}",
			printed: `pipeline 9bc11ea1a2df4ca2a4e5b0ab1b5e4e0f, run `,
		},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+call.path, strings.NewReader(call.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if status, body := do(t, req); status != http.StatusOK {
			t.Fatalf("%s gives %d: %s", call.path, status, body)
		}
		eventually(t, "it is printed", func() bool { return strings.Contains(p.output(), "\n"+call.printed) })
	}
	if !strings.Contains(p.output(), `: {"description":"x"}`) {
		t.Errorf("it printed\n%s", p.output())
	}
}

// It is a code host too, where that is asked for: it takes statuses with its token, and prints each.
func TestSimulatorOfCodeHosts(t *testing.T) {
	p := begin(t, t.TempDir(), nil, "simulator", "--listen", "127.0.0.1:0", "--host-listen", "127.0.0.1:0", "--host-token", "s3cret")
	service, host := p.address("simulator listening on "), p.address("A code host that takes statuses, with the token of --host-token,")
	for token, want := range map[string]int{"s3cret": http.StatusCreated, "guess": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			host+"/api/v3/repos/acme/shop/statuses/6dcb09b5b57875f334f61aebed695e2e4193db5e",
			strings.NewReader(`{"state":"success","description":"it was\u001b built","context":"ci/cart"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		if status, body := do(t, req); status != want {
			t.Errorf("a status with the token %s gives %d: %s", token, status, body)
		}
	}
	var told []map[string]string
	status, body := get(t, host+"/_statuses")
	if err := json.Unmarshal([]byte(body), &told); status != http.StatusOK || err != nil {
		t.Fatalf("GET /_statuses gives %d: %s", status, body)
	}
	want := []map[string]string{{
		"provider": "github", "repository": "acme/shop", "commit": "6dcb09b5b57875f334f61aebed695e2e4193db5e", "context": "ci/cart",
		"state": "success", "description": "it was\x1b built", "target_url": "",
	}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	eventually(t, "it is printed", func() bool {
		return strings.Contains(p.output(),
			"\nstatus at github, acme/shop 6dcb09b5b57875f334f61aebed695e2e4193db5e: ci/cart success, it was\\x1b built")
	})
	if status, body := get(t, service+"/_runs"); status != http.StatusOK {
		t.Errorf("GET /_runs gives %d: %s", status, body)
	}
	p.signal(os.Interrupt)
	if state := p.wait(); state.ExitCode() != 0 {
		t.Errorf("after SIGINT: %v", state)
	}
}

// An address that is in use is told, and the other is not kept.
func TestSimulatorWithoutItsAddress(t *testing.T) {
	p := begin(t, t.TempDir(), nil, "simulator", "--listen", "127.0.0.1:0")
	taken := strings.TrimPrefix(p.address("listening on "), "http://")
	second := begin(t, t.TempDir(), nil, "simulator", "--listen", "127.0.0.1:0", "--host-listen", taken)
	if state := second.wait(); state.ExitCode() != 1 || !strings.Contains(second.output(), "--host-listen: listen tcp "+taken) ||
		!strings.Contains(second.output(), "stop the process that listens there, or give another address") {
		t.Errorf("it ends with %v: %s", state, second.output())
	}
}

// A user can log in only with its password. If there are keys and no user, nobody can.
func TestSimulatorLogin(t *testing.T) {
	keys := []string{"--access-key", "AK", "--secret-key", "SK"}
	user := []string{"--iam-user", "acme/bridge", "--iam-password", "s3cret"}
	for name, test := range map[string]struct {
		args     []string
		password string
		status   int
	}{
		"nobody is asked":    {password: "any", status: http.StatusCreated},
		"keys, no user":      {args: keys, password: "s3cret", status: http.StatusUnauthorized},
		"a user":             {args: user, password: "s3cret", status: http.StatusCreated},
		"its wrong password": {args: user, password: "secret", status: http.StatusUnauthorized},
		"keys and a user":    {args: append(user, keys...), password: "s3cret", status: http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, t.TempDir(), nil, append([]string{"simulator", "--listen", "127.0.0.1:0"}, test.args...)...)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.address("listening on ")+"/v3/auth/tokens",
				strings.NewReader(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"bridge","password":"`+test.password+
					`","domain":{"name":"acme"}}}},"scope":{"project":{"name":"cn-north-4"}}}}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			if status, body := do(t, req); status != test.status {
				t.Errorf("%d, want %d: %s", status, test.status, body)
			}
		})
	}
}

// Without --once the demo runs until it is stopped.
func TestDemoKeepsRunning(t *testing.T) {
	p := begin(t, t.TempDir(), nil, "demo")
	eventually(t, "both are built", func() bool { return strings.Contains(p.output(), "until you press Ctrl-C") })
	var runs []struct {
		BuildNo string `json:"build_no"`
		Body    struct {
			SCM map[string]string `json:"scm"`
		} `json:"body"`
	}
	status, body := get(t, p.address("  simulator "))
	if err := json.Unmarshal([]byte(body), &runs); status != http.StatusOK || err != nil || len(runs) != 2 {
		t.Fatalf("the simulator gives %d: %s", status, body)
	}
	if runs[0].Body.SCM["build_commit_id"] == "" || runs[1].Body.SCM["build_tag"] != "v2.1.0" {
		t.Errorf("the simulator took %s", body)
	}
	for _, where := range []string{"  health ", "  metrics "} {
		if status, body := get(t, p.address(where)); status != http.StatusOK {
			t.Errorf("%s gives %d: %s", where, status, body)
		}
	}
	p.signal(syscall.SIGTERM)
	if state := p.wait(); state.ExitCode() != 0 {
		t.Errorf("after SIGTERM: %v", state)
	}
}
