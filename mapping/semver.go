package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"buildbridge/mapping/internal/yamldoc"
)

// semverClause is `when.tag.semver`: the tag is a version that satisfies a constraint.
type semverClause struct{ *constraint }

// constraint is a checked constraint, one for all rules that have its text.
type constraint struct {
	text  string
	check *semver.Constraints
}

func (s scope) semverClause(t yamldoc.Text) clause {
	if !t.At.Known() || t.Value == "" {
		return nil
	}
	c, err := s.language.constraint(t.Value)
	if err != nil {
		s.fault(t.At, "when.tag.semver", "%v", err)
		return nil
	}
	return semverClause{c}
}

func (l *language) constraint(text string) (*constraint, error) {
	if c, ok := l.constraints[text]; ok {
		return c, nil
	}
	parsed, err := semver.NewConstraint(text)
	switch {
	case errors.Is(err, semver.ErrTooManyConstraintGroups):
		return nil, err
	case err != nil: // whose text repeats the constraint
		return nil, fmt.Errorf("%q is not a constraint such as >=2.0.0", clip(text))
	}
	c := &constraint{text, parsed}
	l.constraints[text] = c
	return c, nil
}

func (c semverClause) holds(ev subject) bool {
	v, ok := version(ev.Tag)
	return ok && c.check.Check(v)
}

func (c semverClause) why(ev subject) string {
	v, ok := version(ev.Tag)
	switch {
	case !ok:
		return fmt.Sprintf("tag.semver: %q is not a version of three parts, such as v1.2.3%s", clip(ev.Tag), prefixed(ev.Tag))
	case v.Prerelease() != "" && !c.namesPrerelease():
		return fmt.Sprintf("tag.semver: %q is a prerelease, and %s names none", clip(ev.Tag), c.text)
	default:
		return fmt.Sprintf("tag.semver: %q does not satisfy %s", clip(ev.Tag), c.text)
	}
}

func (c semverClause) meets(other clause) bool { return c == other }

// version reads a tag as a strict version of three parts, without one leading v.
func version(tag string) (*semver.Version, bool) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	return v, err == nil
}

// prefixed says that a tag would be a version without what is before its last / or its
// first digit, "" if it would not.
func prefixed(tag string) string {
	for _, i := range []int{strings.LastIndexByte(tag, '/') + 1, strings.IndexAny(tag, "0123456789")} {
		if i <= 0 {
			continue
		}
		if _, ok := version(tag[i:]); ok {
			return fmt.Sprintf(": the prefix %s is not removed", clip(tag[:i]))
		}
	}
	return ""
}

// namesPrerelease says whether a version in the constraint is a prerelease. The hyphen of
// a range, 1.0.0 - 2.0.0, has spaces around it.
func (c *constraint) namesPrerelease() bool {
	return slices.ContainsFunc(strings.Fields(c.text), func(word string) bool { return word != "-" && strings.Contains(word, "-") })
}
