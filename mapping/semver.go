package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// constraint is a semver constraint of a tag clause.
type constraint struct {
	text  string
	check *semver.Constraints
}

func (l *loader) constraint(text string) (*constraint, error) {
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

// version reads a tag as a strict version of three parts, without one leading
// v.
func version(tag string) (*semver.Version, bool) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	return v, err == nil
}

// prefixed says of a tag that it is a version but for what is before it, up to the
// last / or the first digit; "" if it is not.
func prefixed(tag string) string {
	for _, i := range []int{strings.LastIndexByte(tag, '/') + 1, strings.IndexAny(tag, "0123456789")} {
		if i <= 0 {
			continue
		}
		if _, ok := version(tag[i:]); ok {
			return fmt.Sprintf(": what is before it, %s, is not taken off", clip(tag[:i]))
		}
	}
	return ""
}

// namesPrerelease says whether a version of the constraint is a prerelease. The
// hyphen of a range, 1.0.0 - 2.0.0, has spaces around it.
func (c *constraint) namesPrerelease() bool {
	return slices.ContainsFunc(strings.Fields(c.text), func(word string) bool { return word != "-" && strings.Contains(word, "-") })
}
