package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
)

// Rules that the documentation shows are in the form that fmt gives.
func TestPagesShowFormattedRules(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	fragment := regexp.MustCompile(`^(vars|defaults|sources|targets|rules):`)
	known := 0
	for _, page := range append(pages, "../../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			rules := m[1]
			if fragment.MatchString(rules) {
				rules = "version: 1\n" + rules
			}
			if !strings.Contains(rules, "version: 1\n") || strings.Contains(rules, "…") {
				continue
			}
			got, faults := mapping.Format(mapping.File{Name: filepath.Base(page), Data: []byte(rules)})
			if faults != nil { // of a page that shows faults
				continue
			}
			known++
			if diff := cmp.Diff(rules, string(got)); diff != "" {
				t.Errorf("%s: -shown +formatted:\n%s", filepath.Base(page), diff)
			}
		}
	}
	if known < 40 {
		t.Errorf("%d examples of rules were found", known)
	}
}
