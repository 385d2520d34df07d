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

	"github.com/google/go-cmp/cmp"

	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store/postgrestest"
)

// TestMoveFromSQLiteToPostgres follows docs/operations.md: builds that wait in SQLite are
// started from Postgres, and none twice.
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
	w := newWorld(t, 5*time.Second, codeartstest.Options{BuildTime: 2 * time.Second})
	fault := func(f codeartstest.Fault) {
		t.Helper()
		if err := w.simulator.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(n int) string { return fmt.Sprintf("%040x", n+1) }
	status := func(b *bridge, n int, branch, commit string) int {
		t.Helper()
		header, body := codehosttest.GitHub(fmt.Sprint(n), codehosttest.Change{
			Repository: "acme/shop", Branch: branch, Commit: commit, Pusher: "ann",
			Message: "It's \"quoted\", with a comma,\na line and a \\backslash", Files: []string{"cart.go"},
		}, "")
		codehost.Sign("github", secret, header, body)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.public+"/webhooks/github", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		status, _ := do(t, req)
		return status
	}
	one := func(b *bridge, n int, branch, commit string) {
		t.Helper()
		if got := status(b, n, branch, commit); got != http.StatusAccepted {
			t.Fatalf("delivery %d: status %d", n, got)
		}
	}
	push := func(b *bridge, from, to int) { // each to its own branch, with its own commit
		t.Helper()
		for n := from; n < to; n++ {
			one(b, n, fmt.Sprint("b", n), commit(n))
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
	// which one was started. Two are held: by the first of those, which is of the
	// same branch, and by the call of the second, which is for the same commit.
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
	one(old, 5, "b3", commit(5))
	one(old, 6, "b6", commit(4))
	eventually(t, "two are held", func() bool {
		return w.sqlite(`SELECT group_concat(held) FROM (SELECT held FROM builds WHERE held > 0 ORDER BY seq)`) == "1,2"
	})
	// The others are throttled.
	fault(codeartstest.Fault{Path: codeartstest.PathRun, Status: 429, RetryAfter: 1})
	push(old, 7, 18)
	settled(old, map[string]int{"started": 3, "unknown": 2, "waiting": 13})
	w.prints(old, []string{"builds", "show", w.sqlite(`SELECT id FROM builds WHERE seq = 6`)}, "next try", "or once that is resolved")
	eventually(t, "what is looked for says when", func() bool { // it may be worked at the moment
		return strings.Contains(w.prints(old, []string{"builds", "show", w.sqlite(`SELECT id FROM builds WHERE seq = 4`)}), "next search")
	})

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
	// One by hand; one that a process had on the wire that was killed; and what ended
	// otherwise.
	w.sqlite(`UPDATE builds SET by_hand = 1 WHERE seq = 14;
		UPDATE builds SET state = 'calling', worker = 'killed', caller = 'killed', due_at = due_at + 1000000000, attempts = 1, called_at = received_at,
			service = (SELECT service FROM builds WHERE seq = 4) WHERE seq = 15;
		UPDATE builds SET state = 'dead', reason = 'no permission', due_at = 0 WHERE seq = 16;
		UPDATE builds SET state = 'superseded', superseded_by = 'another', due_at = 0 WHERE seq = 17;
		UPDATE builds SET state = 'dry_run', due_at = 0 WHERE seq = 18;
		UPDATE follows SET worker = 'killed', due_at = due_at + 1000000000;
		INSERT INTO statuses (source, repository, commit_id, context, build, build_seq, due_at, sent, sent_build, ref, since, reason)
			SELECT 'github', repository, commit_id, 'ci, "cart"', id, seq, 0, 'pending', id, '7', received_at, 'it says: "no", twice' FROM builds WHERE seq = 16`)
	if out, err := w.move(t, "buildbridge.db", postgres); err == nil || !strings.Contains(out, "no tables yet") {
		t.Errorf("it is moved where no tables are: %v, %s", err, out)
	}
	w.serve("--database", postgres).term() // makes the tables
	out, err := w.move(t, "buildbridge.db", postgres)
	if err != nil || !strings.Contains(out, "18 deliveries, 18 builds, of which 12 are not resolved yet") {
		t.Fatalf("move: %v, %s", err, out)
	}
	if out, err := w.move(t, "buildbridge.db", postgres); err == nil || !strings.Contains(out, "nothing is copied") {
		t.Errorf("it is moved twice: %v, %s", err, out)
	}
	for _, table := range []string{"deliveries", "builds", "follows", "statuses"} {
		if was, is := w.rows(postgres, table); was != is {
			t.Errorf("%s: got\n%s\nwant\n%s", table, is, was)
		}
	}
	if got := w.psql(postgres, `SELECT seq, worker, due_at <= extract(epoch FROM now()) * 1000000 FROM builds WHERE state = 'calling' OR worker <> ''`); got != "15||t\n" {
		t.Errorf("what a process had that was killed is not due: got %s", got)
	}
	if got := w.psql(postgres, `SELECT count(*), bool_and(worker = '' AND due_at <= extract(epoch FROM now()) * 1000000) FROM follows`); got != "1|t\n" {
		t.Errorf("the builds that run are not asked for at once: got %s", got)
	}
	w.simulator.ClearFaults()

	moved := w.serve("--database", postgres)
	settled(moved, map[string]int{"started": 15, "dead": 1, "superseded": 1, "dry_run": 1})
	if got := status(moved, 7, "b7", commit(7)); got != http.StatusOK {
		t.Errorf("a delivery of before the move is no duplicate: status %d", got)
	}
	push(moved, 18, 20)
	settled(moved, map[string]int{"started": 17, "dead": 1, "superseded": 1, "dry_run": 1})
	eventually(t, "all builds have ended, those from before the move too", func() bool {
		return w.psql(postgres, `SELECT result, count(*) FROM builds WHERE state = 'started' GROUP BY result`) == "success|17\n"
	})
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
	want := map[string]int{commit(4): 2} // of two branches
	for _, n := range []int{0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 18, 19} {
		want[commit(n)] = 1
	}
	if diff := cmp.Diff(want, built); diff != "" {
		t.Error("not each was built once: ", diff)
	}
	// Bodies were moved completely: a delivery from before the move can be replayed.
	_, text := get(t, moved.admin+"/api/v1/deliveries?limit=1000")
	var list struct{ Deliveries []struct{ ID string } }
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Deliveries) < 20 {
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

// psql returns what a query selects.
func (w *world) psql(postgres, query string) string {
	w.t.Helper()
	out, err := exec.CommandContext(w.t.Context(), "psql", "-X", "-A", "-t", "-c", query, postgres).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v, %s", query, err, out)
	}
	return string(out)
}

// rows returns the rows of a table in SQLite and in Postgres, without the worker of a build
// and its lease.
func (w *world) rows(postgres, table string) (was, is string) {
	w.t.Helper()
	var there, here []string
	for line := range strings.Lines(w.psql(postgres, `SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '`+table+`'`)) {
		name, kind, _ := strings.Cut(strings.TrimSpace(line), "|")
		switch {
		case name == "worker":
		case name == "due_at" && table == "follows": // all had one
		case name == "due_at" && table == "builds":
			const held = "CASE state WHEN 'calling' THEN 0 ELSE due_at END"
			there, here = append(there, held), append(here, held)
		case kind == "bytea":
			there, here = append(there, "lower(hex("+name+"))"), append(here, "encode("+name+", 'hex')")
		case kind == "boolean":
			there, here = append(there, name), append(here, name+"::int")
		default:
			there, here = append(there, name), append(here, name)
		}
	}
	return w.sqlite(`SELECT ` + strings.Join(there, ", ") + ` FROM ` + table + ` ORDER BY seq`),
		strings.TrimSpace(w.psql(postgres, `SELECT `+strings.Join(here, ", ")+` FROM `+table+` ORDER BY seq`))
}
