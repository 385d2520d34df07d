package mapping

import (
	"os"
	"path/filepath"
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
		"":                        "rules.yaml:1:1: the file is empty: a rules file begins with version: 1",
		"version: 1\nrule: []\n":  `rules.yaml:2:1: rule: unknown field; did you mean "rules"?`,
		"version: 1\nversion: 1":  "rules.yaml:2:1: version: given twice; the first is at rules.yaml:1:1",
		"version: 1\n\trules: []": "rules.yaml:2:1: not YAML: a tab: indent with spaces",
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
