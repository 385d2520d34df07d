package store_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"buildbridge/trigger/store"
)

// Nothing is accepted into a file that is no longer at its path.
func TestSQLiteFileThatIsGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s := opener(t, path)()
	refused := func(want string) {
		t.Helper()
		d := delivery(newID())
		_, err := s.Accept(t.Context(), d, []*store.Build{build(d)})
		for what, err := range map[string]error{"accept": err, "ping": s.Ping(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want …%s…", what, err, want)
			}
		}
	}
	accept(t, s, nil)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	refused("is gone")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("was replaced")
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	accept(t, s, nil)
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// The last commits are in the files beside the database. When one of them is deleted, nothing more is
// accepted, and what was acknowledged is saved.
func TestSQLiteFileBesideThatIsGone(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"-wal", "-shm"} {
		t.Run(suffix, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "test.db")
			s := opener(t, path)()
			var acknowledged []string
			for range 20 {
				acknowledged = append(acknowledged, accept(t, s, nil).ID)
			}
			if err := os.Remove(path + suffix); err != nil {
				t.Fatal(err)
			}
			d := delivery(newID())
			_, err := s.Accept(t.Context(), d, []*store.Build{build(d)})
			for what, err := range map[string]error{"accept": err, "ping": s.Ping(t.Context())} {
				if want := "a file is gone; put it back, or restart: its contents are saved: stat " + path + suffix; err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want …%s…", what, err, want)
				}
			}
			if suffix == "-wal" { // as if the process were killed now
				awaitIn(t, path, acknowledged)
			}
			if err := os.WriteFile(path+suffix, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Accept(t.Context(), d, []*store.Build{build(d)}); err == nil || !strings.Contains(err.Error(), "was replaced by another") {
				t.Errorf("got %v", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = opener(t, path)()
			for _, id := range acknowledged {
				read(t, s, id)
			}
			accept(t, s, nil)
		})
	}
}

// awaitIn waits until the file of the database alone has all of these builds.
func awaitIn(t *testing.T, path string, ids []string) {
	t.Helper()
	missing := func() (err error) {
		copied := filepath.Join(t.TempDir(), "copy.db")
		from, err := os.Open(path)
		if err != nil {
			return err
		}
		defer from.Close()
		to, err := os.Create(copied)
		if err != nil {
			return err
		}
		if _, err := io.Copy(to, from); err != nil {
			return err
		}
		if err := to.Close(); err != nil {
			return err
		}
		s, err := store.Open(t.Context(), store.Options{Database: copied, Logger: logger(t)})
		if err != nil {
			return err
		}
		defer s.Close()
		for _, id := range ids {
			if _, err := s.Build(t.Context(), id); err != nil {
				return fmt.Errorf("of %d: %w", len(ids), err)
			}
		}
		return nil
	}
	var err error
	defer func() {
		if err != nil {
			t.Errorf("a kill would lose what was acknowledged: %v", err)
		}
	}()
	await(t, "the file has what was acknowledged", func() bool {
		err = missing()
		return err == nil
	})
}
