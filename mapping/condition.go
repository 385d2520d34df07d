package mapping

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/common/types"

	"buildbridge/mapping/internal/yamldoc"
)

// condition is `if`: an expression that has to be true. A rule asks it after its
// clauses, because it is the only one that costs, and that can fail. A job can have one too.
type condition struct {
	*expression

	constants *constants
	field     string // where it is written: if, or jobs[2].if
}

// condition compiles the `if` of a field; nil means that there is none.
func (s scope) condition(t yamldoc.Text, field string) *condition {
	if !t.At.Known() || t.Value == "" {
		return nil
	}
	if strings.HasPrefix(t.Value, "${") {
		s.fault(t.At, field, "this is an expression already: write it without ${…}")
		return nil
	}
	e, faults := s.language.compile(t.Value)
	for _, f := range faults {
		s.fault(s.file.Inside(t, f.offset), field, "%s", f.message)
	}
	if e == nil {
		return nil
	}
	s.checkConstants(e, t, 0, field)
	if !e.mayBe(types.BoolKind) {
		s.fault(t.At, field, "the result is %s, not a boolean", e.result)
	}
	return &condition{e, s.constants, field}
}

// written is the condition with the values of its constants.
func (c *condition) written() string { return c.constants.fill(c.expression) }

// holds says whether the condition is true of an event. An error means that it
// could not be evaluated: the rule matches, and its builds are dead.
func (c *condition) holds(m *meter, ev *Event) (bool, error) {
	if c == nil {
		return true, nil
	}
	v, err := m.eval(c.expression, ev, c.constants)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the result is %s, not a boolean", v.Type().TypeName())
	}
	return bool(b), nil
}

func (c *condition) why() string {
	return c.field + ": " + clip(strings.Join(strings.Fields(c.text), " ")) + " is false"
}
