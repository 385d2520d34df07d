package rulestest

import (
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping"
	"buildbridge/mapping/internal/yamldoc"
)

// Check says what the tests of a file name that is not there: a source, rule or target of the
// rules, or a delivery that cannot be decoded. Each is a fault at its place, as those of [Parse]
// are; no test that has one can pass.
func (r *Runner) Check(s *Suite) mapping.Faults {
	found := &reader{suite: s}
	var targets []string
	for _, t := range r.Rules.Targets() {
		targets = append(targets, t.Name)
	}
	known := map[string]bool{}
	for _, name := range r.Rules.RuleNames() {
		known[name] = true
	}
	for _, c := range s.Cases {
		rule := func(field string, name yamldoc.Text) {
			if !known[name.Value] {
				found.fault(name.At, c.Name, field, "there is no rule %q%s", name.Value, suggest(name.Value, r.Rules.RuleNames()))
			}
		}
		if _, fault := r.decode(c); fault != nil {
			found.fault(fault.At, c.Name, fault.Path, "%s", fault.Message)
		}
		for i := range c.doc.Builds {
			b := &c.doc.Builds[i]
			rule(fmt.Sprintf("builds[%d].rule", i), b.Rule)
			if t := b.Target; t.At.Known() && !slices.Contains(targets, t.Value) {
				found.fault(t.At, c.Name, fmt.Sprintf("builds[%d].target", i), "there is no target %q%s", t.Value, suggest(t.Value, targets))
			}
		}
		for i := range c.doc.Why.Entries {
			rule("why", c.doc.Why.Entries[i].Key)
		}
	}
	found.sort()
	return found.faults
}

// suggest names what was likely meant, or what there is.
func suggest(word string, names []string) string {
	const most = 10
	if hint := mapping.Suggest(word, names); hint != "" || len(names) == 0 {
		return hint
	}
	known := "; known are " + strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		known += fmt.Sprintf(" and %d more", more)
	}
	return known
}
