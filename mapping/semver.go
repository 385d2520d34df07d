package mapping

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
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

var versionInConstraint = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)*`)

// never says whether no version satisfies the constraint, as far as that is
// plain to see: the versions it names and their neighbours are tried.
func (c *constraint) never() bool {
	if strings.Contains(c.text, "-") {
		return false // prereleases and ranges: not tried
	}
	named := versionInConstraint.FindAllString(c.text, -1)
	if len(named) > 20 {
		return false
	}
	try := []semver.Version{*semver.New(0, 0, 0, "", ""), *semver.New(1<<40, 0, 0, "", "")}
	for _, name := range named {
		var n [3]uint64
		for i, s := range strings.SplitN(name, ".", 3) {
			v, err := strconv.ParseUint(s, 10, 40)
			if err != nil {
				return false
			}
			n[i] = v
		}
		for d := range uint64(len(named)) + 2 {
			try = append(try, *semver.New(n[0], n[1], n[2]+d, "", ""), *semver.New(n[0], n[1]+d, 0, "", ""), *semver.New(n[0]+d, 0, 0, "", ""))
		}
		if n[2] > 0 {
			try = append(try, *semver.New(n[0], n[1], n[2]-1, "", ""))
		}
	}
	for i := range try {
		if c.check.Check(&try[i]) {
			return false
		}
	}
	return true
}
