package mapping

import (
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// variables are what the files say under vars.
type variables struct {
	names  []string          // in the order of the files
	values map[string]string // of those that could be read
	places definitions       // where each is defined
	fences map[string]*fence // of the files that define them; nil for none
	used   map[string]bool   // in an expression
	unread bool              // there may be more, that could not be read
}

// mayHave says whether there is a variable of a name, or may be one.
func (v *variables) mayHave(name string) bool { return v.unread || slices.Contains(v.names, name) }

// variables adds those of a file. They are one namespace over all files.
func (l *loader) variables(s scope, doc *document) {
	v := l.language.vars
	v.unread = v.unread || doc.Lost("vars") || doc.Vars.Partial || doc.Misread() || doc.Vars.Entries == nil && doc.Misread("vars")
	for i := range doc.Vars.Entries {
		e := &doc.Vars.Entries[i]
		field := "vars." + e.Key.Value
		if !s.define(v.places, e.Key, field, "given twice; the first is at") {
			continue
		}
		v.names = append(v.names, e.Key.Value)
		v.fences[e.Key.Value] = s.fence
		l.written = append(l.written, variable{s, e.Key})
		if s.constantValue(e.Value, field) {
			v.values[e.Key.Value] = e.Value.Value
		}
	}
}

// variable is where a variable is written.
type variable struct {
	scope

	name yamldoc.Text
}

// warnVariables finds variables that nothing uses: one warning for all of them.
func (l *loader) warnVariables() {
	unused := slices.DeleteFunc(l.written, func(v variable) bool { return l.language.vars.used[v.name.Value] })
	if len(unused) == 0 || len(l.rules) == 0 { // without a rule, there is another warning
		return
	}
	names := make([]string, len(unused))
	for i, v := range unused {
		names[i] = v.name.Value
	}
	others := ""
	if len(names) > 1 {
		others = fmt.Sprintf(" (and %d more: %s)", len(names)-1, firstOf(names[1:], 10))
	}
	first := unused[0]
	first.warn(first.name.At, "vars."+names[0],
		"no rule uses this variable%s: write ${vars.%s} where it belongs, or remove it", others, names[0])
}

// constantValue checks the value of a variable, or of an entry of a for_each. False means
// that it is at fault.
func (s scope) constantValue(t yamldoc.Text, field string) bool {
	switch why := unsendable(t.Value); {
	case t.Bad:
	case why != "":
		s.fault(t.At, field, "%s; in YAML, write long text as a folded block (>-)", why)
	case len(t.Value) > maxValue:
		s.fault(t.At, field, "a value has at most %d bytes, this has %d", maxValue, len(t.Value))
	case strings.Contains(t.Value, "${"):
		s.fault(t.At, field, "a constant is text alone: ${…} is not worked out here")
	default:
		return true
	}
	return false
}

// unknownVariable says that there is no variable of a name.
func (v *variables) unknownVariable(name string) string {
	return "there is no variable \"" + clip(name) + "\"" + hint(name, v.names, "vars")
}
