package yamldoc

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for name, text := range map[string]string{
		"a byte order mark": "\ufeffa: b",
		"carriage returns":  "a: b\r\nc: d\r",
		"a directive":       "%YAML 1.2\n---\na: b",
		"a marker":          "---\na: b\n",
		"names twice":       "a: b\na: c",
	} {
		if _, fault := Parse("a.yaml", []byte(text)); fault != nil {
			t.Errorf("%s: %v %s", name, fault.At, fault.Message)
		}
	}
}

// No message of the parser itself comes out.
func TestParserSpeaksOurWords(t *testing.T) {
	for _, text := range []string{"? [a]\n: b\n", "a: &b &c d", "{a: b}: c", "a: b #c\n  d", "a: 'b' 'c'", "]", "a: [b] c", ": b", "*: b"} {
		_, fault := Parse("a.yaml", []byte(text))
		if fault == nil {
			t.Errorf("%q is taken", text)
			continue
		}
		ours := fault.Message == NotYAML+misplaced
		ours = ours || strings.HasPrefix(fault.Message, NotYAML+"quote text")
		for _, plain := range plainWords {
			ours = ours || strings.HasPrefix(fault.Message, NotYAML+plain.ours)
		}
		if !ours && !strings.HasPrefix(fault.Message, NotYAML+misplaced) {
			t.Errorf("%q: %s", text, fault.Message)
		}
	}
}

func TestParseFaults(t *testing.T) {
	const indentation = "look at the indentation, and for a missing ':'"
	for name, test := range map[string]struct{ text, want string }{
		"nothing":            {"", "1:1: the file is empty"},
		"a comment":          {"# a\n", "1:1: the file is empty"},
		"null":               {"~", "1:1: the file is empty"},
		"not UTF-8":          {"a: b\nü: \xfc", "2:4: the file is not UTF-8"},
		"two documents":      {"a: b\n---\nc: d", "2:1: a second document begins here (---): one file holds one"},
		"an indent of tabs":  {"a:\n\tb: c", "2:1: not YAML: a tab: indent with spaces"},
		"a bracket":          {"a: [b", "1:4: not YAML: the ] that ends this list is missing"},
		"a bracket too many": {"a: b]\nc: ]", "2:4: not YAML: this ] has no [ before it"},
		"a brace":            {"a: {b: c", "1:4: not YAML: the } that ends this map is missing"},
		"a brace too many":   {"a: {b: [}", "1:9: not YAML: this } has no { before it"},
		"no comma":           {"a: [b: {} c]", "1:11: not YAML: the list in [ ] goes on without a comma, or its ] is missing"},
		"a quote":            {`a: "b`, `1:4: not YAML: the text that begins here has no " at its end`},
		"a single quote":     {"a: 'b", "1:4: not YAML: the text that begins here has no ' at its end"},
		"a map in a value": {
			"a: b: c",
			"1:4: not YAML: a map begins in this value: look at the indentation, or quote text that has ': ' in it",
		},
		"text after a quote":    {`a: "b" c`, "1:8: not YAML: this is not allowed here: look at the indentation, and for a missing ':' or quote"},
		"a field without colon": {"a: b\nc\n", "2:1: not YAML: text stands where a field is expected: " + indentation},
		"no colon":              {"a: 1\nb\n  - c: d\n", "2:2: not YAML: a ':' is missing behind this name"},
		"no colon in a list":    {"a:\n  - b: c\n    d\n      e: {}\n", "3:6: not YAML: a ':' is missing behind this name"},
		"no colon in an item":   {"a:\n  - b c\n    d: {}\n", "2:5: not YAML: a ':' is missing in this line"},
		"no colon at first":     {"a 1\nb: c\n", "1:1: not YAML: a ':' is missing in this line"},
		"less indentation":      {"a:\n  - b: c\n   d: e\n", "3:4: not YAML: " + misplaced},
		"more indentation":      {"a:\n  - b: c\n     d: e\n", "2:8: not YAML: " + mapInValue},
		"an escape":             {`a: "\q"`, `1:6: not YAML: this \ stands for nothing: write \\ for it, or the text in ' in place of "`},
		"half an escape":        {`a: "\ud800"`, `1:5: not YAML: an escape in this text is not complete`},
		"an at sign":            {"a: @b", "1:4: not YAML: unquoted text cannot begin like this: quote it"},
		"a percent sign":        {"a: %b", "1:4: not YAML: unquoted text cannot begin with %: quote it"},
		"an odd directive":      {"%TAG x\n---\n", "1:1: not YAML: a line that begins with % is not used here: leave it out"},
		"an ampersand":          {"a: &b", "1:4: not YAML: YAML reads an unquoted & as an anchor: quote it"},
		"a star":                {"a: *", "1:4: not YAML: quote text that begins with * or !"},
		"a tagged word":         {"a: !!map b", "1:9: not YAML: quote text that begins with * or !"},
		"a comma too many":      {"a: [b,, c]", "1:7: not YAML: a value is missing before this, or there is a comma too many"},
		"a comma only":          {"a: [,]", "1:5: not YAML: a value is missing before this comma"},
		"text behind a block":   {"a: |x\n  b", "1:4: not YAML: begin the text in the next line: behind | and > there is nothing but - or +"},
		"a number of a block":   {"a: |2\n b", "2:2: not YAML: the lines of this text are not indented as far as | or > says: leave the number out"},
		"a tab at first":        {"\ta: b", "1:2: not YAML: a tab: indent with spaces"},
		"a list as a name":      {"[a]: c", "1:4: not YAML: a list or a map cannot be the name of a field: quote text that begins with [ or {"},
		"a template":            {"a: {{ b }}", "1:5: not YAML: {{ begins a map in a map: quote text that begins with {"},
		"text behind a marker":  {"--- a: b", "1:5: not YAML: nothing follows --- in its line: begin in the next one"},
		"text behind the end":   {"a: b\n... c", "2:5: not YAML: nothing follows the end of the document (...)"},
		"a glob":                {"a: [**/*.go]", "quote text that begins with * or !"},
		"deep":                  {strings.Repeat("[", 101), "1:101: nested more than 100 levels deep"},
		"wide":                  {strings.Repeat("a: b\n", 10_001), "10001:1: a map has more than 10000 entries"},
	} {
		t.Run(name, func(t *testing.T) {
			_, fault := Parse("a.yaml", []byte(test.text))
			if fault == nil {
				t.Fatal("it is taken")
			}
			if got := fmt.Sprintf("%v: %s", fault.At, fault.Message); !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
