package mapping

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const jobA, jobB = "f9d6c8466d614a9788e9a0acf6c15f46", "0b7c1d52e0f94c54a1d3f1f7c2a98e60"

// rulesOf parses one or more rules, given as a YAML list, with a source github,
// a source gitee and one target.
func rulesOf(t testing.TB, list string) *Ruleset {
	t.Helper()
	text := "version: 1\nsources:\n  github: {provider: github, secrets: [{env: S}]}\n  gitee: {provider: gitee, secrets: [{env: S}]}\n" +
		goodTargets + "rules:\n" + list + "\n"
	rs, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return rs
}

func pushEvent(change func(*Event)) *Event {
	ev := &Event{
		Source: "github", Provider: "github", Kind: Push,
		Ref: "refs/heads/main", Branch: "main", DefaultBranch: "main",
		Commit: "6dcb09b5b57875f334f61aebed695e2e4193db5e", Before: strings.Repeat("0", 40),
		Message: "Count twice\n\nand once more", Author: "Ann", Pusher: "ann", URL: "https://github.com/acme/shop",
		Files: []string{"README.md", "services/cart/cart.go"}, FilesComplete: true,
	}
	ev.SetRepository("acme/shop")
	if change != nil {
		change(ev)
	}
	return ev
}

func tagEvent(tag string) *Event {
	ev := &Event{Source: "github", Provider: "github", Kind: Tag, Ref: "refs/tags/" + tag, Tag: tag, Commit: "6dcb09b5b57875f334f61aebed695e2e4193db5e"}
	ev.SetRepository("acme/shop")
	return ev
}

// TestReasons goes through every clause: an empty reason means that the rule
// matches.
func TestReasons(t *testing.T) {
	push := func(fields string) string { return "when: {push: {" + fields + "}}" }
	tests := map[string]struct {
		rule  string // without name and jobs
		event *Event
		want  string
	}{
		"every push":     {"when: {push: {}}", pushEvent(nil), ""},
		"push left open": {"when: {push: }", pushEvent(nil), ""},
		"every tag":      {"when: {tag: }", tagEvent("x"), ""},
		"both":           {"when: {push: , tag: }", tagEvent("x"), ""},
		"a tag for a push": {
			"when: {push: }", tagEvent("x"),
			"when: the event is a tag, and the rule has push only",
		},
		"a push for a tag": {
			"when: {tag: }", pushEvent(nil),
			"when: the event is a push, and the rule has tag only",
		},
		"the source":      {"source: github, when: {push: }", pushEvent(nil), ""},
		"another source":  {"source: gitee, when: {push: }", pushEvent(nil), `source: "github" is not gitee`},
		"one of sources":  {"source: [gitee, github], when: {push: }", pushEvent(nil), ""},
		"none of sources": {"source: [gitee, github], when: {push: }", pushEvent(func(e *Event) { e.Source = "lab" }), `source: "lab" is none of [gitee, github]`},

		"the repository":               {"repository: acme/shop, when: {push: }", pushEvent(nil), ""},
		"the repository, another case": {"repository: ACME/Shop, when: {push: }", pushEvent(func(e *Event) { e.SetRepository("Acme/SHOP") }), ""},
		"a glob, another case":         {"repository: 'ACME/S*', when: {push: }", pushEvent(func(e *Event) { e.SetRepository("Acme/SHOP") }), ""},
		"another repository":           {"repository: acme/web, when: {push: }", pushEvent(nil), `repository: "acme/shop" matches none of [acme/web]`},
		"a longer repository":          {"repository: acme/shop-2, when: {push: }", pushEvent(nil), `repository: "acme/shop" matches none of [acme/shop-2]`},
		"a subgroup":                   {"repository: 'acme/**', when: {push: }", pushEvent(func(e *Event) { e.SetRepository("acme/a/b") }), ""},
		"excluded":                     {"repository: ['acme/*', '!acme/Shop'], when: {push: }", pushEvent(func(e *Event) { e.SetRepository("Acme/Shop") }), `repository: "Acme/Shop" is excluded by "!acme/shop"`},
		"all but one":                  {"repository: ['!acme/web'], when: {push: }", pushEvent(nil), ""},

		"the branch":        {push("branches: main"), pushEvent(nil), ""},
		"another branch":    {push("branches: [main, 'release/**']"), pushEvent(func(e *Event) { e.Branch = "feature/x" }), `push.branches: "feature/x" matches none of [main, release/**]`},
		"an excluded one":   {push("branches: ['**', '!wip/**']"), pushEvent(func(e *Event) { e.Branch = "wip/x" }), `push.branches: "wip/x" is excluded by "!wip/**"`},
		"branches and case": {push("branches: Main"), pushEvent(nil), `push.branches: "main" matches none of [Main]`},

		"a path":              {push("paths: 'services/cart/**'"), pushEvent(nil), ""},
		"no path":             {push("paths: 'services/web/**'"), pushEvent(nil), `push.paths: none of 2 changed files matches [services/web/**]: README.md, services/cart/cart.go`},
		"one file, no path":   {push("paths: a"), pushEvent(func(e *Event) { e.Files = []string{"b"} }), `push.paths: the one changed file does not match [a]: b`},
		"many files":          {push("paths: a"), pushEvent(func(e *Event) { e.Files = []string{"b", "c", "d", "e"} }), `push.paths: none of 4 changed files matches [a]: b, c, d, …`},
		"files with any name": {push("paths: \"a\\e\""), pushEvent(func(e *Event) { e.Files = []string{"b\nrule \"r\" matches", "\x1b[31mc", "d\u202e\xff"} }), `push.paths: none of 3 changed files matches [a\x1b]: b\nrule "r" matches, \x1b[31mc, d\u202e` + "\ufffd"},
		"a path is ignored":   {push("paths: 'services/**', paths_ignore: 'services/cart/**'"), pushEvent(nil), `push.paths: none of 1 changed files that are not ignored matches [services/**]: README.md`},
		"all ignored":         {push("paths_ignore: ['**/*.md', '**/*.go']"), pushEvent(nil), `push.paths_ignore: all 2 changed files are ignored by [**/*.md, **/*.go]`},
		"the one is ignored":  {push("paths_ignore: '**'"), pushEvent(func(e *Event) { e.Files = []string{"b"} }), `push.paths_ignore: the one changed file is ignored by [**]`},
		"not all ignored":     {push("paths_ignore: '**/*.md'"), pushEvent(nil), ""},
		"ignored but for":     {push("paths_ignore: ['**/*.md', '!README.md', '**/*.go']"), pushEvent(nil), ""},
		"paths excluded":      {push("paths: ['**', '!**/*.go', '!**/*.md']"), pushEvent(nil), `push.paths: none of 2 changed files matches [**, !**/*.go, !**/*.md]: README.md, services/cart/cart.go`},
		"no files":            {push("paths: '**'"), pushEvent(func(e *Event) { e.Files = nil }), `push.paths: the push changed no files`},
		"no files, ignoring":  {push("paths_ignore: a"), pushEvent(func(e *Event) { e.Files = nil }), `push.paths: the push changed no files`},
		"no files, no paths":  {push(""), pushEvent(func(e *Event) { e.Files = nil }), ""},

		"unknown files":          {push("paths: x"), pushEvent(func(e *Event) { e.FilesComplete = false }), ""},
		"unknown files, build":   {push("paths: x, unknown_paths: build"), pushEvent(func(e *Event) { e.FilesComplete, e.Files = false, nil }), ""},
		"unknown files, skip":    {push("paths: 'services/**', unknown_paths: skip"), pushEvent(func(e *Event) { e.FilesComplete = false }), `push.unknown_paths: skip, and the host did not send a complete list of changed files`},
		"unknown files, why":     {push("paths: 'services/**', unknown_paths: skip"), pushEvent(func(e *Event) { e.FilesComplete, e.FilesUnknown = false, "a new branch" }), `push.unknown_paths: skip, and the host did not send a complete list of changed files: a new branch`},
		"unknown files, ignore":  {push("paths_ignore: x, unknown_paths: skip"), pushEvent(func(e *Event) { e.FilesComplete = false }), `push.unknown_paths: skip, and the host did not send a complete list of changed files`},
		"known files, skip":      {push("paths: 'services/**', unknown_paths: skip"), pushEvent(nil), ""},
		"unknown files, no path": {push(""), pushEvent(func(e *Event) { e.FilesComplete = false }), ""},

		"the tag":                {"when: {tag: {tags: 'v*'}}", tagEvent("v1"), ""},
		"another tag":            {"when: {tag: {tags: 'v*'}}", tagEvent("nightly"), `tag.tags: "nightly" matches none of [v*]`},
		"the version":            {"when: {tag: {semver: '>=2.0.0'}}", tagEvent("v2.1.0"), ""},
		"an older version":       {"when: {tag: {semver: '>=2.0.0'}}", tagEvent("v1.0.0"), `tag.semver: "v1.0.0" does not satisfy >=2.0.0`},
		"a prerelease":           {"when: {tag: {semver: '>=2.0.0'}}", tagEvent("v2.1.0-rc.1"), `tag.semver: "v2.1.0-rc.1" is a prerelease, and >=2.0.0 names none`},
		"a prerelease, a range":  {"when: {tag: {semver: '1.0.0 - 2.0.0'}}", tagEvent("v1.1.0-rc.1"), `tag.semver: "v1.1.0-rc.1" is a prerelease, and 1.0.0 - 2.0.0 names none`},
		"another prerelease":     {"when: {tag: {semver: '>=2.0.0-0'}}", tagEvent("v1.1.0-rc.1"), `tag.semver: "v1.1.0-rc.1" does not satisfy >=2.0.0-0`},
		"two parts":              {"when: {tag: {semver: '>=2.0.0'}}", tagEvent("v2.1"), `tag.semver: "v2.1" is not a version of three parts, such as v1.2.3`},
		"a prefix":               {"when: {tag: {semver: '>=1.0.0'}}", tagEvent("cart/v1.2.3"), `tag.semver: "cart/v1.2.3" is not a version of three parts, such as v1.2.3; write prefix: 'cart/v'`},
		"a prefix with a hyphen": {"when: {tag: {semver: '>=1.0.0'}}", tagEvent("cart-1.2.3-rc.1"), `tag.semver: "cart-1.2.3-rc.1" is not a version of three parts, such as v1.2.3; write prefix: 'cart-'`},
		"a prefix of digits":     {"when: {tag: {semver: '>=1.0.0'}}", tagEvent("release-2/v1.2.3"), `tag.semver: "release-2/v1.2.3" is not a version of three parts, such as v1.2.3; write prefix: 'release-2/v'`},
		"the prefix":             {"when: {tag: {semver: '>=1.0.0', prefix: cart/v}}", tagEvent("cart/v1.2.3"), ""},
		"another prefix":         {"when: {tag: {semver: '>=1.0.0', prefix: cart/v}}", tagEvent("pay/v1.2.3"), `tag.prefix: "pay/v1.2.3" does not begin with cart/v`},
		"a prefix without its v": {"when: {tag: {semver: '>=1.0.0', prefix: cart/}}", tagEvent("cart/v1.2.3"), `tag.semver: "v1.2.3", without the prefix cart/, is not a version of three parts, such as 1.2.3; write prefix: 'cart/v'`},
		"a prefix, two parts":    {"when: {tag: {semver: '>=1.0.0', prefix: cart/v}}", tagEvent("cart/v1.2"), `tag.semver: "1.2", without the prefix cart/v, is not a version of three parts, such as 1.2.3`},
		"a prefix, older":        {"when: {tag: {semver: '>=2.0.0', prefix: cart/v}}", tagEvent("cart/v1.2.3"), `tag.semver: "cart/v1.2.3" does not satisfy >=2.0.0`},
		"a prefix of no version": {"when: {tag: {semver: '>=1.0.0'}}", tagEvent("cart/v2"), `tag.semver: "cart/v2" is not a version of three parts, such as v1.2.3`},
		"tag but not version":    {"when: {tag: {tags: 'v*', semver: '>=2.0.0'}}", tagEvent("v1.0.0"), `tag.semver: "v1.0.0" does not satisfy >=2.0.0`},
		"version but not tag":    {"when: {tag: {tags: 'v3*', semver: '>=2.0.0'}}", tagEvent("v2.0.0"), `tag.tags: "v2.0.0" matches none of [v3*]`},
		"a tag like the branch":  {"when: {push: {branches: main}}", tagEvent("main"), "when: the event is a tag, and the rule has push only"},

		"a condition":           {`when: {push: }, if: 'event.pusher == "ann"'`, pushEvent(nil), ""},
		"a condition not met":   {`when: {push: }, if: 'event.pusher  ==  "bob"'`, pushEvent(nil), `if: event.pusher == "bob" is false`},
		"the contract's":        {`when: {push: }, if: '!event.title.contains("[skip ci]")'`, pushEvent(func(e *Event) { e.Message = "x [skip ci]" }), `if: !event.title.contains("[skip ci]") is false`},
		"a condition on files":  {`when: {push: }, if: 'event.files.exists(f, f.matchesGlob("services/*/*.go"))'`, pushEvent(nil), ""},
		"clauses in order":      {`source: gitee, repository: a/b, when: {tag: }, if: 'event.forced'`, pushEvent(nil), `source: "github" is not gitee`},
		"a condition in error":  {`when: {push: }, if: 'event.files[7] == "x"'`, pushEvent(nil), ""}, // it makes a dead build
		"a kind of another day": {"when: {push: , tag: }", pushEvent(func(e *Event) { e.Kind = "merge" }), "when: the event is a merge, and the rule has push and tag only"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rs := rulesOf(t, "  - {name: r, "+test.rule+", jobs: [{job_id: "+jobA+"}]}")
			want := []Verdict{{Rule: "r", Matched: test.want == "", Reason: test.want}}
			if diff := cmp.Diff(want, rs.Explain(test.event)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got := len(rs.Decide(test.event)) == 1; got != (test.want == "") {
				t.Errorf("decided to build: %v, and the reason is %q", got, test.want)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	rs := rulesOf(t, `
  - name: both
    repository: acme/shop
    when: {push: , tag: }
    jobs:
      - job_id: `+jobA+`
        build_type: auto
        scm: {branch: auto, repo_id: r-1, url: 'https://h.example/shop.git'}
        marker: build
        parameters:
          codeBranch: '${event.branch}'
          version: 'shop-${event.tag.trimPrefix("v")}'
          money: '$${x}'
          empty: ''
          created: '${event.created} ${size(event.files)}'
      - job_id: `+jobB+`
    concurrency: newest
  - name: no
    repository: acme/web
    when: {push: }
    jobs: [{job_id: `+jobA+`}]
  - name: all
    when: {push: {branches: ['**', '!wip']}}
    jobs: [{job_id: `+jobB+`}]
`)
	push := pushEvent(func(e *Event) { e.Branch, e.Ref = "$(reboot);x", "refs/heads/$(reboot);x" })
	want := []Build{
		{
			Rule: "both", Target: "north", Action: ActionJob, JobID: jobA, Repository: "acme/shop", Ref: push.Ref, Commit: push.Commit,
			Parameters: []Parameter{{"codeBranch", "$(reboot);x"}, {"version", "shop-"}, {"money", "${x}"}, {"empty", ""}, {"created", "false 2"}},
			BuildType:  true, Marker: "build", Concurrency: Concurrency{Replace: ReplaceWaiting}, Pusher: "ann", Title: "Count twice",
			Source: JobSource{Branch: "$(reboot);x", RepoID: "r-1", URL: "https://h.example/shop.git"},
		},
		{
			Rule: "both", Target: "north", Action: ActionJob, JobID: jobB, Repository: "acme/shop", Ref: push.Ref, Commit: push.Commit,
			Concurrency: Concurrency{Replace: ReplaceWaiting}, Pusher: "ann", Title: "Count twice",
		},
		{
			Rule: "all", Target: "north", Action: ActionJob, JobID: jobB, Repository: "acme/shop", Ref: push.Ref, Commit: push.Commit,
			Pusher: "ann", Title: "Count twice",
		},
	}
	if diff := cmp.Diff(want, rs.Decide(push)); diff != "" {
		t.Errorf("push: -want +got:\n%s", diff)
	}

	tag := tagEvent("v2.1.0")
	want = []Build{
		{
			Rule: "both", Target: "north", Action: ActionJob, JobID: jobA, Repository: "acme/shop", Ref: tag.Ref,
			Tag: "v2.1.0", TagCommit: tag.Commit,
			Parameters: []Parameter{{"codeBranch", ""}, {"version", "shop-2.1.0"}, {"money", "${x}"}, {"empty", ""}, {"created", "false 0"}},
			BuildType:  true, Marker: "build", Source: JobSource{RepoID: "r-1", URL: "https://h.example/shop.git"},
		},
		{
			Rule: "both", Target: "north", Action: ActionJob, JobID: jobB, Repository: "acme/shop", Ref: tag.Ref,
			Tag: "v2.1.0", TagCommit: tag.Commit,
		},
	}
	if diff := cmp.Diff(want, rs.Decide(tag)); diff != "" {
		t.Errorf("tag: -want +got:\n%s", diff)
	}

	if got := rs.Decide(pushEvent(func(e *Event) { e.Branch = "wip"; e.SetRepository("acme/other") })); got != nil {
		t.Errorf("nothing matches, got %+v", got)
	}
}

// TestDead goes through all that makes a build dead on arrival.
func TestDead(t *testing.T) {
	long := strings.Repeat("b", 8192)
	tests := map[string]struct {
		value string // of the parameter
		event *Event
		want  string // "" means alive
	}{
		"index out of range":  {`${event.files[7]}`, pushEvent(nil), `rule "r": jobs[0].parameters.p: index out of bounds: 7`},
		"substring too short": {`${event.branch.substring(0, 8)}`, pushEvent(nil), `rule "r": jobs[0].parameters.p: index out of range: 8`},
		"no such key":         {`${ {"dev": "x"}[event.branch] }`, pushEvent(nil), `rule "r": jobs[0].parameters.p: no such key: main`},
		"an error that quotes": {
			`${ {"dev": "x"}[event.message] }`, pushEvent(func(e *Event) { e.Message = strings.Repeat("a\n\x1b", 1000) }),
			`rule "r": jobs[0].parameters.p: no such key: ` + strings.Repeat(`a\n\x1b`, 41) + "…",
		},
		"an error that quotes another": {
			`${ {"dev": "x"}[event.message] }`, pushEvent(func(e *Event) { e.Message = "cost limit exceeded\x1b" }),
			`rule "r": jobs[0].parameters.p: no such key: cost limit exceeded\x1b`,
		},
		"an error that turns the text": {
			`${ {"dev": "x"}[event.branch] }`, pushEvent(func(e *Event) { e.Branch = "a\u202eb" }),
			`rule "r": jobs[0].parameters.p: no such key: a\u202eb`,
		},
		"division by zero":         {`${1 / (size(event.files) - 2)}`, pushEvent(nil), `rule "r": jobs[0].parameters.p: division by zero`},
		"a line break":             {`${event.message}`, pushEvent(nil), `rule "r": jobs[0].parameters.p: the value has a control character (a line break)`},
		"a tab":                    {`${event.branch}`, pushEvent(func(e *Event) { e.Branch = "a\tb" }), `rule "r": jobs[0].parameters.p: the value has a control character (a tab)`},
		"NUL":                      {`${event.branch}`, pushEvent(func(e *Event) { e.Branch = "a\x00b" }), `rule "r": jobs[0].parameters.p: the value has a control character (U+0000)`},
		"DEL":                      {`${event.branch}`, pushEvent(func(e *Event) { e.Branch = "a\x7fb" }), `rule "r": jobs[0].parameters.p: the value has a control character (U+007F)`},
		"NEL":                      {`${event.branch}`, pushEvent(func(e *Event) { e.Branch = "a\u0085b" }), `rule "r": jobs[0].parameters.p: the value has a control character (U+0085)`},
		"not UTF-8":                {`${event.branch}`, pushEvent(func(e *Event) { e.Branch = "a\xffb" }), `rule "r": jobs[0].parameters.p: the value has a character that was not UTF-8 (U+FFFD)`},
		"was not UTF-8":            {`${event.branch}`, pushEvent(func(e *Event) { e.Branch = "a\ufffdb" }), `rule "r": jobs[0].parameters.p: the value has a character that was not UTF-8 (U+FFFD)`},
		"a tag that was not UTF-8": {`x`, tagEvent("v1\ufffd"), `rule "r": event.tag: the value has a character that was not UTF-8 (U+FFFD)`},
		"a tag of two lines":       {`x`, tagEvent("v1\nv2"), `rule "r": event.tag: the value has a control character (a line break)`},
		"8193 characters":          {`${event.branch}é`, pushEvent(func(e *Event) { e.Branch = long }), `rule "r": jobs[0].parameters.p: the value has 8193 characters, and at most 8192 are allowed`},
		"8192 characters":          {`é${event.branch}`, pushEvent(func(e *Event) { e.Branch = long[1:] }), ""},
		"too long in all":          {`x${event.branch}`, pushEvent(func(e *Event) { e.Branch = long }), `rule "r": jobs[0].parameters.p: the value has 8193 characters, and at most 8192 are allowed`},
		"the first line":           {`${event.message.split("\n")[0]}`, pushEvent(nil), ""},
		"the title":                {`${event.title}`, pushEvent(func(e *Event) { e.Message = "One\tline \r\n\nmore\n" }), ""},
		"a cut character":          {`${event.title.substring(2700)}`, pushEvent(func(e *Event) { e.Message = strings.Repeat("商", 4000) }), ""},
		"a list by dyn":            {`${dyn(event.files)}`, pushEvent(nil), `rule "r": jobs[0].parameters.p: the result is list, not a string, an integer or a boolean`},
		"no commit":                {`x`, pushEvent(func(e *Event) { e.Commit = "" }), `rule "r": event.commit: the host named no commit to build`},
		"no tag":                   {`x`, tagEvent(""), `rule "r": event.tag: the tag has no name`},
		"a tag unpeeled":           {`x`, func() *Event { e := tagEvent("v1"); e.Commit = ""; return e }(), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rs := rulesOf(t, "  - {name: r, when: {push: , tag: }, jobs: [{job_id: "+jobA+", parameters: {p: '"+test.value+"'}}, {job_id: "+jobB+"}]}")
			builds := rs.Decide(test.event)
			if len(builds) != 2 {
				t.Fatalf("%d builds, want 2: a dead build is kept", len(builds))
			}
			if builds[0].Dead != test.want {
				t.Errorf("dead because %q, want %q", builds[0].Dead, test.want)
			}
			if test.want != "" && builds[0].Parameters != nil {
				t.Error("a dead build has parameters")
			}
			// A parameter is its own job's matter; a missing commit is everyone's.
			if wantOther := test.want != "" && strings.Contains(test.want, "event."); (builds[1].Dead != "") != wantOther {
				t.Errorf("the other job: %q", builds[1].Dead)
			}
		})
	}
}

// A condition that cannot be evaluated makes a dead build of each job: it is
// neither taken for false nor for true.
func TestDeadCondition(t *testing.T) {
	tests := map[string]struct {
		condition string
		want      string
	}{
		"an error":         {`event.files[900] == "x"`, `rule "r": if: index out of bounds: 900`},
		"not a boolean":    {`dyn(event.branch)`, `rule "r": if: the result is string, not a boolean`},
		"too expensive":    {`event.files.all(a, event.files.all(b, event.files.all(c, a + b + c != "x")))`, `rule "r": if: it takes too long: make it read less text or fewer files`},
		"a huge text":      {`event.message.replace("", event.message) == "x"`, `rule "r": if: replace: the result may be longer than 32768 bytes`},
		"a huge join":      {`event.files.join(event.message) == "x"`, `rule "r": if: join: the result may be longer than 32768 bytes`},
		"a huge format":    {`"%s %s %s %s".format([event.message, event.message, event.message, event.message]) == "x"`, `rule "r": if: format: the result may be longer than 32768 bytes`},
		"a bad glob, late": {`event.branch.matchesGlob(event.branch + "[")`, `rule "r": if: matchesGlob: "main[" is not a valid pattern: a bracket, brace or escape is not complete`},
	}
	ev := pushEvent(func(e *Event) {
		e.Files = strings.Fields(strings.Repeat("f ", 300))
		e.Message = strings.Repeat("m", 600_000)
	})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rs := rulesOf(t, "  - {name: r, when: {push: }, if: '"+test.condition+"', jobs: [{job_id: "+jobA+"}, {job_id: "+jobB+"}]}")
			builds := rs.Decide(ev)
			if len(builds) != 2 {
				t.Fatalf("%d builds, want a dead one of each job", len(builds))
			}
			for _, b := range builds {
				if b.Dead != test.want {
					t.Errorf("dead because %q, want %q", b.Dead, test.want)
				}
			}
		})
	}
}

func TestExpressions(t *testing.T) {
	ev := pushEvent(func(e *Event) { e.Created, e.Forced = true, false })
	tests := map[string]string{
		`event.source`:         "github",
		`event.provider`:       "github",
		`event.kind`:           "push",
		`event.repository`:     "acme/shop",
		`event.owner`:          "acme",
		`event.name`:           "shop",
		`event.ref`:            "refs/heads/main",
		`event.branch`:         "main",
		`event.tag`:            "",
		`event.commit`:         ev.Commit,
		`event.before`:         ev.Before,
		`event.created`:        "true",
		`event.forced`:         "false",
		`event.message.size()`: "26",
		`event.title`:          "Count twice",
		`event.author`:         "Ann",
		`event.pusher`:         "ann",
		`event.url`:            "https://github.com/acme/shop",
		`event.files[0]`:       "README.md",
		`event.files_complete`: "true",
		`event.default_branch`: "main",
		`event.origin`:         "webhook",

		`has(event.tag)`:                              "true",
		`event == event`:                              "true",
		`[event][0].branch`:                           "main",
		`event.branch.trimPrefix("ma")`:               "in",
		`event.branch.trimPrefix("x")`:                "main",
		`event.branch.trimSuffix("in")`:               "ma",
		`event.branch.matchesGlob("{main,dev}")`:      "true",
		`event.branch.matchesGlob("m")`:               "false",
		`event.branch.matches("^m.*n$")`:              "true",
		`event.commit.substring(0, 8)`:                "6dcb09b5",
		`event.branch.upperAscii()`:                   "MAIN",
		`event.branch.replace("a", "")`:               "min",
		`event.branch.replace("a", "bb", 1)`:          "mbbin",
		`event.files.join(",")`:                       "README.md,services/cart/cart.go",
		`event.files.join()`:                          "README.mdservices/cart/cart.go",
		`event.files.filter(f, f.endsWith(".go"))[0]`: "services/cart/cart.go",
		`event.branch.split("a")[1]`:                  "in",
		`event.branch.split("a", 1)[0]`:               "main",
		`"%s-%d".format([event.branch, 3])`:           "main-3",
		`strings.quote(event.branch)`:                 `"main"`,
		`1 + 1`:                                       "2",
		`7u`:                                          "7",
		`-3`:                                          "-3",
		`dyn(3)`:                                      "3",
		`event.branch == event.default_branch ? "production" : "test"`: "production",
		`{"main": "prod"}[event.branch]`:                               "prod",
	}
	lang, err := newLanguage()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			e, faults := lang.compile(text)
			if faults != nil {
				t.Fatal(faults)
			}
			if got, err := new(meter).format(e, ev, new(constants)); err != nil || got != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestTitle(t *testing.T) {
	tests := map[string]struct{ message, want string }{
		"one line":                    {"Count twice", "Count twice"},
		"ended as some hosts end it":  {"Count twice\n", "Count twice"},
		"lines of Windows":            {"Count twice\r\n\r\nmore", "Count twice"},
		"control characters":          {"Count\ttwice\x1b\u0085", "Count twice"},
		"none":                        {"", ""},
		"an empty line":               {"\nmore", ""},
		"longer than what is seen":    {strings.Repeat("商", 4000), strings.Repeat("商", maxSeen/3)},
		"the line ends where it cuts": {strings.Repeat("m", maxSeen) + "\nmore", strings.Repeat("m", maxSeen)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := title(&Event{Message: test.message}); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestExplainRepository(t *testing.T) {
	rule := func(name, repository string) string {
		return "  - {name: " + name + ", repository: " + repository + ", when: {tag: }, jobs: [{job_id: " + jobA + "}]}\n"
	}
	rs := rulesOf(t, rule("literal", "acme/shop")+rule("other", "acme/web")+rule("glob", "'acme/*'")+
		rule("excluded", "['acme/*', '!acme/shop']")+rule("twice", "[acme/shop, 'acme/s*', '**']")+
		"  - {name: all, when: {tag: }, jobs: [{job_id: "+jobA+"}]}")
	names := func(list []Verdict) string {
		var out []string
		for _, v := range list {
			out = append(out, v.Rule)
		}
		return strings.Join(out, " ")
	}
	for limit, want := range map[int]struct {
		rules string
		more  int
	}{
		20: {"literal glob twice all", 0},
		4:  {"literal glob twice all", 0},
		2:  {"literal glob", 2},
		0:  {"", 4},
		-1: {"", 4},
	} {
		got, more := rs.ExplainRepository(pushEvent(nil), limit)
		if names(got) != want.rules || more != want.more {
			t.Errorf("at most %d: %q and %d more, want %q and %d", limit, names(got), more, want.rules, want.more)
		}
	}
	only := rulesOf(t, rule("literal", "acme/shop"))
	if got, more := only.ExplainRepository(pushEvent(func(e *Event) { e.SetRepository("acme/x") }), 20); len(got) != 0 || more != 0 {
		t.Errorf("no rule names acme/x: %v and %d more", got, more)
	}
}

// A Ruleset serves every request at once; run with -race.
func TestConcurrentUse(t *testing.T) {
	rs := rulesOf(t, `  - {name: r, when: {push: , tag: }, if: 'event.branch.matches("^[a-z]*$")', jobs: [{job_id: `+jobA+`, parameters: {a: '${event.ref.split("/").join("-")}'}}]}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if b := rs.Decide(pushEvent(nil)); len(b) != 1 || b[0].Parameters[0].Value != "refs-heads-main" {
					t.Errorf("got %+v", b)
				}
				rs.Explain(tagEvent("v1"))
			}
		})
	}
	wg.Wait()
}

// BenchmarkParameters resolves the parameters of one job.
func BenchmarkParameters(b *testing.B) {
	for name, value := range map[string]string{
		"literal":    `main`,
		"field":      `${event.branch}`,
		"text":       `push of ${event.branch} by ${event.pusher}`,
		"expression": `${event.branch.trimPrefix("release/")}`,
	} {
		rs := rulesOf(b, fmt.Sprintf("  - {name: r, repository: '**', when: {push: {}}, jobs: [{job_id: %s, parameters: {p: '%s'}}]}\n", jobA, value))
		ev := pushEvent(nil)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if builds := rs.Decide(ev); len(builds) != 1 || builds[0].Dead != "" {
					b.Fatal(builds)
				}
			}
		})
	}
}
