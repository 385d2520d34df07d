package kill

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"buildbridge/trigger/codearts/codeartstest"
)

// The SQLite file cannot be written for a while, under load: deliveries that cannot be stored
// are answered with 503, and everything continues by itself afterwards.
func TestSQLiteFaults(t *testing.T) {
	t.Parallel()
	for phrase, spoil := range map[string]func(w *world) (fix func()){
		"locked by another process":         lock,
		"moved away":                        moveAway,
		"on a disk that is full":            func(w *world) func() { return w.limitFiles(64 << 10) },
		"on a disk that takes nothing more": func(w *world) func() { return w.limitFiles(0) },
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "", 1, codeartstest.Options{})
			w.fault(lostAnswers(0.1, 0)...)
			w.outage(spoil)
			all := w.settle()
			w.intact(w.fleet.path())
			w.report(all, phrase)
		})
	}
}

// outage makes the database fail under load until the host notices, and a moment longer.
func (w *world) outage(spoil func(w *world) (fix func())) {
	w.t.Helper()
	w.host.client.Timeout = 30 * time.Second // the bridge gives up after 4.5 s: the rest is for a slow machine
	w.fault(codeartstest.Fault{Path: codeartstest.PathRun, Delay: 300 * time.Millisecond, Probability: 0.5})
	w.load(func() {
		eventually(w.t, "deliveries are accepted", func() bool { return w.host.accepted.Load() > 20 })
		fix := spoil(w)
		refused := w.host.unavailable.Load()
		eventually(w.t, "deliveries are refused", func() bool { return w.host.unavailable.Load() > refused+10 })
		time.Sleep(time.Second) // calls are answered, and cannot be saved
		fix()
		accepted := w.host.accepted.Load()
		eventually(w.t, "deliveries are accepted again", func() bool { return w.host.accepted.Load() > accepted+20 })
	})
	w.host.allAnswered()
}

// moveAway moves the file away.
func moveAway(w *world) (fix func()) {
	w.t.Helper()
	path := w.fleet.path()
	rename := func(from, to string) {
		w.t.Helper()
		if err := os.Rename(from, to); err != nil {
			w.t.Error(err)
		}
	}
	rename(path, path+".away")
	return func() { rename(path+".away", path) }
}

// lock locks the file, as another process that writes does.
func lock(w *world) (fix func()) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.fleet.path()+"?_pragma=busy_timeout(120000)")
	if err != nil {
		w.t.Fatal(err)
	}
	conn, err := db.Conn(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := conn.ExecContext(w.t.Context(), `BEGIN EXCLUSIVE`); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(w.t.Context(), `ROLLBACK`); err != nil {
			w.t.Error(err)
		}
		if err := conn.Close(); err != nil {
			w.t.Error(err)
		}
		if err := db.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// limitFiles stops the process from writing beyond the limit in any file, as a full disk
// does; with a limit of 0 it can write nothing.
func (w *world) limitFiles(limit uint64) (fix func()) {
	w.t.Helper()
	pid := w.fleet.at(0).PID()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		w.t.Fatal(err)
	}
	set := func(r syscall.Rlimit) {
		w.t.Helper()
		//nolint:gosec // the limit goes to the kernel and is read there
		_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&r)), 0, 0, 0)
		if errno != 0 {
			w.t.Fatal("prlimit: ", errno)
		}
	}
	set(syscall.Rlimit{Cur: limit, Max: before.Max})
	return func() { set(before) }
}

// intact checks the integrity of a file.
func (w *world) intact(path string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=query_only(ON)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(w.t.Context(), `PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		w.t.Errorf("integrity_check: %s, %v", verdict, err)
	}
}

// A small file system runs full, and has room again.
func TestSQLiteOnAFullDisk(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, no file system may be mounted here: %v %s", err, out)
	}
	w := &world{t: t, history: newHistory(), pace: 15 * time.Millisecond}
	w.simulate(codeartstest.Options{})
	w.fleet = newFleet(t, "", rules(w.simulator.URL))
	w.fleet.wrap = []string{"unshare", "-rm", "sh", "-c", `mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"`, w.fleet.disk()}
	w.host = newHost(t, w.fleet.public)
	disk, err := os.Open(fmt.Sprintf("/proc/%d/root%s", w.fleet.start(0).PID(), w.fleet.disk()))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close() // unmounts the file system
	path := fmt.Sprintf("/proc/self/fd/%d/", disk.Fd())
	w.outage(func(*world) func() {
		ballast, err := os.Create(path + "ballast")
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = ballast.Write(make([]byte, 4096))
		}
		_ = ballast.Close() // fails: the disk is full, as intended
		return func() {
			if err := os.Remove(path + "ballast"); err != nil {
				t.Error(err)
			}
		}
	})
	eventually(t, "everything is built", func() bool { return w.difference() == "" })
	w.fleet.take(0).Term()
	// SQLite asks for the names of links, which lead elsewhere: it gets a copy, and
	// of the log too, which may have been too much for the disk at the end.
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + "buildbridge.db" + suffix)
		if suffix != "" && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.fleet.path()+suffix, content, 0o600); err != nil { //nolint:gosec // a folder of the test's
			t.Fatal(err)
		}
	}
	w.open("sqlite", w.fleet.path())
	all := w.settle()
	w.intact(w.fleet.path())
	w.report(all, "on a file system that ran full")
}

// The program says why it cannot start.
func TestSQLiteThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", 1, codeartstest.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	second := exec.CommandContext(ctx, binary, w.fleet.arg...)
	second.Dir = w.fleet.dir
	second.Env = append(os.Environ(), w.fleet.env...)
	out, err := second.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 { //nolint:errorlint // Run gives no other
		t.Errorf("a second process on the file: %v, want exit code 1\n%s", err, out)
	}
}
