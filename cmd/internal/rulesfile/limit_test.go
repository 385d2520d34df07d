package rulesfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What many files have together is bounded: those behind the bound are not read.
func TestReadTogether(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", "b.yaml", "c.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("0123456789"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := read([]string{dir}, 15)
	if len(files) != 3 || files[0].Err != nil || files[1].Err != nil || len(files[1].Data) != 10 {
		t.Fatalf("want three files, the first two of them read: %+v", files)
	}
	if err := files[2].Err; err == nil || !strings.HasPrefix(err.Error(), "not read: the files before it") || files[2].Data != nil {
		t.Errorf("the third: %q, %v", files[2].Data, err)
	}
}
