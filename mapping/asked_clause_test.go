package mapping

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// asked gives the clauses of a verdict, a line each.
func asked(v Verdict) []string {
	var lines []string
	for _, a := range v.Clauses {
		line := fmt.Sprintf("%s: %s · %s · %s", a.Clause, a.Wants, a.Got, a.Says)
		if a.Job != "" {
			line = a.Job + ": " + line
		}
		if a.Why != "" {
			line += " · " + a.Why
		}
		lines = append(lines, line)
	}
	return lines
}

func TestEveryClauseIsTold(t *testing.T) {
	const yes = "repository: [acme/shop] · acme/shop · yes"
	commit := "6dcb09b5b57875f334f61aebed695e2e4193db5e"
	tests := map[string]struct {
		rule  string // without its name
		event *Event
		want  []string
	}{
		"all hold": {
			"source: github, repository: acme/shop, when: {push: {branches: [main, 'release/**'], paths: ['services/**'], skip_marks: true}}, " +
				"if: 'event.pusher == \"ann\"', jobs: [{job_id: " + jobA + "}]",
			pushEvent(nil),
			[]string{
				"source: [github] · github · yes", yes, "when: push · push · yes", "push.branches: [main, release/**] · main · yes",
				"push.skip_marks: true · Count twice · yes", "push.paths: [services/**] · services/cart/cart.go · yes",
				`if: event.pusher == "ann" · true · yes`,
			},
		},
		"the plain clauses after the first that failed are asked too": {
			"repository: acme/shop, when: {push: {branches: [dev], paths: ['docs/**']}}, if: 'event.pusher == \"bob\"', jobs: [{job_id: " + jobA + "}]",
			pushEvent(nil),
			[]string{
				yes, "when: push · push · yes", `push.branches: [dev] · main · no · "main" matches none of [dev]`,
				"push.paths: [docs/**] · 2 changed files · no · none of 2 changed files matches [docs/**]: README.md, services/cart/cart.go",
				`if: event.pusher == "bob" ·  · not_asked · it is asked only if all clauses before it say yes`,
			},
		},
		"another kind of event": {
			"repository: acme/shop, when: {push: {branches: [main]}}, jobs: [{job_id: " + jobA + "}]", tagEvent("v1"),
			[]string{yes, "when: push · tag · no · the event is a tag, and the rule has push only"},
		},
		"files that are not known": {
			"repository: acme/shop, when: {push: {paths_ignore: ['*.md'], unknown_paths: skip}}, jobs: [{job_id: " + jobA + "}]",
			pushEvent(func(e *Event) { e.Files, e.FilesComplete, e.FilesUnknown = nil, false, "too many" }),
			[]string{
				yes, "when: push · push · yes", "push.paths: [**], paths_ignore [*.md], unknown_paths skip · changed files not all known · no · " +
					"push.unknown_paths: skip, and the host did not send a complete list of changed files: too many",
			},
		},
		"a condition that fails": {
			"repository: acme/shop, when: {push: }, if: 'event.commits[3].title == \"\"', " +
				"jobs: [{job_id: " + jobA + ", name: a, paths: ['docs/**'], if: 'true'}, {job_id: " + jobB + ", if: 'true'}]",
			pushEvent(nil),
			[]string{
				yes, "when: push · push · yes", `if: event.commits[3].title == "" ·  · failed · index out of bounds: 3`,
				"a: jobs[0].paths: [docs/**] · 2 changed files · no · none of 2 changed files matches [docs/**]: README.md, services/cart/cart.go",
				"a: jobs[0].if: true ·  · not_asked · it is asked only if all clauses before it say yes",
				jobB + ": jobs[1].if: true ·  · not_asked · it is asked only if all clauses before it say yes",
			},
		},
		"clauses of jobs": {
			"repository: acme/shop, when: {push: {paths_ignore: ['*.md']}}, jobs: [{job_id: " + jobA + ", name: a, paths: ['*.md']}, " +
				"{job_id: " + jobB + ", name: b, paths: ['services/**'], if: 'event.commit == \"" + commit + "\"'}]",
			pushEvent(nil),
			[]string{
				yes, "when: push · push · yes", "push.paths: [**], paths_ignore [*.md] · services/cart/cart.go · yes",
				"a: jobs[0].paths: [*.md] · 1 changed file · no · the one changed file that counts for the rule does not match [*.md]: services/cart/cart.go",
				"b: jobs[1].paths: [services/**] · services/cart/cart.go · yes", `b: jobs[1].if: event.commit == "` + commit + `" · true · yes`,
			},
		},
		"jobs of a rule that does not match": {
			"repository: acme/shop, when: {push: {branches: [dev]}}, jobs: [{job_id: " + jobA + ", name: a, paths: ['*.md']}]", pushEvent(nil),
			[]string{
				yes, "when: push · push · yes", `push.branches: [dev] · main · no · "main" matches none of [dev]`,
				"a: jobs[0].paths: [*.md] ·  · not_asked · the rule does not match",
			},
		},
		"a version": {
			"repository: acme/shop, when: {tag: {tags: ['cart/*'], semver: '>=2.0.0', prefix: cart/}}, jobs: [{job_id: " + jobA + "}]",
			tagEvent("cart/1.2.3"),
			[]string{
				yes, "when: tag · tag · yes", "tag.tags: [cart/*] · cart/1.2.3 · yes",
				`tag.semver: >=2.0.0, prefix cart/ · cart/1.2.3 · no · "cart/1.2.3" does not satisfy >=2.0.0`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rules := rulesOf(t, "  - {name: r, "+test.rule+"}")
			explained, _ := rules.ExplainClauses(test.event, nil, 1)
			if diff := cmp.Diff(test.want, asked(explained[0])); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			// The rule says the same with its clauses as without them.
			plain, _ := rules.ExplainRepository(test.event, 1)
			explained[0].Clauses = nil
			if diff := cmp.Diff(plain, explained); diff != "" {
				t.Errorf("-without clauses +with them\n%s", diff)
			}
		})
	}
}

func TestAskedClausesAreFitToBeShown(t *testing.T) {
	rules := rulesOf(t, "  - {name: r, repository: acme/shop, when: {push: {branches: [main], paths: ['**'], skip_marks: true}}, jobs: [{job_id: "+jobA+"}]}")
	verdicts, _ := rules.ExplainClauses(pushEvent(func(e *Event) {
		e.Branch, e.Message = "x\u202e\x1b[2J"+strings.Repeat("é", 2000), "a\u2066<b>\x07"
		e.Files = []string{"\u202egpj.exe\n" + strings.Repeat("<", 9000)}
	}), nil, 1)
	for _, a := range verdicts[0].Clauses {
		for _, text := range []string{a.Clause, a.Wants, a.Got, a.Why, a.Job} {
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) || len(text) > 4*maxAsked {
				t.Errorf("%s: %q", a.Clause, text)
			}
		}
	}
}

// Of more rules than are asked for, those that come before others are given first.
func TestExplainClausesOfSome(t *testing.T) {
	text := ""
	for _, name := range []string{"a", "b", "c", "d"} {
		text += "  - {name: " + name + ", repository: acme/shop, when: {push: {}}, jobs: [{job_id: " + jobA + "}]}\n"
	}
	verdicts, more := rulesOf(t, text).ExplainClauses(pushEvent(nil), []string{"d", "c"}, 3)
	if more != 1 || len(verdicts) != 3 || verdicts[0].Rule != "a" || verdicts[1].Rule != "c" || verdicts[2].Rule != "d" {
		t.Errorf("%d more than %+v", more, verdicts)
	}
}
