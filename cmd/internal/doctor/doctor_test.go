package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/mapping"
)

const jobID = "f9d6c8466d614a9788e9a0acf6c15f46"

func load(t *testing.T, text string) *mapping.Ruleset {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, _, err := rulesfile.Load([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// found are the findings, a line each, and their warnings, as they are printed.
type found []Finding

func (list found) String() string {
	var lines []string
	for _, f := range list {
		head := f.Group()
		if f.Subject() != "" {
			head += ": " + f.Subject()
		}
		lines = append(lines, fmt.Sprintf("%s: %s: %s", head, f.Verdict(), f.Message))
		for _, w := range f.Warnings {
			lines = append(lines, fmt.Sprintf("%s: warning: %s", head, w))
		}
	}
	return strings.Join(lines, "\n")
}

func run(t *testing.T, d *Doctor) found {
	t.Helper()
	var list found
	d.Tell = func(f Finding) { list = append(list, f) }
	d.Run(t.Context())
	return list
}
