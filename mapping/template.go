package mapping

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"

	"buildbridge/mapping/internal/yamldoc"
)

// template is the value of a parameter as it is written: text with ${…} in it.
type template []part

// part is literal text or an expression.
type part struct {
	literal string

	text       string // of the expression; "" for literal text
	offset     int    // of text in the template, in bytes
	expression *expression
}

// splitTemplate takes text apart at its ${…}; $${ is a literal ${. With a fault come the
// parts before it. The expressions are not compiled yet.
func splitTemplate(s string) (template, *textFault) {
	var out template
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			out = append(out, part{literal: literal.String()})
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
			text := s[i+2 : i+2+n]
			flush()
			if strings.TrimSpace(text) == "" {
				return out, &textFault{i, "${} is empty; write $${ for a literal ${"}
			}
			out = append(out, part{text: text, offset: i + 2})
			i += 2 + n + 1
		default:
			literal.WriteByte(s[i])
			i++
		}
	}
	flush()
	return out, nil
}

// expressionLength finds the } that ends an expression. It understands braces, string
// literals and comments in the expression as CEL does. The offset of a fault counts from
// the ${ before s.
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

// isRaw says whether a string literal that follows the text before is raw: r"…", br"…".
func isRaw(before string) bool {
	rest := strings.TrimRightFunc(before, func(r rune) bool {
		return r == '_' || r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
	})
	return slices.Contains([]string{"r", "br", "rb"}, strings.ToLower(before[len(rest):]))
}

// stringLength is the length of the string literal at the beginning of s, quotes
// included; -1 if it does not end.
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

// template compiles the value of a parameter, or a constant.
func (s scope) template(t yamldoc.Text, field string) template {
	parts, known := s.language.templates[t.Value]
	if !known && t.At.Known() {
		parts = s.newTemplate(t, field)
	}
	for _, p := range parts {
		if p.expression != nil {
			s.checkConstants(p.expression, t, p.offset, field)
		}
	}
	return parts
}

func (s scope) newTemplate(t yamldoc.Text, field string) template {
	before := s.reported
	parts, wrong := splitTemplate(t.Value)
	if wrong != nil {
		s.fault(s.file.Inside(t, wrong.offset), field, "%s", wrong.message)
	}
	var literals strings.Builder // they are part of every value
	for i := range parts {
		p := &parts[i]
		literals.WriteString(p.literal)
		if p.text == "" {
			continue
		}
		if why := doubled(p.text); why != "" {
			s.fault(s.file.Inside(t, p.offset), field, "%s", why)
			continue
		}
		e, faults := s.language.compile(p.text)
		for _, f := range faults {
			s.fault(s.file.Inside(t, p.offset+f.offset), field, "%s", f.message)
		}
		if e != nil && !e.mayBe(types.StringKind, types.IntKind, types.UintKind, types.BoolKind) {
			s.fault(s.file.Inside(t, p.offset), field, "the result is %s, not a string, an integer or a boolean", e.result)
		}
		p.expression = e
	}
	literal := literals.String()
	if n := utf8.RuneCountInString(literal); n > maxValue {
		s.fault(t.At, field, "a value has at most %d characters, this has %d", maxValue, n)
	}
	if why := unsendable(literal); why != "" {
		s.fault(t.At, field, "%s; in YAML, write long text as a folded block (>-)", why)
	}
	if s.reported == before {
		s.language.templates[t.Value] = parts
	}
	return parts
}

// value evaluates a parameter. An error means that the build must not be started.
func (t template) value(m *meter, ev *Event, with *constants) (string, error) {
	var b strings.Builder
	for _, p := range t {
		v := p.literal
		if p.expression != nil {
			var err error
			if v, err = m.format(p.expression, ev, with); err != nil {
				return "", err
			}
		}
		b.WriteString(v)
	}
	v := b.String()
	if n := utf8.RuneCountInString(v); n > maxValue {
		return "", fmt.Errorf("the value has %d characters, and at most %d are allowed", n, maxValue)
	}
	if why := unsendable(v); why != "" {
		return "", errors.New(why)
	}
	return v, nil
}

// String is the template as it can be written.
func (t template) String() string {
	var b strings.Builder
	for _, p := range t {
		if p.text == "" {
			b.WriteString(strings.ReplaceAll(p.literal, "${", "$${"))
		} else {
			b.WriteString("${" + p.text + "}")
		}
	}
	return b.String()
}

// has says whether an expression of the template is of the kind that is asked for.
func (t template) has(kind func(*expression) bool) bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.expression != nil && kind(p.expression) })
}
