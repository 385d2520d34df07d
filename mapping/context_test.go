package mapping

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestContexts goes through what names the statuses of builds.
func TestContexts(t *testing.T) {
	const (
		sources = `version: 1
sources:
  github: {provider: github, insecure: true, api: {token: {env: T}}, report: true}
  gitlab: {provider: gitlab, insecure: true, api: {token: {env: T}}}
  lab: {provider: gitea, insecure: true}
`
		one, two = "jobs: [{job_id: " + jobA + "}]", "jobs: [{job_id: " + jobA + ", name: cart}, {job_id: " + jobB + "}]"
	)
	from := func(source string) *Event { return pushEvent(func(e *Event) { e.Source = source }) }
	push, tag := from("github"), tagEvent("v1")
	unpeeled := tagEvent("v1")
	unpeeled.Commit = ""
	for name, test := range map[string]struct {
		rule  string
		event *Event
		want  []string
	}{
		"as the source says":            {one, push, []string{"buildbridge/r"}},
		"a tag":                         {one, tag, []string{"buildbridge/r/tag"}},
		"several jobs":                  {two, push, []string{"buildbridge/r/cart", "buildbridge/r/" + jobB}},
		"several jobs of a tag":         {two, tag, []string{"buildbridge/r/cart/tag", "buildbridge/r/" + jobB + "/tag"}},
		"a name where one job is":       {"jobs: [{job_id: " + jobA + ", name: cart}]", push, []string{"buildbridge/r"}},
		"written":                       {one + ", report: {context: ci/cart}", push, []string{"ci/cart"}},
		"written, a tag":                {one + ", report: {context: ci/cart}", tag, []string{"ci/cart/tag"}},
		"written, several jobs":         {two + ", report: {context: ci}", push, []string{"ci/cart", "ci/" + jobB}},
		"the longest":                   {one + ", report: {context: " + strings.Repeat("a", 251) + "}", tag, []string{strings.Repeat("a", 251) + "/tag"}},
		"not by the rule":               {one + ", report: false", push, []string{""}},
		"not by the source":             {one, from("gitlab"), []string{""}},
		"by the rule alone":             {one + ", report: true", from("gitlab"), []string{"buildbridge/r"}},
		"a source that cannot":          {one + ", report: true", from("lab"), []string{""}},
		"a source that is not asked":    {one, from("lab"), []string{""}},
		"a source of another day":       {one + ", report: true", from("gone"), []string{""}},
		"the source is named":           {one + ", source: [gitlab], report: true", from("gitlab"), []string{"buildbridge/r"}},
		"one of the named is asked":     {one + ", source: [lab, github]", push, []string{"buildbridge/r"}},
		"one of the named is not":       {one + ", source: [lab, github]", from("lab"), []string{""}},
		"a tag without a commit":        {one, unpeeled, []string{""}},
		"a push without a commit":       {one, pushEvent(func(e *Event) { e.Commit = "" }), []string{""}},
		"dead on arrival":               {"if: 'event.files[7] == \"x\"', " + one, push, []string{"buildbridge/r"}},
		"names of other characters":     {"name: '店 1', " + one, push, []string{"buildbridge/店 1"}},
		"names that differ in a letter": {"jobs: [{job_id: " + jobA + ", name: a}, {job_id: " + jobA + ", name: b, parameters: {c: d}}]", push, []string{"buildbridge/r/a", "buildbridge/r/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			rule := test.rule
			if !strings.HasPrefix(rule, "name:") {
				rule = "name: r, " + rule
			}
			rs := mustParse(t, File{Name: "a.yaml", Data: []byte(sources + goodTargets + "rules: [{when: {push: , tag: }, " + rule + "}]\n")})
			var got []string
			for _, b := range rs.Decide(test.event) {
				got = append(got, b.Context)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
