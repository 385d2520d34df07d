// Package program builds the program and runs it as a process, for end-to-end tests.
package program

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Build builds the program into a folder, as a release or with the race detector, and
// returns its path. flags are additional flags of go build.
func Build(dir string, race bool, flags ...string) (path string, err error) {
	path = filepath.Join(dir, "buildbridge")
	args, cgo := []string{"build", "-trimpath", "-o", path}, "CGO_ENABLED=0"
	args = append(args, flags...)
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(context.Background(), "go", append(args, "buildbridge/cmd/buildbridge")...) //nolint:gosec // fixed words
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
}

// Process is one run of the program.
type Process struct {
	Public, Admin string // URLs of its listeners

	t      *testing.T
	cmd    *exec.Cmd
	log    string // a file
	exited chan struct{}
	asked  atomic.Bool // whether the test ends it; it is a failure if it ends by itself
}

// patience is how long to wait for a process to serve: far longer than that takes.
const patience = 2 * time.Minute

// Serve runs a serve command in a folder, and returns when it serves. Its log goes to a
// file. The end of the test kills it.
func Serve(t *testing.T, dir, log string, env []string, command ...string) *Process {
	t.Helper()
	out, err := os.Create(log) //nolint:gosec // the test's own file
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// Kill ends the process, not the context: Kill sets asked.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...) //nolint:gosec // the test's own command
	p := &Process{t: t, cmd: cmd, log: log, exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = append(os.Environ(), env...), out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // ends with a test that is killed
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the result is in ProcessState
		close(p.exited)
		if !p.asked.Load() {
			t.Errorf("the program ended by itself: %v\n%s", p.cmd.ProcessState, p.Tail())
		}
	}()
	t.Cleanup(p.Kill)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(patience); ; {
		if line := p.Logged("serving"); line != nil {
			p.Public, p.Admin = fmt.Sprint("http://", line["listen"]), fmt.Sprint("http://", line["admin_listen"])
			return p
		}
		select {
		case <-ticker.C:
		case <-p.exited:
			t.Fatalf("the program ended instead of serving:\n%s", p.Tail())
		}
		if time.Now().After(end) {
			t.Fatalf("the program does not serve after %s:\n%s", patience, p.Tail())
		}
	}
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process at once.
func (p *Process) Kill() {
	p.asked.Store(true)
	_ = p.cmd.Process.Kill() // fails if it has ended
	<-p.exited
	if text, err := os.ReadFile(p.log); err != nil || bytes.Contains(text, []byte("DATA RACE")) {
		p.t.Errorf("a race, or no log (%v):\n%s", err, text)
	}
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// Term asks the process to stop, and checks that the exit code is 0.
func (p *Process) Term() {
	p.t.Helper()
	p.asked.Store(true)
	p.Signal(syscall.SIGTERM)
	<-p.exited
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("after SIGTERM: %v, want exit code 0\n%s", p.cmd.ProcessState, p.Tail())
	}
}

// Logged returns the first log line with a message, nil if there is none.
func (p *Process) Logged(message string) map[string]any {
	f, err := os.Open(p.log)
	if err != nil {
		p.t.Error(err)
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var line map[string]any
		if json.Unmarshal(s.Bytes(), &line) == nil && line["msg"] == message {
			return line
		}
	}
	return nil
}

// Tail returns the last lines of the log above the level info.
func (p *Process) Tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, `"level":"INFO"`) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-30):], "")
}
