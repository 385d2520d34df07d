package mapping

import (
	"fmt"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// namesClause is a list of globs that a name in the event has to match.
type namesClause struct {
	globs

	field string
	name  func(ev subject) (compared, written string)
}

// namesClause makes a clause of the patterns of a field, nil if there are none. parse and
// hint are those of [scope.globs].
func (s scope) namesClause(
	list yamldoc.Texts, field string, parse func(string) (glob, error), hint func(string) string, name func(subject) (string, string),
) clause {
	patterns := s.globs(list, field, parse, hint)
	if patterns == nil {
		return nil
	}
	return &namesClause{patterns, field, name}
}

func (c *namesClause) holds(ev subject) bool {
	name, _ := c.name(ev)
	return c.match(name)
}

func (c *namesClause) why(ev subject) string {
	name, written := c.name(ev)
	if _, i := c.decide(name); i >= 0 {
		return fmt.Sprintf("%s: %q is excluded by %q", c.label(), clip(written), &c.globs[i])
	}
	return fmt.Sprintf("%s: %q matches none of %s", c.label(), clip(written), c.globs)
}

func (c *namesClause) label() string { return strings.TrimPrefix(c.field, "when.") }

func (c *namesClause) asked(ev subject) (wants, got string) {
	_, written := c.name(ev)
	return c.String(), written
}

func (c *namesClause) fields() map[string][]string { return map[string][]string{c.field: c.texts()} }

func (c *namesClause) meets(other clause) bool {
	o, same := other.(*namesClause)
	if !same || o.field != c.field {
		return true
	}
	_, ok := both(c.globs, o.globs)
	return ok
}

// patterns gives the globs of a field; nil means all.
func patterns(list []clause, field string) globs {
	for _, c := range list {
		if names, ok := c.(*namesClause); ok && names.field == field {
			return names.globs
		}
	}
	return nil
}

// shortName hints at patterns of full refs, and of names that Git does not allow.
func shortName(of string) (hint func(pattern string) string) {
	return func(pattern string) string {
		if strings.HasPrefix(pattern, "refs/") {
			return "write the short name of the " + of
		}
		return noRefName(pattern)
	}
}
