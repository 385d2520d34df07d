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
// All rules that have its text share it.
type semverClause struct {
	text  string
	check *semver.Constraints
}

func (s scope) semverClause(t yamldoc.Text) clause {
	if !t.At.Known() || t.Value == "" {
		return nil
	}
	if known := s.language.constraints[t.Value]; known != nil {
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
	c := &semverClause{t.Value, check}
	s.language.constraints[t.Value] = c
	return c
}

func (c *semverClause) holds(ev subject) bool {
	v, ok := version(ev.Tag)
	return ok && c.check.Check(v)
}

func (c *semverClause) why(ev subject) string {
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

func (c *semverClause) fields() map[string][]string {
	return map[string][]string{"when.tag.semver": {c.text}}
}

func (c *semverClause) meets(other clause) bool {
	o, same := other.(*semverClause)
	return !same || c == o
}

// version reads a tag as a strict version of three parts, without one leading v.
func version(tag string) (*semver.Version, bool) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	return v, err == nil
}

// prefixed names the prefix of a tag that is a version otherwise: the text before its last
// / or its first digit. It gives "" if there is none.
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
func (c *semverClause) namesPrerelease() bool {
	return slices.ContainsFunc(strings.Fields(c.text), func(word string) bool { return word != "-" && strings.Contains(word, "-") })
}
