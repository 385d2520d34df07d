package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const described = `version: 1
sources:
  github: {provider: github, secrets: [{env: S}], api: {token: {env: T}}, report: true}
  gitee: {provider: gitee, secrets: [{env: S}]}
targets:
  north: {region: cn-north-4, credentials: {chain: true}}
  south: {region: cn-south-1, credentials: {chain: true}}
rules:
  - name: cart
    source: [github, gitee]
    repository: [Acme/Shop, '!acme/old']
    when:
      push: {branches: [main, 'release/**'], paths: 'services/**', paths_ignore: ['**/*.md'], unknown_paths: skip, skip_marks: true}
      tag: {tags: 'v*', semver: '>=2.0.0', prefix: v}
    if: '!event.forced'
    jobs:
      - {job_id: ` + jobA + `, name: one, target: north, parameters: {b: "${event.branch}", a: 'x $${y} ${ event.tag }'}, build_type: auto, marker: m, paths: 'services/cart/**', if: event.created}
      - {job_id: ` + jobB + `, target: south}
    concurrency: {replace: running, max_running: 2, settle: 1m30s}
    paused: until the freeze ends
  - name: all
    when: {push: }
    jobs: [{job_id: ` + jobB + `, target: south}]
`

func TestDescribe(t *testing.T) {
	rs := mustParse(t, File{Name: "rules/a.yaml", Data: []byte(described)})
	want := []Description{
		{
			Name: "cart", File: "rules/a.yaml", Line: 9, Sources: []string{"gitee", "github"}, Repositories: []string{"acme/shop", "!acme/old"},
			When: map[Kind]map[string][]string{
				Push: {
					"branches": {"main", "release/**"}, "paths": {"services/**"}, "paths_ignore": {"**/*.md"}, "unknown_paths": {"skip"}, "skip_marks": {"true"},
				},
				Tag: {"tags": {"v*"}, "semver": {">=2.0.0"}, "prefix": {"v"}},
			},
			If: "!event.forced",
			Jobs: []JobDescription{
				{
					Action: ActionJob, JobID: jobA, Name: "one", Target: "north", BuildType: true, Marker: "m",
					Paths: []string{"services/cart/**"}, PathsIgnore: []string{}, UnknownPaths: "skip", If: "event.created",
					Parameters: []Parameter{{"b", "${event.branch}"}, {"a", "x $${y} ${ event.tag }"}},
					Contexts:   []string{"buildbridge/cart/one", "buildbridge/cart/one/tag"},
				},
				{Action: ActionJob, JobID: jobB, Target: "south", Contexts: []string{"buildbridge/cart/" + jobB, "buildbridge/cart/" + jobB + "/tag"}},
			},
			Replace: ReplaceRunning, MaxRunning: 2, Settle: "1m30s", Reports: []string{"github"}, Paused: "until the freeze ends",
		},
		{
			Name: "all", File: "rules/a.yaml", Line: 21, Sources: []string{}, Repositories: []string{}, When: map[Kind]map[string][]string{Push: {}},
			Jobs: []JobDescription{{Action: ActionJob, JobID: jobB, Target: "south", Contexts: []string{"buildbridge/all"}}}, Reports: []string{"github"},
		},
	}
	got := slices.Collect(rs.Describe(""))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Description{}, "Digest")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for repository, want := range map[string]string{"ACME/shop": "cart all", "acme/old": "all", "acme/web": "all"} {
		var names []string
		for d := range rs.Describe(repository) {
			names = append(names, d.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s is named by %q, want %q", repository, got, want)
		}
	}
}

// TestDigest changes everything that a file can say, once: the digest is another one exactly
// where the meaning is.
func TestDigest(t *testing.T) {
	before := mustParse(t, File{Name: "a.yaml", Data: []byte(described)})
	if d := before.Digest(); len(d) != 12 || d != mustParse(t, File{Name: "a.yaml", Data: []byte(described)}).Digest() {
		t.Fatalf("digest %q, which is not of 12 digits, or another one for the same file", d)
	}
	rule := func(name string) Change { return Change{Rules: NamesChange{Changed: []string{name}}} }
	source := func(name string) Change { return Change{Sources: NamesChange{Changed: []string{name}}} }
	target := func(name string) Change { return Change{Targets: NamesChange{Changed: []string{name}}} }
	head, rules, _ := strings.Cut(described, "rules:\n")
	cart, all, _ := strings.Cut(rules, "  - name: all")
	all = "  - name: all" + all
	for name, test := range map[string]struct {
		files []string
		want  Change
	}{
		"a comment":            {[]string{"# Ours.\n\n" + described}, Change{}},
		"quotes":               {[]string{strings.Replace(described, "[main,", `["main",`, 1)}, Change{}},
		"a list of one":        {[]string{strings.Replace(described, "tags: 'v*'", "tags: ['v*']", 1)}, Change{}},
		"case of a repository": {[]string{strings.Replace(described, "Acme/Shop", "acme/shop", 1)}, Change{}},
		"order of sources":     {[]string{strings.Replace(described, "[github, gitee]", "[gitee, github]", 1)}, Change{}},
		"a default is written": {[]string{strings.Replace(described, "{push: }", "{push: {}}", 1)}, Change{}},
		"order of rules":       {[]string{head + "rules:\n" + all + cart}, Change{}},
		"two files":            {[]string{"version: 1\nrules:\n" + cart, head + "rules:\n" + all}, Change{}},

		"a rule has another name": {
			[]string{strings.Replace(described, "name: all", "name: every", 1)},
			Change{Rules: NamesChange{Added: []string{"every"}, Removed: []string{"all"}}},
		},
		"a rule is gone":         {[]string{head + "rules:\n" + all}, Change{Rules: NamesChange{Removed: []string{"cart"}}}},
		"the source of a rule":   {[]string{strings.Replace(described, "[github, gitee]", "github", 1)}, rule("cart")},
		"a repository":           {[]string{strings.Replace(described, "Acme/Shop", "acme/web", 1)}, rule("cart")},
		"a branch":               {[]string{strings.Replace(described, "[main,", "[master,", 1)}, rule("cart")},
		"order of globs":         {[]string{strings.Replace(described, "[main, 'release/**']", "['release/**', main]", 1)}, rule("cart")},
		"a path":                 {[]string{strings.Replace(described, "'services/**'", "'service/**'", 1)}, rule("cart")},
		"a path that is ignored": {[]string{strings.Replace(described, "'**/*.md'", "'**/*.txt'", 1)}, rule("cart")},
		"unknown paths":          {[]string{strings.Replace(described, "unknown_paths: skip", "unknown_paths: build", 1)}, rule("cart")},
		"skip marks":             {[]string{strings.Replace(described, ", skip_marks: true", "", 1)}, rule("cart")},
		"a tag":                  {[]string{strings.Replace(described, "tags: 'v*'", "tags: 'w*'", 1)}, rule("cart")},
		"a prefix":               {[]string{strings.Replace(described, "prefix: v", "prefix: w", 1)}, rule("cart")},
		"a version":              {[]string{strings.Replace(described, ">=2.0.0", ">2.0.0", 1)}, rule("cart")},
		"a kind":                 {[]string{strings.Replace(described, "{push: }", "{push: , tag: }", 1)}, rule("all")},
		"a condition":            {[]string{strings.Replace(described, "!event.forced", "event.forced", 1)}, rule("cart")},
		"a job":                  {[]string{strings.Replace(described, "job_id: "+jobA, "job_id: "+strings.Repeat("a", 32), 1)}, rule("cart")},
		"the name of a job":      {[]string{strings.Replace(described, "name: one", "name: two", 1)}, rule("cart")},
		"a target of a job":      {[]string{strings.Replace(described, "target: north", "target: south", 1)}, rule("cart")},
		"a parameter":            {[]string{strings.Replace(described, "event.branch", "event.ref", 1)}, rule("cart")},
		"a parameter, literal":   {[]string{strings.Replace(described, "$${y}", "${event.tag}", 1)}, rule("cart")},
		"order of parameters": {
			[]string{strings.Replace(described, `b: "${event.branch}", a: 'x $${y} ${ event.tag }'`, `a: 'x $${y} ${ event.tag }', b: "${event.branch}"`, 1)},
			rule("cart"),
		},
		"paths of a job": {[]string{strings.Replace(described, "'services/cart/**'", "'services/pay/**'", 1)}, rule("cart")},
		"if of a job":    {[]string{strings.Replace(described, "event.created", "event.forced", 1)}, rule("cart")},
		"build_type":     {[]string{strings.Replace(described, "build_type: auto, ", "", 1)}, rule("cart")},
		"marker":         {[]string{strings.Replace(described, "marker: m", "marker: n", 1)}, rule("cart")},
		"replace":        {[]string{strings.Replace(described, "replace: running", "replace: waiting", 1)}, rule("cart")},
		"max_running":    {[]string{strings.Replace(described, "max_running: 2", "max_running: 3", 1)}, rule("cart")},
		"settle":         {[]string{strings.Replace(described, "settle: 1m30s", "settle: 1m", 1)}, rule("cart")},
		"paused":         {[]string{strings.Replace(described, "    paused: until the freeze ends\n", "", 1)}, rule("cart")},
		"report":         {[]string{described + "    report: false\n"}, rule("all")},
		"context":        {[]string{described + "    report: {context: ci}\n"}, rule("all")},
		"a secret":       {[]string{strings.Replace(described, "github, secrets: [{env: S}]", "github, secrets: [{env: R}]", 1)}, source("github")},
		"catch_up":       {[]string{strings.Replace(described, "report: true}", "report: true, catch_up: {}}", 1)}, source("github")},
		"a region":       {[]string{strings.Replace(described, "cn-south-1", "cn-south-2", 1)}, target("south")},
		"a time zone":    {[]string{strings.Replace(described, "cn-south-1,", "cn-south-1, reconcile: {time_zone: UTC},", 1)}, target("south")},
		"a rate limit":   {[]string{strings.Replace(described, "cn-south-1,", "cn-south-1, rate_limit: {per_second: 1},", 1)}, target("south")},
		"a new target":   {[]string{strings.Replace(described, "rules:\n", "  west: {region: cn-north-4, credentials: {chain: true}}\nrules:\n", 1)}, Change{Targets: NamesChange{Added: []string{"west"}}}},
		"a source more":  {[]string{strings.Replace(described, "targets:\n", "  lab: {provider: gitea, insecure: true}\ntargets:\n", 1)}, Change{Sources: NamesChange{Added: []string{"lab"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var files []File
			for i, text := range test.files {
				if i == 0 && text == described {
					t.Fatal("nothing is changed")
				}
				files = append(files, File{Name: fmt.Sprintf("%d.yaml", i), Data: []byte(text)})
			}
			now := mustParse(t, files...)
			got := now.Since(before)
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if same := cmp.Equal(test.want, Change{}, cmpopts.EquateEmpty()); same != (now.Digest() == before.Digest()) {
				t.Errorf("digest %s, before %s", now.Digest(), before.Digest())
			}
		})
	}
}
