package mapping

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWritten(t *testing.T) {
	const job = "jobs: [{job_id: " + jobA + "}]"
	head := "version: 1\n" + goodSources + goodTargets + "# of all\n"
	first := strings.Count(head, "\n") + 1
	for name, test := range map[string]struct {
		rules  string // after head
		rule   string
		line   int // after head, from 1
		text   string
		entry  string
		before int // lines from the rule to the entry
	}{
		"in block style": {
			rules: "rules:\n  - name: a\n    when: {push: }\n    " + job + "\n\n  # of b\n  - name: b\n    when: {push: }\n    " + job + "\n",
			rule:  "a", line: 2, text: "  - name: a\n    when: {push: }\n    " + job,
		},
		"the last one, with another field after it": {
			rules: "rules:\n  - name: a\n    when: {push: }\n    " + job + "\n# of vars\nvars: {secretly: x}\n",
			rule:  "a", line: 2, text: "  - name: a\n    when: {push: }\n    " + job,
		},
		"with comments and an empty line inside": {
			rules: "rules:\n- name: a\n# here too\n\n  when: {push: } # all\n  " + job + "\n- name: b\n  when: {push: }\n  " + job + "\n",
			rule:  "a", line: 2, text: "- name: a\n# here too\n\n  when: {push: } # all\n  " + job,
		},
		"the dash in a line of its own": {
			rules: "rules:\n  -\n    name: a\n    when: {push: }\n    " + job + "\n  - name: b\n    when: {push: }\n    " + job + "\n",
			rule:  "a", line: 3, text: "    name: a\n    when: {push: }\n    " + job,
		},
		"in braces": {
			rules: "rules:\n  - {name: a, when: {push: },\n    " + job + "}\n  - {name: b, when: {push: }, " + job + "}\n",
			rule:  "a", line: 2, text: "  - {name: a, when: {push: },\n    " + job + "}",
		},
		"in brackets": {
			rules: "rules: [\n  {name: a, when: {push: },\n    " + job + "},\n  {name: b, when: {push: }, " + job + "}\n  ]\n",
			rule:  "a", line: 2, text: "  {name: a, when: {push: },\n    " + job + "},",
		},
		"lines that end as on Windows": {
			rules: "rules:\r\n  - name: a\r\n    when: {push: }\r\n    " + job + "\r\n",
			rule:  "a", line: 2, text: "  - name: a\n    when: {push: }\n    " + job,
		},
		"a block of text": {
			rules: "rules:\n  - name: a\n    when: {push: }\n    if: |\n      true &&\n\n      true\n    " + job + "\n",
			rule:  "a", line: 2, text: "  - name: a\n    when: {push: }\n    if: |\n      true &&\n\n      true\n    " + job,
		},
		"of a for_each": {
			rules: "rules:\n  - name: a\n    for_each:\n      repository:\n        acme/cart: {x: \"1\"}\n        acme/web:\n          x: \"2\"\n" +
				"    when: {push: {branches: 'b${each.x}'}}\n    " + job + "\n",
			rule: "a[acme/web]", line: 2, before: 4,
			text: "  - name: a\n    for_each:\n      repository:\n        acme/cart: {x: \"1\"}\n        acme/web:\n          x: \"2\"\n" +
				"    when: {push: {branches: 'b${each.x}'}}\n    " + job,
			entry: "        acme/web:\n          x: \"2\"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			rs := mustParse(t, File{Name: "dir/rules.yaml", Data: []byte(head + test.rules)})
			want := Written{File: "dir/rules.yaml", Line: first + test.line - 1, Text: test.text, Entry: test.entry}
			if test.entry != "" {
				want.EntryLine = want.Line + test.before
			}
			got, ok := rs.Written(test.rule)
			if diff := cmp.Diff(want, got); !ok || diff != "" {
				t.Error(ok, diff)
			}
			for d := range rs.Describe("") {
				if d.Name == test.rule && (d.File != got.File || d.Line != got.Line) {
					t.Errorf("described at %s:%d", d.File, d.Line)
				}
			}
			if _, ok := rs.Written("none"); ok {
				t.Error("there is no such rule")
			}
		})
	}
}

// In JSON the rules can be one line, and what follows is none of theirs.
func TestWrittenInOneLine(t *testing.T) {
	rules := `  "rules": [{"name": "a", "when": {"push": {}}, "jobs": [{"job_id": "` + jobA + `"}]}],`
	text := "{\n  \"version\": 1,\n" + rules + `
  "sources": {"github": {"provider": "github", "insecure": true}},
  "targets": {"north": {"region": "cn-north-4", "credentials": {"chain": true}}}
}`
	if w, _ := mustParse(t, File{Name: "rules.yaml", Data: []byte(text)}).Written("a"); w.Text != rules {
		t.Errorf("got %s", w.Text)
	}
}

func TestFind(t *testing.T) {
	const job = "when: {push: }, jobs: [{job_id: "
	rs := rulesOf(t, "  - {name: Cart, description: the shop, owner: team-a, repository: 'Acme/*', "+job+jobA+"}]}\n"+
		"  - {name: web, owner: team-b, repository: acme/web, "+job+jobB+"}]}\n  - {name: all, "+job+jobA+", name: x}]}")
	for name, test := range map[string]struct {
		filter RuleFilter
		want   string
	}{
		"all":                     {RuleFilter{}, "[0 1 2]"},
		"by name":                 {RuleFilter{Name: "web"}, "[1]"},
		"by another case":         {RuleFilter{Name: "Web"}, "[]"},
		"by owner":                {RuleFilter{Owner: "team-a"}, "[0]"},
		"by repository":           {RuleFilter{Repository: "ACME/web"}, "[0 1 2]"},
		"by another repository":   {RuleFilter{Repository: "ops/infra"}, "[2]"},
		"text in the name":        {RuleFilter{Text: "CART"}, "[0]"},
		"text in the description": {RuleFilter{Text: "shop"}, "[0]"},
		"text in the repository":  {RuleFilter{Text: "acme/"}, "[0 1]"},
		"text in the job":         {RuleFilter{Text: jobB[:20]}, "[1]"},
		"text in the target":      {RuleFilter{Text: "north"}, "[0 1 2]"},
		"by two":                  {RuleFilter{Text: "team", Owner: "team-b"}, "[1]"},
	} {
		if got := fmt.Sprint(rs.Find(test.filter)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// The text of many rules takes little of their memory.
func TestMemoryOfText(t *testing.T) {
	files := manyRules(10_000)
	for i := range files { // names that cannot be foreseen
		files[i].Data = []byte(strings.ReplaceAll(string(files[i].Data), "name: rule-", fmt.Sprintf("name: %x-", rand.Uint64())))
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	rs := mustParse(t, files...)
	clear(files)
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	all, text := m.HeapAlloc-before, 0
	var last *ruleFile
	for _, r := range rs.rules {
		if r.file != last {
			last = r.file
			text += cap(r.file.compressed)
		}
	}
	t.Logf("%d rules take %d KB, their text %d KB", rs.Len(), all>>10, text>>10)
	if text > int(all)/20 { //nolint:gosec // small
		t.Errorf("the text takes %d bytes of %d", text, all)
	}
}
