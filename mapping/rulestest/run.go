package rulestest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"buildbridge/mapping"
	"buildbridge/mapping/internal/yamldoc"
	"buildbridge/mapping/printable"
)

// Runner runs tests of rules. It is safe for concurrent use if Decode is.
type Runner struct {
	Rules *mapping.Ruleset
	// Decode decodes a delivery of a source as it would be decoded if it came.
	Decode func(source *mapping.Source, d Delivery) (Decoded, error)
}

// Delivery is a saved delivery that a test names.
type Delivery struct {
	Test    string // the file of the test
	File    string // the file of the body, as the test has it: from the folder of the test
	Headers map[string]string
}

// Decoded is what a delivery holds: its events, or why it has none.
type Decoded struct {
	Events  []mapping.Event
	Ignored mapping.Reason
}

// Run says in what the builds differ from what a test expects; nothing if they do not. Each
// difference has one line or several. The test is one that [Runner.Check] finds no fault in.
func (r *Runner) Run(c *Case) []string {
	decoded, fault := r.decode(c)
	if fault != nil {
		return []string{fault.Path + ": " + fault.Message}
	}
	var builds []mapping.Build
	decider := r.Rules.Decider()
	for i := range decoded.Events {
		builds = append(builds, decider.Decide(&decoded.Events[i])...)
	}
	t := &outcome{Runner: r, doc: &c.doc, events: decoded.Events, builds: builds}
	t.compareBuilds()
	if want := c.doc.Ignored.Value; want != "" && len(builds) == 0 {
		if got := r.ignored(decoded); string(got) != want {
			t.differ("ignored: expected %s, got %s", want, got)
		}
	}
	for i := range c.doc.Why.Entries {
		e := &c.doc.Why.Entries[i]
		t.compareWhy(e.Key.Value, e.Value.Value)
	}
	return t.differences
}

// decode gives the events of a test, or says at which field that goes wrong.
func (r *Runner) decode(c *Case) (Decoded, *yamldoc.Fault) {
	e, d := c.doc.Event, c.doc.Delivery
	if e != nil {
		source, fault := r.source("event", e.At, e.Source)
		if fault != nil {
			return Decoded{}, fault
		}
		return Decoded{Events: []mapping.Event{e.event(source)}}, nil
	}
	source, fault := r.source("delivery", d.At, d.Source)
	if fault != nil {
		return Decoded{}, fault
	}
	headers := map[string]string{}
	for i := range d.Headers.Entries {
		headers[d.Headers.Entries[i].Key.Value] = d.Headers.Entries[i].Value.Value
	}
	decoded, err := r.Decode(source, Delivery{c.File, d.File.Value, headers})
	if err != nil {
		return decoded, &yamldoc.Fault{At: d.File.At, Path: "delivery.file", Message: err.Error()}
	}
	for i := range decoded.Events {
		decoded.Events[i].Source = source.Name
	}
	return decoded, nil
}

// source finds the source that a test names, or the only one.
func (r *Runner) source(of string, at yamldoc.Position, name yamldoc.Text) (*mapping.Source, *yamldoc.Fault) {
	sources := r.Rules.Sources()
	var names []string
	for _, s := range sources {
		names = append(names, s.Name)
	}
	fault := &yamldoc.Fault{At: at, Path: of + ".source"}
	s, ok := r.Rules.Source(name.Value)
	switch {
	case ok:
		return s, nil
	case name.At.Known() && len(sources) > 0:
		fault.At, fault.Message = name.At, fmt.Sprintf("there is no source %q%s", name.Value, suggest(name.Value, names))
	case len(sources) == 1:
		return sources[0], nil
	case len(sources) == 0:
		fault.Message = "the rules have no sources"
	default:
		fault.Message = "required, because the rules have several: " + strings.Join(names, ", ")
	}
	return nil, fault
}

// ignored is why nothing is built.
func (r *Runner) ignored(d Decoded) mapping.Reason {
	if len(d.Events) == 0 {
		return d.Ignored
	}
	for i := range d.Events {
		if _, named := r.Rules.ExplainRepository(&d.Events[i], 0); named > 0 {
			return mapping.ReasonNoMatch
		}
	}
	return mapping.ReasonNoRule
}

// outcome is what became of a test.
type outcome struct {
	*Runner

	doc         *caseDocument
	events      []mapping.Event
	builds      []mapping.Build
	differences []string
}

func (t *outcome) differ(format string, args ...any) {
	t.differences = append(t.differences, fmt.Sprintf(format, args...))
}

// compareBuilds finds for each expected build one of its own, in any order, and says what is
// left over.
func (t *outcome) compareBuilds() {
	expected := t.doc.Builds
	takenBy := make([]int, len(t.builds)) // the expected build that took each build, or -1
	for i := range takenBy {
		takenBy[i] = -1
	}
	var place func(i int, seen []bool) bool
	place = func(i int, seen []bool) bool { // augmenting paths: an expected build may move to another one
		for k := range t.builds {
			if seen[k] || len(expected[i].differences(&t.builds[k])) > 0 || expected[i].Rule.Value != t.builds[k].Rule {
				continue
			}
			seen[k] = true
			if takenBy[k] < 0 || place(takenBy[k], seen) {
				takenBy[k] = i
				return true
			}
		}
		return false
	}
	var missing []int
	for i := range expected {
		if !place(i, make([]bool, len(t.builds))) {
			missing = append(missing, i)
		}
	}
	for _, i := range missing {
		e := &expected[i]
		nearest, least := -1, []string(nil)
		for k := range t.builds {
			if takenBy[k] >= 0 || t.builds[k].Rule != e.Rule.Value {
				continue
			}
			if d := e.differences(&t.builds[k]); nearest < 0 || len(d) < len(least) {
				nearest, least = k, d
			}
		}
		if nearest < 0 {
			t.differ("builds[%d] in line %d: expected %s, and it is not built%s", i, e.At.Line, e.text(), t.whyNot(e.Rule.Value))
			continue
		}
		takenBy[nearest] = i
		t.differ("builds[%d] in line %d: rule %q builds something else\n%s", i, e.At.Line, e.Rule.Value, strings.Join(least, "\n"))
	}
	for k := range t.builds {
		if takenBy[k] < 0 {
			t.differ("not expected, and it is built: %s", built(&t.builds[k]))
		}
	}
}

// whyNot says why a rule gives no build.
func (t *outcome) whyNot(rule string) string {
	if n := count(t.builds, rule); n > 0 {
		return fmt.Sprintf(": the rule gives %s, which other builds of this test expect", printable.Count(n, "build"))
	}
	if len(t.events) == 0 {
		return ": the delivery has no event"
	}
	var lines strings.Builder
	for _, v := range t.verdicts(rule) {
		fmt.Fprintf(&lines, "\nrule %q does not match: %s", rule, v.Reason)
	}
	return lines.String()
}

func count(builds []mapping.Build, rule string) int {
	n := 0
	for i := range builds {
		if builds[i].Rule == rule {
			n++
		}
	}
	return n
}

// verdicts are what a rule says about each event.
func (t *outcome) verdicts(rule string) []mapping.Verdict {
	var out []mapping.Verdict
	for i := range t.events {
		for _, v := range t.Rules.Explain(&t.events[i]) {
			if v.Rule == rule {
				out = append(out, v)
			}
		}
	}
	return out
}

// compareWhy looks for a text in the reasons for which a rule does not match.
func (t *outcome) compareWhy(rule, text string) {
	for _, v := range t.verdicts(rule) {
		switch {
		case v.Matched:
			t.differ("why: rule %q matches", rule)
		case !strings.Contains(v.Reason, text):
			t.differ("why: rule %q does not match, for another reason\nexpected %q\ngot      %q", rule, text, v.Reason)
		}
	}
}

// differences are the fields in which a build of the same rule is not as it is expected, one
// a line.
func (e *buildDocument) differences(b *mapping.Build) (lines []string) {
	field := func(name string, want yamldoc.Text, got string) {
		if want.At.Known() && want.Value != got {
			lines = append(lines, fmt.Sprintf("  %s: expected %q, got %q", name, want.Value, got))
		}
	}
	if job := e.Job.Value; job != b.JobID {
		got := b.Job
		if got == "" || len(job) == len(b.JobID) { // it names the id
			got = b.JobID
		}
		field("job", e.Job, got)
	}
	field("target", e.Target, b.Target)
	switch {
	case e.Dead.Value == "" && b.Dead != "":
		return append(lines, "  it is dead on arrival: "+printable.Text(b.Dead))
	case e.Dead.Value != "" && b.Dead == "":
		return append(lines, fmt.Sprintf("  dead: expected %q, and it is not dead", e.Dead.Value))
	case !strings.Contains(b.Dead, e.Dead.Value):
		lines = append(lines, fmt.Sprintf("  dead: expected %q, got %q", e.Dead.Value, b.Dead))
	}
	compare, values := b.Action.ParametersField(), e.Parameters.Entries
	if compare == "variables" {
		values = e.Variables.Entries
	}
	if len(values) < len(e.Parameters.Entries)+len(e.Variables.Entries) {
		other := map[string]string{"parameters": "variables", "variables": "parameters"}[compare]
		lines = append(lines, fmt.Sprintf("  the build has no %s: it is of a %s, write %s", other, b.Action, compare))
	}
	for i := range values {
		want := &values[i]
		k := slices.IndexFunc(b.Parameters, func(p mapping.Parameter) bool { return p.Name == want.Key.Value })
		name := compare + "." + want.Key.Value
		switch {
		case want.Value.Null && k >= 0:
			lines = append(lines, fmt.Sprintf("  %s: expected not to be sent, got %q", name, b.Parameters[k].Value))
		case want.Value.Null:
		case k < 0:
			lines = append(lines, fmt.Sprintf("  %s: expected %q, and it is not sent%s", name, want.Value.Value, sent(b, want.Key.Value)))
		default:
			field(name, want.Value, b.Parameters[k].Value)
		}
	}
	pinned, branches := false, []string(nil)
	for _, s := range b.Sources {
		pinned = pinned || s.Commit != ""
		branches = append(branches, s.Branch)
	}
	if !slices.Contains(branches, e.Branch.Value) {
		field("branch", e.Branch, strings.Join(branches, ", "))
	}
	if e.PinCommit.At.Known() && e.PinCommit.Value != pinned {
		lines = append(lines, fmt.Sprintf("  pin_commit: expected %v, got %v", e.PinCommit.Value, pinned))
	}
	field("commit", e.Commit, b.Commit)
	field("tag", e.Tag, b.Tag)
	field("context", e.Context, b.Context)
	return lines
}

// sent names the parameter of a build that was likely meant.
func sent(b *mapping.Build, name string) string {
	names := make([]string, len(b.Parameters))
	for i, p := range b.Parameters {
		names[i] = p.Name
	}
	return mapping.Suggest(name, names)
}

// text is an expected build in a line.
func (e *buildDocument) text() string {
	s := fmt.Sprintf("rule %q", e.Rule.Value)
	if e.Job.At.Known() {
		s += ", job " + printable.Text(e.Job.Value)
	}
	return s
}

// built is a build in a line.
func built(b *mapping.Build) string {
	s := fmt.Sprintf("rule %q, %s %s", b.Rule, b.Action, b.JobID)
	if b.Job != "" {
		s = fmt.Sprintf("rule %q, %s %s (%s)", b.Rule, b.Action, printable.Text(b.Job), b.JobID)
	}
	if b.Dead != "" {
		return s + ", dead on arrival: " + printable.Text(b.Dead)
	}
	if len(b.Parameters) == 0 {
		return s
	}
	values := make([]string, len(b.Parameters))
	for i, p := range b.Parameters {
		values[i] = p.Name + ": " + strconv.Quote(p.Value)
	}
	return s + ", " + b.Action.ParametersField() + " {" + strings.Join(values, ", ") + "}"
}
