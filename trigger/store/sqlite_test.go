package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		o    store.Options
		want string
	}{
		"no logger":           {store.Options{Database: "x.db"}, "Options.Logger is missing"},
		"no database":         {store.Options{Logger: logger(t)}, "Options.Database is missing"},
		"a folder that isn't": {store.Options{Logger: logger(t), Database: filepath.Join(t.TempDir(), "none", "x.db")}, "no such file or directory"},
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
