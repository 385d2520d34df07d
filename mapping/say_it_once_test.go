package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// jobOf gives the id that testdata/rules has for a job.
func jobOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// shortFiles reads files of testdata/rules, which have at most so many lines together.
func shortFiles(t *testing.T, pattern string, most int) []File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata/rules", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	var files []File
	lines := 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(data), "\n")
		files = append(files, File{Name: filepath.Base(path), Data: data})
	}
	if lines > most {
		t.Errorf("%s has %d lines, want at most %d", pattern, lines, most)
	}
	return files
}

// eventsOf gives pushes and tags of a repository.
func eventsOf(source, repository string, paths ...string) []*Event {
	var events []*Event
	add := func(ev *Event, pusher string) {
		ev.Source, ev.Pusher = source, pusher
		ev.SetRepository(repository)
		events = append(events, ev)
	}
	for _, pusher := range []string{"ann", "release-bot"} {
		for _, branch := range []string{"main", "develop", "release/1.2", "wip/x"} {
			add(pushEvent(func(e *Event) { e.Branch, e.Files, e.FilesComplete = branch, nil, false }), pusher)
			for _, path := range paths {
				add(pushEvent(func(e *Event) { e.Branch, e.Files = branch, []string{path} }), pusher)
			}
			add(pushEvent(func(e *Event) { e.Branch, e.Files = branch, slices.Sorted(slices.Values(paths)) }), pusher)
		}
		for _, tag := range []string{"v1.2.3", "v0.9.0", "v2.0.0-rc.1", "nightly"} {
			add(tagEvent(tag), pusher)
		}
	}
	return events
}

// sameBuilds fails the test if two sets of rules build something else for one of the events,
// apart from the rule if it is renamed, or if one of the jobs is never built.
func sameBuilds(t *testing.T, long, short *Ruleset, events []*Event, renamed bool) {
	t.Helper()
	built := map[string]bool{}
	for _, ev := range events {
		changes := slices.DeleteFunc(diffOf(long, short, ev), func(c BuildChange) bool {
			return renamed && len(c.Differs) == 1 && c.Differs[0].Field == "rule"
		})
		if len(changes) > 0 {
			t.Fatalf("%s %s %v: %d changes, the first %+v", ev.Repository, ev.Ref, ev.Files, len(changes), changes[0])
		}
		for _, b := range long.Decide(ev) {
			if b.Dead != "" {
				t.Fatal(b.Dead)
			}
			built[b.JobID] = true
		}
	}
	for job := range short.Jobs() {
		if !built[job.JobID] {
			t.Errorf("no event builds the job %s of rule %s", job.JobID, job.Rule)
		}
	}
}

// A monorepo of 100 services is one rule of 100 jobs.
func TestMonorepo(t *testing.T) {
	short := mustParse(t, shortFiles(t, "monorepo.yaml", 130)...)
	long := "version: 1\nsources: {github: {provider: github, secrets: [{env: GITHUB_WEBHOOK_SECRET}]}}\n" +
		"targets: {north: {region: cn-north-4, credentials: {chain: true}}}\nrules:\n"
	paths := []string{"README.md", "libs/a.go", "libs/a.md", "services/none/a.go"}
	services := 0
	for d := range short.Describe("") {
		for _, job := range d.Jobs {
			services++
			paths = append(paths, "services/"+job.Name+"/main.go", "services/"+job.Name+"/README.md")
			long += fmt.Sprintf(`  - name: shop-%[1]s
    source: github
    when:
      push:
        branches: [main]
        paths: ['services/%[1]s/**', 'libs/**']
        paths_ignore: ['**/*.md']
        unknown_paths: skip
    jobs:
      - name: %[1]s
        job_id: %[2]s
        target: north
        marker: buildbridge_id
        parameters:
          codeBranch: "${event.branch}"
          image: "registry.example.com/shop/${event.name}"
    concurrency: newest
`, job.Name, jobOf(job.Name))
		}
	}
	if services != 100 || short.Len() != 1 {
		t.Fatalf("%d services in %d rules", services, short.Len())
	}
	sameBuilds(t, mustParse(t, File{Name: "long.yaml", Data: []byte(long)}), short, eventsOf("github", "acme/shop", paths...), true)
}

// Ten teams with 200 rules for 40 repositories say once what is the same.
func TestTeams(t *testing.T) {
	files := shortFiles(t, "teams/*.yaml", 900)
	short := mustParse(t, files...)
	// The rules of a team for a repository, as they are without vars, defaults and for_each.
	const rules = `  - name: %[1]s-test[%[2]s]
    owner: %[1]s
    source: %[3]s
    repository: %[2]s
    when:
      push:
        branches: ['!main', '!release/**']
        paths: ['src/**', go.mod]
        unknown_paths: skip
    if: event.pusher != "release-bot"
    jobs:
      - job_id: "%[5]s"
        target: %[4]s
        marker: buildbridge_id
        parameters:
          codeBranch: "${event.branch}"
          image: "registry.example.com/%[1]s/${event.name}"
          stage: test
    concurrency: newest
  - name: %[1]s-build[%[2]s]
    owner: %[1]s
    source: %[3]s
    repository: %[2]s
    when:
      push:
        branches: [main]
        paths: ['src/**', go.mod]
        paths_ignore: ['**/*_test.go']
        unknown_paths: skip
    if: event.pusher != "release-bot"
    jobs:
      - job_id: "%[6]s"
        target: %[4]s
        marker: buildbridge_id
        parameters:
          codeBranch: "${event.branch}"
          image: "registry.example.com/%[1]s/${event.name}"
          stage: dev
    concurrency: newest
  - name: %[1]s-staging[%[2]s]
    owner: %[1]s
    source: %[3]s
    repository: %[2]s
    when:
      push:
        branches: ['release/**']
    if: event.pusher != "release-bot"
    once: commit
    jobs:
      - job_id: "%[7]s"
        target: %[4]s
        marker: buildbridge_id
        parameters:
          codeBranch: "${event.branch}"
          image: "registry.example.com/%[1]s/${event.name}"
          stage: staging
          of: %[2]s
    concurrency: newest
  - name: %[1]s-release[%[2]s]
    owner: %[1]s
    source: %[3]s
    repository: %[2]s
    when:
      tag:
        semver: '>=1.0.0'
    jobs:
      - job_id: "%[8]s"
        target: %[4]s
        marker: buildbridge_id
        parameters:
          image: "registry.example.com/%[1]s/${event.name}"
          stage: production
          version: '${event.tag.trimPrefix("v")}'
  - name: %[1]s-docs[%[2]s]
    owner: %[1]s
    source: %[3]s
    repository: %[2]s
    when:
      push:
        branches: [main]
        paths: ['docs/**']
        unknown_paths: build
    if: event.pusher != "release-bot"
    jobs:
      - job_id: "%[9]s"
        target: north
        marker: buildbridge_id
        parameters:
          codeBranch: "${event.branch}"
          stage: docs
`
	long := []File{files[slices.IndexFunc(files, func(f File) bool { return f.Name == "shared.yaml" })]}
	var events []*Event
	for team, at := range map[string][2]string{
		"payments": {"github", "north"}, "catalog": {"github", "north"}, "search": {"gitlab", "north"}, "orders": {"gitlab", "south"},
		"identity": {"github", "south"}, "media": {"gitee", "south"}, "mobile": {"gitee", "north"}, "data": {"gitlab", "south"},
		"platform": {"github", "north"}, "partners": {"gitee", "south"},
	} {
		text := "version: 1\nrules:\n"
		for _, name := range []string{"api", "web", "worker", "tools"} {
			repository := team + "/" + name
			args := []any{team, repository, at[0], at[1]}
			for _, kind := range []string{"test", "build", "staging", "release", "docs"} {
				args = append(args, jobOf(fmt.Sprintf("%s-%s[%s]", team, kind, repository)))
			}
			text += fmt.Sprintf(rules, args...)
			for _, source := range []string{"github", "gitlab"} {
				events = append(events, eventsOf(source, repository, "src/a.go", "src/a_test.go", "go.mod", "docs/a.md", "README.md")...)
			}
			events = append(events, eventsOf(at[0], repository, "src/a.go", "docs/a.md")...)
		}
		long = append(long, File{Name: team + "-long.yaml", Data: []byte(text)})
	}
	whole := mustParse(t, long...)
	if short.Len() != 200 || whole.Len() != 200 {
		t.Fatalf("%d rules, and %d in the long form", short.Len(), whole.Len())
	}
	sameBuilds(t, whole, short, events, false)
	for d := range whole.Describe("") {
		if i := slices.Index(short.RuleNames(), d.Name); i < 0 || short.rules[i].owner != d.Owner {
			t.Errorf("rule %s has no owner %s", d.Name, d.Owner)
		}
	}
}
