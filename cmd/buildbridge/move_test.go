package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store/postgrestest"
)

// TestMoveFromSQLiteToPostgres goes by docs/operations.md: what waits in SQLite
// is started from Postgres, and nothing twice.
func TestMoveFromSQLiteToPostgres(t *testing.T) {
	for _, program := range []string{"sqlite3", "psql", "flock"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") == "" {
			t.Skip("SKIPPED, the move to Postgres is not tested: ", err)
		}
	}
	var server postgrestest.Server
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	postgres := server.Database(t)
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	fault := func(f codeartstest.Fault) {
		t.Helper()
		if err := w.simulator.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(n int) string { return fmt.Sprintf("%040x", n+1) }
	status := func(b *bridge, n int) int {
		t.Helper()
		header, body := codehosttest.GitHub(fmt.Sprint(n), codehosttest.Change{
			Repository: "acme/shop", Branch: fmt.Sprint("b", n), Commit: commit(n), Pusher: "ann",
			Message: "It's \"quoted\", with a comma,\na line and a \\backslash", Files: []string{"cart.go"},
		}, "")
		codehosttest.Sign(mapping.GitHub, secret, header, body)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.public+"/webhooks/github", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		status, _ := do(t, req)
		return status
	}
	push := func(b *bridge, from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			if got := status(b, n); got != http.StatusAccepted {
				t.Fatalf("delivery %d: status %d", n, got)
			}
		}
	}
	states := func(b *bridge) map[string]int {
		t.Helper()
		_, text := get(t, b.admin+"/api/v1/builds?limit=1000")
		var list struct{ Builds []struct{ State string } }
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err, text)
		}
		count := map[string]int{}
		for _, build := range list.Builds {
			count[build.State]++
		}
		return count
	}
	settled := func(b *bridge, want map[string]int) {
		t.Helper()
		eventually(t, fmt.Sprint("builds are ", want), func() bool { return fmt.Sprint(states(b)) == fmt.Sprint(want) })
	}

	// On SQLite: three are started, two get no answer and cannot be looked for, of
	// which one was started; ten are throttled.
	old := w.serve()
	push(old, 0, 3)
	settled(old, map[string]int{"started": 3})
	fault(codeartstest.Fault{Path: codeartstest.PathList, Status: 503})
	fault(codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Times: 1})
	push(old, 3, 4)
	settled(old, map[string]int{"started": 3, "unknown": 1})
	fault(codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropBefore, Times: 1})
	push(old, 4, 5)
	settled(old, map[string]int{"started": 3, "unknown": 2})
	fault(codeartstest.Fault{Path: codeartstest.PathRun, Status: 429, RetryAfter: 1})
	push(old, 5, 15)
	settled(old, map[string]int{"started": 3, "unknown": 2, "waiting": 10})

	// While it runs, nothing is moved.
	if err := os.Symlink("buildbridge.db", filepath.Join(w.dir, "link.db")); err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{"buildbridge.db", "link.db"} {
		if out, err := w.move(t, database, postgres); err == nil || !strings.Contains(out, "stop the bridge first") {
			t.Errorf("%s: a bridge that runs is moved: %v, %s", database, err, out)
		}
	}
	old.term()
	w.sqlite(`UPDATE builds SET by_hand = 1 WHERE seq = 15`)
	w.serve("--database", postgres).term() // makes the tables
	out, err := w.move(t, "buildbridge.db", postgres)
	if err != nil || !strings.Contains(out, "15 deliveries, 15 builds, of which 12 are not resolved yet") {
		t.Fatalf("move: %v, %s", err, out)
	}
	if out, err := w.move(t, "buildbridge.db", postgres); err == nil {
		t.Errorf("it is moved twice: %s", out)
	}
	if got := w.psql(postgres, `SELECT string_agg(seq::text, ',') FROM builds WHERE by_hand`); got != "15\n" {
		t.Errorf("builds by hand: got %s, want 15", got)
	}
	w.simulator.ClearFaults()

	moved := w.serve("--database", postgres)
	settled(moved, map[string]int{"started": 15})
	if got := status(moved, 7); got != http.StatusOK {
		t.Errorf("a delivery of before the move is no duplicate: status %d", got)
	}
	push(moved, 15, 17)
	settled(moved, map[string]int{"started": 17})
	built := map[string]int{}
	for _, run := range w.simulator.Runs() {
		var body struct {
			SCM struct {
				Commit string `json:"build_commit_id"`
			} `json:"scm"`
		}
		if err := json.Unmarshal(run.Body, &body); err != nil {
			t.Fatal(err)
		}
		built[body.SCM.Commit]++
	}
	for n := range 17 {
		if built[commit(n)] != 1 {
			t.Errorf("delivery %d was built %d times, want once", n, built[commit(n)])
		}
	}
	// Bodies were moved whole: a delivery of before can be decided anew.
	_, text := get(t, moved.admin+"/api/v1/deliveries?limit=1000")
	var list struct{ Deliveries []struct{ ID string } }
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Deliveries) < 17 {
		t.Fatal(err, text)
	}
	oldest := list.Deliveries[len(list.Deliveries)-1].ID
	if _, text := get(t, moved.admin+"/api/v1/deliveries/"+oldest); !strings.Contains(text, `with a comma,\\na line`) && !strings.Contains(text, `with a comma,\na line`) {
		t.Errorf("the oldest delivery has lost its body: %s", text)
	}
	moved.term()
}

// move runs the script of the documentation.
func (w *world) move(t *testing.T, database, postgres string) (string, error) {
	t.Helper()
	script, err := filepath.Abs("../../docs/sqlite-to-postgres.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", script, database, postgres)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// psql gives what a query selects.
func (w *world) psql(postgres, query string) string {
	w.t.Helper()
	out, err := exec.CommandContext(w.t.Context(), "psql", "-X", "-A", "-t", "-c", query, postgres).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v, %s", query, err, out)
	}
	return string(out)
}
