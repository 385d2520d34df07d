package mapping

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A rule has what its file says under defaults where it says nothing itself.
func TestDefaults(t *testing.T) {
	files := []File{{Name: "rules.yaml", Data: []byte(`version: 1
defaults:
  source: told
  repository: acme/*
  unknown_paths: skip
  skip_marks: true
  if: event.branch != "wip"
  target: north
  parameters: {codeBranch: "${event.branch}", env: test}
  build_type: auto
  marker: build
  concurrency: newest
  once: commit
  report: {context: ci}
  owner: team
rules:
  - {name: all, when: {push: {paths: a}, tag: }, jobs: [{job_id: ` + jobA + `}]}
  - {name: tags, repository: gamma/x, when: {tag: }, jobs: [{job_id: ` + jobA + `}]}
  - name: own
    source: mute
    repository: beta/x
    when: {push: {skip_marks: false, unknown_paths: build, paths: a}}
    if: 'true'
    jobs:
      - {job_id: ` + jobA + `, target: south, marker: mine, parameters: {z: x, env: live, codeBranch: , a: y}}
    concurrency: none
    once: never
    report: false
    owner: mine
`)}, {Name: "others.yaml", Data: []byte(`version: 1
sources:
  told: {provider: github, secrets: [{env: S}], api: {token: {env: T}}}
  mute: {provider: github, secrets: [{env: S}]}
targets:
  north: {region: cn-north-4, credentials: {chain: true}}
  south: {region: cn-north-4, credentials: {chain: true}}
rules:
  - {name: elsewhere, when: {push: }, jobs: [{job_id: ` + jobA + `, target: north, parameters: {a: x}}]}
`)}}
	rs, warnings, err := Parse(testProviders, files...)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if w.File != "others.yaml" {
			t.Errorf("a default that does not concern a rule is a warning: %v", w)
		}
	}
	params := []Parameter{{"codeBranch", "${event.branch}"}, {"env", "test"}}
	want := []Description{
		{
			Name: "all", Owner: "team", Sources: []string{"told"}, Repositories: []string{"acme/*"},
			When: map[Kind]map[string][]string{Push: {"paths": {"a"}, "skip_marks": {"true"}, "unknown_paths": {"skip"}}, Tag: {}},
			If:   `event.branch != "wip"`, Replace: ReplaceWaiting, Once: true, Reports: []string{"told"},
			Jobs: []JobDescription{{Action: ActionJob, JobID: jobA, Target: "north", Parameters: params, BuildType: true, Marker: "build", Contexts: []string{"ci", "ci/tag"}}},
		},
		{
			Name: "tags", Owner: "team", Sources: []string{"told"}, Repositories: []string{"gamma/x"}, When: map[Kind]map[string][]string{Tag: {}},
			If: `event.branch != "wip"`, Reports: []string{"told"},
			Jobs: []JobDescription{{Action: ActionJob, JobID: jobA, Target: "north", Parameters: params, BuildType: true, Marker: "build", Contexts: []string{"ci/tag"}}},
		},
		{
			Name: "own", Owner: "mine", Sources: []string{"mute"}, Repositories: []string{"beta/x"},
			When: map[Kind]map[string][]string{Push: {"paths": {"a"}, "unknown_paths": {"build"}}}, If: "true",
			Jobs: []JobDescription{{Action: ActionJob, JobID: jobA, Target: "south", Parameters: []Parameter{{"env", "live"}, {"z", "x"}, {"a", "y"}}, BuildType: true, Marker: "mine"}},
		},
		{
			Name: "elsewhere", Sources: []string{}, Repositories: []string{}, When: map[Kind]map[string][]string{Push: {}},
			Jobs: []JobDescription{{Action: ActionJob, JobID: jobA, Target: "north", Parameters: []Parameter{{"a", "x"}}}},
		},
	}
	got := slices.Collect(rs.Describe(""))
	for i := range got {
		got[i].File, got[i].Line, got[i].Digest = "", 0, ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
