package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"buildbridge/mapping/internal/yamldoc"
)

// Limits of one glob. They bound the time of a match.
const (
	maxGlobLength = 512 // characters
	maxGlobWays   = 64  // patterns that its braces expand to
)

// glob is one pattern of an ordered list.
type glob struct {
	pattern string // without the leading !
	prefix  string // every name that matches begins with it
	exclude bool   // begins with !
	literal bool   // has no special characters
	misses  bool   // never matches what it is compared with
}

func newGlob(pattern string) (glob, error) {
	g := glob{pattern: pattern}
	g.pattern, g.exclude = strings.CutPrefix(pattern, "!")
	if err := checkGlob(g.pattern); err != nil {
		return glob{}, err
	}
	g.prefix = literalPrefix(g.pattern)
	g.literal = g.prefix == g.pattern
	return g, nil
}

// checkGlob says why a pattern, without a leading !, cannot be used.
func checkGlob(pattern string) error {
	switch {
	case pattern == "":
		return errors.New("the pattern is empty")
	case utf8.RuneCountInString(pattern) > maxGlobLength:
		return fmt.Errorf("the pattern has more than %d characters", maxGlobLength)
	case !doublestar.ValidatePattern(pattern):
		return fmt.Errorf("%q is not a valid pattern: a bracket, brace or escape is not complete", clip(pattern))
	case braceWays(pattern) > maxGlobWays:
		return fmt.Errorf("the pattern has more than %d ways through its braces", maxGlobWays)
	}
	if r := reversedRange(pattern); r != "" {
		return fmt.Errorf("%q is not a valid pattern: nothing is in the range %s", clip(pattern), r)
	}
	return nil
}

// reversedRange finds a range in a class that ends before it begins, such as z-a. The
// pattern is valid otherwise.
func reversedRange(pattern string) string {
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' {
			i++
			continue
		}
		if pattern[i] != '[' {
			continue
		}
		next := func() (r rune, escaped bool) { // reads a character of the class as doublestar does
			i++
			if escaped = pattern[i] == '\\'; escaped {
				i++
			}
			r, n := utf8.DecodeRuneInString(pattern[i:])
			i += n - 1
			return r, escaped
		}
		if c := pattern[i+1]; c == '!' || c == '^' {
			i++
		}
		last := rune(-1)
		for pattern[i+1] != ']' {
			r, escaped := next()
			if last < 0 || r != '-' || escaped || pattern[i+1] == ']' {
				last = r
				continue
			}
			if r, _ = next(); last > r {
				return string(last) + "-" + string(r)
			}
			last = -1
		}
		i++
	}
	return ""
}

// braceWays is an upper bound of the number of patterns that the braces of a valid
// pattern expand to. Braces in a class are ordinary characters.
func braceWays(pattern string) int {
	total := 1
	class := false
	var open []int // ways so far through each pair of braces that is open
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case class || c == '[':
			class = c != ']'
		case c == '{':
			open = append(open, 1)
		case c == ',':
			if n := len(open); n > 0 {
				open[n-1]++
			}
		case c == '}':
			if n := len(open); n > 0 {
				total = min(total*open[n-1], maxGlobWays+1)
				open = open[:n-1]
			}
		}
	}
	return total
}

const special = `*?[{\`

// literalPrefix is the text that every name that matches the pattern begins with.
func literalPrefix(pattern string) string {
	i := strings.IndexAny(pattern, special)
	if i < 0 {
		return pattern
	}
	return strings.TrimSuffix(pattern[:i], "/") // a/** and a/{**,b} match "a" as well
}

func (g *glob) match(name string) bool {
	if g.literal {
		return g.pattern == name
	}
	return strings.HasPrefix(name, g.prefix) && doublestar.MatchUnvalidated(g.pattern, name)
}

func (g *glob) String() string {
	if g.exclude {
		return "!" + g.pattern
	}
	return g.pattern
}

// globs is an ordered list of patterns. The last pattern that matches a name decides
// whether the list takes it. A nil list takes every name. A list whose first pattern
// excludes takes every name that no pattern excludes.
type globs []glob

func (gs globs) match(name string) bool {
	ok, _ := gs.decide(name)
	return ok
}

// decide says whether the list takes name, and which pattern decided, -1 if none
// matched.
func (gs globs) decide(name string) (bool, int) {
	for i := len(gs) - 1; i >= 0; i-- {
		if gs[i].match(name) {
			return !gs[i].exclude, i
		}
	}
	return gs.startsFromAll(), -1
}

func (gs globs) startsFromAll() bool { return len(gs) == 0 || gs[0].exclude }

// String prints the list for a message: at most ten patterns.
func (gs globs) String() string { return "[" + firstOf(gs.texts(), 10) + "]" }

// texts are the patterns as they are compared.
func (gs globs) texts() []string {
	patterns := make([]string, len(gs))
	for i := range gs {
		patterns[i] = gs[i].String()
	}
	return patterns
}

// empty says whether it is plain to see that the list takes no name: every pattern that
// includes never matches, or is excluded by the same pattern or ** after it.
func (gs globs) empty() bool {
	excluded := map[string]bool{}
	for _, g := range slices.Backward(gs) {
		switch {
		case g.exclude && g.pattern == "**":
			return true
		case g.exclude:
			excluded[g.pattern] = true
		case !g.misses && !excluded[g.pattern]:
			return false
		}
	}
	return !gs.startsFromAll()
}

// globs checks an ordered list of patterns. parse makes a glob of a pattern; hint says
// why a pattern never matches what it is compared with, "" if it may; it can be nil.
func (s scope) globs(list yamldoc.Texts, field string, parse func(string) (glob, error), hint func(string) string) globs {
	var out globs
	hinted := false
	for i, t := range list {
		if t.Value == "" {
			continue // reported by the decoder
		}
		at := field
		if len(list) > 1 {
			at = indexed(field, i)
		}
		g, err := parse(t.Value)
		if err != nil {
			s.fault(t.At, at, "%v", err)
			continue
		}
		if hint != nil {
			if why := hint(g.pattern); why != "" {
				s.warn(t.At, at, "this never matches: %s", why)
				g.misses, hinted = true, true
			}
		}
		out = append(out, g)
	}
	if out.empty() && !hinted {
		why := "every pattern is excluded by a later one"
		if out[len(out)-1].pattern == "**" {
			why = "the last pattern excludes all"
		}
		s.warn(list[len(list)-1].At, field, "no name can match %s: %s", out, why)
	}
	return out
}
