package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
)

// TestBackup follows docs/operations.md: a backup of a running bridge, or a copy of the
// files of a stopped one, replaces a lost database. Later deliveries are sent again.
func TestBackup(t *testing.T) {
	for name, backup := range map[string]func(*testing.T, *world, *bridge){
		"the command, while it runs": func(_ *testing.T, w *world, b *bridge) {
			w.prints(b, []string{"backup", "backup.db"}, "backup.db: ")
			w.fails(b, 1, []string{"backup", "backup.db"}, "backup.db exists")
			w.fails(b, 1, []string{"backup", "other.db", "--admin-token", "env:WRONG"}, "this token is unknown")
		},
		".backup, while it runs":     func(_ *testing.T, w *world, _ *bridge) { w.sqlite(".backup backup.db") },
		"VACUUM INTO, while it runs": func(_ *testing.T, w *world, _ *bridge) { w.sqlite("VACUUM INTO 'backup.db'") },
		"the files, after it stopped": func(_ *testing.T, w *world, b *bridge) {
			b.term()
			w.rename("buildbridge.db", "backup.db")
		},
		"the files, after it was killed": func(t *testing.T, w *world, b *bridge) {
			if err := b.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			b.wait()
			w.rename("buildbridge.db", "backup.db")
			w.rename("buildbridge.db-wal", "backup.db-wal")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 5*time.Second, codeartstest.Options{})
			if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Status: 429, RetryAfter: 1}); err != nil {
				t.Fatal(err)
			}
			b := w.serve()
			accept := func(from, to int) {
				t.Helper()
				for n := from; n < to; n++ {
					if status := b.push(fmt.Sprint(n), "acme/shop"); status != http.StatusAccepted {
						t.Fatalf("delivery %d: status %d", n, status)
					}
				}
			}
			accept(0, 5)
			backup(t, w, b)
			select {
			case <-b.exited:
			default:
				accept(5, 8) // lost with the database
				b.term()
			}
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(filepath.Join(w.dir, "buildbridge.db"+suffix)); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			for _, suffix := range []string{"", "-wal"} {
				if err := os.Rename(filepath.Join(w.dir, "backup.db"+suffix), filepath.Join(w.dir, "buildbridge.db"+suffix)); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			w.simulator.ClearFaults()

			b = w.serve()
			accept(5, 8) // the host's redelivery
			eventually(t, "all are started", func() bool { return b.metric(started) == "8" })
			if status := b.push("0", "acme/shop"); status != http.StatusOK {
				t.Errorf("a delivery that is in the backup is no duplicate: status %d", status)
			}
			if n := w.simulator.RunCount(); n != 8 {
				t.Errorf("%d builds were started, want 8", n)
			}
			b.term()
		})
	}
}

// sqlite runs a command of sqlite3 on the database, and returns its output.
func (w *world) sqlite(command string) string {
	w.t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil && os.Getenv("CI") == "" {
		w.t.Skip("SKIPPED, backups are not tested: ", err)
	}
	cmd := exec.CommandContext(w.t.Context(), "sqlite3", "buildbridge.db", command)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v, %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// rename renames a file of the folder.
func (w *world) rename(from, to string) {
	w.t.Helper()
	if err := os.Rename(filepath.Join(w.dir, from), filepath.Join(w.dir, to)); err != nil {
		w.t.Fatal(err)
	}
}

// TestRestoreOfAnOldBackup follows docs/operations.md: builds that waited when the backup
// was made may have started since, so they become dead builds, and a person replays some.
func TestRestoreOfAnOldBackup(t *testing.T) {
	w := newWorld(t, 5*time.Second, codeartstest.Options{})
	if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Status: 429, RetryAfter: 8, Times: 1}); err != nil {
		t.Fatal(err)
	}
	b := w.serve()
	b.accept()
	eventually(t, "it was throttled, and waits", func() bool { return strings.Contains(w.list(b, "waiting"), `"attempts":1`) })
	w.sqlite("VACUUM INTO 'backup.db'")
	eventually(t, "it is started", func() bool { return b.metric(started) == "1" })
	b.term()
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(filepath.Join(w.dir, "buildbridge.db"+suffix)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	w.rename("backup.db", "buildbridge.db")
	w.sqlite(`UPDATE builds SET state = 'dead', reason = 'waited in a backup', due_at = 0, version = version + 1 WHERE state = 'waiting'`)
	b = w.serve()
	var builds struct{ Builds []struct{ ID string } }
	if err := json.Unmarshal([]byte(w.list(b, "dead")), &builds); err != nil || len(builds.Builds) != 1 {
		t.Fatal(err, builds)
	}
	if n := w.simulator.RunCount(); n != 1 {
		t.Errorf("%d builds were started, want the one of before the loss", n)
	}
	w.prints(b, []string{"builds", "replay", builds.Builds[0].ID})
	eventually(t, "what a person picked is started", func() bool { return w.simulator.RunCount() == 2 })
	b.term()
}

// list returns the builds in a state, as the admin API has them.
func (w *world) list(b *bridge, state string) string {
	w.t.Helper()
	status, text := get(w.t, b.admin+"/api/v1/builds?state="+state)
	if status != http.StatusOK {
		w.t.Fatal(status, text)
	}
	return text
}
