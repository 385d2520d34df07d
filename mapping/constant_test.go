package mapping

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Constants of any file are in the texts of a rule, and beside the event in expressions.
func TestConstants(t *testing.T) {
	constants := File{Name: "vars.yaml", Data: []byte("version: 1\nvars: {job: " + jobA + ", region: north, main: main, org: acme, suffix: -x}\n")}
	rules := File{Name: "rules.yaml", Data: []byte("version: 1\n" + goodSources + goodTargets + `
rules:
  - name: a
    description: "carts of ${vars.org}"
    owner: "team-${vars.org}"
    source: "git${'hub'}"
    repository: ["${vars.org}/*", "!${vars.org}/web"]
    when: {push: {branches: "${vars.main}", paths: "${vars . org}/**"}, tag: {tags: "$${x}"}}
    if: 'event.branch + vars.suffix != vars.main'
    jobs:
      - {job_id: "${vars.job}", target: "${vars.region}", name: "${vars.org}-cart", marker: "m_${vars.org}",
         parameters: {a: "${vars.org}$${", b: "${event.branch + vars.suffix}", c: "${ vars.job }", d: '${["x"].exists(vars, vars == "x")}'}}
`)}
	rs := mustParse(t, rules, constants)
	got := rs.Decide(pushEvent(func(e *Event) { e.Files = []string{"acme/x"} }))
	if len(got) != 1 {
		t.Fatalf("%+v", rs.Explain(pushEvent(nil)))
	}
	want := []Parameter{{"a", "acme${"}, {"b", "main-x"}, {"c", jobA}, {"d", "true"}}
	if diff := cmp.Diff(want, got[0].Parameters); diff != "" || got[0].JobID != jobA || got[0].Target != "north" || got[0].Marker != "m_acme" {
		t.Errorf("%+v %s", got[0], diff)
	}
	for d := range rs.Describe("") {
		if diff := cmp.Diff(Description{
			Name: "a", File: "rules.yaml", Line: 8, Description: "carts of acme", Owner: "team-acme",
			Sources: []string{"github"}, Repositories: []string{"acme/*", "!acme/web"}, When: map[Kind]map[string][]string{
				Push: {"branches": {"main"}, "paths": {"acme/**"}, "unknown_paths": {"build"}}, Tag: {"tags": {"${x}"}},
			},
			If: `event.branch + "-x" != "main"`,
			Jobs: []JobDescription{{Action: ActionJob, JobID: jobA, Name: "acme-cart", Target: "north", Marker: "m_acme", Parameters: []Parameter{
				{"a", "acme$${"}, {"b", `${event.branch + "-x"}`}, {"c", jobA}, {"d", `${["x"].exists(vars, vars == "x")}`},
			}}}, Digest: d.Digest,
		}, d); diff != "" {
			t.Errorf("described, -want +got:\n%s", diff)
		}
	}
	constants.Data = []byte(strings.ReplaceAll(string(constants.Data), "suffix: -x", "suffix: -y"))
	if mustParse(t, rules, constants).Digest() == rs.Digest() {
		t.Error("another value of a variable makes no other digest")
	}
}

// Where variables could not be read, nobody is told that there is none of a name, or that
// its value is wrong.
func TestConstantsThatWereNotRead(t *testing.T) {
	rule := goodSources + goodTargets + "rules: [{name: r, source: '${vars.x}', when: {push: {branches: 'a-${vars.x}'}}, if: vars.x == '', " +
		"jobs: [{job_id: '${vars.x}', name: '${vars.x}', target: '${vars.x}', parameters: {a: '${vars.x}'}}, {job_id: " + jobA + ", name: '${vars.x}'}]}]\n"
	for name, test := range map[string]struct{ vars, want string }{
		"another type":   {"vars: {x: 1}\n", "rules.yaml:2:11: vars.x: 1 is a number to YAML: quote it, '1'\n"},
		"a list":         {"vars: [x]\n", "rules.yaml:2:7: vars: want a map of names, this is a list\n"},
		"a misspelt one": {"var: {x: a}\n", `rules.yaml:2:1: var: unknown field; did you mean "vars"?` + "\n"},
		"with ${…}":      {"vars: {x: '${y}'}\n", "rules.yaml:2:11: vars.x: a constant is text alone: ${…} is not worked out here\n"},
	} {
		got := printed(t, File{Name: "rules.yaml", Data: []byte("version: 1\n" + test.vars + rule)})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	got := printed(t, File{Name: "rules.yaml", Data: []byte("version: 1\n" + rule)}, File{Name: "vars.yaml", Data: []byte("vars: [")})
	if strings.Contains(got, "rules.yaml") {
		t.Errorf("a file that is not YAML: %s", got)
	}
}

// The constants of a file have a common limit, so that nobody who writes a small file holds up
// the start. It is so high that no number of plain ones reaches it.
func TestCostOfConstants(t *testing.T) {
	var list, jobs strings.Builder
	for i := range 60 {
		fmt.Fprintf(&list, "acme/r%d: {n: x}, ", i)
		fmt.Fprintf(&jobs, "      - {job_id: %s, target: north, name: '%d${lists.range(9000).map(i, i * 2).exists(i, i < 0) ? \"\" : each.n}'}\n", jobA, i)
	}
	text := "version: 1\n" + goodSources + goodTargets + "rules:\n  - name: r\n    for_each: {repository: {" + list.String() + "}}\n" +
		"    when: {push: {}}\n    jobs:\n" + jobs.String()
	want := "the constants of this file take too long: together they cost more than 10000000 units"
	if got := printed(t, File{Name: "rules.yaml", Data: []byte(text)}); !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("%.600s", got)
	}
	lang, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	e, faults := lang.compile("each.job")
	if faults != nil {
		t.Fatal(faults)
	}
	var one meter
	if _, err := one.eval(e, nil, &constants{each: map[string]string{"job": jobA}}); err != nil || one.spent*maxAdded > maxConstants {
		t.Errorf("a plain constant costs %d: %v", one.spent, err)
	}
}
