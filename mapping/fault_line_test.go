package mapping

import (
	"errors"
	"strings"
	"testing"
)

// A line is shown where no secret can stand in it.
func TestLinesThatAreShown(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		shown string // "" for no line
	}{
		"a rule":                   {"version: 1\nrules:\n  - name: 'a\n", "  - name: 'a"},
		"an expression":            {"version: 1\nrules: [{name: a, when: {push: {}}, if: 'event.tag = event.ref', jobs: []}]\n", "if: 'event.tag ="},
		"the first line":           {"version 1\nrules: []\n", "version 1"},
		"a name":                   {"version: 1\nsources\n  github: {}\n", "sources"},
		"a secret in a rule":       {"version: 1\nrules:\n  - secret: 's3cret\n", ""},
		"a source":                 {"version: 1\nsources:\n  github: 's3cret\n", ""},
		"an item of a source":      {"version: 1\nsources:\n  github:\n    secrets:\n      - 's3cret\n", ""},
		"a variable":               {"version: 1\nvars:\n  a: 's3cret\n", ""},
		"all in one line":          {"{version: 1, sources: {github: {secrets: [s3cret\n", ""},
		"text before all sections": {"s3cret\nversion: 1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte(test.text)})
			faults, ok := errors.AsType[Faults](err)
			if !ok {
				t.Fatalf("%v is no faults", err)
			}
			if shown := faults.WithLines(); strings.Contains(shown, "s3cret") || !strings.Contains(shown, test.shown) ||
				strings.Contains(shown, "^") != (test.shown != "") {
				t.Errorf("it shows\n%s", shown)
			}
		})
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("a", 300)
	for name, test := range map[string]struct {
		fault Fault
		want  string
	}{
		"a tab":           {Fault{Line: 3, Column: 2, LineText: "\ta: b"}, "    3 | →a: b\n      |  ^"},
		"behind the line": {Fault{Line: 12, Column: 6, LineText: "rules  "}, "   12 | rules\n      |      ^"},
		"wide characters": {Fault{Line: 1, Column: 4, LineText: "a: 中文"}, "    1 | a: 中文\n      |    ^"},
		"behind them":     {Fault{Line: 1, Column: 6, LineText: "a: 中文x"}, "    1 | a: 中文x\n      |    　　^"},
		"a long line":     {Fault{Line: 1, Column: 200, LineText: long}, "    1 | " + long[:100] + "\n      | " + strings.Repeat(" ", 50) + "^"},
		"no line":         {Fault{Line: 1, Column: 1}, ""},
	} {
		if got := test.fault.Excerpt(); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, test.want)
		}
	}
}
