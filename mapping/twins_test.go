package mapping

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Twins are found among many rules that run one job: each of them is for a repository of
// its own.
func TestTwinsAmongManyRules(t *testing.T) {
	rule := func(name, repository, when, job string) string {
		return fmt.Sprintf("  - {name: %s, repository: %s, when: {%s}, jobs: [{job_id: %s, parameters: {a: '${event.url}'}}]}\n", name, repository, when, job)
	}
	var rules strings.Builder
	for i := range 1500 {
		rules.WriteString(rule(fmt.Sprintf("r%d", i), fmt.Sprintf("acme/shop-%d", i), "push: {}", jobA))
	}
	rules.WriteString(rule("same-name", "acme/shop-700", "push: {branches: main}", jobA))
	rules.WriteString(rule("one-of-the-names", "[acme/other, ACME/shop-1499]", "push: {}", jobA))
	rules.WriteString(rule("no-twin", "[acme/shop-3, '!acme/shop-3', acme/new]", "push: {}", jobA))
	rules.WriteString(rule("other-kind", "acme/shop-3", "tag: {}", jobA))
	rules.WriteString(rule("glob", "'acme/shop-12?'", "push: {}", jobA))
	rules.WriteString(rule("name-of-glob", "acme/shop-12x", "push: {}", jobA))
	rules.WriteString(rule("other-job", "acme/shop-3", "push: {}", jobB))
	rules.WriteString(rule("other-job-again", "acme/shop-3", "push: {}", jobB))
	_, warnings, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte("version: 1\n" + goodSources + goodTargets + "rules:\n" + rules.String())})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.Rule+": "+w.Message)
	}
	const end = ": that makes two builds"
	want := []string{
		`same-name: rule "r700" runs the same job for a push to main of acme/shop-700` + end,
		`one-of-the-names: rule "r1499" runs the same job for any push of acme/shop-1499` + end,
		`glob: rule "r120" runs the same job for any push of acme/shop-120` + end,
		`name-of-glob: rule "glob" runs the same job for any push of acme/shop-12x` + end,
		`other-job-again: rule "other-job" runs the same job for any push of acme/shop-3` + end,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Statuses that hide each other are found among many rules with one context, each of them
// for a repository of its own.
func TestContextsAmongManyRules(t *testing.T) {
	const sources = "sources: {github: {provider: github, insecure: true, api: {token: {env: T}}, report: true}}\n"
	rule := func(name, repository, context string) string {
		return fmt.Sprintf("  - {name: %s, repository: %s, when: {push: {branches: %s}}, report: {context: %s}, jobs: [{job_id: %s, parameters: {a: '${event.url}'}}]}\n",
			name, repository, name, context, jobA)
	}
	var rules strings.Builder
	for i := range 1500 {
		rules.WriteString(rule(fmt.Sprintf("r%d", i), fmt.Sprintf("acme/shop-%d", i), "ci/build"))
	}
	rules.WriteString(rule("same-repository", "ACME/shop-700", "ci/Build"))
	rules.WriteString(rule("other-context", "acme/shop-700", "ci/deploy"))
	rules.WriteString(rule("glob", "'acme/shop-149?'", "ci/build"))
	_, warnings, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte("version: 1\n" + sources + goodTargets + "rules:\n" + rules.String())})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.Rule+": "+w.Message)
	}
	want := []string{
		`same-repository: rule "r700" sets statuses of the context "ci/Build" too, on a commit of acme/shop-700: one hides the other`,
		`glob: rule "r1490" sets statuses of the context "ci/build" too, on a commit of acme/shop-1490: one hides the other`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A group that is too large to be compared does not end the search in the others.
func TestTwinsBesideALargeGroup(t *testing.T) {
	var rules strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&rules, "  - {name: r%d, repository: 'acme-%d/*', when: {push: {}}, jobs: [{job_id: %s, parameters: {a: '${event.ref}'}}]}\n", i, i, jobA)
	}
	for i := range 2 {
		fmt.Fprintf(&rules, "  - {name: same-%d, repository: acme/a, when: {push: {}}, jobs: [{job_id: %s, parameters: {a: '${event.ref}'}}]}\n", i, jobA)
		fmt.Fprintf(&rules, "  - {name: other-%d, when: {push: {}}, jobs: [{job_id: %s, parameters: {a: '${event.ref}'}}]}\n", i, jobB)
	}
	_, warnings, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte("version: 1\n" + goodSources + goodTargets + "rules:\n" + rules.String())})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.Rule)
	}
	if diff := cmp.Diff([]string{"same-1", "other-1"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
