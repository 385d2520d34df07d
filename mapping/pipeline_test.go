package mapping

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	pipelineA = "0b7c1d52e0f94c54a1d3f1f7c2a98e60"
	projectA  = "5c6b7d8e9f0a4b1c8d2e3f4a5b6c7d8e"
)

// pipelineWith is a rule for pushes and tags with a pipeline that has more fields.
func pipelineWith(fields string) string {
	return "version: 1\n" + goodSources + goodTargets + "rules:\n  - {name: r, when: {push: , tag: }, jobs: [{pipeline_id: " + pipelineA +
		", project_id: " + projectA + ", " + fields + "}]}\n"
}

func TestPipelineBuilds(t *testing.T) {
	push, tag := pushEvent(nil), tagEvent("v2.0.0")
	for name, test := range map[string]struct {
		fields        string
		onPush, onTag Build // what is not the same in all
	}{
		"nothing said": {
			"name: p",
			Build{Sources: []CodeSource{{Branch: push.Branch}}},
			Build{Sources: []CodeSource{{Tag: "v2.0.0"}}},
		},
		"no sources": {"name: p, sources: []", Build{}, Build{}},
		"pinned": {
			"name: p, pin_commit: true",
			Build{Sources: []CodeSource{{Branch: push.Branch, Commit: push.Commit}}},
			Build{Sources: []CodeSource{{Tag: "v2.0.0"}}},
		},
		"sources of their own": {
			"name: p, pin_commit: true, sources: [{git_type: codehub, git_url: 'https://h.example/a.git', codehub_id: '21', default_branch: master, alias: a}, " +
				"{endpoint_id: e-1, branch: main}, {tag: v1}], choose_stages: [s1, s2]",
			Build{Stages: []string{"s1", "s2"}, Sources: []CodeSource{
				{GitType: "codehub", GitURL: "https://h.example/a.git", CodehubID: "21", DefaultBranch: "master", Alias: "a", Branch: push.Branch, Commit: push.Commit},
				{EndpointID: "e-1", Branch: "main"},
				{Tag: "v1"},
			}},
			Build{Stages: []string{"s1", "s2"}, Sources: []CodeSource{
				{GitType: "codehub", GitURL: "https://h.example/a.git", CodehubID: "21", DefaultBranch: "master", Alias: "a", Tag: "v2.0.0"},
				{EndpointID: "e-1", Branch: "main"},
				{Tag: "v1"},
			}},
		},
		"variables": {
			"name: p, sources: [], marker: BB, variables: {GIT_SHA: '${event.commit}', WHAT: '${event.kind} x'}",
			Build{Marker: "BB", Parameters: []Parameter{{"GIT_SHA", push.Commit}, {"WHAT", "push x"}}},
			Build{Marker: "BB", Parameters: []Parameter{{"GIT_SHA", tag.Commit}, {"WHAT", "tag x"}}},
		},
		"a value that is too long": {
			"name: p, sources: [], variables: {LONG: '" + strings.Repeat("${event.branch}word", 1100) + "'}",
			Build{Dead: `rule "r": jobs[0].variables.LONG: the value has 8800 characters, and at most 8192 are allowed`},
			Build{Dead: "-"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			rs := mustParse(t, File{Name: "rules.yaml", Data: []byte(pipelineWith(test.fields))})
			for _, of := range []struct {
				ev   *Event
				want Build
			}{{push, test.onPush}, {tag, test.onTag}} {
				if of.want.Dead == "-" {
					continue
				}
				got := rs.Decide(of.ev)
				want := of.want
				want.Rule, want.Target, want.Action, want.JobID, want.ProjectID, want.Job = "r", "north", ActionPipeline, pipelineA, projectA, "p"
				want.Repository, want.Ref, want.Pusher, want.Title = of.ev.Repository, of.ev.Ref, of.ev.Pusher, of.ev.Title()
				if of.ev.Kind == Tag {
					want.Tag, want.TagCommit = of.ev.Tag, of.ev.Commit
				} else {
					want.Commit = of.ev.Commit
				}
				if diff := cmp.Diff([]Build{want}, got); diff != "" {
					t.Errorf("%s: -want +got:\n%s", of.ev.Kind, diff)
				}
			}
		})
	}
}

func TestMostVariables(t *testing.T) {
	variables := func(n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "A%d: a, ", i)
		}
		return "name: p, variables: {" + strings.TrimSuffix(text.String(), ", ") + "}"
	}
	for fields, want := range map[string]string{
		variables(100):                 "",
		variables(101):                 "these are 101",
		variables(99) + ", marker: M":  "",
		variables(100) + ", marker: M": "these are 101 with the marker",
	} {
		_, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte(pipelineWith(fields))})
		got := ""
		if err != nil {
			_, got, _ = strings.Cut(err.Error(), `rule "r": jobs[0].variables: a pipeline has at most 100 variables, `)
		}
		if got != want {
			t.Errorf("%q, want %q: %v", got, want, err)
		}
	}
}

func TestDefaultVariables(t *testing.T) {
	text := strings.Replace(pipelineWith("variables: {B: own, C: , D: d}"), "rules:", "defaults: {variables: {A: '${event.branch}', B: b, C: c}}\nrules:", 1)
	builds := mustParse(t, File{Name: "rules.yaml", Data: []byte(text)}).Decide(pushEvent(nil))
	if len(builds) != 1 {
		t.Fatalf("%d builds", len(builds))
	}
	if diff := cmp.Diff([]Parameter{{"A", "main"}, {"B", "own"}, {"D", "d"}}, builds[0].Parameters); diff != "" {
		t.Error(diff)
	}
}

// TestPipelineExample checks that the examples of docs/rules.md load, and that its rule needs no note.
func TestPipelineExample(t *testing.T) {
	data, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n#### Pipelines\n")
	block := func(begins string) string {
		_, text, _ := strings.Cut(section, "```yaml\n"+begins+"\n")
		text, _, found := strings.Cut(text, "```")
		if !found {
			t.Fatalf("no example of %s", begins)
		}
		return text
	}
	rules := "version: 1\n" + goodSources + goodTargets + "rules:\n" + block("rules:")
	for name, text := range map[string]string{"the rule": rules, "its sources": rules + "        sources:\n        " +
		strings.ReplaceAll(strings.TrimRight(block("sources:"), "\n"), "\n", "\n        ") + "\n"} {
		rs, warnings, err := Parse(testProviders, File{Name: "rules.md", Data: []byte(text)})
		if err != nil || len(warnings) > 0 || len(rs.Notes()) > 0 {
			t.Fatalf("%s: %v %v\n%s", name, err, warnings, text)
		}
		if builds := rs.Decide(pushEvent(nil)); len(builds) != 1 {
			t.Errorf("%s: %d builds", name, len(builds))
		}
	}
}
