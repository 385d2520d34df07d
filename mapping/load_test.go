package mapping

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files and the JSON schema")

// TestFaults compares what every file of testdata/faults prints with the golden
// beside it. A folder is a set of files.
func TestFaults(t *testing.T) {
	entries, err := os.ReadDir("testdata/faults")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join("testdata/faults", e.Name())
		inputs, golden := []string{path}, strings.TrimSuffix(path, ".yaml")+".golden"
		if e.IsDir() {
			if inputs, err = filepath.Glob(filepath.Join(path, "*.yaml")); err != nil {
				t.Fatal(err)
			}
		} else if filepath.Ext(path) != ".yaml" {
			continue
		}
		t.Run(e.Name(), func(t *testing.T) {
			var files []File
			for _, in := range inputs {
				data, err := os.ReadFile(in)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, File{Name: filepath.Base(in), Data: data})
			}
			got := printed(t, files...)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// printed is what check would print of files.
func printed(t *testing.T, files ...File) string {
	t.Helper()
	rs, warnings, err := Parse(testProviders, files...)
	if (rs == nil) == (err == nil) {
		t.Errorf("set %v and error %v: want exactly one", rs != nil, err)
	}
	var out strings.Builder
	for _, w := range warnings {
		if !w.Warning {
			t.Errorf("a warning that does not say so: %v", w)
		}
		out.WriteString("warning: " + w.Error() + "\n")
	}
	if err != nil {
		var faults Faults
		if !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("want Faults, got %T: %v", err, err)
		}
		for _, f := range faults {
			checkFault(t, f, files)
		}
		out.WriteString(err.Error() + "\n")
	}
	return out.String()
}

// Where sources or targets are not what they have to be, nobody is told that a name
// is not among them.
func TestNamesInWrongSections(t *testing.T) {
	rules := "rules: [{name: a, source: b, when: {push: {}}, jobs: [{job_id: " + jobA + ", target: c}]}]\n"
	for name, test := range map[string]struct{ sections, want string }{
		"a list of sources": {"sources: []\n" + goodTargets, "rules.yaml:2:10: sources: want a map of names, this is a list\n"},
		"no targets":        {goodSources + "targets:\n", "rules.yaml:4:9: targets: want a map of names, this is nothing\n"},
		"a misspelt name":   {"source: {b: {provider: github, insecure: true}}\n" + goodTargets, `rules.yaml:2:1: source: unknown field; did you mean "sources"?` + "\n"},
		"no sources":        {"targets: {c: {region: cn-north-4, credentials: {chain: true}}}\n", `rules.yaml:3:27: rule "a": source: there is no source "b": nothing is under sources` + "\n"},
		"a source in part wrong": {
			"sources: {c: {provider: github, insecure: 1}}\ntargets: {c: {region: cn-north-4, credentials: {chain: true}}}\n",
			"rules.yaml:2:43: sources.c.insecure: want true or false, this is a number\n" +
				`rules.yaml:4:27: rule "a": source: there is no source "b"; known are c` + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := printed(t, File{Name: "rules.yaml", Data: []byte("version: 1\n" + test.sections + rules)})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// checkFault says whether a fault has a place inside of its file.
func checkFault(t *testing.T, f Fault, files []File) {
	t.Helper()
	if f.Message == "" || f.Line < 1 || f.Column < 1 {
		t.Errorf("a fault without a message or a place: %+v", f)
	}
	for _, file := range files {
		if file.Name == f.File {
			if lines := strings.Count(string(file.Data), "\n") + 1; f.Line > lines {
				t.Errorf("line %d of %d: %v", f.Line, lines, f)
			}
			return
		}
	}
	t.Errorf("a fault of a file that was not given: %v", f)
}

// Where an unquoted ! or * stands for what may name sources and targets, nobody is
// told that a name is not there.
func TestNamesThatWereNotRead(t *testing.T) {
	rules := "rules:\n  - name: a\n    source: gx\n    when: {push: {}}\n    jobs: [{job_id: " + jobA + ", target: m}]\n"
	for name, text := range map[string]string{
		"an alias for all sources": "sources: *x\n" + rules,
		"an alias for all targets": "targets: *x\n" + goodSources + rules,
		"merged into the sources":  "sources: {<<: *x, github: {provider: github, insecure: true}}\n" + rules,
		"merged into the document": "<<: *x\n" + rules,
		"a tag of all sources":     "sources: !x {}\n" + rules,
		"a tag of one source":      "sources:\n  github: !x\n  gx: {provider: github, insecure: true}\n" + goodTargets + rules,
		"a tag of the last field of a rule": rules + "  - name: b\n    jobs: [{job_id: " + jobA + ", target: m}]\n    when: !x\n" +
			"targets:\n  m: {region: cn-north-4, credentials: {chain: true}}\nsources:\n  gx: {provider: github, insecure: true}\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := printed(t, File{Name: "rules.yaml", Data: []byte("version: 1\n" + text)})
			if strings.Contains(got, "there is no") || strings.Contains(got, "no target") || !strings.Contains(got, "unquoted") && !strings.Contains(got, "not part of this language") {
				t.Errorf("it says\n%s", got)
			}
		})
	}
}

// What is in one file may be referred to in another, and the order of files is
// that of the rules.
func TestMerge(t *testing.T) {
	rules := File{Name: "rules.yaml", Data: []byte(`
version: 1
rules:
  - {name: z, source: github, when: {push: }, jobs: [` + goodJob + `, {job_id: 0b7c1d52e0f94c54a1d3f1f7c2a98e60, target: north}]}
`)}
	more := File{Name: "more.yaml", Data: []byte("version: 1\nrules: [{name: a, when: {tag: }, jobs: [" + goodJob + "]}]\n")}
	ends := File{Name: "ends.yaml", Data: []byte("version: 1\n" + goodSources + goodTargets)}
	rs := mustParse(t, rules, more, ends)
	if diff := cmp.Diff([]string{"z", "a"}, rs.RuleNames()); diff != "" || rs.Len() != 2 {
		t.Errorf("names: %s", diff)
	}
	var jobs []Job
	for j := range rs.Jobs() {
		jobs = append(jobs, j)
	}
	want := []Job{{"z", "north", ActionJob, jobA, ""}, {"z", "north", ActionJob, jobB, ""}, {"a", "north", ActionJob, jobA, ""}}
	if diff := cmp.Diff(want, jobs); diff != "" {
		t.Errorf("jobs: %s", diff)
	}
	for range rs.Jobs() {
		break // must not go on
	}
}

// counted is a reason that a file could not be read. It counts how often it is asked for.
type counted struct{ calls *atomic.Int32 }

func (c counted) Error() string {
	c.calls.Add(1)
	return "cannot be read"
}

// A syntax tree is large: on many processors too, only the file that is merged and the
// next one have one.
func TestParsesOneFileAhead(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	synctest.Test(t, func(t *testing.T) {
		var parsed atomic.Int32
		var files []File
		for range 20 {
			files = append(files, File{Err: counted{&parsed}})
		}
		merged := int32(0)
		for file := range parseAhead(files) {
			<-file
			merged++
			synctest.Wait()
			if got, want := parsed.Load(), min(merged+1, 20); got != want {
				t.Errorf("%d files are parsed when %d are merged, want %d", got, merged, want)
			}
		}
	})
}

func TestNoFile(t *testing.T) {
	rs, _, err := Parse(testProviders)
	if rs != nil || err == nil {
		t.Errorf("no file is no fault: %v", err)
	}
}
