package cli

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// copies is a bridge that sends so many of the bytes that it promises.
func copies(t *testing.T, sent, promised int) string {
	t.Helper()
	content := sqliteMagic + strings.Repeat("x", sent-len(sqliteMagic))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/backup" || r.Header.Get("Authorization") == "" {
			http.Error(w, `{"error":"no"}`, http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(promised))
		_, _ = w.Write([]byte(content))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// filesIn are the names in a folder.
func filesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestBackup(t *testing.T) {
	t.Setenv("TOKEN", "s3cret")
	for name, test := range map[string]struct {
		sent, promised int
		before         []string // files of the folder
		args           []string // FOLDER stands for it
		code           int
		says           string
		after          []string // but for the new one of a folder
	}{
		"a file":                   {5000, 5000, nil, []string{"FOLDER/a.db"}, 0, "a.db: 0.0 MB", []string{"a.db"}},
		"a file that exists":       {5000, 5000, []string{"a.db"}, []string{"FOLDER/a.db"}, 1, "a.db exists: give another name, or --force", []string{"a.db"}},
		"a file to replace":        {5000, 5000, []string{"a.db"}, []string{"FOLDER/a.db", "--force"}, 0, "", []string{"a.db"}},
		"a break in the middle":    {3000, 5000, nil, []string{"FOLDER/a.db"}, 1, "not complete: 0.0 MB of 0.0 MB: unexpected EOF", nil},
		"a break before a replace": {3000, 5000, []string{"a.db"}, []string{"FOLDER/a.db", "--force"}, 1, "not complete", []string{"a.db"}},
		"a folder":                 {5000, 5000, []string{"a.db"}, []string{"FOLDER/"}, 0, "buildbridge-2", []string{"a.db"}},
		"a folder without a slash": {5000, 5000, nil, []string{"FOLDER"}, 0, "buildbridge-2", nil},
		"the newest are kept": {
			5000, 5000,
			[]string{"buildbridge-20200102T030405Z.db", "buildbridge-20210102T030405Z.db", "buildbridge-20220102T030405Z.db", "buildbridge-mine.db", "z.db"},
			[]string{"FOLDER/", "--keep", "2"},
			0, "buildbridge-20200102T030405Z.db: deleted",
			[]string{"buildbridge-20220102T030405Z.db", "buildbridge-mine.db", "z.db"},
		},
		"none is deleted for a break": {3000, 5000, []string{"buildbridge-20200102T030405Z.db"}, []string{"FOLDER/", "--keep", "1"}, 1, "not complete", []string{"buildbridge-20200102T030405Z.db"}},
		"a folder that is not there":  {5000, 5000, nil, []string{"FOLDER/none/a.db"}, 1, "no such file or directory", nil},
		"--keep for a file":           {5000, 5000, nil, []string{"FOLDER/a.db", "--keep", "2"}, 2, "--keep is for backups in a folder", nil},
		"standard output":             {5000, 5000, nil, []string{"-"}, 0, "", nil},
		"a broken standard output":    {3000, 5000, nil, []string{"-"}, 1, "not complete", nil},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for _, file := range test.before {
				if err := os.WriteFile(filepath.Join(folder, file), []byte("before"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			args := []string{"backup", "--admin", copies(t, test.sent, test.promised), "--admin-token", "env:TOKEN"}
			for _, arg := range test.args {
				args = append(args, strings.ReplaceAll(arg, "FOLDER", folder))
			}
			var out, errs bytes.Buffer
			if code := Run(t.Context(), args, Environment{Stdout: &out, Stderr: &errs}); code != test.code {
				t.Errorf("it exits with %d", code)
			}
			if said := out.String() + errs.String(); !strings.Contains(said, test.says) {
				t.Errorf("it does not say %q: %s", test.says, errs.String())
			}
			files := filesIn(t, folder)
			replaced := false
			for _, file := range slices.Clone(files) {
				path := filepath.Join(folder, file)
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if string(content) == "before" {
					continue
				}
				info, err := os.Stat(path)
				if err != nil || len(content) != 5000 || info.Mode() != 0o600 {
					t.Errorf("%s has %d bytes, %v, %v", file, len(content), info.Mode(), err)
				}
				replaced = true
				if i := slices.Index(files, file); strings.HasPrefix(file, "buildbridge-2") {
					files = slices.Delete(files, i, i+1)
				}
			}
			if !slices.Equal(files, test.after) {
				t.Errorf("the folder has %q, want %q", files, test.after)
			}
			if test.args[0] == "-" {
				if out.Len() != test.sent {
					t.Errorf("standard output got %d bytes", out.Len())
				}
			} else if replaced != (test.code == 0) {
				t.Errorf("a file was written: %v", replaced)
			}
		})
	}
}

// Ctrl-C leaves no half file.
func TestBackupIsInterrupted(t *testing.T) {
	t.Setenv("TOKEN", "s3cret")
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write([]byte(sqliteMagic + "half"))
		_ = http.NewResponseController(w).Flush()
		for len(filesIn(t, folder)) == 0 {
			if r.Context().Err() != nil {
				return
			}
		}
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	var errs bytes.Buffer
	args := []string{"backup", "--admin", server.URL, "--admin-token", "env:TOKEN", filepath.Join(folder, "a.db")}
	if code := Run(ctx, args, Environment{Stdout: &errs, Stderr: &errs}); code != 1 || !strings.Contains(errs.String(), "context canceled") {
		t.Errorf("it exits with %d: %s", code, errs.String())
	}
	if files := filesIn(t, folder); len(files) > 0 {
		t.Errorf("it leaves %q", files)
	}
}

// What is no bridge gives no file.
func TestBackupOfAStranger(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>a page of someone</html>")) }))
	defer server.Close()
	folder := t.TempDir()
	var errs bytes.Buffer
	if code := Run(t.Context(), []string{"backup", "--admin", server.URL, filepath.Join(folder, "a.db")}, Environment{Stdout: &errs, Stderr: &errs}); code != 1 ||
		!strings.Contains(errs.String(), "the answer is no SQLite database") || len(filesIn(t, folder)) > 0 {
		t.Errorf("it exits with %d: %s", code, errs.String())
	}
}
