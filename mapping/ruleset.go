package mapping

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Job is one job or pipeline that a rule runs on a target.
type Job struct {
	Rule      string
	Target    string
	Action    Action
	JobID     string // of the job, or of the pipeline
	ProjectID string // of a pipeline
}

// use is the job of a rule, whatever the event.
func (j *job) use(rule string) Job {
	return Job{Rule: rule, Target: j.target, Action: j.action, JobID: j.id, ProjectID: j.project}
}

// Ruleset is the merged and checked content of rules documents. It never changes, and all
// of its methods are safe for concurrent use.
type Ruleset struct {
	sources []*Source
	targets []*Target
	rules   []*rule
	byName  map[string]*Source
	places  map[string]*Target // by name
	names   []string
	paused  map[string]string // reasons by rule, without those that are not paused
	index   index

	digestOnce sync.Once
	digested   *digests
}

func newRuleset(sources []*Source, targets []*Target, rules []*rule) *Ruleset {
	rs := &Ruleset{
		sources: sources, targets: targets, byName: map[string]*Source{}, places: map[string]*Target{},
		rules: rules, paused: map[string]string{}, index: newIndex(rules),
	}
	rs.names = make([]string, len(rules))
	for i, r := range rules {
		rs.names[i] = r.name
		if r.paused != "" {
			rs.paused[r.name] = r.paused
		}
	}
	for _, s := range sources {
		rs.byName[s.Name] = s
	}
	for _, t := range targets {
		rs.places[t.Name] = t
	}
	return rs
}

// Len is the number of rules.
func (rs *Ruleset) Len() int { return len(rs.rules) }

// RuleNames gives the names of all rules, in order. The caller must not change the slice.
func (rs *Ruleset) RuleNames() []string { return rs.names }

// Owners gives the name of every rule, in order, with its owner, which is "" for a rule without.
func (rs *Ruleset) Owners() iter.Seq2[string, string] {
	return func(yield func(rule, owner string) bool) {
		for _, r := range rs.rules {
			if !yield(r.name, r.owner) {
				return
			}
		}
	}
}

// Source finds a source by its name, as in POST /webhooks/<name>.
func (rs *Ruleset) Source(name string) (*Source, bool) {
	s, ok := rs.byName[name]
	return s, ok
}

func sourceNames(sources []*Source) []string {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.Name
	}
	return names
}

func targetNames(targets []*Target) []string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Name
	}
	return names
}

// Sources gives all sources, in order. The caller must not change them or the slice.
func (rs *Ruleset) Sources() []*Source { return rs.sources }

// Targets gives all targets, in order. The caller must not change them or the slice.
func (rs *Ruleset) Targets() []*Target { return rs.targets }

// Jobs iterates over every job of every rule, in order.
func (rs *Ruleset) Jobs() iter.Seq[Job] {
	return func(yield func(Job) bool) {
		for _, r := range rs.rules {
			for i := range r.jobs {
				if !yield(r.jobs[i].use(r.name)) {
					return
				}
			}
		}
	}
}

// Paused gives the reason for which a rule is paused in its file, "" if it is not, or there is
// no rule of this name.
func (rs *Ruleset) Paused(rule string) string { return rs.paused[rule] }

// NamesRepository says whether some rule for events of a source, or of any if it is "", names a
// repository, by its name or by a glob. A rule without a repository names all.
func (rs *Ruleset) NamesRepository(source, repository string) bool {
	repository = strings.ToLower(repository)
	for list := range rs.index.candidates(repository) {
		for _, id := range list {
			if r := rs.rules[id]; r.repository().match(repository) && (source == "" || r.takes(source)) {
				return true
			}
		}
	}
	return false
}

// NamedRepositories gives the repositories that rules for events of a source, or of any if it is "", name
// exactly, not by a glob: each once, in the spelling of the rule that names it first.
func (rs *Ruleset) NamedRepositories(source string) []string {
	var named []string
	seen := map[string]bool{}
	for _, r := range rs.rules {
		if source != "" && !r.takes(source) {
			continue
		}
		for _, name := range r.named {
			if folded := strings.ToLower(name); !seen[folded] {
				seen[folded] = true
				named = append(named, name)
			}
		}
	}
	return named
}

// Decider decides the events of one delivery, one after the other. The cost of their
// expressions is limited for all of them together.
type Decider struct {
	rules *Ruleset
	meter meter
}

// Decider begins to decide a delivery.
func (rs *Ruleset) Decider() Decider { return Decider{rules: rs} }

// Decide gives the builds of the only event of a delivery.
func (rs *Ruleset) Decide(ev *Event) []Build {
	d := rs.Decider()
	return d.Decide(ev)
}

// Decide gives the builds of every rule that matches the event, in the order of the
// rules and of their jobs. It looks only at rules that can name the event's repository.
// A rule that matches, but whose condition or parameters cannot be evaluated, gives
// builds that are dead, with the reason.
func (d *Decider) Decide(ev *Event) []Build {
	s := newSubject(ev)
	rs := d.rules
	type hit struct {
		rule int32
		err  error // why its condition could not be evaluated, if so
	}
	var few [8]hit
	hits := few[:0]
	for list := range rs.index.candidates(s.repository) {
		for _, id := range list {
			if !rs.rules[id].hold(s) {
				continue
			}
			if ok, err := rs.rules[id].condition.holds(&d.meter, ev); ok || err != nil {
				hits = append(hits, hit{id, err})
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Compare(a.rule, b.rule) })
	hits = slices.CompactFunc(hits, func(a, b hit) bool { return a.rule == b.rule })
	var out []Build
	for _, h := range hits {
		out = rs.rules[h.rule].builds(&d.meter, s, h.err, out)
	}
	return out
}

// Explain says of every rule, in order, whether it matches the event, and if not, which
// clause failed first.
func (rs *Ruleset) Explain(ev *Event) []Verdict {
	s := newSubject(ev)
	out := make([]Verdict, len(rs.rules))
	for i, r := range rs.rules {
		out[i] = r.verdict(s)
	}
	return out
}

// ExplainRepository is [Ruleset.Explain] for the rules whose repository globs name the
// event's repository: at most limit of them, and how many more there are. None and 0
// mean that no rule names the repository.
func (rs *Ruleset) ExplainRepository(ev *Event, limit int) (verdicts []Verdict, more int) {
	s := newSubject(ev)
	return rs.explainNamed(s, nil, limit, func(r *rule) Verdict { return r.verdict(s) })
}

// explainNamed asks the rules that name the repository of an event: of more than limit those of before, and then the
// first others.
func (rs *Ruleset) explainNamed(s subject, before []string, limit int, ask func(r *rule) Verdict) (verdicts []Verdict, more int) {
	var ids []int32
	for list := range rs.index.candidates(s.repository) {
		for _, id := range list {
			if rs.rules[id].repository().match(s.repository) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if more = max(0, len(ids)-max(limit, 0)); more > 0 {
		rank := map[string]int{}
		for _, name := range before {
			rank[name] = -1
		}
		slices.SortStableFunc(ids, func(a, b int32) int { return cmp.Compare(rank[rs.names[a]], rank[rs.names[b]]) })
		ids = ids[:len(ids)-more]
		slices.Sort(ids)
	}
	for _, id := range ids {
		verdicts = append(verdicts, ask(rs.rules[id]))
	}
	return verdicts, more
}
