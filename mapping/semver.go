package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"buildbridge/mapping/internal/yamldoc"
)

// semverClause is `when.tag.semver` and `prefix`: the tag is a version that satisfies a
// constraint. All rules that have its texts share it.
type semverClause struct {
	semverTexts

	check *semver.Constraints
}

// semverTexts are the constraint, and what is taken off a tag: "" for a leading v.
type semverTexts struct{ text, prefix string }

func (s scope) semverClause(t, prefix yamldoc.Text) clause {
	if !t.At.Known() && prefix.Value != "" {
		s.warn(prefix.At, "when.tag.prefix", "without effect: there is no semver that reads what is left of the tag")
	}
	if !t.At.Known() || t.Value == "" {
		return nil
	}
	texts := semverTexts{t.Value, prefix.Value}
	if known := s.language.constraints[texts]; known != nil {
		return known
	}
	check, err := semver.NewConstraint(t.Value)
	switch {
	case errors.Is(err, semver.ErrTooManyConstraintGroups):
		s.fault(t.At, "when.tag.semver", "%v", err)
		return nil
	case err != nil: // whose text repeats the constraint
		s.fault(t.At, "when.tag.semver", "%q is not a constraint such as >=2.0.0", clip(t.Value))
		return nil
	}
	c := &semverClause{texts, check}
	s.language.constraints[texts] = c
	return c
}

func (c *semverClause) holds(ev subject) bool {
	v, ok := c.version(ev.Tag)
	return ok && c.check.Check(v)
}

func (c *semverClause) why(ev subject) string {
	v, ok := c.version(ev.Tag)
	switch {
	case c.prefix != "" && !strings.HasPrefix(ev.Tag, c.prefix):
		return fmt.Sprintf("tag.prefix: %q does not begin with %s", clip(ev.Tag), clip(c.prefix))
	case !ok && c.prefix == "":
		return fmt.Sprintf("tag.semver: %q is not a version of three parts, such as v1.2.3%s", clip(ev.Tag), prefixed(ev.Tag))
	case !ok:
		rest := ev.Tag[len(c.prefix):]
		return fmt.Sprintf("tag.semver: %q, without the prefix %s, is not a version of three parts, such as 1.2.3%s",
			clip(rest), clip(c.prefix), prefixed(ev.Tag))
	case v.Prerelease() != "" && !c.namesPrerelease():
		return fmt.Sprintf("tag.semver: %q is a prerelease, and %s names none", clip(ev.Tag), c.text)
	default:
		return fmt.Sprintf("tag.semver: %q does not satisfy %s", clip(ev.Tag), c.text)
	}
}

func (*semverClause) label() string { return "tag.semver" }

func (c *semverClause) asked(ev subject) (wants, got string) {
	if c.prefix != "" {
		return c.text + ", prefix " + c.prefix, ev.Tag
	}
	return c.text, ev.Tag
}

func (c *semverClause) fields() map[string][]string {
	fields := map[string][]string{"when.tag.semver": {c.text}}
	if c.prefix != "" {
		fields["when.tag.prefix"] = []string{c.prefix}
	}
	return fields
}

func (c *semverClause) meets(other clause) bool {
	o, same := other.(*semverClause)
	return !same || c == o
}

// version reads a tag as a strict version of three parts, without the prefix, or else without
// one leading v.
func (c *semverClause) version(tag string) (*semver.Version, bool) {
	rest, ok := strings.CutPrefix(tag, c.prefix)
	if c.prefix == "" {
		rest = strings.TrimPrefix(tag, "v")
	}
	if !ok {
		return nil, false
	}
	v, err := semver.StrictNewVersion(rest)
	return v, err == nil
}

// prefixed says what to write for a tag that is a version but for a prefix: the text before
// its first digit, or else up to its last / and a v. It gives "" if the tag is none.
func prefixed(tag string) string {
	last := strings.LastIndexByte(tag, '/') + 1
	last = len(tag) - len(strings.TrimPrefix(tag[last:], "v"))
	for _, i := range []int{strings.IndexAny(tag, "0123456789"), last} {
		if i <= 0 {
			continue
		}
		if _, err := semver.StrictNewVersion(tag[i:]); err == nil {
			return fmt.Sprintf("; write prefix: '%s'", clip(tag[:i]))
		}
	}
	return ""
}

// namesPrerelease says whether a version in the constraint is a prerelease. The hyphen of
// a range, 1.0.0 - 2.0.0, has spaces around it.
func (c *semverClause) namesPrerelease() bool {
	return slices.ContainsFunc(strings.Fields(c.text), func(word string) bool { return word != "-" && strings.Contains(word, "-") })
}
