package mapping

import (
	"fmt"
	"strings"
)

// segment is a part of a template: literal text, or the text of an expression.
type segment struct {
	literal    string
	expression string
	offset     int // of the expression in the template, in bytes
	isExpr     bool
}

// splitTemplate takes text apart at its ${…}. $${ stands for a literal ${. With
// an error come the segments before it.
func splitTemplate(s string) ([]segment, *textFault) {
	var out []segment
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			out = append(out, segment{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], "$${"):
			literal.WriteString("${")
			i += 3
		case strings.HasPrefix(s[i:], "${"):
			n, err := expressionLength(s[i+2:])
			if err != nil {
				err.offset += i
				flush()
				return out, err
			}
			expr := s[i+2 : i+2+n]
			if strings.TrimSpace(expr) == "" {
				flush()
				return out, &textFault{i, "${} is empty; write $${ for a literal ${"}
			}
			flush()
			out = append(out, segment{expression: expr, offset: i + 2, isExpr: true})
			i += 2 + n + 1
		default:
			literal.WriteByte(s[i])
			i++
		}
	}
	flush()
	return out, nil
}

// expressionLength finds the } that ends an expression: braces, string literals
// and comments inside of it are understood as CEL does. Offsets of its errors
// count from the ${ before s.
func expressionLength(s string) (int, *textFault) {
	depth := 0
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '{':
			depth++
			i++
		case c == '}':
			if depth == 0 {
				return i, nil
			}
			depth--
			i++
		case c == '"' || c == '\'':
			n := stringLength(s[i:], isRaw(s[:i]))
			if n < 0 {
				return 0, &textFault{2 + i, fmt.Sprintf("the text that begins with %c does not end", c)}
			}
			i += n
		case strings.HasPrefix(s[i:], "//"):
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				return 0, &textFault{0, "the expression that begins here does not end: a comment (//) reaches to the end of the line"}
			}
			i += n
		default:
			i++
		}
	}
	return 0, &textFault{0, "the expression that begins here does not end: its } is missing; write $${ for a literal ${"}
}

// isRaw says whether a string literal that follows before is a raw one: r"…",
// br"…" and so on.
func isRaw(before string) bool {
	word := len(before)
	for word > 0 && isWord(before[word-1]) {
		word--
	}
	switch strings.ToLower(before[word:]) {
	case "r", "br", "rb":
		return true
	default:
		return false
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// stringLength is the length of the string literal at the beginning of s, with
// its quotes; -1 if it does not end.
func stringLength(s string, raw bool) int {
	quote := s[:1]
	long := strings.HasPrefix(s, strings.Repeat(quote, 3))
	if long {
		quote = s[:3]
	}
	for i := len(quote); i < len(s); {
		switch {
		case s[i] == '\\' && !raw:
			i += 2
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote)
		case s[i] == '\n' && !long:
			return -1
		default:
			i++
		}
	}
	return -1
}
