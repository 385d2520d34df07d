package mapping

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
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

// CheckRef says what is wrong with the full name of a branch or a tag. Git forbids such
// names (https://git-scm.com/docs/git-check-ref-format), so no host has them. A name that
// is not UTF-8 is refused too: what the host sends for it names another ref.
func CheckRef(ref string) error {
	switch {
	case len(ref) > MaxRef:
		return fmt.Errorf("has %d bytes, at most %d are taken", len(ref), MaxRef)
	case !utf8.ValidString(ref) || strings.ContainsRune(ref, utf8.RuneError):
		return errors.New("is not UTF-8")
	}
	forbidden := func(part string) error { return fmt.Errorf("is not a name that Git allows: it has %s", part) }
	for _, c := range ref {
		switch {
		case c < ' ', c == 0x7f:
			return forbidden("a control character")
		case strings.ContainsRune(` ~^:?*[\`, c):
			return forbidden(fmt.Sprintf("%q", c))
		}
	}
	for _, part := range []string{"..", "@{", "//"} {
		if strings.Contains(ref, part) {
			return forbidden(fmt.Sprintf("%q", part))
		}
	}
	for part := range strings.SplitSeq(ref, "/") {
		switch {
		case part == "":
			return forbidden(`a "/" at its end`)
		case strings.HasPrefix(part, "."):
			return forbidden(`a part that begins with "."`)
		case strings.HasSuffix(part, ".lock"):
			return forbidden(`a part that ends in ".lock"`)
		}
	}
	if strings.HasSuffix(ref, ".") {
		return forbidden(`a "." at its end`)
	}
	return nil
}
