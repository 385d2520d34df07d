package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestJobClauses checks which jobs of a rule are built, and that the verdict says the same.
func TestJobClauses(t *testing.T) {
	const (
		cart = "{job_id: " + jobA + ", name: cart, paths: 'services/cart/**'}"
		pay  = "{job_id: " + jobB + ", name: pay, paths: 'services/pay/**'}"
		all  = "{job_id: " + jobB + "}"
	)
	files := func(files ...string) *Event { return pushEvent(func(e *Event) { e.Files = files }) }
	unknown := pushEvent(func(e *Event) { e.FilesComplete = false })
	tests := map[string]struct {
		rule, jobs string
		event      *Event
		built      string   // names or ids of the jobs
		named      []string // by the verdict
		reason     string
		dead       string // of the first build
	}{
		"the files of one":    {"push: ", cart + ", " + pay, files("services/cart/a.go"), "cart", []string{"cart"}, "", ""},
		"the files of both":   {"push: ", cart + ", " + pay, files("services/cart/a.go", "services/pay/b.go"), "cart pay", nil, "", ""},
		"a job asks nothing":  {"push: ", cart + ", " + all, files("README.md"), jobB, []string{jobB}, "", ""},
		"a tag has no files":  {"push: , tag: ", cart + ", " + pay, tagEvent("v1"), "cart pay", nil, "", ""},
		"unknown files":       {"push: ", cart + ", " + pay, unknown, "cart pay", nil, "", ""},
		"unknown files, skip": {"push: {unknown_paths: skip}", cart + ", " + all, unknown, jobB, []string{jobB}, "", ""},
		"unknown files, one": {
			"push: {unknown_paths: skip}", cart, unknown, "", nil,
			"push.unknown_paths: skip, and the host did not send a complete list of changed files", "",
		},
		"no files of the one": {
			"push: ", cart, files("README.md"), "", nil, "jobs[0].paths: the one changed file does not match [services/cart/**]: README.md", "",
		},
		"no files of two": {
			"push: ", cart + ", " + pay, files("README.md", "a"), "", nil, "none of 2 jobs: jobs[0].paths: none of 2 changed files matches [services/cart/**]: README.md, a; " +
				"jobs[1].paths: none of 2 changed files matches [services/pay/**]: README.md, a", "",
		},
		"no files at all": {"push: ", cart, files(), "", nil, "jobs[0].paths: the push changed no files", ""},
		"ignored": {
			"push: ", "{job_id: " + jobA + ", paths_ignore: '**/*.md'}", files("README.md"), "", nil,
			"jobs[0].paths_ignore: the one changed file is ignored by [**/*.md]", "",
		},
		"what the rule ignores does not count": {
			"push: {paths_ignore: '**/*.md'}", cart + ", " + pay, files("services/cart/README.md", "services/pay/b.go"), "pay", []string{"pay"}, "", "",
		},
		"nor for the one job": {
			"push: {paths_ignore: '**/*.md'}", cart, files("services/cart/README.md", "services/pay/b.go"), "", nil,
			"jobs[0].paths: the one changed file that counts for the rule does not match [services/cart/**]: services/pay/b.go", "",
		},
		"the rule comes first": {
			"push: {paths: 'libs/**'}", cart, files("services/cart/a.go"), "", nil,
			"push.paths: the one changed file does not match [libs/**]: services/cart/a.go", "",
		},
		"a condition": {
			"push: ", "{job_id: " + jobA + ", if: event.forced}, " + all, files("a"), jobB, []string{jobB}, "", "",
		},
		"a condition of the only job": {
			"push: ", "{job_id: " + jobA + ", if: event.forced}", files("a"), "", nil, "jobs[0].if: event.forced is false", "",
		},
		"a condition of a tag": {
			"tag: ", "{job_id: " + jobA + ", if: 'event.tag == \"v2\"'}, " + all, tagEvent("v1"), jobB, []string{jobB}, "", "",
		},
		"a condition in error": {
			"push: ", "{job_id: " + jobA + ", name: bad, if: 'event.files[7] == \"x\"'}, " + all, files("a"), "bad " + jobB, nil, "",
			`rule "r": jobs[0].if: index out of bounds: 7`,
		},
		"a condition in error is not asked if the paths fail": {
			"push: ", "{job_id: " + jobA + ", paths: b, if: 'event.files[7] == \"x\"'}, " + all, files("a"), jobB, []string{jobB}, "", "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rs := rulesOf(t, "  - {name: r, when: {"+test.rule+"}, jobs: ["+test.jobs+"]}")
			checkJobs(t, rs, test.event, test.built, test.dead)
			want := []Verdict{{Rule: "r", Matched: test.reason == "", Reason: test.reason, Jobs: test.named}}
			if diff := cmp.Diff(want, rs.Explain(test.event)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	t.Run("the rule's condition in error", func(t *testing.T) {
		rs := rulesOf(t, "  - {name: r, when: {push: }, if: 'event.files[7] == \"x\"', jobs: ["+cart+", "+pay+"]}")
		checkJobs(t, rs, files("services/pay/a"), "pay", `rule "r": if: index out of bounds: 7`)
		checkJobs(t, rs, files("a"), "", "")
		if v := rs.Explain(files("a"))[0]; v.Matched {
			t.Errorf("%+v", v)
		}
	})
}

func checkJobs(t *testing.T, rs *Ruleset, ev *Event, want, dead string) {
	t.Helper()
	names := map[string]string{}
	for d := range rs.Describe("") {
		for _, j := range d.Jobs {
			names[j.JobID] = j.JobID
			if j.Name != "" {
				names[j.JobID] = j.Name
			}
		}
	}
	var built []string
	for i, b := range rs.Decide(ev) {
		built = append(built, names[b.JobID])
		if i == 0 && b.Dead != dead {
			t.Errorf("dead because %q, want %q", b.Dead, dead)
		}
	}
	if got := strings.Join(built, " "); got != want {
		t.Errorf("built %q, want %q", got, want)
	}
}

// manyJobs is a rule of many jobs, each for a folder.
func manyJobs(jobs int) string {
	var rule strings.Builder
	rule.WriteString("  - name: shop\n    when: {push: }\n    jobs:\n")
	for i := range jobs {
		fmt.Fprintf(&rule, "      - {job_id: j%031d, paths: 'services/part-%d/**'}\n", i, i)
	}
	return rule.String()
}

// The verdict of a rule of many jobs is a line that can be read.
func TestVerdictOfManyJobs(t *testing.T) {
	rs := rulesOf(t, manyJobs(100))
	const want = "none of 100 jobs: jobs[0].paths: the one changed file does not match [services/part-0/**]: a; " +
		"jobs[1].paths: the one changed file does not match [services/part-1/**]: a; " +
		"jobs[2].paths: the one changed file does not match [services/part-2/**]: a; …"
	if v := rs.Explain(pushEvent(func(e *Event) { e.Files = []string{"a"} }))[0]; v.Reason != want {
		t.Errorf("got  %s\nwant %s", v.Reason, want)
	}
}

// What passes does not depend on how a clause looks at files.
func TestPathsOfSortedFiles(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "ab", "a/b", "*", "**", "a*", "?", "**/b", "{a,b}", "{**,b}", "[a-b]"})
	list := func(t *rapid.T, name string) globs {
		var out globs
		for _, p := range rapid.SliceOfN(part, 0, 3).Draw(t, name) {
			if rapid.Bool().Draw(t, "exclude") {
				p = "!" + p
			}
			g, err := newGlob(p)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, g)
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		c := &pathsClause{paths: list(t, "paths"), ignore: list(t, "ignore")}
		files := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "ab", "a/b", "a/a/b", "b/a", "c", ""})).Draw(t, "files")
		ev := newSubject(&Event{Files: files, FilesComplete: true})
		want := c.holds(ev)
		if got := c.passSorted(ev, slices.Sorted(slices.Values(files))); got != want {
			t.Fatalf("%v of %s, ignoring %s: %v, want %v", files, c.paths, c.ignore, got, want)
		}
	})
}

// BenchmarkJobClauses decides an event by a rule of 100 jobs, each for a folder.
func BenchmarkJobClauses(b *testing.B) {
	rs := rulesOf(b, manyJobs(100))
	for _, files := range []int{3, 300, 20_000} {
		ev := pushEvent(func(e *Event) {
			e.Files = nil
			for i := range files {
				e.Files = append(e.Files, fmt.Sprintf("services/other-%06d/src/main/java/Cart.java", i))
			}
		})
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if builds := rs.Decide(ev); len(builds) != 0 {
					b.Fatal(builds)
				}
			}
		})
	}
}
