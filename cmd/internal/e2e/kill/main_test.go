package kill

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"buildbridge/cmd/internal/e2e/program"
	"buildbridge/trigger/store/postgrestest"
)

// The scale of the tests. With the defaults they take a minute on two cores.
var (
	rounds     = flag.Int("rounds", 4, "how often each fleet is killed")
	deliveries = flag.Int("deliveries", 60, "how many deliveries each test sends that counts deliveries")
	racy       = flag.Bool("program.race", false, "build the program with the race detector")
)

var (
	binary string              // the path of the program, built once
	shared postgrestest.Server // one for all tests that leave it alone
	total  tally               // of all tests
)

// tally are the counts of the tests and of the simulator.
type tally struct {
	kills, deliveries, requests, duplicates, builds, adopted atomic.Int64
}

func TestMain(m *testing.M) {
	// The tests mostly wait for time to pass. A flag of the command line is parsed later.
	err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	flag.Parse()
	if testing.Short() {
		*rounds, *deliveries = min(*rounds, 2), min(*deliveries, 30)
	}
	dir, dirErr := os.MkdirTemp("", "buildbridge-kill")
	err = errors.Join(err, dirErr)
	if err == nil {
		binary, err = program.Build(dir, *racy)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // the main of the tests
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if testing.Verbose() {
			fmt.Fprintf(os.Stdout, "all tests together: %d kills, %d deliveries in %d requests, %d duplicates, %d builds, %d of them adopted\n",
				total.kills.Load(), total.deliveries.Load(), total.requests.Load(), total.duplicates.Load(), total.builds.Load(), total.adopted.Load())
		}
		if err := errors.Join(shared.Stop(), os.RemoveAll(dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code) //nolint:forbidigo // the main of the tests
	}))
}

const (
	// patience is the longest wait: far longer than any of them takes. What fails several times in a row
	// is tried again after up to five minutes.
	patience = 6 * time.Minute
	// misfortune is how long faults that come by chance may keep everything from making progress.
	misfortune = time.Minute
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(patience); !so(); <-ticker.C {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
