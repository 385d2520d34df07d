package mapping

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const namedRules = `
version: 1
sources: {hub: {provider: github, insecure: true}, lab: {provider: gitlab, insecure: true}}
targets: {north: {region: cn-north-4, credentials: {chain: true}}}
rules:
  - name: one
    source: hub
    repository: [Acme/Shop, 'acme/lib-*', '!acme/lib-old', acme/gone, '!acme/g*']
    when: {push: {}}
    jobs:
      - {job_id: f9d6c8466d614a9788e9a0acf6c15f46, parameters: {b: x, a: '${event.branch}'}, marker: M, build_type: auto}
  - name: two
    repository: [acme/shop, acme/api]
    when: {tag: {}}
    jobs: [{job_id: 0b7c1d52e0f94c54a1d3f1f7c2a98e60}]
  - name: all
    when: {push: {}, tag: {}}
    jobs: [{job_id: 0b7c1d52e0f94c54a1d3f1f7c2a98e60}]
`

func TestNamed(t *testing.T) {
	rules := mustParse(t, File{Name: "rules.yaml", Data: []byte(namedRules)})
	for source, want := range map[string][]Named{
		"hub": {{Repository: "Acme/Shop", Push: true, Tag: true}, {Repository: "acme/api", Tag: true}},
		"lab": {{Repository: "acme/api", Tag: true}, {Repository: "acme/shop", Tag: true}},
	} {
		if diff := cmp.Diff(want, rules.Named(source)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", source, diff)
		}
	}
}

func TestUses(t *testing.T) {
	want := []Use{
		{
			Job:        Job{Rule: "one", Target: "north", Action: ActionJob, JobID: "f9d6c8466d614a9788e9a0acf6c15f46"},
			Parameters: []string{"b", "a", "M"}, BuildType: true, Push: true,
		},
		{Job: Job{Rule: "two", Target: "north", Action: ActionJob, JobID: "0b7c1d52e0f94c54a1d3f1f7c2a98e60"}, Tag: true},
		{Job: Job{Rule: "all", Target: "north", Action: ActionJob, JobID: "0b7c1d52e0f94c54a1d3f1f7c2a98e60"}, Push: true, Tag: true},
	}
	if diff := cmp.Diff(want, mustParse(t, File{Name: "rules.yaml", Data: []byte(namedRules)}).Uses()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
