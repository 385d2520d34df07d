package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"buildbridge/mapping"
)

// inputPipe makes a named pipe, and gives what is read from it once written and closed.
func inputPipe(t *testing.T, path string) (read func() string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // so that no side waits for the other
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() })
	return func() string {
		got := make([]byte, 100)
		n, err := pipe.Read(got)
		if err != nil {
			t.Fatal(err)
		}
		return string(got[:n])
	}
}

// What is no regular file stays what it is, whatever leads to it.
func TestOutputIntoPipes(t *testing.T) {
	dir := t.TempDir()
	fifo, link, stdout := filepath.Join(dir, "fifo"), filepath.Join(dir, "link"), filepath.Join(dir, "stdout")
	read := inputPipe(t, fifo)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for name, to := range map[string]string{link: "fifo", stdout: fmt.Sprintf("/proc/self/fd/%d", w.Fd())} { // as /dev/stdout is
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	readAnonymous := func() string {
		got := make([]byte, 100)
		n, err := r.Read(got)
		if err != nil {
			t.Fatal(err)
		}
		return string(got[:n])
	}
	for path, read := range map[string]func() string{fifo: read, link: read, stdout: readAnonymous} {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []outputFile{{path: path}, {path: path, mode: 0o600}, {path: path, new: true}} {
			err := o.write(func(w io.Writer) error {
				_, err := io.WriteString(w, "text")
				return err
			})
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Fatalf("%s is replaced: %v, %v", path, after.Mode(), err)
			}
			if got := read(); got != "text" {
				t.Errorf("%s gives %q", path, got)
			}
		}
	}
	if names := filesIn(t, dir); len(names) != 3 {
		t.Errorf("the folder has %q", names)
	}
	_ = w.Close()
}

func TestOutputFile(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		out  outputFile
		fail error
		want string // part of the error
		mode os.FileMode
		text string // that PATH leads to afterwards
	}{
		"a new file":                    {outputFile{path: "new"}, nil, "", 0o644, "text"},
		"a new secret file":             {outputFile{path: "new", mode: 0o600}, nil, "", 0o600, "text"},
		"a file keeps its mode":         {outputFile{path: "old"}, nil, "", 0o640, "text"},
		"a file gets another mode":      {outputFile{path: "old", mode: 0o600}, nil, "", 0o600, "text"},
		"a symlink stays one":           {outputFile{path: "link"}, nil, "", 0o640, "text"},
		"a symlink that leads nowhere":  {outputFile{path: "dangling"}, nil, "dangling: the symlink leads to no file", 0, ""},
		"a folder":                      {outputFile{path: "folder"}, nil, "folder: is a directory", 0, ""},
		"a folder that is not there":    {outputFile{path: "absent/new"}, nil, "no such file or directory", 0, ""},
		"half a file is none":           {outputFile{path: "old"}, broken, "broken", 0o640, "old"},
		"a file that must not be there": {outputFile{path: "old", new: true}, nil, "file exists", 0o640, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			err := errors.Join(os.WriteFile("old", []byte("old"), 0o600), os.Chmod("old", 0o640), os.Symlink("old", "link"),
				os.Symlink("gone", "dangling"), os.Mkdir("folder", 0o700))
			if err != nil {
				t.Fatal(err)
			}
			links, err := os.Lstat(test.out.path)
			wasLink := err == nil && links.Mode()&os.ModeSymlink != 0
			err = test.out.write(func(w io.Writer) error {
				_, err := io.WriteString(w, "text")
				return errors.Join(err, test.fail)
			})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if info, err := os.Lstat(test.out.path); wasLink && (err != nil || info.Mode()&os.ModeSymlink == 0) {
				t.Errorf("the symlink is %v, %v", info, err)
			}
			if text, _ := os.ReadFile(test.out.path); string(text) != test.text {
				t.Errorf("it has %q, want %q", text, test.text)
			}
			if info, err := os.Stat(test.out.path); test.mode != 0 && (err != nil || info.Mode() != test.mode) {
				t.Errorf("its mode is %v, %v", info, err)
			}
			for _, file := range filesIn(t, ".") {
				if strings.HasSuffix(file, ".part") {
					t.Errorf("%s is left", file)
				}
			}
		})
	}
}

// An export goes into a pipe, or where a symlink leads.
func TestExportIntoPipe(t *testing.T) {
	for _, to := range []string{"fifo", "link"} {
		t.Run(to, func(t *testing.T) {
			t.Chdir(t.TempDir())
			read := inputPipe(t, "fifo")
			if err := os.Symlink("fifo", "link"); err != nil {
				t.Fatal(err)
			}
			export := &deliveriesExport{Output: to}
			export.Admin = emptyExport(t)
			if err := export.Run(t.Context(), &Environment{Stdout: io.Discard, Stderr: io.Discard}); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(to); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
				t.Fatalf("it is %v, %v", info.Mode(), err)
			}
			if got := read(); got != fmt.Sprintf(recordedEnd, 0) {
				t.Errorf("it gives %q", got)
			}
		})
	}
}

// What is read from a pipe cannot be put back into it.
func TestFormatOfPipe(t *testing.T) {
	t.Chdir(t.TempDir())
	inputPipe(t, "fifo")
	err := (&fmtCommand{}).format(&Environment{Stdout: io.Discard, Stderr: io.Discard}, mapping.File{Name: "fifo", Data: []byte("rules: []\nversion: 1\n")})
	if err == nil || err.Error() != "fifo: it is no regular file: give it as standard input, with -" {
		t.Errorf("got %v", err)
	}
}
