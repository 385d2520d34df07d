package killtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// process is one run of the program.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    string // a file
	public string // URL
	exited chan struct{}
	asked  atomic.Bool // to end; ending by itself is a failure
}

// begin starts the program in a folder and waits until it serves. It is killed
// with the test.
func begin(t *testing.T, dir, log string, env []string, command ...string) *process {
	t.Helper()
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx := context.WithoutCancel(t.Context()) // kill ends it, which knows that it was asked to
	p := &process{t: t, cmd: exec.CommandContext(ctx, command[0], command[1:]...), log: log, exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = append(os.Environ(), env...), out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no orphans of a test that is killed itself
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // what it says is in ProcessState
		close(p.exited)
		if !p.asked.Load() {
			t.Errorf("the program ended by itself: %v\n%s", p.cmd.ProcessState, p.tail())
		}
	}()
	t.Cleanup(p.end)
	eventually(t, "the program serves", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("the program ended instead of serving:\n%s", p.tail())
		default:
		}
		line := p.logged("serving")
		if line != nil {
			p.public = "http://" + line["listen"].(string)
		}
		return line != nil
	})
	return p
}

// kill ends the process at once, wherever it is.
func (p *process) kill() {
	total.kills.Add(1)
	p.end()
}

func (p *process) end() {
	p.asked.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
	if text, err := os.ReadFile(p.log); err != nil || bytes.Contains(text, []byte("DATA RACE")) {
		p.t.Errorf("a race, or no log (%v):\n%s", err, text)
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// term asks the process to stop, and wants exit code 0.
func (p *process) term() {
	p.t.Helper()
	p.asked.Store(true)
	p.signal(syscall.SIGTERM)
	<-p.exited
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("after SIGTERM: %v, want exit code 0\n%s", p.cmd.ProcessState, p.tail())
	}
}

// logged gives the first log line with a message, nil if there is none.
func (p *process) logged(message string) map[string]any {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Error(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		var line map[string]any
		if json.Unmarshal(s.Bytes(), &line) == nil && line["msg"] == message {
			return line
		}
	}
	return nil
}

// tail gives the last lines of the log that are not of every day.
func (p *process) tail() string {
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
