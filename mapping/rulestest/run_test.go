package rulestest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
	"buildbridge/mapping/rulestest"
)

const rules = `
version: 1
sources:
  github: {provider: github, insecure: true, api: {token: {env: TOKEN}}, report: true}
  lab: {provider: gitlab, insecure: true}
targets:
  north: {region: cn-north-4, credentials: {chain: true}}
  south: {region: cn-south-1, credentials: {chain: true}}
defaults: {target: north}
rules:
  - name: cart
    source: github
    repository: acme/shop
    when: {push: {branches: [main], paths: ['cart/**'], unknown_paths: skip}}
    jobs:
      - job_id: f9d6c8466d614a9788e9a0acf6c15f46
        name: build
        parameters: {codeBranch: "${event.branch}", by: "${event.pusher}"}
      - job_id: f9d6c8466d614a9788e9a0acf6c15f46
        name: check
        parameters: {codeBranch: "${event.branch}", check: "yes"}
  - name: release
    repository: acme/shop
    when: {tag: {semver: '>=2.0.0'}}
    jobs: [{job_id: 0b7c1d52e0f94c54a1d3f1f7c2a98e60, parameters: {version: '${event.tag}', first: '${event.message.split(",")[1]}'}}]
  - name: pipe
    repository: acme/pipe
    when: {push: {}, tag: {}}
    jobs:
      - pipeline_id: 7b7c1d52e0f94c54a1d3f1f7c2a98e60
        project_id: 5c6b7d8e9f0a4b1c8d2e3f4a5b6c7d8e
        pin_commit: true
        sources: [{alias: a}, {alias: b, branch: stable}]
        variables: {GIT_SHA: "${event.commit}"}
`

// parse reads the rules, or gives a test up.
func parse(tb testing.TB, text string) *mapping.Ruleset {
	tb.Helper()
	rs, _, err := mapping.Parse([]mapping.Provider{{Name: "github", Statuses: true}, {Name: "gitlab"}}, mapping.File{Name: "rules.yaml", Data: []byte(text)})
	if err != nil {
		tb.Fatal(err)
	}
	return rs
}

// decode knows three deliveries.
func decode(source *mapping.Source, d rulestest.Delivery) (rulestest.Decoded, error) {
	push := mapping.Event{
		Provider: source.Provider, Kind: mapping.Push, Ref: "refs/heads/main", Branch: "main",
		Commit: "6dcb09b5b57875f334f61aebed695e2e4193db5e", Files: []string{"cart/a.go"}, FilesComplete: true,
	}
	push.SetRepository("acme/shop")
	tag := mapping.Event{Provider: source.Provider, Kind: mapping.Tag, Ref: "refs/tags/v2.0.0", Tag: "v2.0.0", Message: "a,b"}
	tag.SetRepository("acme/shop")
	switch d.File {
	case "both.json":
		return rulestest.Decoded{Events: []mapping.Event{push, tag}}, nil
	case "ping.json":
		return rulestest.Decoded{Ignored: mapping.ReasonPing}, nil
	default:
		return rulestest.Decoded{}, errors.New(d.File + ": no such file, " + d.Headers["X-GitHub-Event"])
	}
}

func TestRun(t *testing.T) {
	const pipeCommit = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
	const pipe = "event: {source: lab, repository: acme/pipe, branch: main, commit: " + pipeCommit + "}, "
	const cart = "event: {source: github, repository: acme/shop, branch: main, files: [cart/a.go]}, "
	const tag = "event: {source: lab, repository: acme/shop, tag: v2.0.0, message: 'a,b'}, "
	for name, test := range map[string]struct {
		test string
		want string // what differs
	}{
		"builds in any order, by the names of jobs":       {cart + "builds: [{rule: cart, job: check}, {rule: cart, job: build}]", ""},
		"builds by the ids of jobs":                       {cart + "builds: [{rule: cart, job: f9d6c8466d614a9788e9a0acf6c15f46}, {rule: cart}]", ""},
		"the one that fits less takes what others leave":  {cart + "builds: [{rule: cart}, {rule: cart, job: build}]", ""},
		"and the other way round":                         {cart + "builds: [{rule: cart}, {rule: cart, job: check}]", ""},
		"only parameters that are named are compared":     {cart + "builds: [{rule: cart, job: build, parameters: {codeBranch: main}}, {rule: cart}]", ""},
		"a parameter that is not sent":                    {cart + "builds: [{rule: cart, job: build, parameters: {check: null}}, {rule: cart, parameters: {by: null}}]", ""},
		"every field":                                     {cart + "builds: [{rule: cart, job: build, target: north, commit: 0123456789abcdef0123456789abcdef01234567, tag: '', context: buildbridge/cart/build}, {rule: cart}]", ""},
		"a tag":                                           {tag + "builds: [{rule: release, tag: v2.0.0, commit: '', context: '', parameters: {version: v2.0.0}}]", ""},
		"nothing, as no rule names the repository":        {"event: {source: lab, repository: acme/x, branch: main}, ignored: no_rule", ""},
		"nothing, as no rule matches":                     {"event: {source: lab, repository: acme/shop, tag: v1.0.0}, ignored: no_match, why: {release: does not satisfy, cart: source}", ""},
		"a repository is compared without case":           {"event: {source: github, repository: ACME/Shop, branch: main, files: cart/a.go}, builds: [{rule: cart}, {rule: cart}]", ""},
		"a list of no files is known":                     {"event: {source: github, repository: acme/shop, branch: main, files: []}, builds: [], why: {cart: the push changed no files}", ""},
		"no list of files is not known":                   {"event: {source: github, repository: acme/shop, branch: main}, builds: [], why: {cart: 'unknown_paths: skip, and the host did not send a complete list of changed files: the test has no files'}", ""},
		"files of a new branch are not known":             {"event: {source: github, repository: acme/shop, branch: main, files: [cart/a.go], created: true}, builds: [], why: {cart: a new branch}", ""},
		"files of a forced push are not known":            {"event: {source: github, repository: acme/shop, branch: main, files: [cart/a.go], forced: true}, builds: [], why: {cart: forced}", ""},
		"files of a forced push are known if one says so": {"event: {source: github, repository: acme/shop, branch: main, files: [cart/a.go], forced: true, files_complete: true}, builds: [{rule: cart}, {rule: cart}]", ""},
		"files that are not complete":                     {"event: {source: github, repository: acme/shop, branch: main, files: [cart/a.go], files_complete: false}, builds: [], why: {cart: files_complete}", ""},
		"a build that is dead":                            {"event: {source: lab, repository: acme/shop, tag: v2.0.0, message: a}, builds: [{rule: release, dead: 'parameters.first'}]", ""},
		"a run of a pipeline":                             {pipe + "builds: [{rule: pipe, job: 7b7c1d52e0f94c54a1d3f1f7c2a98e60, variables: {GIT_SHA: " + pipeCommit + ", X: null}, branch: main, pin_commit: true}]", ""},
		"a branch of another source":                      {pipe + "builds: [{rule: pipe, branch: stable}]", ""},
		"a tag is not pinned":                             {"event: {source: lab, repository: acme/pipe, tag: v1}, builds: [{rule: pipe, tag: v1, branch: stable, pin_commit: false}]", ""},
		"a delivery with two events":                      {"delivery: {source: github, file: both.json}, builds: [{rule: release}, {rule: cart}, {rule: cart}]", ""},
		"a delivery without an event":                     {"delivery: {source: github, file: ping.json}, ignored: ping", ""},

		"another run of a pipeline": {
			pipe + "builds: [{rule: pipe, variables: {GIT_SHA: x}, branch: dev, pin_commit: false}]",
			`builds[0] in line 2: rule "pipe" builds something else
  variables.GIT_SHA: expected "x", got "` + pipeCommit + `"
  branch: expected "dev", got "main, stable"
  pin_commit: expected false, got true`,
		},
		"parameters of a pipeline": {
			pipe + "builds: [{rule: pipe, parameters: {GIT_SHA: x}}]",
			`builds[0] in line 2: rule "pipe" builds something else
  the build has no parameters: it is of a pipeline, write variables`,
		},
		"nothing is expected": {
			tag + "builds: []",
			`not expected, and it is built: rule "release", job 0b7c1d52e0f94c54a1d3f1f7c2a98e60, parameters {version: "v2.0.0", first: "b"}`,
		},
		"one build too few": {
			cart + "builds: [{rule: cart, job: build}]",
			`not expected, and it is built: rule "cart", job check (f9d6c8466d614a9788e9a0acf6c15f46), parameters {codeBranch: "main", check: "yes"}`,
		},
		"one build too many": {
			cart + "builds: [{rule: cart}, {rule: cart}, {rule: cart, job: build}]",
			`builds[2] in line 2: expected rule "cart", job build, and it is not built: the rule gives 2 builds, which other builds of this test expect`,
		},
		"the nearest build is compared": {
			cart + "builds: [{rule: cart, job: check}, {rule: cart, job: build, target: south, commit: '', tag: v1, context: ci, parameters: {codeBranch: dev, chek: x, by: null}}]",
			`builds[1] in line 2: rule "cart" builds something else
  target: expected "south", got "north"
  parameters.codeBranch: expected "dev", got "main"
  parameters.chek: expected "x", and it is not sent
  parameters.by: expected not to be sent, got ""
  commit: expected "", got "0123456789abcdef0123456789abcdef01234567"
  tag: expected "v1", got ""
  context: expected "ci", got "buildbridge/cart/build"`,
		},
		"the rule does not match": {
			"event: {source: github, repository: acme/shop, branch: dev}, builds: [{rule: cart, job: build}]",
			"builds[0] in line 2: expected rule \"cart\", job build, and it is not built\n" +
				`rule "cart" does not match: push.branches: "dev" matches none of [main]`,
		},
		"a build that is dead, and should not be": {
			"event: {source: lab, repository: acme/shop, tag: v2.0.0, message: a}, builds: [{rule: release}]",
			"builds[0] in line 2: rule \"release\" builds something else\n" +
				`  it is dead on arrival: rule "release": jobs[0].parameters.first: index out of bounds: 1`,
		},
		"a build that should be dead": {
			tag + "builds: [{rule: release, dead: first}]",
			"builds[0] in line 2: rule \"release\" builds something else\n" + `  dead: expected "first", and it is not dead`,
		},
		"a tag without a name of the job": {
			tag + "builds: [{rule: release, job: build, parameters: {vversion: x}}]",
			"builds[0] in line 2: rule \"release\" builds something else\n" + `  job: expected "build", got "0b7c1d52e0f94c54a1d3f1f7c2a98e60"
  parameters.vversion: expected "x", and it is not sent; did you mean "version"?`,
		},
		"another reason": {
			"event: {source: lab, repository: acme/shop, tag: v1.0.0}, ignored: no_rule, why: {release: prerelease}",
			"ignored: expected no_rule, got no_match\n" +
				"why: rule \"release\" does not match, for another reason\nexpected \"prerelease\"\n" + `got      "tag.semver: \"v1.0.0\" does not satisfy >=2.0.0"`,
		},
		"a rule that should not match":       {tag + "builds: [{rule: release}], why: {release: x}", `why: rule "release" matches`},
		"a delivery without an event builds": {"delivery: {source: github, file: ping.json}, builds: [{rule: cart}]", `builds[0] in line 2: expected rule "cart", and it is not built: the delivery has no event`},
	} {
		t.Run(name, func(t *testing.T) {
			suite, err := rulestest.Parse("t.yaml", fmt.Appendf(nil, "tests:\n  - {name: a, %s}\n", test.test))
			if err != nil {
				t.Fatal(err)
			}
			r := rulestest.Runner{Rules: parse(t, rules), Decode: decode}
			if faults := r.Check(suite); faults != nil {
				t.Error(faults)
			}
			if diff := cmp.Diff(test.want, strings.Join(r.Run(suite.Cases[0]), "\n")); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
		})
	}
}

// What tests name, and the rules or the disk do not have, are faults of their file, at their places.
func TestCheck(t *testing.T) {
	suite, err := rulestest.Parse("t.yaml", []byte(`tests:
  - name: a
    event: {source: githb, repository: acme/shop, branch: main}
    builds:
      - {rule: cart, target: nroth}
      - {rule: crt}
    why: {relaese: x, cart: x, none: x}
  - name: b
    event: {repository: acme/shop, branch: main}
    builds: []
  - name: c
    delivery: {source: lba, file: both.json}
    builds: []
  - name: d
    delivery:
      source: lab
      headers: {X-GitHub-Event: push}
      file: no.json
    builds: [{rule: release, target: north}]
`))
	if err != nil {
		t.Fatal(err)
	}
	r := rulestest.Runner{Rules: parse(t, rules), Decode: decode}
	want := `t.yaml:3:21: test "a": event.source: there is no source "githb"; did you mean "github"?
t.yaml:5:30: test "a": builds[0].target: there is no target "nroth"; did you mean "north"?
t.yaml:6:16: test "a": builds[1].rule: there is no rule "crt"; did you mean "cart"?
t.yaml:7:11: test "a": why: there is no rule "relaese"; did you mean "release"?
t.yaml:7:32: test "a": why: there is no rule "none"; known are cart, release, pipe
t.yaml:9:12: test "b": event.source: required, because the rules have several: github, lab
t.yaml:12:24: test "c": delivery.source: there is no source "lba"; did you mean "lab"?
t.yaml:18:13: test "d": delivery.file: no.json: no such file, push`
	if diff := cmp.Diff(want, r.Check(suite).Error()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// An event has all that rules can see.
func TestEvent(t *testing.T) {
	const one = `
version: 1
sources: {lab: {provider: gitlab, insecure: true}}
targets: {north: {region: cn-north-4, credentials: {chain: true}}}
rules: [{name: all, when: {push: {}}, jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46, parameters: {all: "${[
  event.source, event.provider, event.kind, event.repository, event.owner, event.name, event.ref, event.branch, event.tag, event.commit, event.before,
  string(event.created), string(event.forced), event.title, event.author, event.pusher, event.url, event.files.join('+'), string(event.files_complete),
  event.default_branch, event.origin, event.commits.map(c, c.id + c.title + c.author).join()].join(' ')}"}}]}]
`
	suite, err := rulestest.Parse("t.yaml", []byte(`
tests:
  - name: all
    event:
      repository: acme/group/shop
      branch: main
      commit: '1111111111111111111111111111111111111111'
      created: true
      forced: true
      message: "a\n\nb\n"
      author: ann
      pusher: bob
      url: https://lab.example/acme/group/shop
      files: [z, a, z]
      default_branch: trunk
      commits: [{id: '1111111111111111111111111111111111111111', title: a, author: ann}]
      origin: manual
    builds:
      - rule: all
        parameters:
          all: "lab gitlab push acme/group/shop acme/group shop refs/heads/main main  1111111111111111111111111111111111111111 \
            0000000000000000000000000000000000000000 true true a ann bob https://lab.example/acme/group/shop a+z false trunk manual 1111111111111111111111111111111111111111aann"
`))
	if err != nil {
		t.Fatal(err)
	}
	r := rulestest.Runner{Rules: parse(t, one)}
	if got := r.Run(suite.Cases[0]); got != nil {
		t.Error(got)
	}
}

// BenchmarkThousand reads and runs 1,000 tests of 200 rules.
func BenchmarkThousand(b *testing.B) {
	var rules, tests strings.Builder
	rules.WriteString("version: 1\nsources: {github: {provider: github, insecure: true}}\n" +
		"targets: {north: {region: cn-north-4, credentials: {chain: true}}}\nrules:\n")
	for i := range 200 {
		fmt.Fprintf(&rules, "  - name: rule-%d\n    repository: acme/shop-%d\n    when: {push: {branches: [main], paths: ['cart-%d/**']}}\n"+
			"    jobs: [{job_id: f9d6c8466d614a9788e9a0acf6c15f46, parameters: {codeBranch: '${event.branch}'}}]\n", i, i/5, i)
	}
	tests.WriteString("tests:\n")
	for i := range 1000 {
		fmt.Fprintf(&tests, "  - name: test %d\n    event: {source: github, repository: acme/shop-%d, branch: main, files: [cart-%d/a.go]}\n"+
			"    builds: [{rule: rule-%d, parameters: {codeBranch: main}}]\n", i, i%200/5, i%200, i%200)
	}
	r := rulestest.Runner{Rules: parse(b, rules.String())}
	for b.Loop() {
		suite, err := rulestest.Parse("t.yaml", []byte(tests.String()))
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range suite.Cases {
			if d := r.Run(c); d != nil {
				b.Fatal(d)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/1000-tests")
}
