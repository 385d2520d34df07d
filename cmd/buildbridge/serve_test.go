package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

// A process is killed during a call: the next process reconciles the call, and every build
// is started exactly once.
func TestKilledInMidCall(t *testing.T) {
	for name, test := range map[string]struct {
		drop  string
		calls int64 // of RunJob, of both processes
	}{
		"the service started the build":  {drop: codeartstest.DropAfter, calls: 1},
		"the service never got that far": {drop: codeartstest.DropBefore, calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 5*time.Second, codeartstest.Options{}) // the kill comes before the call is given up
			if err := w.simulator.AddFault(codeartstest.Fault{
				Path: codeartstest.PathRun, Drop: test.drop, Delay: time.Hour, Times: 1,
			}); err != nil {
				t.Fatal(err)
			}
			b := w.serve()
			b.accept()
			eventually(t, "the call is on the wire", func() bool {
				left := slices.ContainsFunc(w.simulator.Faults(), func(f codeartstest.Fault) bool { return f.Times > 0 })
				return w.calls.Load() == 1 && !left && (test.drop == codeartstest.DropBefore || w.simulator.RunCount() == 1)
			})
			b.signal(syscall.SIGKILL)
			b.wait()

			b = w.serve()
			eventually(t, "the build is started", func() bool { return b.metric(started) == "1" })
			if got := b.push("1", "acme/shop"); got != http.StatusOK {
				t.Errorf("the same delivery again gives %d, want 200 for a duplicate", got)
			}
			b.term()
			if runs, calls := w.simulator.RunCount(), w.calls.Load(); runs != 1 || calls != test.calls {
				t.Errorf("%d builds were started by %d calls, want 1 by %d", runs, calls, test.calls)
			}
		})
	}
}

func TestSignals(t *testing.T) {
	for name, signal := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": os.Interrupt} {
		t.Run(name+" lets a call finish and exits with 0", func(t *testing.T) {
			w := newWorld(t, time.Minute, codeartstest.Options{})
			if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: 500 * time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			b := w.serve()
			b.accept()
			eventually(t, "the call is under way", func() bool { return w.simulator.RunCount() == 1 })
			b.signal(signal)
			if state := b.wait(); state.ExitCode() != 0 {
				t.Errorf("it ended with %v", state)
			}
			b.logged("build started")
			b.logged("stopped")
		})
	}
	t.Run("a second signal ends it at once", func(t *testing.T) {
		w := newWorld(t, 5*time.Minute, codeartstest.Options{})
		if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: time.Hour}); err != nil {
			t.Fatal(err)
		}
		b := w.serve("--grace", "1h")
		b.accept()
		eventually(t, "the call is under way", func() bool { return w.simulator.RunCount() == 1 })
		b.signal(syscall.SIGTERM)
		eventually(t, "/readyz turns", func() bool {
			status, _ := get(t, b.admin+"/readyz")
			return status == http.StatusServiceUnavailable
		})
		b.signal(syscall.SIGTERM)
		if status, ok := b.wait().Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
			t.Errorf("it ended with %v, want the signal", b.cmd.ProcessState)
		}
	})
	t.Run("what does not end within the grace period is cut, and the exit code is 0", func(t *testing.T) {
		w := newWorld(t, 5*time.Minute, codeartstest.Options{})
		if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: time.Hour}); err != nil {
			t.Fatal(err)
		}
		b := w.serve("--grace", "500ms")
		b.accept()
		eventually(t, "the call is under way", func() bool { return w.simulator.RunCount() == 1 })
		b.term()
	})
}

func TestReload(t *testing.T) {
	const successful = "buildbridge_rules_reload_successful"
	w := newWorld(t, time.Second, codeartstest.Options{})
	b := w.serve()
	if b.push("0", "acme/web") != http.StatusOK {
		t.Fatal("acme/web is built before any rule names it")
	}

	w.write("rules.yaml", strings.ReplaceAll(w.good, "acme/shop", "'acme/*'"))
	b.logged("rules reloaded")
	if got := b.push("1", "acme/web"); got != http.StatusAccepted {
		t.Errorf("after the file changed, acme/web gives %d", got)
	}

	w.write("new", "version: 1\nrulez: []\n")
	if err := os.Rename(filepath.Join(w.dir, "new"), filepath.Join(w.dir, "rules.yaml")); err != nil {
		t.Fatal(err)
	}
	fault := b.logged("rules: fault")
	if fault["file"] != "rules.yaml" || fault["line"] != 2.0 || !strings.Contains(fault["error"].(string), "rules") {
		t.Errorf("the fault is logged as %v", fault)
	}
	b.logged("rules not reloaded, the old ones stay in use")
	if got := b.metric(successful); got != "0" {
		t.Errorf("%s is %q after a broken file", successful, got)
	}
	if got := b.push("2", "acme/web"); got != http.StatusAccepted {
		t.Errorf("after a broken file, acme/web gives %d", got)
	}

	w.write("rules.yaml", w.good)
	eventually(t, successful, func() bool { return b.metric(successful) == "1" })
	if got := b.push("3", "acme/web"); got != http.StatusOK {
		t.Errorf("after the file was fixed, acme/web gives %d", got)
	}
	b.term()
}

func TestReloadBySIGHUP(t *testing.T) {
	w := newWorld(t, time.Second, codeartstest.Options{})
	b := w.serve()
	const reloaded = "buildbridge_rules_reload_success_timestamp_seconds"
	before := b.metric(reloaded)
	b.signal(syscall.SIGHUP) // no file changed
	eventually(t, reloaded, func() bool { return b.metric(reloaded) != before })
	b.accept()
	b.term()
}

func TestSettingsByEnvironment(t *testing.T) {
	w := newWorld(t, time.Second, codeartstest.Options{})
	p := begin(t, w.dir, append(w.env(),
		"BUILDBRIDGE_RULES=rules.yaml", "BUILDBRIDGE_LISTEN=127.0.0.1:0", "BUILDBRIDGE_ADMIN_LISTEN=127.0.0.1:0",
		"BUILDBRIDGE_DATABASE=other.db", "BUILDBRIDGE_DRY_RUN=true", "BUILDBRIDGE_LOG_LEVEL=info", "BUILDBRIDGE_LOG_FORMAT=json",
		"BUILDBRIDGE_GRACE=5s", "BUILDBRIDGE_TRUSTED_PROXIES=10.0.0.0/8,127.0.0.1",
	), "serve")
	at := p.logged("serving")
	if at["database"] != "other.db" || at["dry_run"] != true || at["rules"] != 1.0 {
		t.Errorf("it serves with %v", at)
	}
	b := &bridge{process: p, public: "http://" + at["listen"].(string), admin: "http://" + at["admin_listen"].(string)}
	b.accept()
	b.logged("build would have started")
	if n := w.calls.Load(); n != 0 {
		t.Errorf("a dry run made %d calls", n)
	}
	b.term()
}
