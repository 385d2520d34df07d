package mapping

import (
	"fmt"
	"slices"

	"buildbridge/mapping/internal/yamldoc"
)

const sourceField = "source"

// sourceClause is `source`: the names of the sources that an event may come from.
type sourceClause struct{ names []string }

// sourceClause takes the names that are written. Whether there are such sources is
// known when all files are read.
func (s scope) sourceClause(list yamldoc.Texts) clause {
	c := new(sourceClause)
	for _, t := range list {
		if t.At.Known() {
			c.names = append(c.names, t.Value)
		}
	}
	if c.names == nil {
		return nil
	}
	return c
}

func (c *sourceClause) holds(ev subject) bool { return slices.Contains(c.names, ev.Source) }

// takes says whether the rule is for events of a source.
func (r *rule) takes(source string) bool {
	for _, c := range r.every {
		if s, ok := c.(*sourceClause); ok {
			return slices.Contains(s.names, source)
		}
	}
	return true
}

func (c *sourceClause) why(ev subject) string {
	if len(c.names) == 1 {
		return fmt.Sprintf("source: %q is not %s", clip(ev.Source), c.names[0])
	}
	return fmt.Sprintf("source: %q is none of [%s]", clip(ev.Source), firstOf(c.names, 10))
}

func (*sourceClause) label() string { return sourceField }

func (c *sourceClause) asked(ev subject) (wants, got string) {
	return "[" + firstOf(c.names, 10) + "]", ev.Source
}

func (c *sourceClause) fields() map[string][]string { return map[string][]string{sourceField: c.names} }

func (c *sourceClause) meets(other clause) bool {
	o, same := other.(*sourceClause)
	return !same || slices.ContainsFunc(c.names, func(name string) bool { return slices.Contains(o.names, name) })
}
