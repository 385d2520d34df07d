package mapping

import (
	"fmt"
	"strings"
	"testing"
)

// TestHostileFiles checks that what would exhaust the stack or the memory is a
// fault of the file.
func TestHostileFiles(t *testing.T) {
	bomb := "version: 1\nrules:\n"
	for i := range 1100 {
		bomb += fmt.Sprintf("  - {name: r%d, when: {push: {branches: %s}}, jobs: [%s]}\n", i,
			map[bool]string{true: "&a [" + strings.Repeat("a, ", 1000) + "a]", false: "*a"}[i == 0], goodJob)
	}
	merges := "version: 1\nx: &x {"
	for i := range 1100 {
		merges += fmt.Sprintf("k%d: v, ", i)
	}
	merges += "}\nrules: [{<<: [" + strings.Repeat("*x, ", 1100) + "]}]\n"
	const n = 20_000
	tests := map[string]struct{ text, want string }{
		"lists in lists":  {strings.Repeat("[", n), "nested more than 100 levels deep"},
		"maps in maps":    {strings.Repeat("{a: ", n), "nested more than 100 levels deep"},
		"dashes":          {strings.Repeat("- ", n), "nested more than 100 levels deep"},
		"question marks":  {strings.Repeat("? ", n), "nested more than 100 levels deep"},
		"tags":            {strings.Repeat("!a ", n), "nested more than 100 levels deep"},
		"anchors":         {strings.Repeat("&a ", n), "nested more than 100 levels deep"},
		"deeper lines":    {deeper(300), "nested more than 100 levels deep"},
		"aliases":         {bomb, "aliases add more than 1000000 values to this file"},
		"merge keys":      {merges, "aliases add more than 1000000 values to this file"},
		"merged twice":    {"version: 1\nrules:\n  - &a {name: a, when: {push: }, jobs: [" + goodJob + "], <<: *a}\n", "merge keys are nested too deeply"},
		"aliases in keys": {"version: 1\n*a : b\n", ""},
		"a large file":    {strings.Repeat("#", maxFile+1), "the file is larger than 64 MiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := Parse(File{Name: "rules.yaml", Data: []byte(test.text)})
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
