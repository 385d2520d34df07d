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

// Rules and tests of the repository are in the form that fmt gives.
func TestRepositoryHasFormattedRules(t *testing.T) {
	files := []string{"../../../rules.yaml", "../../../rules.test.yaml"}
	for _, pattern := range []string{"*.yaml", "*/*.yaml"} {
		more, err := filepath.Glob("../../../mapping/testdata/rules/" + pattern)
		if err != nil || len(more) == 0 {
			t.Fatal(more, err)
		}
		files = append(files, more...)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := formatted(mapping.File{Name: name, Data: data})
		if diff := cmp.Diff(string(data), string(got)); diff != "" || err != nil {
			t.Errorf("%s: %v, -file +formatted:\n%s", name, err, diff)
		}
	}
}
