package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	suite(t, func(t *testing.T) func() *store.Store {
		t.Helper()
		path := filepath.Join(t.TempDir(), "a b?c%#.db") // what a URI would misread
		return func() *store.Store {
			s, err := store.Open(t.Context(), store.Options{Database: path, Logger: logger(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
	})
}

func TestSQLiteBelongsToOneProcess(t *testing.T) {
	t.Parallel()
	o := store.Options{Database: filepath.Join(t.TempDir(), "test.db"), Logger: logger(t)}
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// A copy of the database's own file is a backup of a program that was stopped.
func TestCloseLeavesOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := store.Open(t.Context(), store.Options{Database: path, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, s, func(*store.Build) {})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log is still there: %v", err)
	}
}

// All paths that lead to a file share one lock.
func TestSQLiteBehindLinksBelongsToOneProcess(t *testing.T) {
	t.Parallel()
	for phrase, there := range map[string]bool{"a file that is there": true, "a file that is new": false} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			folder := filepath.Join(top, "data")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			for link, to := range map[string]string{"folder": "data", "link.db": "data/test.db", "chain.db": "link.db", "absolute.db": filepath.Join(folder, "test.db")} {
				if err := os.Symlink(to, filepath.Join(top, link)); err != nil {
					t.Fatal(err)
				}
			}
			if there {
				if err := opener(t, filepath.Join(folder, "test.db"))().Close(); err != nil {
					t.Fatal(err)
				}
			}
			paths := []string{"chain.db", "link.db", "absolute.db", "folder/test.db", "data/test.db"}
			accept(t, opener(t, filepath.Join(top, paths[0]))(), nil)
			for _, path := range paths {
				s, err := store.Open(t.Context(), store.Options{Database: filepath.Join(top, path), Logger: logger(t)})
				if err == nil || !strings.Contains(err.Error(), "in use by another process") {
					t.Errorf("%s: got %v", path, err)
				}
				if err == nil {
					_ = s.Close()
				}
			}
		})
	}
}

func TestNobodyElseReadsTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := store.Open(t.Context(), store.Options{Database: path, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, s, nil)
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", suffix, info.Mode(), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A file that is not a database is left as it was, and no lock file is left beside it. A lock file that was
// there before stays.
func TestNoLockIsLeftBeside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notes.txt")
	text := []byte(strings.Repeat("not a database\n", 100))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func() {
		t.Helper()
		if _, err := store.Open(t.Context(), store.Options{Database: path, Logger: logger(t)}); err == nil {
			t.Fatal("it was opened")
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, text) {
			t.Errorf("the file was changed (%v)", err)
		}
	}
	open()
	if left, err := filepath.Glob(path + "?*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if err := os.WriteFile(path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open()
	if _, err := os.Stat(path + ".lock"); err != nil {
		t.Error(err)
	}
}

// Of several goroutines that take, remove and release a lock at the same time, one has it.
func TestLockThatIsRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db.lock")
	var holders, taken atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 300 {
				f, _, err := store.LockFile(path)
				if err != nil {
					continue // somebody else has it
				}
				taken.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d have it", n)
				}
				runtime.Gosched()
				holders.Add(-1)
				if err := errors.Join(os.Remove(path), f.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if taken.Load() == 0 {
		t.Error("nobody ever had it")
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		o    store.Options
		want string
	}{
		"no logger":           {store.Options{Database: "x.db"}, "Options.Logger is missing"},
		"no database":         {store.Options{Logger: logger(t)}, "Options.Database is missing"},
		"a folder that isn't": {store.Options{Logger: logger(t), Database: filepath.Join(t.TempDir(), "none", "x.db")}, "/none does not exist: "},
		"a bad URL":           {store.Options{Logger: logger(t), Database: "postgres://u:secret@h:port/db"}, "not a valid URL"},
		"another database":    {store.Options{Logger: logger(t), Database: "mysql://u:secret@h/db"}, "give the path of a SQLite file"},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			_, err := store.Open(t.Context(), c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
}

// A query can be run while the rows of the same query are still read.
func TestStatementInUse(t *testing.T) {
	t.Parallel()
	s := opener(t, filepath.Join(t.TempDir(), "test.db"))()
	// each runs the query, and do for each of its rows.
	each := func(do func()) (got []int) {
		if err := store.EachRow(t.Context(), s, `SELECT column1 FROM (VALUES (1), (2), (3)) ORDER BY 1`, func(n int) {
			got = append(got, n)
			do()
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := []int{1, 2, 3}
	for range 3 {
		got := each(func() {
			if inner := each(func() {}); !slices.Equal(inner, want) {
				t.Errorf("the inner one read %v", inner)
			}
		})
		if !slices.Equal(got, want) {
			t.Errorf("the outer one read %v", got)
		}
	}
}

// lockable gives a store, and a function that locks its file as another process would.
func lockable(t *testing.T) (s *store.Store, lock func() (unlock func())) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	s = opener(t, path)()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	run := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return s, func() (unlock func()) {
		run(`BEGIN EXCLUSIVE`)
		return func() { run(`ROLLBACK`) }
	}
}

// While another process has the lock, a store is not ready.
func TestLockedFileIsNotReady(t *testing.T) {
	t.Parallel()
	s, lock := lockable(t)
	unlock := lock()
	answered := make(chan error, 1)
	go func() {
		d := delivery(newID())
		answered <- second(s.Accept(t.Context(), d, []*store.Build{build(d)}))
	}()
	await(t, "a locked file is not ready", func() bool {
		err := s.Ping(t.Context())
		if err != nil && !strings.Contains(err.Error(), "has taken no write for") {
			t.Fatalf("it is not ready for another reason: %v", err)
		}
		return err != nil
	})
	unlock()
	if err := <-answered; err != nil {
		t.Errorf("after the lock: %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

// A change that finds nothing to write does not say that the disk is well: a write that failed still counts.
func TestFailureStaysUntilSomethingIsWritten(t *testing.T) {
	t.Parallel()
	s, lock := lockable(t)
	unlock := lock()
	d := delivery(newID())
	if _, err := s.Accept(t.Context(), d, []*store.Build{build(d)}); err == nil {
		t.Fatal("it was written beside a lock")
	}
	unlock()
	if _, err := s.Recall(t.Context(), "north"); err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(t.Context(), []int64{1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(t.Context(), []int64{1}, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("the failure is forgotten")
	}
	accept(t, s, nil)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("after a write: %v", err)
	}
}

// Prune waits for its deletions even if it is stopped: no block may be written of rows that are about to be
// deleted.
func TestForgettingIsWaitedFor(t *testing.T) {
	t.Parallel()
	s, lock := lockable(t)
	save(t, s, accept(t, s, nil), store.Started)
	unlock := lock()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var changed int64
	forgotten := make(chan struct{})
	go func() {
		defer close(forgotten)
		changed, _ = s.Prune(ctx, store.Retention{Builds: time.Hour}, time.Now().Add(2*time.Hour)) // stopped
	}()
	await(t, "a write that waits", func() bool { return s.Ping(t.Context()) != nil })
	cancel()
	select {
	case <-forgotten:
		t.Error("it is not waited for")
	case <-time.After(100 * time.Millisecond):
	}
	unlock()
	if <-forgotten; changed != 1 {
		t.Errorf("%d rows were forgotten", changed)
	}
}

// A backup that was put back may be readable by all.
func TestFileOpenToAllIsClosedToThem(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	o := store.Options{Database: filepath.Join(t.TempDir(), "test.db"), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	for round := range 2 {
		s, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"", ".lock"} {
			info, err := os.Stat(o.Database + suffix)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			told := strings.Contains(log.String(), "others could read the database: its file is yours alone now\" file="+o.Database+suffix+"\n")
			if told != (round > 0) {
				t.Errorf("round %d: told of %q: %t", round, suffix, told)
			}
			if err := os.Chmod(o.Database+suffix, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Accepted deliveries have no reason: a list by reason does not read them.
func TestListedByReason(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Options{Database: filepath.Join(t.TempDir(), "test.db"), Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, _, err := s.Deliveries(t.Context(), store.DeliveryFilter{Reason: "no_rule"}); err != nil {
		t.Fatal(err)
	}
	for _, statement := range store.Statements(s) {
		if strings.Contains(statement, "outcome = 'accepted' AND reason = ?") {
			t.Errorf("it reads all that were accepted: %s", statement)
		}
	}
}
