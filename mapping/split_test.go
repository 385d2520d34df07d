package mapping

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A file long enough to be read in pieces.
func longRules(change func(i int, rule string) string) string {
	var b strings.Builder
	for i := 0; b.Len() < splitFrom+2*pieceSize; i++ {
		name := "r" + strings.Repeat("é", 20) + string(rune('a'+i%26)) + "-" + strings.Repeat("i", i%7) + "-" + strconv.Itoa(i)
		rule := "  # rule " + name + "\n  - name: " + name + "\n    repository: acme/" + name + "\n    when:\n      push: # any\n\n    if: 'event.branch != \"- x\" && !event.forced'\n" +
			"    jobs:\n    - job_id: " + jobA + "\n      parameters:\n        text: >-\n          - one\n          - ${event.branch}\n"
		if change != nil {
			rule = change(i, rule)
		}
		b.WriteString(rule)
	}
	return b.String()
}

// TestPieces checks that a file read in pieces gives what it gives as a whole:
// the same document, every place included.
func TestPieces(t *testing.T) {
	head := "version: 1\n" + goodSources + goodTargets
	tests := map[string]struct {
		text  string
		whole bool // the file cannot be taken apart
		fault string
	}{
		"rules last":            {head + "rules:\n" + longRules(nil), false, ""},
		"rules first":           {"rules:\n" + longRules(nil) + "# the rest\n" + head, false, ""},
		"carriage returns":      {strings.ReplaceAll(head+"rules:\n"+longRules(nil), "\n", "\r\n"), false, ""},
		"no indent":             {head + "rules:\n" + strings.ReplaceAll(longRules(nil)[2:], "\n  ", "\n"), false, ""},
		"no last line break":    {head + "rules: \n" + strings.TrimSuffix(longRules(nil), "\n"), false, ""},
		"a comment after rules": {head + "rules: # all\n" + longRules(nil), false, ""},
		"tabs after rules":      {head + "rules:\t\t# all\n" + longRules(nil), false, ""},
		"an anchor": {head + "rules:\n" + longRules(func(i int, r string) string {
			return strings.Replace(r, "push: # any", []string{"push: &all {}", "push: *all"}[min(i, 1)], 1)
		}), true, ""},
		"a document marker": {"---\n" + head + "rules:\n" + longRules(nil), true, ""},
		"text over lines": {head + "rules:\n" + longRules(func(_ int, r string) string {
			return strings.Replace(r, "push: # any", "push: {branches: \"a"+strings.Repeat("\n  - b", 100)+"\"}", 1)
		}), true, ""},
		"rules twice, in quotes":    {head + "'rules': [{name: a, when: {push: {}}, jobs: [" + goodJob + "]}]\nrules:\n" + longRules(nil), true, "rules: given twice"},
		"rules twice, empty":        {head + "rules:\n" + longRules(nil) + "rules: []\n", true, "rules: given twice"},
		"rules twice, with a tab":   {head + "rules:\t\n  - {name: a, when: {push: {}}, jobs: [" + goodJob + "]}\nrules:\n" + longRules(nil), true, "rules: given twice"},
		"rules twice, as a map key": {head + "? rules\n: []\nrules:\n" + longRules(nil), true, "unknown field"},
		"rules that give way":       {head + "<<: {rules: [{name: a, when: {push: {}}, jobs: [" + goodJob + "]}]}\nrules:\n" + longRules(nil), true, ""},
		"rules that are merged":     {head + "<<: {rules: []}\nrules:\n" + longRules(nil), true, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pieces, whole, ok := bothWays(t, test.text)
			if ok == test.whole {
				t.Errorf("read in pieces: %v", ok)
			}
			if ok {
				pieces.at = whole.at // of the first key: not the same where rules come first
				if diff := cmp.Diff(whole, pieces, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
					t.Errorf("-whole +pieces:\n%s", diff)
				}
			}
			rs, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte(test.text)})
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("fault %v, want %s", err, test.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if rs.Len() != len(whole.Rules) {
				t.Errorf("%d rules, want %d", rs.Len(), len(whole.Rules))
			}
		})
	}
}

// bothWays decodes a text in pieces and as a whole.
func bothWays(t testing.TB, text string) (pieces, whole *document, ok bool) {
	t.Helper()
	read := func() (scope, *document) {
		l, err := newLoader(testProviders)
		if err != nil {
			t.Fatal(err)
		}
		return scope{loader: l, file: &sourceFile{name: "rules.yaml", text: strings.ReplaceAll(text, "\r\n", "\n")}}, new(document)
	}
	s, pieces := read()
	ok = s.readPieces(s.decoder(), pieces)
	s, whole = read()
	body, fault := parseYAML(s.file.text)
	if fault != nil {
		if ok {
			t.Errorf("read in pieces, but not as a whole: %s", fault.message)
		}
		return pieces, whole, false
	}
	s.decode(s.decoder(), body, whole)
	return pieces, whole, ok
}

// Faults of a file read in pieces have their places too.
func TestFaultsInPieces(t *testing.T) {
	text := "version: 1\n" + goodSources + goodTargets + "rules:\n" + longRules(func(i int, r string) string {
		switch i {
		case 700:
			return strings.Replace(r, "repository", "repositry", 1)
		case 701:
			return strings.Replace(r, "- ${event.branch}", "- ${event.brnch}", 1)
		}
		return r
	})
	_, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte(text)})
	faults, ok := errors.AsType[Faults](err)
	if !ok || len(faults) != 2 {
		t.Fatalf("want two faults, got %v", err)
	}
	lines := strings.Split(text, "\n")
	for i, want := range []string{"repositry", "text: >-"} {
		if line := lines[faults[i].Line-1]; !strings.Contains(line, want) {
			t.Errorf("%v: that line is %q", faults[i], line)
		}
	}
}
