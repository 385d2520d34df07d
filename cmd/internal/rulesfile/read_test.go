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
		"files of tests of a directory are left out": {
			files: map[string]string{"d/a.yaml": "", "d/a.test.yaml": "", "d/b.test.yml": "", "d/test.yaml": ""}, paths: []string{"d"},
			want: []string{"d/a.yaml", "d/test.yaml"},
		},
		"a directory with nothing but tests has no rules": {
			files: map[string]string{"d/a.test.yaml": ""}, paths: []string{"d"}, want: []string{"d: no *.yaml or *.yml in this directory"},
		},
		"a file that is named is read as rules, whatever it is called": {
			files: map[string]string{"d/a.test.yaml": ""}, paths: []string{"d/a.test.yaml"}, want: []string{"d/a.test.yaml"},
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
		"a path with its fence": {
			files: map[string]string{"d/a.yaml": "", "d/b.yaml": "", "f.yaml": "", "c.yaml": ""}, paths: []string{"d=f.yaml", "c.yaml"},
			want: []string{"d/a.yaml in f.yaml", "d/b.yaml in f.yaml", "c.yaml"},
		},
		"a file in two ways, the fence first": {
			files: map[string]string{"d/a.yaml": "", "f.yaml": ""}, paths: []string{"d/=f.yaml", "d/a.yaml"}, want: []string{"d/a.yaml in f.yaml"},
		},
		"a file in two ways, the fence last": {
			files: map[string]string{"d/a.yaml": "", "f.yaml": ""}, paths: []string{"d", "./d/a.yaml=./f.yaml"}, want: []string{"d/a.yaml in ./f.yaml"},
		},
		"a file behind a symlink": {
			files: map[string]string{"d/a.yaml": "", "l.yaml": "-> d/a.yaml", "f.yaml": ""}, paths: []string{"l.yaml", "d=f.yaml"}, want: []string{"l.yaml in f.yaml"},
		},
		"a symlink out of the fenced folder": {
			files: map[string]string{"d/a.yaml": "-> ../b.yaml", "b.yaml": "", "f.yaml": ""}, paths: []string{"b.yaml", "d=f.yaml"}, want: []string{"b.yaml in f.yaml"},
		},
		"an absolute path": {
			files: map[string]string{"d/a.yaml": "", "f.yaml": ""}, paths: []string{"d", "HERE/d/a.yaml=HERE/f.yaml"}, want: []string{"d/a.yaml in HERE/f.yaml"},
		},
		"one fence in two ways": {
			files: map[string]string{"d/a.yaml": "", "f.yaml": "", "g.yaml": "-> f.yaml"}, paths: []string{"d=f.yaml", "d/a.yaml=g.yaml"}, want: []string{"d/a.yaml in f.yaml"},
		},
		"two fences": {
			files: map[string]string{"d/a.yaml": "", "f.yaml": "", "g.yaml": ""}, paths: []string{"d=f.yaml", "d/a.yaml=g.yaml"},
			want: []string{"d/a.yaml: two --rules lead here, with the fences f.yaml and g.yaml: give one in f.yaml"},
		},
		"a path with a = that is there": {
			files: map[string]string{"env=prod/a.yaml": ""}, paths: []string{"env=prod"}, want: []string{"env=prod/a.yaml"},
		},
		"a path with a = and its fence": {
			files: map[string]string{"env=prod/a.yaml": "", "f.yaml": ""}, paths: []string{"env=prod=f.yaml"}, want: []string{"env=prod/a.yaml in f.yaml"},
		},
		"who is fenced makes a folder that is called like the path and its fence": {
			files: map[string]string{"d/a.yaml": "", "f/f.yaml": "", "d/=f/f.yaml": ""}, paths: []string{"d/=f/f.yaml"}, want: []string{"d/a.yaml in f/f.yaml"},
		},
		"who is fenced removes the file, and makes such a folder": {
			files: map[string]string{"f/f.yaml": "", "d/a.yaml=f/f.yaml": ""}, paths: []string{"d/a.yaml=f/f.yaml"},
			want: []string{"d/a.yaml: no such file or directory in f/f.yaml"},
		},
		"the fence is not there": {
			files: map[string]string{"d/a.yaml": ""}, paths: []string{"d=f.yaml"}, want: []string{"d/a.yaml in f.yaml: no such file or directory"},
		},
		"neither is there": {paths: []string{"d=f.yaml"}, want: []string{"d: no such file or directory in f.yaml: no such file or directory"}},
		"no fence behind the =": {
			files: map[string]string{"d/a.yaml": ""}, paths: []string{"d="},
			want: []string{"d: --rules has no fence behind the '=': write --rules PATH=FENCE.yaml"},
		},
		"the fence is among what it fences": {
			files: map[string]string{"d/a.yaml": "", "d/f.yaml": ""}, paths: []string{"d=d/f.yaml"},
			want: []string{"d/a.yaml in d/f.yaml", "d/f.yaml: this is a fence, and no rules file: keep it where those whom it fences cannot write in d/f.yaml"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, ".", test.files)
			here, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			paths := strings.Split(strings.ReplaceAll(strings.Join(test.paths, "\n"), "HERE", here), "\n")
			var got []string
			for _, f := range rulesfile.Read(paths) {
				if f.Err != nil {
					f.Name += ": " + f.Err.Error()
				}
				if f.Fence != nil {
					if f.Name += " in " + strings.Replace(f.Fence.Name, here, "HERE", 1); f.Fence.Err != nil {
						f.Name += ": " + f.Fence.Err.Error()
					}
				}
				got = append(got, f.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTests(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", map[string]string{"d/b.test.yml": "", "d/a.test.yaml": "", "d/a.yaml": "", "d/.c.test.yaml": "", "d/sub/d.test.yaml": ""})
	got, err := rulesfile.Tests("d")
	if diff := cmp.Diff([]string{"d/a.test.yaml", "d/b.test.yml"}, got); diff != "" || err != nil {
		t.Errorf("%v, files (-want +got):\n%s", err, diff)
	}
	if got, err := rulesfile.Tests("nowhere"); err == nil {
		t.Errorf("got %q of a directory that is not there", got)
	}
	got, dirs, err := rulesfile.TestsBeside([]string{"d", "d/a.yaml", "nowhere/rules.yaml"})
	if diff := cmp.Diff([][]string{{"d/a.test.yaml", "d/b.test.yml"}, {"d", "nowhere"}}, [][]string{got, dirs}); diff != "" || err != nil {
		t.Errorf("%v, beside rules (-want +got):\n%s", err, diff)
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
