package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

// The program keeps running, and stops when asked to, even if nobody reads its log.
func TestReaderOfTheLog(t *testing.T) {
	for name, test := range map[string]struct {
		leave   func(t *testing.T, pipe *os.File)
		dropped bool
	}{
		"stands still": {leave: func(*testing.T, *os.File) {}},
		"is gone": {dropped: true, leave: func(t *testing.T, pipe *os.File) {
			if err := pipe.Close(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, time.Second, codeartstest.Options{})
			pipe, b := w.serveInto(t)
			test.leave(t, pipe)
			// More than the 64 KiB that a pipe takes.
			for range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.public+"/webhooks/"+strings.Repeat("x", 100), http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				status, text := do(t, req)
				cancel()
				if status != http.StatusNotFound {
					t.Fatalf("a delivery gives %d: %s", status, text)
				}
			}
			b.accept()
			eventually(t, "the build is started", func() bool { return b.metric(started) == "1" })
			if got := b.metric("buildbridge_log_lines_dropped_total"); got == "" || got != "0" != test.dropped {
				t.Errorf("%q lines are counted as dropped, want some: %t", got, test.dropped)
			}
			begin := time.Now()
			b.term()
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("the stop took %s", took)
			}
		})
	}
}

// serveInto runs serve with its log in a pipe, and returns the other end of the pipe. The
// log has been read until the program served.
func (w *world) serveInto(t *testing.T) (*os.File, *bridge) {
	t.Helper()
	pipe, log, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() })
	p := &process{t: t, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(t.Context(), "buildbridge", "serve", "--rules", "rules.yaml", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = w.dir, append(os.Environ(), w.env()...), log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = log.Close()
	go func() {
		_ = p.cmd.Wait() // the result is in ProcessState
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // fails if it has ended
		<-p.exited
	})
	b := &bridge{process: p}
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		var line struct{ Msg, Listen, AdminListen string }
		if err := json.Unmarshal([]byte(strings.Replace(lines.Text(), "admin_listen", "AdminListen", 1)), &line); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		if line.Msg == "serving" {
			b.public, b.admin = "http://"+line.Listen, "http://"+line.AdminListen
			return pipe, b
		}
	}
	t.Fatal("it does not serve")
	return nil, nil
}
