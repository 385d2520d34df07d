package mapping

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPaused(t *testing.T) {
	rs := rulesOf(t, `
  - {name: frozen, paused: until the freeze ends, when: {push: }, jobs: [{job_id: `+jobA+`}]}
  - {name: free, when: {push: }, jobs: [{job_id: `+jobA+`}]}`)
	for rule, want := range map[string]string{"frozen": "until the freeze ends", "free": "", "gone": ""} {
		if got := rs.Paused(rule); got != want {
			t.Errorf("%s: paused by %q, want %q", rule, got, want)
		}
	}
	if builds := rs.Decide(pushEvent(nil)); len(builds) != 2 {
		t.Errorf("%d builds: a paused rule decides as before, and its builds wait", len(builds))
	}
}

// TestNamedRepositories goes through what rules write of repositories, and which of it a look
// at refs can begin with.
func TestNamedRepositories(t *testing.T) {
	rs := rulesOf(t, `
  - {name: spelt, source: github, repository: Acme/Shop, when: {push: }, jobs: [{job_id: `+jobA+`}]}
  - {name: again, repository: [acme/shop, Acme/Web], when: {tag: }, jobs: [{job_id: `+jobA+`}]}
  - {name: other, source: [gitee], repository: acme/only-gitee, when: {push: }, jobs: [{job_id: `+jobA+`}]}
  - {name: globs, repository: ['team/*', 'team/{a,b}', 'wip/[ab]', 'a\*/b', '!team/x'], when: {push: }, jobs: [{job_id: `+jobA+`}]}
  - {name: excluded, repository: [ops/a, ops/b, '!OPS/a'], when: {push: }, jobs: [{job_id: `+jobA+`}]}
  - {name: address, repository: ['https://github.com/acme/x', shop, ops/c], when: {push: }, jobs: [{job_id: `+jobA+`}]}`)
	for source, want := range map[string][]string{
		"github": {"Acme/Shop", "Acme/Web", "ops/b", "ops/c"},
		"gitee":  {"acme/shop", "Acme/Web", "acme/only-gitee", "ops/b", "ops/c"},
		"gone":   {"acme/shop", "Acme/Web", "ops/b", "ops/c"}, // by the rules of all sources
	} {
		if diff := cmp.Diff(want, rs.NamedRepositories(source)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", source, diff)
		}
	}
	for repository, want := range map[string]bool{
		"acme/shop": true, "ACME/SHOP": true, "team/any": true, "TEAM/A": true, "team/x": false, "ops/a": false, "acme/none": false, "": false,
	} {
		if got := rs.NamesRepository("", repository); got != want {
			t.Errorf("%q is named: %v, want %v", repository, got, want)
		}
	}
	if rs.NamesRepository("github", "acme/only-gitee") || !rs.NamesRepository("gitee", "acme/only-gitee") || !rs.NamesRepository("github", "team/any") {
		t.Error("rules of other sources name it, or those of all do not")
	}
	if all := rulesOf(t, "  - {name: all, when: {push: }, jobs: [{job_id: "+jobA+"}]}"); !all.NamesRepository("github", "a/b") || all.NamedRepositories("github") != nil {
		t.Error("a rule without a repository names all, and none exactly")
	}
}
