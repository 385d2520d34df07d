package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"buildbridge/trigger/codearts/codeartstest"
)

// terminal is a pseudoterminal: the side of the program, and the side of the person.
func terminal(t *testing.T, columns uint16) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0),
		unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: columns}))
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program, person
}

// On a terminal, a list fits, and a replay of many builds asks first.
func TestTerminal(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Status: http.StatusForbidden, Times: 2}); err != nil {
		t.Fatal(err)
	}
	b := w.serve()
	for _, id := range []string{"1", "2"} {
		if status := b.push(id, "acme/shop"); status != http.StatusAccepted {
			t.Fatalf("the delivery gives %d", status)
		}
	}
	eventually(t, "both are dead", func() bool { return len(w.builds(b, "--state", "dead")) == 2 })
	run := func(stdin, stdout *os.File, args ...string) (stderr string, code int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "buildbridge", args...)
		var said bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stderr = w.dir, append(os.Environ(), "BUILDBRIDGE_ADMIN="+b.admin), &said
		if stdin != nil {
			cmd.Stdin = stdin
		}
		if stdout != nil {
			cmd.Stdout = stdout
		}
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return said.String(), cmd.ProcessState.ExitCode()
	}

	if piped := w.prints(b, []string{"builds", "list"}); strings.Count(piped, " user or agency the permission to run this build job\n") != 2 {
		t.Errorf("a pipe does not get whole reasons:\n%s", piped)
	}
	for columns, want := range map[uint16]struct {
		longest int
		whole   bool
	}{
		190: {190, false},
		400: {400, true},
	} {
		program, person := terminal(t, columns)
		if said, code := run(nil, program, "builds", "list"); code != 0 {
			t.Fatal(said)
		}
		program.Close()
		shown, err := io.ReadAll(person)
		if err != nil && !errors.Is(err, syscall.EIO) { // at the end
			t.Fatal(err)
		}
		longest := 0
		for line := range strings.Lines(string(shown)) {
			longest = max(longest, len([]rune(strings.TrimSpace(regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(line, "")))))
		}
		if whole := strings.Contains(string(shown), "run this build job"); whole != want.whole || longest > want.longest || !whole && longest < want.longest {
			t.Errorf("on %d columns the longest line has %d:\n%s", columns, longest, shown)
		}
	}

	for _, test := range []struct {
		answer string
		code   int
		says   string
		runs   int
	}{
		{"\n", 1, "Nothing was replayed.", 0},
		{"no\n", 1, "Nothing was replayed.", 0},
		{"\x04", 1, "Nothing was replayed.", 0}, // the end of the input
		{"y\n", 0, "2 builds replayed", 2},
		{"", 0, "0 builds replayed", 2}, // there is nothing to ask
	} {
		program, person := terminal(t, 80)
		if _, err := person.WriteString(test.answer); err != nil {
			t.Fatal(err)
		}
		said, code := run(program, nil, "builds", "replay", "--state", "dead")
		if code != test.code || !strings.Contains(said, test.says) {
			t.Fatalf("%q: it exits with %d: %s", test.answer, code, said)
		}
		if asked := strings.Contains(said, "2 builds match: dead, the oldest first\nRECEIVED") &&
			strings.Contains(said, "Replay 2 builds? [y/N] "); asked != (test.answer != "") {
			t.Errorf("%q: it says %s", test.answer, said)
		}
		eventually(t, "the replayed are started", func() bool { return w.simulator.RunCount() == test.runs })
	}
	b.term()
}
