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
		want  []string // names, with what is wrong
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
		"what cannot be read is among the files, in its place": {
			files: map[string]string{"b.yaml": "", "d/": "", "a.yaml": "", "l.yaml": "-> nowhere"}, paths: []string{"b.yaml", "absent.yaml", "d", "l.yaml", "a.yaml"},
			want: []string{
				"b.yaml", "absent.yaml: no such file or directory", "d: no *.yaml or *.yml in this directory", "l.yaml: no such file or directory", "a.yaml",
			},
		},
		"a symlink to nowhere in a directory": {
			files: map[string]string{"d/a.yaml": "", "d/l.yaml": "-> nowhere", "d/z.yaml": ""}, paths: []string{"d"},
			want: []string{"d/a.yaml", "d/l.yaml: no such file or directory", "d/z.yaml"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, ".", test.files)
			var got []string
			for _, f := range rulesfile.Read(test.paths) {
				if f.Err != nil {
					f.Name += ": " + f.Err.Error()
				}
				got = append(got, f.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// A file that cannot be read hides no fault of the others, and nobody is told that
// names are not there which it may define.
func TestLoadWithFilesThatCannotBeRead(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", map[string]string{
		"a.yaml": "version: 1\nrules: [{name: a, source: github, when: {pull: {}}, jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46, target: north}]}]\n",
		"c.yaml": "version: 2\n",
	})
	_, _, err := rulesfile.Load([]string{"a.yaml", "b.yaml", "c.yaml"})
	faults, _ := errors.AsType[mapping.Faults](err)
	want := `a.yaml:2:42: rule "a": when.pull: unknown field; known are push, tag
b.yaml:1:1: no such file or directory
c.yaml:1:10: version: want 1, this is 2`
	if diff := cmp.Diff(want, faults.Error()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
