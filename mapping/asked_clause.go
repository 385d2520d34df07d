package mapping

import (
	"strings"

	"buildbridge/mapping/printable"
)

// AskedClause is one clause of a rule and what it says of an event. All texts are fit to be shown,
// and short.
type AskedClause struct {
	Clause string `json:"clause"`          // where it is written: source, push.branches, if, jobs[0].paths
	Wants  string `json:"wants,omitempty"` // what is written there: [main, release/**]
	Got    string `json:"got,omitempty"`   // the value of the event that decided: main
	Says   Says   `json:"says"`
	Why    string `json:"why,omitempty"` // of no, failed and not_asked
	Job    string `json:"job,omitempty"` // of a clause of a job: its name, or else its id
}

// String is the clause on a line: push.branches: [main, release/**] · main · yes. Why it does not hold
// is not there: where a rule does not match, [Verdict.Reason] says that of the first.
func (a *AskedClause) String() string {
	var line strings.Builder
	if a.Job != "" {
		line.WriteString(a.Job + ": ")
	}
	line.WriteString(a.Clause + ": " + a.Wants)
	for _, text := range []string{a.Got, strings.ReplaceAll(string(a.Says), "_", " ")} {
		if text != "" {
			line.WriteString(" · " + text)
		}
	}
	if a.Says == SaysFailed {
		line.WriteString(": " + a.Why)
	}
	return line.String()
}

// Says is the answer of a clause.
type Says string

// The answers of clauses.
const (
	SaysYes      Says = "yes"
	SaysNo       Says = "no"
	SaysFailed   Says = "failed"    // it could not be evaluated: the rule matches, and its builds are dead
	SaysNotAsked Says = "not_asked" // a clause before it decided
)

// maxAsked bounds a text of an [AskedClause], in characters.
const maxAsked = 300

// afterOthers is why a clause is not asked that costs, and can fail.
const afterOthers = "it is asked only if all clauses before it say yes"

// ExplainClauses is [Ruleset.ExplainRepository] with every clause of each rule, in the order in
// which they are asked. If not all rules fit into limit, those whose names are in before do first.
// Deliveries on their way are not explained so: it takes longer.
func (rs *Ruleset) ExplainClauses(ev *Event, before []string, limit int) (verdicts []Verdict, more int) {
	s := newSubject(ev)
	return rs.explainNamed(s, before, limit, func(r *rule) Verdict {
		v := r.verdict(s)
		v.Clauses = r.askAll(s)
		return v
	})
}

// askAll asks every clause of a rule and of its jobs. The plain ones are asked also if one before them
// failed, so that people can mend all at once; conditions are not, as for a delivery.
func (r *rule) askAll(ev subject) []AskedClause {
	list, passes := r.of(ev.Kind), true
	var asked []AskedClause
	ask := func(c clause) {
		wants, got := c.asked(ev)
		a := AskedClause{Clause: c.label(), Wants: wants, Got: got, Says: SaysYes}
		if !c.holds(ev) {
			a.Says, a.Why, passes = SaysNo, c.why(ev), false
		}
		asked = append(asked, a)
	}
	for _, c := range r.every {
		ask(c)
	}
	kind := AskedClause{Clause: "when", Wants: r.kinds(), Got: string(ev.Kind), Says: SaysYes}
	if list == nil {
		kind.Says, kind.Why, passes = SaysNo, r.whyKind(ev), false
	}
	asked = append(asked, kind)
	for _, c := range list[min(len(r.every), len(list)):] { // a list begins with those of every event
		ask(c)
	}
	m := new(meter)
	condition := r.condition.askedOnce(m, ev, passes)
	asked = append(asked, condition...)
	failed := false
	for _, a := range condition {
		passes, failed = a.Says == SaysYes, a.Says == SaysFailed
	}
	files := r.jobFiles(ev)
	for i := range r.jobs {
		for _, a := range r.jobs[i].asks.askAll(m, ev, files, passes, failed) {
			a.Job = r.jobs[i].label()
			asked = append(asked, a)
		}
	}
	for i := range asked {
		a := &asked[i]
		a.Why = strings.TrimPrefix(a.Why, a.Clause+": ")
		for _, text := range []*string{&a.Wants, &a.Got, &a.Why, &a.Job} {
			*text = printable.Text(printable.Clip(*text, maxAsked))
		}
	}
	return asked
}

// askAll asks the clauses of a job. passes says that the rule matches, failed that its condition
// could not be evaluated, in which case those of its jobs are not asked.
func (c *jobClauses) askAll(m *meter, ev subject, files []string, passes, failed bool) (asked []AskedClause) {
	if c.paths != nil && ev.Kind == Push {
		a := AskedClause{Clause: c.paths.label(), Says: SaysYes}
		a.Wants, a.Got = c.paths.askedOf(ev, files)
		switch {
		case !passes && !failed:
			a.Says, a.Got, a.Why = SaysNotAsked, "", "the rule does not match"
		case !c.passPaths(ev, files):
			a.Says, a.Why, passes = SaysNo, c.paths.whyNot(ev, files), false
		}
		asked = append(asked, a)
	}
	return append(asked, c.condition.askedOnce(m, ev, passes)...)
}

// askedOnce asks a condition if all clauses before it hold. It gives none if there is no condition.
func (c *condition) askedOnce(m *meter, ev subject, passes bool) []AskedClause {
	if c == nil {
		return nil
	}
	a := AskedClause{Clause: c.field, Wants: strings.Join(strings.Fields(c.text), " "), Says: SaysNotAsked, Why: afterOthers}
	if passes {
		ok, err := c.holds(m, ev.Event)
		switch {
		case err != nil:
			a.Says, a.Why = SaysFailed, err.Error()
		case ok:
			a.Says, a.Got, a.Why = SaysYes, "true", ""
		default:
			a.Says, a.Got, a.Why = SaysNo, "false", ""
		}
	}
	return []AskedClause{a}
}
