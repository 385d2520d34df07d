package rulesfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/mapping"
)

// write makes files below dir: a path to its content. "-> x" makes a symlink to
// x; a path that ends in "/" an empty directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		paths []string
		want  []string // names
		error []string // parts of it
	}{
		"one file, whatever it is called": {
			files: map[string]string{"rules.txt": "a"}, paths: []string{"rules.txt"}, want: []string{"rules.txt"},
		},
		"files come in the order given": {
			files: map[string]string{"b.yaml": "b", "a.yaml": "a"}, paths: []string{"b.yaml", "a.yaml"}, want: []string{"b.yaml", "a.yaml"},
		},
		"a directory gives its rules files by name, and not those below it": {
			files: map[string]string{"d/b.yml": "", "d/a.yaml": "", "d/README.md": "", "d/c.yaml.orig": "", "d/sub/x.yaml": "", "d/dir.yaml/": ""},
			paths: []string{"d"}, want: []string{"d/a.yaml", "d/b.yml"},
		},
		"hidden files of a directory are left out": {
			files: map[string]string{"d/a.yaml": "", "d/.b.yaml": "", "d/.c.yaml.swp": ""}, paths: []string{"d/"}, want: []string{"d/a.yaml"},
		},
		"a ConfigMap gives each file once": {
			files: map[string]string{"cm/..2026_01_02/rules.yaml": "a", "cm/..data": "-> ..2026_01_02", "cm/rules.yaml": "-> ..data/rules.yaml"},
			paths: []string{"cm"}, want: []string{"cm/rules.yaml"},
		},
		"a path given twice is read once": {
			files: map[string]string{"d/a.yaml": ""}, paths: []string{"d", "d/a.yaml", "./d/a.yaml"}, want: []string{"d/a.yaml"},
		},
		"all that cannot be read is told": {
			files: map[string]string{"d/": "", "l.yaml": "-> nowhere"}, paths: []string{"absent.yaml", "d", "l.yaml"},
			error: []string{"absent.yaml: no such file", "d: no *.yaml or *.yml", "l.yaml: no such file"},
		},
		"a symlink to nowhere in a directory": {
			files: map[string]string{"d/a.yaml": "", "d/l.yaml": "-> nowhere"}, paths: []string{"d"}, error: []string{"d/l.yaml: no such file"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, ".", test.files)
			files, err := rulesfile.Read(test.paths)
			if (err != nil) != (len(test.error) > 0) {
				t.Fatalf("error %v, want one with %q", err, test.error)
			}
			for _, part := range test.error {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %v, want one with %q", err, part)
				}
			}
			if err != nil {
				return
			}
			var got []string
			for _, f := range files {
				got = append(got, f.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadTellsFaultsFromFilesThatCannotBeRead(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", map[string]string{"rules.yaml": "version: 2\n"})
	_, _, err := rulesfile.Load([]string{"rules.yaml"})
	if faults, ok := errors.AsType[mapping.Faults](err); !ok || faults[0].File != "rules.yaml" {
		t.Errorf("a fault gives %v, want mapping.Faults", err)
	}
	if _, _, err = rulesfile.Load([]string{"absent.yaml"}); err == nil {
		t.Error("a file that is not there is no error")
	} else if _, ok := errors.AsType[mapping.Faults](err); ok {
		t.Errorf("a file that is not there gives faults: %v", err)
	}
}
