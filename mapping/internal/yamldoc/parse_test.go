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
