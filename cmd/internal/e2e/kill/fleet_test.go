package kill

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"buildbridge/cmd/internal/e2e/program"
)

// fleet are the processes that share a database.
type fleet struct {
	t    *testing.T
	dir  string
	env  []string
	arg  []string
	wrap []string // a command that runs the program; none for the program itself

	mu      sync.Mutex
	alive   map[int]*program.Process // by their place
	url     string                   // of the last one that lived
	started int
}

func newFleet(t *testing.T, database, rules string, arg ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), alive: map[int]*program.Process{}}
	if database == "" {
		database = f.path()
	}
	if err := os.Mkdir(f.disk(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "rules.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	f.arg = append([]string{"serve", "--rules", "rules.yaml", "--database", database, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, arg...)
	f.env = []string{"KILL_SECRET=" + secret, "KILL_AK=" + key.AccessKey, "KILL_SK=" + key.SecretKey}
	return f
}

// disk is the folder of the SQLite file, path the file.
func (f *fleet) disk() string { return filepath.Join(f.dir, "disk") }
func (f *fleet) path() string { return filepath.Join(f.disk(), "buildbridge.db") }

// at is the process at a place.
func (f *fleet) at(place int) *program.Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.alive[place]
}

// start starts the process at a place.
func (f *fleet) start(place int) *program.Process {
	f.t.Helper()
	f.mu.Lock()
	f.started++
	log := filepath.Join(f.dir, fmt.Sprintf("log-%d-%d", f.started, place))
	f.mu.Unlock()
	p := program.Serve(f.t, f.dir, log, f.env, slices.Concat(f.wrap, []string{binary}, f.arg)...)
	f.put(place, p)
	return p
}

// put adds a process, which deliveries are sent to from now on.
func (f *fleet) put(place int, p *program.Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alive[place], f.url = p, p.Public
}

// take returns the process at a place, which the caller ends: no deliveries are sent to it
// any more, unless it is the last one.
func (f *fleet) take(place int) *program.Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.alive[place]
	delete(f.alive, place)
	return p
}

// kill ends the process at a place at once.
func (f *fleet) kill(place int) {
	total.kills.Add(1)
	f.take(place).Kill()
}

// public is the URL of any running process, or of a former one if none runs: a host does not
// know.
func (f *fleet) public() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := rand.N(max(1, len(f.alive)))
	for _, p := range f.alive {
		if n == 0 {
			return p.Public
		}
		n--
	}
	return f.url
}
