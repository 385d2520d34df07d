package mapping

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestIndexFindsAll compares what the index finds with asking every rule, for
// rules and repositories made up at random.
func TestIndexFindsAll(t *testing.T) {
	segment := rapid.SampledFrom([]string{"acme", "Acme", "beta", "a", "shop", "sh*", "*", "**", "s?op", "[as]*", "{acme,beta}", "{**,shop}", "shop-1", `sh\op`})
	pattern := rapid.Custom(func(t *rapid.T) string {
		p := strings.Join(rapid.SliceOfN(segment, 1, 3).Draw(t, "segments"), "/")
		if rapid.IntRange(0, 3).Draw(t, "exclude") == 0 {
			p = "!" + p
		}
		return p
	})
	name := rapid.SampledFrom([]string{"acme/shop", "ACME/SHOP", "acme", "beta/shop-1", "acme/a/shop", "a/a", "x/y", "", "acme/", "shop/acme/beta"})
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfN(rapid.SliceOfN(pattern, 0, 4), 1, 8).Draw(t, "lists")
		var rules []*rule
		for i, list := range lists {
			var repository globs
			for _, p := range list {
				g, err := newGlob(strings.ToLower(p))
				if err != nil {
					t.Fatal(err)
				}
				repository = append(repository, g)
			}
			every := []clause{}
			if repository != nil {
				every = append(every, &namesClause{repository, "repository", func(ev subject) (string, string) { return ev.repository, ev.Repository }})
			}
			rules = append(rules, &rule{name: strconv.Itoa(i), clauses: clauses{every: every, push: every}, jobs: []job{{id: jobA}}})
		}
		rs := newRuleset(nil, nil, rules)
		ev := &Event{Kind: Push, Commit: "c"}
		ev.SetRepository(name.Draw(t, "repository"))
		var want, got []string
		for _, v := range rs.Explain(ev) {
			if v.Matched {
				want = append(want, v.Rule)
			}
		}
		for _, b := range rs.Decide(ev) {
			got = append(got, b.Rule)
		}
		if fmt.Sprint(want) != fmt.Sprint(got) {
			t.Fatalf("%s: the index found %v, matching are %v", ev.Repository, got, want)
		}
		if named, _ := rs.ExplainRepository(ev, rs.Len()); fmt.Sprint(len(named)) != fmt.Sprint(len(want)) {
			t.Fatalf("%s: %d rules name it, want %d", ev.Repository, len(named), len(want))
		}
	})
}

// manyRules is a folder of n rules over that many repositories, at most 20,000, with
// 2,000 rules in a file.
func manyRules(n int) []File {
	files := []File{{Name: "a.yaml", Data: []byte("version: 1\n" + goodSources + goodTargets)}}
	var b strings.Builder
	for i := range n {
		if i%2000 == 0 {
			b.Reset()
			b.WriteString("version: 1\nrules:\n")
		}
		fmt.Fprintf(&b, "  - name: rule-%d\n    repository: acme/shop-%d\n    when:\n      push:\n        branches: [main, 'release/**']\n"+
			"        paths: ['services/s%d/**']\n    jobs:\n      - job_id: %032d\n        parameters:\n          codeBranch: \"${event.branch}\"\n",
			i, i%20_000, i/20_000, i)
		if i%2000 == 1999 || i == n-1 {
			files = append(files, File{Name: fmt.Sprintf("rules-%d.yaml", i/2000), Data: []byte(strings.ReplaceAll(b.String(), "job_id: 0", "job_id: a"))})
		}
	}
	return files
}

func mustParse(t testing.TB, files ...File) *Ruleset {
	t.Helper()
	rs, _, err := Parse(testProviders, files...)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func eventOfRule3() *Event {
	return pushEvent(func(e *Event) {
		e.SetRepository("acme/shop-3")
		e.Files = []string{"services/s0/main.go"}
	})
}

// TestAllocations checks that an event that nothing matches costs no allocation,
// and one that a rule matches the same among 10 rules and 20,000.
func TestAllocations(t *testing.T) {
	few, many := mustParse(t, manyRules(10)...), mustParse(t, manyRules(20_000)...)
	ev := eventOfRule3()
	if n := len(many.Decide(ev)); n != 1 {
		t.Fatalf("%d builds, want 1", n)
	}
	among := func(rs *Ruleset, ev *Event) float64 {
		return testing.AllocsPerRun(100, func() { rs.Decide(ev) })
	}
	if a, b := among(few, ev), among(many, ev); a != b {
		t.Errorf("%v allocations among 10 rules, %v among 20,000", a, b)
	}
	unmatched := eventOfRule3()
	unmatched.Branch = "feature/x"
	if n := among(many, unmatched); n != 0 {
		t.Errorf("%v allocations for an event that nothing matches", n)
	}

	// 1,000 rules that name the repository and do not match are no different.
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "  - {name: r%d, repository: 'acme/*', when: {push: {branches: 'x%d/**', paths: '**/*.go'}}, jobs: [{job_id: %s}]}\n", i, i, jobA)
	}
	if n := among(rulesOf(t, b.String()), ev); n != 0 {
		t.Errorf("%v allocations for 1,000 rules that do not match", n)
	}
}

// A set is kept for long: it must not keep what it was made from.
func TestMemory(t *testing.T) {
	measure := func() float64 {
		for range 3 { // pools are emptied in the second
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := measure()
	files := manyRules(1)
	files[0].Data = append(files[0].Data, "#"+strings.Repeat(" a long comment", 1<<16)...)
	rs := mustParse(t, files...)
	size := float64(len(files[0].Data))
	clear(files)
	if kept := measure() - before; kept > size/2 {
		t.Errorf("a set of %d rule keeps %.0f bytes of a file of %.0f", rs.Len(), kept, size)
	}
	runtime.KeepAlive(rs)
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		rs := mustParse(b, manyRules(n)...)
		matches := eventOfRule3()
		other := eventOfRule3()
		other.Branch = "feature/x"
		b.Run(fmt.Sprintf("rules=%d/match", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rs.Decide(matches)
			}
		})
		b.Run(fmt.Sprintf("rules=%d/none", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rs.Decide(other)
			}
		})
	}
}

// BenchmarkClauses asks 1,000 rules that all name the repository, and fail each at
// another clause.
func BenchmarkClauses(b *testing.B) {
	for name, clauses := range map[string]string{
		"source":   "source: gitee, when: {push: }",
		"kind":     "when: {tag: }",
		"branches": "when: {push: {branches: 'x%d/**'}}",
		"paths":    "when: {push: {paths: ['x%d/**', 'y%d/**'], paths_ignore: '**/*.md'}}",
		"if":       "when: {push: {branches: main}}, if: event.forced",
	} {
		var list strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&list, "  - {name: r%d, repository: 'acme/*', %s, jobs: [{job_id: %s}]}\n", i, strings.ReplaceAll(clauses, "%d", strconv.Itoa(i)), jobA)
		}
		rs := rulesOf(b, strings.TrimSuffix(list.String(), "\n"))
		ev := pushEvent(nil)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if builds := rs.Decide(ev); builds != nil {
					b.Fatal(builds)
				}
			}
		})
	}
}

// BenchmarkParse loads a folder of 100,000 rules, 27 MB.
func BenchmarkParse(b *testing.B) {
	files := manyRules(100_000)
	size := 0
	for _, f := range files {
		size += len(f.Data)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		mustParse(b, files...)
	}
}
