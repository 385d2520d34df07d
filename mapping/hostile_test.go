package mapping

import (
	"fmt"
	"strings"
	"testing"
)

// TestHostileFiles checks that what would exhaust the stack or the memory is a
// fault of the file.
func TestHostileFiles(t *testing.T) {
	repositories, jobs, parameters := "", "", ""
	for i := range 1001 {
		repositories += fmt.Sprintf("acme/r%d: {}, ", i)
		jobs += goodJob + ", "
		parameters += fmt.Sprintf("p%d: '', ", i)
	}
	const (
		n    = 20_000
		head = "version: 1\nrules:\n"
		good = head + "  - name: a\n    source: x\n    when: {push: }\n    jobs: [" + goodJob + "]\n"
	)
	comment := strings.Repeat("#\n", 200_000)
	large := good + comment + strings.Replace(good[len(head):], "name: a", "name: b", 1) + comment
	tests := map[string]struct{ text, want string }{
		"lists in lists": {strings.Repeat("[", n), "nested more than 100 levels deep"},
		"maps in maps":   {strings.Repeat("{a: ", n), "nested more than 100 levels deep"},
		"dashes":         {strings.Repeat("- ", n), "nested more than 100 levels deep"},
		"question marks": {strings.Repeat("? ", n), "nested more than 100 levels deep"},
		"tags":           {strings.Repeat("!a ", n), "nested more than 100 levels deep"},
		"anchors":        {strings.Repeat("&a ", n), "nested more than 100 levels deep"},
		"deeper lines":   {deeper(300), "nested more than 100 levels deep"},
		"repositories of many jobs": {
			"version: 1\nrules: [{name: r, for_each: {repository: {" + repositories + "}}, when: {push: }, jobs: [" + jobs + "]}]",
			"rules.yaml:2:9: rules: defaults and for_each add more than 1000000 values to the rules of this file: split it",
		},
		"many jobs with defaults": {
			"version: 1\ndefaults: {parameters: {" + parameters + "}}\nrules: [{name: r, when: {push: }, jobs: [" + jobs + "]}]",
			"rules.yaml:3:9: rules: defaults and for_each add more than 1000000 values to the rules of this file: split it",
		},
		"aliases in keys":         {"version: 1\n*a : b\n", ""},
		"a large file":            {strings.Repeat("#", MaxFile+1), "rules.yaml:1:1: the file is larger than 1 MiB: split it into several files"},
		"a large scalar":          {good + "  - name: b\n    if: " + strings.Repeat("a", 60_000_000) + "\n", "rules.yaml:1:1: the file is larger than 1 MiB"},
		"a large block":           {good + "  - name: b\n    if: |\n" + strings.Repeat("      aaaaaaa\n", 100_000) + good[len(head):], "rules.yaml:1:1: the file is larger than 1 MiB"},
		"a large key":             {"version: 1\n" + strings.Repeat("a", 2_000_000) + ": b\n", "rules.yaml:1:1: the file is larger than 1 MiB"},
		"a large source":          {head + good[len(head):] + "sources:\n  a: " + strings.Repeat("a", 2_000_000) + "\n", "rules.yaml:1:1: the file is larger than 1 MiB"},
		"large, anchors":          {head + "  - &a a\n" + strings.Repeat("#\n", 1_000_000), "rules.yaml:1:1: the file is larger than 1 MiB"},
		"a fault in a large file": {large + "  - name: [}\n", "rules.yaml:400011:11: not YAML: "},
		"a field in a large file": {large + "  - nome: c\n", "rules.yaml:400011:5: rules[2].nome: unknown field; did you mean \"name\"?"},
		"many entries":            {"version: 1\ntargets:\n" + strings.Repeat("  k: a\n", 100_000), "rules.yaml:10003:3: a map has more than 10000 entries"},
		"many commas":             {"version: 1\nrules: [" + strings.Repeat(",", 200_000), "not YAML: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte(test.text)})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.300v, want %s", err, test.want)
			}
		})
	}
}

func deeper(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
