package mapping

import "buildbridge/mapping/internal/yamldoc"

// entry is one repository of a for_each.
type entry struct{}

// checkEach says which values of each that an expression uses are not there. The expression
// begins at an offset of a text.
func (s scope) checkEach(e *expression, t yamldoc.Text, offset int, field string) {
	for _, u := range e.uses {
		if s.entry == nil && !s.isDefaults() && u.of == eachName {
			s.fault(s.file.Inside(t, offset+u.offset), field, "each is there only in a rule with for_each")
		}
	}
}
