package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A rule with for_each is the same as a rule for each repository.
func TestForEach(t *testing.T) {
	rs := rulesOf(t, `
  - name: services
    for_each:
      repository:
        acme/Cart: {job: `+jobA+`, branch: main, env: "yes"}
        acme/pay: {job: `+jobB+`, branch: "release/*", env: test}
    when: {push: {branches: ["${each.branch}"]}}
    if: each.env != "no" && event.repository == each.repository
    jobs:
      - {job_id: "${each.job}", parameters: {service: "${each.repository.substring(5)}", env: "${each.env}"}}
      - {job_id: "0000c8466d614a9788e9a0acf6c15f46", parameters: {a: "${each.branch}", b: "${event.branch}-${each.env}"}}
`)
	long := rulesOf(t, `
  - name: services[acme/Cart]
    repository: acme/Cart
    when: {push: {branches: main}}
    if: '"yes" != "no" && event.repository == "acme/Cart"'
    jobs:
      - {job_id: `+jobA+`, parameters: {service: Cart, env: "yes"}}
      - {job_id: "0000c8466d614a9788e9a0acf6c15f46", parameters: {a: main, b: "${event.branch}-yes"}}
  - name: services[acme/pay]
    repository: acme/pay
    when: {push: {branches: "release/*"}}
    if: '"test" != "no" && event.repository == "acme/pay"'
    jobs:
      - {job_id: `+jobB+`, parameters: {service: pay, env: test}}
      - {job_id: "0000c8466d614a9788e9a0acf6c15f46", parameters: {a: "release/*", b: "${event.branch}-test"}}
`)
	built := 0
	for _, repository := range []string{"acme/Cart", "acme/cart", "acme/pay", "acme/other"} {
		for _, branch := range []string{"main", "release/1", "x"} {
			ev := pushEvent(func(e *Event) {
				e.Branch = branch
				e.SetRepository(repository)
			})
			if changes := diffOf(long, rs, ev); changes != nil {
				t.Errorf("%s %s: %+v", repository, branch, changes)
			}
			built += len(rs.Decide(ev))
		}
	}
	if built != 4 {
		t.Errorf("%d builds of all events, want 4", built)
	}
	if diff := cmp.Diff([]string{"services[acme/Cart]", "services[acme/pay]"}, rs.RuleNames()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"acme/Cart", "acme/pay"}, rs.NamedRepositories("github")); diff != "" {
		t.Error(diff)
	}
	var shown []Description
	for d := range rs.Describe("acme/cart") {
		shown = append(shown, d)
	}
	if len(shown) != 1 || shown[0].If != `"yes" != "no" && event.repository == "acme/Cart"` || shown[0].Jobs[0].JobID != jobA ||
		!slices.Equal(shown[0].Jobs[0].Parameters, []Parameter{{"service", `${"acme/Cart".substring(5)}`}, {"env", "yes"}}) {
		t.Errorf("described as %+v", shown)
	}
}

// Five thousand repositories are far from the limit of what for_each adds.
func TestForEachOfManyRepositories(t *testing.T) {
	var list strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&list, "        acme/s%d: {job: f%031d, branch: main, env: x}\n", i, i)
	}
	rs := rulesOf(t, `
  - name: services
    for_each:
      repository:
`+list.String()+`
    when: {push: {branches: ["${each.branch}"]}}
    jobs: [{job_id: "${each.job}", parameters: {env: "${each.env}", b: "${event.branch}"}}]
`)
	if rs.Len() != 5000 {
		t.Errorf("%d rules", rs.Len())
	}
}
