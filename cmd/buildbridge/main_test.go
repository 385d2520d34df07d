package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// gorace has the program wait 10 ms when it ends, and not a second, with the race detector: it
// ends hundreds of times here.
const gorace = "atexit_sleep_ms=10"

var update = flag.Bool("update", false, "write what the program printed into the scripts")

// The test binary is also the program: scripts and tests run it as buildbridge.
func TestMain(m *testing.M) {
	for _, name := range []string{"BUILDBRIDGE_PAYLOADS", "BUILDBRIDGE_CORPUS"} { // of other tests: the program would name them
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	if err := os.Setenv("GORACE", gorace); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"buildbridge": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "unwords": unwords},
		Setup: func(env *testscript.Env) error {
			env.Setenv("COLUMNS", "80")
			env.Setenv("GORACE", gorace)
			return nil
		},
	})
}

// unwords replaces the messages and digests on standard output by MESSAGE and DIGEST: the
// tests of the package that makes them check them.
func unwords(ts *testscript.TestScript, _ bool, _ []string) {
	text := regexp.MustCompile(`"message": ".*"`).ReplaceAllString(ts.ReadFile("stdout"), `"message": "MESSAGE"`)
	text = regexp.MustCompile(`"digest": "[0-9a-f]{12}"`).ReplaceAllString(text, `"digest": "DIGEST"`)
	_, err := io.WriteString(ts.Stdout(), text)
	ts.Check(err)
}

// exits runs a command and checks its exit code: exits 2 buildbridge serve.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
