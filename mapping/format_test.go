package mapping

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"fields are in the order of the schema, with their comments": {
			`# yaml-language-server: $schema=rules.schema.json

# What builds.
rules:
- when:
    # Tags never.
    push: {paths: [a/**], branches: main}
  # Its jobs.
  jobs: # several
  - parameters: {b: '1', a: "2"}
    # The id.
    job_id: f9d6c8466d614a9788e9a0acf6c15f46
    # marker: BUILD

  # How it is called.

  # In metrics.
  name: cart # unique
# Another one.
- {jobs: [{parameters: {z: y}, job_id: f9d6c8466d614a9788e9a0acf6c15f46}], name: b, when: {tag: , push: {}}}
# The end of the rules.

targets:
  north: {credentials: {secret_key: {env: SK}, access_key: {env: AK}}, region: cn-north-4}
version: 1
# The end.
`,
			`# yaml-language-server: $schema=rules.schema.json

version: 1

targets:
  north: {region: cn-north-4, credentials: {access_key: {env: AK}, secret_key: {env: SK}}}
# What builds.
rules:
  # How it is called.

  # In metrics.
  - name: cart # unique

    when:
      # Tags never.
      push: {branches: main, paths: [a/**]}
    # Its jobs.
    jobs: # several
      # The id.
      - job_id: f9d6c8466d614a9788e9a0acf6c15f46
        parameters: {b: '1', a: "2"}
        # marker: BUILD
  # Another one.
  - {name: b, when: {push: {}, tag: }, jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46, parameters: {z: y}}]}
# The end of the rules.
# The end.
`,
		},
		"names keep their order, and what is inside of texts stays": {
			`version: 1
targets:
    z:
        credentials:
            chain: true
        region:   cn-north-4   # here
    a: {region: cn-north-1, credentials: {chain: true}}
rules:
    -   jobs:
        -   job_id: f9d6c8466d614a9788e9a0acf6c15f46
            parameters:
                z: |
                    # no comment
                      indented

                    end
                a: "two
                  lines"
        if: >-
            event.forced &&
            event.branch == "main"
        name: a
        when:
            push:
                branches:
                - main

                # Others.
                -   'release/**'
`,
			`version: 1
targets:
  z:
    region:   cn-north-4   # here
    credentials:
      chain: true
  a: {region: cn-north-1, credentials: {chain: true}}
rules:
  - name: a
    when:
      push:
        branches:
          - main

          # Others.
          - 'release/**'
    if: >-
      event.forced &&
      event.branch == "main"
    jobs:
      - job_id: f9d6c8466d614a9788e9a0acf6c15f46
        parameters:
          z: |
            # no comment
              indented

            end
          a: "two
            lines"
`,
		},
		"line ends and the mark at the beginning stay": {
			"\ufeffrules: []\r\n# c\r\nversion: 1",
			"\ufeff# c\r\nversion: 1\r\nrules: []\r\n",
		},
		"marks of the document stay": {
			"%YAML 1.2\n# top\n---\nrules: []\n# c\n\nversion: 1\n...\n# end\n",
			"%YAML 1.2\n# top\n---\nversion: 1\n\nrules: []\n# c\n...\n# end\n",
		},
		"a document in braces": {"{rules: [], version: 1}\n", "{version: 1, rules: []}\n"},
		"braces over several lines stay": {
			"rules: []\nversion: 1\ntargets: {\n  a: {\n    credentials: {chain: true}, region: a},\n}\n",
			"version: 1\ntargets: {\n  a: {\n    credentials: {chain: true}, region: a},\n}\nrules: []\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, faults := Format(File{Name: "rules.yaml", Data: []byte(test.text)})
			if faults != nil {
				t.Fatal(faults)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			checkFormat(t, []byte(test.text))
		})
	}
}

// A file with faults of its structure is not formatted: each is told with its place.
func TestFormatRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "rules.yaml:1:1: the file is empty: a rules file begins with version: 1",
		"version: 1\nrule: []\n":   `rules.yaml:2:1: rule: unknown field; did you mean "rules"?`,
		"version: 1\nversion: 1":   "rules.yaml:2:1: version: given twice; the first is at rules.yaml:1:1",
		"version: 1\nx-a: &a {}\n": "rules.yaml:2:6: x-a: anchors (&a) are not part of this language: say it once with",
		"version: 1\n\trules: []":  "rules.yaml:2:1: not YAML: a tab: indent with spaces",
	} {
		if _, faults := Format(File{Name: "rules.yaml", Data: []byte(text)}); faults == nil || !strings.HasPrefix(faults.Error(), want) {
			t.Errorf("%q: %v, want %s", text, faults, want)
		}
	}
}

// checkFormat formats a file a second time, which changes nothing, and expects that it means
// what it did.
func checkFormat(t *testing.T, data []byte) {
	t.Helper()
	once, faults := Format(File{Name: "a.yaml", Data: data})
	if faults != nil {
		return
	}
	twice, faults := Format(File{Name: "a.yaml", Data: once})
	if faults != nil || string(twice) != string(once) {
		t.Errorf("a second time it is other than the first: %v\n%s", faults, cmp.Diff(string(once), string(twice)))
	}
	before, _, err := Parse(testProviders, File{Name: "a.yaml", Data: data})
	if err != nil {
		return
	}
	after, _, err := Parse(testProviders, File{Name: "a.yaml", Data: once})
	if err != nil || after.Digest() != before.Digest() {
		t.Errorf("it means something else: %v\n%s", err, once)
	}
}

// The sample is in its form.
func TestFormatOfTheSample(t *testing.T) {
	data, err := os.ReadFile("../rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, faults := Format(File{Name: "rules.yaml", Data: data})
	if faults != nil {
		t.Fatal(faults)
	}
	if diff := cmp.Diff(string(data), string(got)); diff != "" {
		t.Errorf("run buildbridge fmt rules.yaml: -is +formatted:\n%s", diff)
	}
}

// Fences have their form too, and a fault of one is that of a fence.
func TestFormatOfFence(t *testing.T) {
	for text, want := range map[string]string{
		"jobs:\n- f9d6c8466d614a9788e9a0acf6c15f46 # cart\n# Whose.\nsources: [github]\n": "# Whose.\nsources: [github]\njobs:\n  - f9d6c8466d614a9788e9a0acf6c15f46 # cart\n",
		"targets: [north]\nsources: [github]\n":                                           "sources: [github]\ntargets: [north]\n",
		"jobs: [cart]\n":                                                                  "fence.yaml:1:8: jobs[0]: ",
		"jobs: []\nname: a\n":                                                             "fence.yaml:1:1: jobs: unknown field", // a rule
		"targets: {north: {}}\nsources: {github: {}}":                                     "fence.yaml:1:",
	} {
		got, faults := Format(File{Name: "fence.yaml", Data: []byte(text)})
		if faults != nil {
			got = []byte(faults.Error())
		}
		if !strings.HasPrefix(string(got), want) {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

// FuzzFormat checks that no text makes Format panic, and that what it gives is its own form
// and means the same.
func FuzzFormat(f *testing.F) {
	paths, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range append(paths, "../rules.yaml") {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{
		"rules: []\r\n# a\r\nversion: 1", "rules:\n- # a\n  jobs: []\n  name: b\nversion: 1", "rules: # a\n - \n\n   name: a\nversion: 1\n",
		"targets:\n  a: |+\n   x\n\nversion: 1\n", "{rules: [ {when: {}, name: é} ] , version: 1 , }", "rules: []\nversion:\n  1\n", "- - a\n  - b: |\n      x\n",
		"sources:\n    a:\n      # deep\n     # less\n        provider: gitea\n        # deep\n      # less\n  # least\nversion: 1 # v\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkFormat(t, data) })
}

// orderedField is a field of a map as TestFormatOfAnyOrder writes it: with text, fields or a list of
// maps behind it, and a comment above and behind.
type orderedField struct {
	name, text string
	fields     []orderedField
	list       [][]orderedField
}

// writeOrdered writes fields in an order of the test's choice, each level further in by step.
func writeOrdered(out *strings.Builder, fields []orderedField, order func(n int) []int, indent, step int, path string) {
	margin := strings.Repeat(" ", indent)
	for i, k := range order(len(fields)) {
		f := fields[k]
		at := path + "." + f.name
		if i > 0 || !strings.HasSuffix(path, "]") { // the comment would be that of the whole entry
			out.WriteString(margin + "# above " + at + "\n" + margin)
		}
		out.WriteString(f.name + ": " + f.text)
		if !strings.Contains(f.text, "\n") {
			out.WriteString("# behind " + at)
		}
		out.WriteString("\n")
		writeOrdered(out, f.fields, order, indent+step, step, at)
		for i, entry := range f.list {
			out.WriteString(strings.Repeat(" ", indent+step) + "-" + strings.Repeat(" ", step-1))
			writeOrdered(out, entry, order, indent+2*step, step, fmt.Sprintf("%s[%d]", at, i))
		}
	}
}

// Fields in any order, at any indentation, become the one form, with what belongs to them.
func TestFormatOfAnyOrder(t *testing.T) {
	jobs := []orderedField{{name: "jobs", list: [][]orderedField{
		{
			{name: "job_id", text: "f9d6c8466d614a9788e9a0acf6c15f46 "},
			{name: "name", text: "'# none' "},
			{name: "parameters", text: `{z: "1", a: "${event.branch}"} `},
			{name: "marker", text: "BUILD "},
		},
		{{name: "job_id", text: "0b7c1d52e0f94c54a1d3f1f7c2a98e60 "}, {name: "if", text: "|-\n" + strings.Repeat(" ", 24) + "# text\n\n" + strings.Repeat(" ", 24) + "true"}},
	}}}
	rule := func(name string) []orderedField {
		return append([]orderedField{
			{name: "name", text: name + " "},
			{name: "source", text: "[lab] "},
			{name: "when", fields: []orderedField{
				{name: "push", fields: []orderedField{{name: "branches", text: "main "}, {name: "paths", text: "[\n" + strings.Repeat(" ", 24) + "a, b]"}}},
				{name: "tag", text: "{tags: 'v*', semver: '>=1.0.0'} "},
			}},
		}, jobs...)
	}
	document := []orderedField{
		{name: "version", text: "1 "},
		{name: "sources", fields: []orderedField{{name: "lab", fields: []orderedField{{name: "provider", text: "gitea "}, {name: "insecure", text: "true "}}}}},
		{name: "rules", list: [][]orderedField{rule("a"), rule("b")}},
	}
	random := rand.New(rand.NewPCG(1, 2))
	lines := func(order func(int) []int, step int) string {
		var out strings.Builder
		out.WriteString("# top\n\n")
		writeOrdered(&out, document, order, 0, step, "")
		return out.String()
	}
	// How far texts of several lines are moved depends on where they were.
	flat := regexp.MustCompile(`(?m)^ +(a, b\]|# text|true)$`)
	want := flat.ReplaceAllString(lines(func(n int) []int {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		return order
	}, 2), "$1")
	for range 100 {
		text := lines(random.Perm, 2+random.IntN(3))
		got, faults := Format(File{Name: "a.yaml", Data: []byte(text)})
		if faults != nil {
			t.Fatalf("%v\n%s", faults, text)
		}
		compared := noFirst.ReplaceAllString(flat.ReplaceAllString(string(got), "$1"), "")
		if diff := cmp.Diff(noFirst.ReplaceAllString(want, ""), compared); diff != "" {
			t.Fatalf("-want +got:\n%s\nof\n%s", diff, text)
		}
		checkFormat(t, []byte(text))
	}
}

// noFirst are the comments above fields of entries of lists: which field has none depends on the
// order that it was written in.
var noFirst = regexp.MustCompile(`(?m)^ *# above \S*\]\.\w+\n`)
