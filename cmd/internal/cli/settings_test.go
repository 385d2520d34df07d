package cli

import (
	"os"
	"strings"
	"testing"
)

// docs/settings.md lists every flag of serve, with its variable and its default,
// and nothing else.
func TestSettingsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(doc)) {
		if rest, ok := strings.CutPrefix(line, "| `--"); ok {
			name, _, _ := strings.Cut(rest, "`")
			name, _, _ = strings.Cut(name, " ")
			rows[name] = line
		}
	}
	parser, err := newParser(t.Context(), &grammar{}, &Environment{}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, flag := range command.Flags {
			row, ok := rows[flag.Name]
			delete(rows, flag.Name)
			if !ok || len(flag.Envs) != 1 || !strings.Contains(row, "| `"+flag.Envs[0]+"` |") || flag.HasDefault && !strings.Contains(row, "| `"+flag.Default+"` |") {
				t.Errorf("docs/settings.md does not have --%s with variable %v and default %q: %s", flag.Name, flag.Envs, flag.Default, row)
			}
		}
	}
	for name := range rows {
		t.Errorf("docs/settings.md has --%s, serve does not", name)
	}
}
