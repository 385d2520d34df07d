package rulestest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
	"buildbridge/mapping/rulestest"
)

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		want string
	}{
		"not YAML":   {"tests: [", "t.yaml:1:8: not YAML: the ] that ends this list is missing"},
		"empty":      {"# none\n", "t.yaml:1:1: the file is empty: a file of tests begins with tests:"},
		"no tests":   {"tests: []\n", "t.yaml:1:8: tests: the list is empty"},
		"too large":  {"tests: [] #" + strings.Repeat(" ", mapping.MaxFile), "t.yaml:1:1: the file is larger than 1 MiB: split it"},
		"rules":      {"version: 1\nrules: []\ntests: [{name: a, event: {repository: a/b, tag: v1}, builds: []}]\n", "t.yaml:1:1: version: unknown field; a file whose name ends in .test.yaml has tests, and no rules are read from it: give the rules another name\nt.yaml:2:1: rules: unknown field; a file whose name ends in .test.yaml has tests, and no rules are read from it: give the rules another name"},
		"rules only": {"rules: []\n", "t.yaml:1:1: rules: unknown field; a file whose name ends in .test.yaml has tests, and no rules are read from it: give the rules another name\nt.yaml:1:1: tests: required"},
		"unknown fields": {
			"tests:\n  - name: a\n    event: {sorce: github, repository: a/b, branch: main, title: x}\n    builds: [{rule: a, job_id: x, parametrs: {}}]\n    branch: main\n",
			`t.yaml:3:13: test "a": event.sorce: unknown field; did you mean "source"?
t.yaml:3:59: test "a": event.title: unknown field; it is the first line of message
t.yaml:4:24: test "a": builds[0].job_id: unknown field; did you mean "job"?
t.yaml:4:35: test "a": builds[0].parametrs: unknown field; did you mean "parameters"?
t.yaml:5:5: test "a": branch: unknown field; it belongs under event`,
		},
		"a name twice": {
			"tests:\n  - {name: a, event: {repository: a/b, tag: v1}, builds: []}\n  - {name: a, event: {repository: a/b, tag: v2}, builds: []}\n",
			`t.yaml:3:12: test "a": name: another test has this name, at t.yaml:2:12`,
		},
		"neither event nor delivery, no builds": {
			"tests:\n  - name: a\n  - {name: b, event: {repository: a/b, tag: v1}}\n",
			`t.yaml:2:5: test "a": event: required: an event, or a delivery
t.yaml:2:5: test "a": builds: required; [] if nothing is built
t.yaml:3:5: test "b": builds: required; [] if nothing is built`,
		},
		"builds without a value": {
			"tests:\n  - name: a\n    event: {repository: a/b, tag: v1}\n    builds:\n",
			`t.yaml:4:13: test "a": builds: want a list of {rule: cart, parameters: {…}}, [] if nothing is built, this is nothing`,
		},
		"event and delivery, builds and ignored": {
			"tests:\n  - name: a\n    event: {repository: a/b, tag: v1}\n    delivery: {file: x.json}\n    builds: [{rule: a}]\n    ignored: no_rule\n",
			`t.yaml:4:15: test "a": delivery: a test has an event or a delivery, not both
t.yaml:6:14: test "a": ignored: a test has builds or ignored, not both`,
		},
		"branch and tag, neither": {
			"tests:\n  - {name: a, event: {repository: a/b, branch: main, tag: v1}, builds: []}\n  - {name: b, event: {repository: a/b}, builds: []}\n",
			`t.yaml:2:59: test "a": event.tag: an event has a branch or a tag, not both
t.yaml:3:22: test "b": event.branch: required: a branch, or a tag`,
		},
		"names that Git does not allow": {
			"tests:\n  - {name: a, event: {repository: a/b, branch: a..b}, builds: []}\n  - {name: b, event: {repository: a/b, tag: v1.lock}, builds: []}\n",
			`t.yaml:2:48: test "a": event.branch: "a..b" is not a name that Git allows: it has ".."
t.yaml:3:45: test "b": event.tag: "v1.lock" is not a name that Git allows: it has a part that ends in ".lock"`,
		},
		"values that cannot be": {
			"tests:\n  - name: a\n    event: {repository: shop, branch: refs/heads/main, commit: abc, origin: mail}\n    builds: []\n    ignored: nothing\n",
			`t.yaml:3:25: test "a": event.repository: "shop" is not the full name of a repository: owner/name
t.yaml:3:39: test "a": event.branch: "refs/heads/main": write the short name of the branch
t.yaml:3:64: test "a": event.commit: "abc" is not the id of a commit: 40 or 64 hexadecimal digits
t.yaml:3:77: test "a": event.origin: "mail" is not one of webhook, manual, catch_up
t.yaml:5:14: test "a": ignored: "nothing" is not one of no_rule, no_match, ping, event, deleted`,
		},
		"a tag with files": {
			"tests:\n  - {name: a, event: {repository: a/b, tag: v1, files: [x], files_complete: true}, builds: []}\n",
			`t.yaml:2:22: test "a": event.files: a tag has no files
t.yaml:2:77: test "a": event.files_complete: a tag has no files`,
		},
		"an anchor": {
			"tests:\n  - {name: a, event: &e {repository: a/b, tag: v1}, builds: []}\n  - {name: b, event: *e, builds: []}\n",
			`t.yaml:2:22: test "a": event: anchors (&e) are not part of this language: write each test out
t.yaml:3:22: test "b": event: aliases are not part of this language: write each test out; if it is text, quote it: '*e'`,
		},
		"a test without a name": {
			"tests:\n  - event: {repository: a/b}\n    builds: [{rule: a, parameters: {n: 3}}]\n",
			`t.yaml:2:5: tests[0].name: required
t.yaml:2:12: tests[0].event.branch: required: a branch, or a tag
t.yaml:3:40: tests[0].builds[0].parameters.n: 3 is a number to YAML: quote it, '3'`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			suite, err := rulestest.Parse("t.yaml", []byte(test.file))
			if suite != nil || err == nil {
				t.Fatalf("got %+v, %v", suite, err)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
