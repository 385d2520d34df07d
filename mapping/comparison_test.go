package mapping

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recordedPush is a delivery with one push to the branch main.
func recordedPush(n int, repository string) *Recorded {
	ev := pushEvent(func(ev *Event) { ev.SetRepository(repository) })
	return &Recorded{
		ID: fmt.Sprintf("delivery-%d", n), ReceivedAt: time.Unix(int64(n), 0).UTC(), Source: "github", Provider: "github", Outcome: "accepted",
		Events: []RecordedEvent{NewRecordedEvent(ev)},
	}
}

func TestComparison(t *testing.T) {
	before := rulesOf(t, "  - {name: cart, repository: 'acme/*', when: {push: {}}, jobs: [{job_id: "+jobA+"}]}\n"+
		"  - {name: web, repository: acme/web, when: {push: {}}, jobs: [{job_id: "+jobB+"}]}")
	after := rulesOf(t, "  - {name: cart, repository: 'acme/*', when: {push: {}}, jobs: [{job_id: "+jobA+", parameters: {x: '1'}}]}\n"+
		"  - {name: pay, repository: acme/pay, when: {push: {}}, jobs: [{job_id: "+jobB+"}]}")
	c := NewComparison(before, after, 3)
	for i := range 6 {
		c.Add(recordedPush(i, "acme/shop"))
	}
	c.Add(recordedPush(6, "acme/web"))
	c.Add(recordedPush(7, "acme/pay"))
	c.Add(recordedPush(8, "other/shop"))
	unknown := recordedPush(9, "acme/shop")
	unknown.Error = "the body is gone"
	c.Add(unknown)
	twice := recordedPush(10, "acme/shop")
	twice.Outcome = "duplicate"
	c.Add(twice)
	only := recordedPush(11, "acme/web")
	only.Rules = []string{"web"} // started by hand for this rule
	c.Add(only)

	want := ComparisonCounts{
		Deliveries: 12, DifferDeliveries: 9, UnknownDeliveries: 1, Duplicates: 1, Events: 10, DifferEvents: 9,
		ChangeCounts: ChangeCounts{Come: 1, Go: 2, Change: 8},
	}
	if diff := cmp.Diff(want, c.ComparisonCounts); diff != "" || !c.Differs() {
		t.Error(diff)
	}
	names := func(list []ComparedName) (text []string) {
		for _, n := range list {
			text = append(text, fmt.Sprintf("%s +%d -%d ~%d", n.Name, n.Come, n.Go, n.Change))
		}
		return text
	}
	if diff := cmp.Diff([]string{"cart +0 -0 ~8", "web +0 -2 ~0", "pay +1 -0 ~0"}, names(c.Rules())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"acme/shop +0 -0 ~6", "acme/web +0 -2 ~1", "acme/pay +1 -0 ~1"}, names(c.Repositories())); diff != "" {
		t.Error(diff)
	}
	var examples []string
	for _, e := range c.Examples() {
		examples = append(examples, e.Delivery+" "+e.Repository+" "+changed(e.Change))
	}
	if diff := cmp.Diff([]string{ // one of each rule, although cart had three before
		`delivery-0 acme/shop changes: cart f9d; parameters.x none -> "1"`,
		"delivery-6 acme/web goes: web 0b7",
		"delivery-7 acme/pay comes: pay 0b7",
	}, examples); diff != "" {
		t.Error(diff)
	}
}

// A bridge refuses the deliveries of a source that its rules do not have.
func TestComparisonWithoutSource(t *testing.T) {
	rules := "  - {name: every, when: {push: {}}, jobs: [{job_id: " + jobA + "}]}"
	before := rulesOf(t, rules)
	after, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte("version: 1\nsources: {gitee: {provider: gitee, insecure: true}}\n" + goodTargets + "rules:\n" + rules + "\n")})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		before, after *Ruleset
		counts        ChangeCounts
		missing       []MissingSource
	}{
		"after":  {before, after, ChangeCounts{Go: 1}, []MissingSource{{"github", true, false, 1}}},
		"before": {after, before, ChangeCounts{Come: 1}, []MissingSource{{"github", false, true, 1}}},
		"both":   {after, after, ChangeCounts{}, []MissingSource{{"github", false, false, 1}}},
	} {
		c := NewComparison(test.before, test.after, 1)
		c.Add(recordedPush(1, "acme/shop"))
		if diff := cmp.Diff(test.counts, c.ChangeCounts) + cmp.Diff(test.missing, c.MissingSources()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What comes or goes has the reason for which the other set does not make it.
func TestComparisonSaysWhy(t *testing.T) {
	const two = "jobs: [{job_id: " + jobA + "}, {job_id: " + jobB + ", paths: 'web/**'}]}"
	base := rulesOf(t, "  - {name: cart, repository: acme/shop, when: {push: {}}, jobs: [{job_id: "+jobA+"}, {job_id: "+jobB+"}]}")
	gitee, _, err := Parse(testProviders, File{Name: "rules.yaml", Data: []byte("version: 1\nsources: {gitee: {provider: gitee, insecure: true}}\n")})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		other *Ruleset
		want  []string
	}{
		"a clause of the rule": {
			rulesOf(t, "  - {name: cart, repository: acme/shop, when: {push: {branches: dev}}, "+two),
			[]string{`push.branches: "main" matches none of [dev]`, `push.branches: "main" matches none of [dev]`},
		},
		"a clause of the job": {
			rulesOf(t, "  - {name: cart, repository: acme/shop, when: {push: {}}, "+two), []string{`jobs[1].paths: `},
		},
		"no such job": {
			rulesOf(t, "  - {name: cart, repository: acme/shop, when: {push: {}}, jobs: [{job_id: "+jobA+"}]}"), []string{"the rule has no such job"},
		},
		"no such rule":   {rulesOf(t, "  - {name: web, repository: acme/web, when: {push: {}}, "+two), []string{`there is no rule "cart"`, `there is no rule "cart"`}},
		"no such source": {gitee, []string{`there is no source "github"`, `there is no source "github"`}},
	} {
		t.Run(name, func(t *testing.T) {
			goes, comes := NewComparison(base, test.other, 9), NewComparison(test.other, base, 9)
			for _, c := range []*Comparison{goes, comes} {
				c.Add(recordedPush(1, "acme/shop"))
				var got []string
				for _, e := range c.Examples() {
					got = append(got, e.Why)
				}
				if len(got) != len(test.want) {
					t.Fatalf("got %q, want %q", got, test.want)
				}
				for i := range got {
					if !strings.HasPrefix(got[i], test.want[i]) {
						t.Errorf("got %q, want %q", got[i], test.want[i])
					}
				}
			}
		})
	}
}

// The events of one delivery share the limit of cost, as they do when it comes.
func TestComparisonSharesTheCost(t *testing.T) {
	rules := rulesOf(t, `  - {name: dear, when: {push: {}}, jobs: [{job_id: `+jobA+`}],
     if: 'event.files.all(a, event.files.all(b, a != "x" || b != "y"))'}`)
	d := recordedPush(1, "acme/shop")
	for i := range 150 {
		d.Events[0].Files = append(d.Events[0].Files, fmt.Sprint("file", i))
	}
	d.Events = append(d.Events, d.Events[0], d.Events[0], d.Events[0], d.Events[0])
	decider, dead := rules.Decider(), 0
	for i := range d.Events {
		for _, b := range decider.Decide(&d.Events[i].Event) {
			if b.Dead != "" {
				dead++
			}
		}
	}
	cheap := rulesOf(t, "  - {name: dear, when: {push: {}}, jobs: [{job_id: "+jobA+"}]}")
	c := NewComparison(rules, cheap, 1)
	c.Add(d)
	if dead == 0 || dead == len(d.Events) || c.Change != int64(dead) || c.SameBuilds != int64(len(d.Events)-dead) {
		t.Errorf("%d of %d events are too dear, and the counts are %+v", dead, len(d.Events), c.ComparisonCounts)
	}
}

// Hundred thousand deliveries of as many repositories, each of which differs, take the memory of some.
func TestComparisonIsBounded(t *testing.T) {
	before := rulesOf(t, "  - {name: cart, when: {push: {}}, jobs: [{job_id: "+jobA+"}]}")
	after := rulesOf(t, "  - {name: cart, when: {push: {}}, jobs: [{job_id: "+jobB+"}]}")
	c := NewComparison(before, after, 10)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // far below
	}
	base := heap()
	for i := range 100_000 {
		line, err := json.Marshal(recordedPush(i, fmt.Sprint("acme/shop", i)))
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := ParseRecorded(line)
		if err != nil {
			t.Fatal(err)
		}
		c.Add(d)
	}
	if grown := heap() - base; grown > 8<<20 {
		t.Errorf("it has %d bytes", grown)
	}
	repositories := c.Repositories()
	if n := len(repositories); n != maxCompared+1 || repositories[0].Name != "" || repositories[0].Change != 100_000-maxCompared {
		t.Errorf("%d repositories, the first is %+v", n, repositories[0])
	}
	if c.Change != 100_000 || len(c.Examples()) != 10 {
		t.Errorf("%+v, %d examples", c.ComparisonCounts, len(c.Examples()))
	}
	runtime.KeepAlive(c)
}

func TestParseRecordedSaysWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{
		`{`:                       "not JSON of an export: unexpected end of JSON input",
		`[]`:                      "not JSON of an export: json: cannot unmarshal array",
		`{"ref":"x"}`:             "no delivery: it has no id or no source",
		`{"id":"1","source":"g"}`: "the delivery has no events: is it of deliveries list? Only deliveries export writes them",
		`{"id":"1","source":"g","events":[{"kind":"pull"}]}`:                   `events[0].kind: "pull" is none of push, tag`,
		`{"id":"1","source":"g","events":[{"kind":"tag","repository":"a/b"}]}`: "events[0]: no repository or no ref",
	} {
		if _, _, err := ParseRecorded([]byte(line)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}
