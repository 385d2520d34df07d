package mapping

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"buildbridge/mapping/printable"
)

// maxCompared is how many repositories, and how many sources that a set does not have, are counted
// each; further ones are counted together.
const maxCompared = 10_000

// Comparison counts what two sets of rules decide differently, delivery by delivery. Its memory
// does not grow with the deliveries: it has a count for each rule, for at most 10,000
// repositories, and as many examples as were asked for. It is not safe for concurrent use.
type Comparison struct {
	ComparisonCounts

	before, after *Ruleset
	rules         map[string]*comparedName
	repositories  map[string]*comparedName
	sources       map[string]*MissingSource

	maxExamples int
	examples    []ComparisonExample
	spread      bool // no rule has a second example
}

// ComparisonCounts is how much was compared, and how much of it differs.
type ComparisonCounts struct {
	Deliveries        int64 `json:"deliveries"`
	DifferDeliveries  int64 `json:"differ_deliveries"`
	UnknownDeliveries int64 `json:"unknown_deliveries"` // whose events are not known
	Duplicates        int64 `json:"duplicates"`         // deliveries that repeat another: they build nothing by any rules
	Events            int64 `json:"events"`
	DifferEvents      int64 `json:"differ_events"`

	SameBuilds int64 `json:"same_builds"`
	ChangeCounts
}

// ChangeCounts counts builds by what becomes of them.
type ChangeCounts struct {
	Come   int64 `json:"come"`
	Go     int64 `json:"go"`
	Change int64 `json:"change"`
}

func (c *ChangeCounts) total() int64 { return c.Come + c.Go + c.Change }

// ComparedName is what becomes of the builds of a rule or repository.
type ComparedName struct {
	Name string `json:"name"`
	ChangeCounts
}

type comparedName struct {
	ChangeCounts

	examples int // of the rule
}

// MissingSource is a source that some deliveries are of, and one of the sets does not have: its
// bridge refuses them.
type MissingSource struct {
	Name       string `json:"name"` // "" for the further ones, together
	Before     bool   `json:"before"`
	After      bool   `json:"after"` // the set has it
	Deliveries int64  `json:"deliveries"`
}

// ComparisonExample is a build that differs.
type ComparisonExample struct {
	Delivery   string
	ReceivedAt time.Time
	Repository string
	Ref        string
	Commit     string
	Change     BuildChange

	// Why is why the other set does not make a build that comes or goes, "" if it changes.
	Why string
}

// NewComparison begins to compare two sets of rules. It keeps at most that many examples.
func NewComparison(before, after *Ruleset, examples int) *Comparison {
	return &Comparison{
		before: before, after: after, maxExamples: examples,
		rules: map[string]*comparedName{}, repositories: map[string]*comparedName{}, sources: map[string]*MissingSource{},
	}
}

// Add decides the events of a delivery by both sets.
func (c *Comparison) Add(d *Recorded) {
	c.Deliveries++
	switch {
	case d.Error != "":
		c.UnknownDeliveries++
		return
	case d.Outcome == "duplicate":
		c.Duplicates++
		return
	}
	_, had := c.before.Source(d.Source)
	_, has := c.after.Source(d.Source)
	if !had || !has {
		c.missing(MissingSource{Name: d.Source, Before: had, After: has})
	}
	before, after := c.before.Decider(), c.after.Decider()
	differs := false
	for i := range d.Events {
		ev := &d.Events[i].Event
		c.Events++
		same, changes := diffBuilds(before.recorded(ev, had, d.Rules), after.recorded(ev, has, d.Rules))
		c.SameBuilds += int64(same)
		if len(changes) > 0 {
			c.DifferEvents++
			differs = true
		}
		for _, change := range changes {
			c.count(d, ev, change)
		}
	}
	if differs {
		c.DifferDeliveries++
	}
}

// recorded decides an event of a delivery: nothing if the set does not have its source.
func (d *Decider) recorded(ev *Event, has bool, only []string) []decided {
	if !has {
		return nil
	}
	builds := d.Decide(ev)
	if len(only) > 0 {
		builds = slices.DeleteFunc(builds, func(b Build) bool { return !slices.Contains(only, b.Rule) })
	}
	return d.rules.decided(builds)
}

// named gives the count of a name, or "" where there are too many.
func named[T any](counts map[string]*T, name string) (*T, string) {
	if counts[name] == nil && len(counts) >= maxCompared {
		name = ""
	}
	if counts[name] == nil {
		counts[name] = new(T)
	}
	return counts[name], name
}

func (c *Comparison) missing(s MissingSource) {
	counted, name := named(c.sources, s.Name)
	s.Name, s.Deliveries = name, counted.Deliveries+1
	*counted = s
}

// count counts a change, and keeps it as an example if it is one of the first, or the first of
// its rule.
func (c *Comparison) count(d *Recorded, ev *Event, change BuildChange) {
	shown := cmp.Or(change.After, change.Before)
	if c.rules[shown.Rule] == nil {
		c.rules[shown.Rule] = new(comparedName)
	}
	rule := c.rules[shown.Rule]
	repository, _ := named(c.repositories, ev.Repository)
	for _, counts := range []*ChangeCounts{&c.ChangeCounts, &rule.ChangeCounts, &repository.ChangeCounts} {
		switch {
		case change.Before == nil:
			counts.Come++
		case change.After == nil:
			counts.Go++
		default:
			counts.Change++
		}
	}
	if len(c.examples) == c.maxExamples && (rule.examples > 0 || !c.makeRoom()) {
		return
	}
	rule.examples++
	why := ""
	switch {
	case change.Before == nil:
		why = c.before.whyNoBuild(ev, change.After)
	case change.After == nil:
		why = c.after.whyNoBuild(ev, change.Before)
	}
	c.examples = append(c.examples, ComparisonExample{
		Delivery: d.ID, ReceivedAt: d.ReceivedAt, Repository: ev.Repository, Ref: ev.Ref, Commit: ev.Commit, Change: change, Why: why,
	})
}

// whyNoBuild says why an event does not give a build that another set makes of it, "" if its rule
// makes the same one, but fewer times.
func (rs *Ruleset) whyNoBuild(ev *Event, b *Build) string {
	if _, ok := rs.Source(ev.Source); !ok {
		return fmt.Sprintf("there is no source %q", ev.Source)
	}
	i := slices.Index(rs.names, b.Rule)
	if i < 0 {
		return fmt.Sprintf("there is no rule %q", b.Rule)
	}
	r, s := rs.rules[i], newSubject(ev)
	if v := r.verdict(s); !v.Matched {
		return v.Reason
	}
	files, why := r.jobFiles(s), "the rule has no such job"
	for k := range r.jobs {
		j := &r.jobs[k]
		if j.id != b.JobID || j.target != b.Target {
			continue
		}
		why = ""
		if ok, err := j.asks.pass(new(meter), s, files); !ok && err == nil {
			return printable.Text(j.asks.why(s, files))
		}
	}
	return why
}

// makeRoom drops the newest example of a rule that has another one.
func (c *Comparison) makeRoom() bool {
	for i := len(c.examples) - 1; i >= 0 && !c.spread; i-- {
		change := c.examples[i].Change
		if rule := c.rules[cmp.Or(change.After, change.Before).Rule]; rule.examples > 1 {
			rule.examples--
			c.examples = slices.Delete(c.examples, i, i+1)
			return true
		}
	}
	c.spread = true
	return false
}

// Differs says whether any build differs.
func (c *Comparison) Differs() bool { return c.total() > 0 }

// Undecided says whether there were deliveries, and the events of none were known.
func (c *Comparison) Undecided() bool {
	return c.UnknownDeliveries > 0 && c.UnknownDeliveries+c.Duplicates == c.Deliveries
}

// Rules gives the rules whose builds differ, those with most first. What comes or changes counts
// for the rule that makes it after.
func (c *Comparison) Rules() []ComparedName { return comparedNames(c.rules) }

// Repositories gives the repositories whose builds differ, those with most first. The name "" is
// for further ones than can be counted each.
func (c *Comparison) Repositories() []ComparedName { return comparedNames(c.repositories) }

func comparedNames(counts map[string]*comparedName) []ComparedName {
	list := make([]ComparedName, 0, len(counts))
	for name, counted := range counts {
		list = append(list, ComparedName{name, counted.ChangeCounts})
	}
	slices.SortFunc(list, func(a, b ComparedName) int {
		return cmp.Or(cmp.Compare(b.total(), a.total()), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// MissingSources gives the sources of deliveries that one of the sets does not have, by name.
func (c *Comparison) MissingSources() []MissingSource {
	list := make([]MissingSource, 0, len(c.sources))
	for _, name := range slices.Sorted(maps.Keys(c.sources)) {
		list = append(list, *c.sources[name])
	}
	return list
}

// Examples gives builds that differ, the first found first: of as many rules as possible.
func (c *Comparison) Examples() []ComparisonExample { return c.examples }
