package rulesfile

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// steps are what a test does to the files in the current folder.
type steps struct{ t *testing.T }

func (s steps) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s steps) write(path, content string) {
	s.t.Helper()
	s.ok(os.MkdirAll(filepath.Dir(path), 0o700))
	s.ok(os.WriteFile(path, []byte(content), 0o600))
}

func (s steps) rename(from, to string) { s.t.Helper(); s.ok(os.Rename(from, to)) }
func (s steps) link(target, at string) { s.t.Helper(); s.ok(os.Symlink(target, at)) }

// swap does to the volume cm of a ConfigMap what the kubelet does for an update.
func (s steps) swap(version, content string) {
	s.t.Helper()
	s.write(filepath.Join("cm", version, "rules.yaml"), content)
	s.link(version, "cm/..data_tmp")
	s.rename("cm/..data_tmp", "cm/..data")
}

func TestWatch(t *testing.T) {
	configMap := func(s steps) {
		s.write("cm/..1/rules.yaml", "1")
		s.link("..1", "cm/..data")
		s.link("..data/rules.yaml", "cm/rules.yaml")
	}
	for name, test := range map[string]struct {
		paths   []string
		before  func(steps)
		changes []func(steps) // each is to be told
		want    string        // what the files hold in the end, one after the other
	}{
		"a file is written again": {
			paths:   []string{"rules.yaml"},
			before:  func(s steps) { s.write("rules.yaml", "1") },
			changes: []func(steps){func(s steps) { s.write("rules.yaml", "two") }, func(s steps) { s.write("rules.yaml", "three") }},
			want:    "three",
		},
		"an editor replaces a file, again and again": {
			paths:  []string{"rules.yaml"},
			before: func(s steps) { s.write("rules.yaml", "1") },
			changes: []func(steps){
				func(s steps) { s.write("4913", "2"); s.rename("4913", "rules.yaml") },
				func(s steps) { s.rename("rules.yaml", "rules.yaml~"); s.write("rules.yaml", "3") },
				func(s steps) { s.write("4913", "4"); s.rename("4913", "rules.yaml") },
			},
			want: "4",
		},
		"a file goes and comes back": {
			paths:   []string{"rules.yaml"},
			before:  func(s steps) { s.write("rules.yaml", "1") },
			changes: []func(steps){func(s steps) { s.ok(os.Remove("rules.yaml")) }, func(s steps) { s.write("rules.yaml", "2") }},
			want:    "2",
		},
		"a directory gets a file and loses one": {
			paths:   []string{"d"},
			before:  func(s steps) { s.write("d/a.yaml", "a") },
			changes: []func(steps){func(s steps) { s.write("d/b.yaml", "b") }, func(s steps) { s.ok(os.Remove("d/a.yaml")) }},
			want:    "b",
		},
		"a directory is replaced": {
			paths:  []string{"d"},
			before: func(s steps) { s.write("d/a.yaml", "a") },
			changes: []func(steps){
				func(s steps) { s.write("new/a.yaml", "b"); s.rename("d", "old"); s.rename("new", "d") },
				func(s steps) { s.write("d/a.yaml", "see") },
			},
			want: "see",
		},
		"a ConfigMap that is mounted as a directory": {
			paths: []string{"cm"}, before: configMap,
			changes: []func(steps){func(s steps) { s.swap("..2", "2") }, func(s steps) { s.swap("..3", "3") }},
			want:    "3",
		},
		"a file of a ConfigMap": {
			paths: []string{"cm/rules.yaml"}, before: configMap,
			changes: []func(steps){func(s steps) { s.swap("..2", "2") }, func(s steps) { s.swap("..3", "3") }},
			want:    "3",
		},
		"a fence": {
			paths:  []string{"d=f.yaml"},
			before: func(s steps) { s.write("d/a.yaml", "a"); s.write("f.yaml", "1") },
			changes: []func(steps){
				func(s steps) { s.write("f.yaml", "two") }, func(s steps) { s.ok(os.Remove("f.yaml")) }, func(s steps) { s.write("f.yaml", "3") },
			},
			want: "a",
		},
		"a symlink to a file elsewhere": {
			paths:   []string{"rules.yaml"},
			before:  func(s steps) { s.write("elsewhere/real", "1"); s.link("elsewhere/real", "rules.yaml") },
			changes: []func(steps){func(s steps) { s.write("elsewhere/real", "two") }},
			want:    "two",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			s := steps{t}
			test.before(s)
			w := watch(test.paths, 10*time.Millisecond, 100*time.Millisecond)
			defer w.Close()
			for i, change := range test.changes {
				change(s)
				select {
				case <-w.Changed():
				case <-time.After(time.Minute):
					t.Fatalf("change %d was not told", i)
				}
			}
			var got string
			for _, f := range Read(test.paths) {
				s.ok(f.Err)
				got += string(f.Data)
			}
			if got != test.want {
				t.Errorf("the files hold %q, want %q", got, test.want)
			}
		})
	}
}

// A file that is written in its place, with pauses, is told of when all of it is there.
func TestHalfAFileIsNotTold(t *testing.T) {
	t.Chdir(t.TempDir())
	s := steps{t}
	synctest.Test(t, func(t *testing.T) {
		s.write("rules.yaml", "old")
		w := Watch([]string{"rules.yaml"})
		defer w.Close()
		const pause = settle - 3*interval/2
		content := "new: "
		for _, part := range []string{"", "one ", "two ", "three ", "four"} {
			content += part
			s.write("rules.yaml", content)
			select {
			case <-w.Changed():
				t.Fatalf("told when it is %q", content)
			case <-time.After(pause):
			}
		}
		begin := time.Now()
		<-w.Changed()
		if took := time.Since(begin) + pause; took < settle || took > 2*settle {
			t.Errorf("told %s after the end of the file, want at least %s and at most twice that", took, settle)
		}
	})
}

// What happens beside the files is no change, however often it happens.
func TestOtherFilesAreIgnored(t *testing.T) {
	t.Chdir(t.TempDir())
	s := steps{t}
	s.write("rules.yaml", "1")
	s.write("d/a.yaml", "a")
	paths := []string{"rules.yaml", "d"}
	before := state(paths)
	s.write("buildbridge.db", "x")
	s.write("d/.a.yaml.swp", "x")
	s.write("d/README.md", "x")
	if state(paths) != before {
		t.Error("other files are taken for a change")
	}
	s.write("d/b.yaml", "b")
	if state(paths) == before {
		t.Error("a new rules file is not taken for a change")
	}
}
