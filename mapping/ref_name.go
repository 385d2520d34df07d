package mapping

import (
	"fmt"
	"strings"
)

// noRefName says why a pattern matches no short name of a branch or tag, "" if it may match
// one: Git refuses such names (git-check-ref-format). Quotes, for example, it takes.
func noRefName(pattern string) string {
	text := literals(pattern)
	for _, r := range text {
		switch {
		case r == anyText:
		case r == ' ':
			return "no name has a space; several patterns are a list, [main, dev]"
		case r < ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r):
			return fmt.Sprintf("Git allows no %q in a name", r)
		}
	}
	for _, sequence := range []string{"..", "@{", "//"} {
		if strings.Contains(text, sequence) {
			return fmt.Sprintf("Git allows no %q in a name", sequence)
		}
	}
	switch {
	case strings.HasSuffix(text, "/"):
		return "no name ends with /; write " + pattern + "** for all that begin so"
	case strings.HasPrefix(text, "/"):
		return "no name begins with /"
	case strings.HasSuffix(text, "."):
		return "no name ends with a dot"
	}
	for part := range strings.SplitSeq(text, "/") {
		switch {
		case strings.HasPrefix(part, "."):
			return "no part of a name begins with a dot"
		case strings.HasSuffix(part, ".lock"):
			return "no part of a name ends with .lock"
		}
	}
	return ""
}

// anyText stands for what can be several texts, or none.
const anyText = rune(0)

// literals is the text that every name has that a valid pattern matches, with anyText for
// each wildcard, class, and pair of braces.
func literals(pattern string) string {
	var b strings.Builder
	b.Grow(len(pattern))
	depth, class := 0, false
	add := func(c byte) {
		if depth == 0 && !class {
			b.WriteByte(c)
		}
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
			add(pattern[i])
		case class:
			class = c != ']'
		case c == '[':
			add(byte(anyText))
			class = true
		case c == '{':
			add(byte(anyText))
			depth++
		case c == '}' && depth > 0:
			depth--
		case c == '*' || c == '?':
			add(byte(anyText))
		default:
			add(c)
		}
	}
	return b.String()
}
