package load

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"buildbridge/cmd/internal/e2e/program"
	"buildbridge/trigger/store/postgrestest"
)

// The scale of the tests. The defaults only show that they work.
var (
	full    = flag.Bool("full", false, "measure: everything at the scale that docs/performance.md gives")
	rounds  = flag.Int("rounds", 3, "how often what is compared is measured, in turns; the table has the median")
	lasting = flag.Duration("lasting", 10*time.Second, "how long each measurement lasts")
	waiting = flag.Int("waiting", 1_000_000, "builds that wait while acceptance next to a long queue is measured")
	history = flag.Int("history", 1_000_000, "builds in the database while pages are measured")
	conns   = flag.Int("connections", 64, "connections of the closed loop")
)

var (
	binary  string              // the path of the program, built once
	server  postgrestest.Server // one for all tests
	figures table               // of all tests
)

func TestMain(m *testing.M) {
	flag.Parse()
	if len(os.Args) > 1 && os.Getenv(bareVariable) != "" {
		fmt.Fprintln(os.Stderr, serveBare())
		os.Exit(1) //nolint:forbidigo // the main of a process of its own
	}
	if !*full {
		*rounds, *lasting, *waiting, *conns = 1, 300*time.Millisecond, 50, 8
	}
	server.Sync = true
	dir, err := os.MkdirTemp("", "buildbridge-load")
	if err == nil {
		binary, err = program.Build(dir, false)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // the main of the tests
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if testing.Verbose() {
			figures.print(os.Stdout)
		}
		if err := errors.Join(server.Stop(), os.RemoveAll(dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code) //nolint:forbidigo // the main of the tests
	}))
}
