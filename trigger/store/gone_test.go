package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"buildbridge/trigger/store"
)

// Nothing is accepted into a file that is not where it will be looked for.
func TestSQLiteFileThatIsGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := store.Open(t.Context(), store.Options{Database: path, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
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
