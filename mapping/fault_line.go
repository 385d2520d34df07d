package mapping

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"buildbridge/mapping/internal/yamldoc"
	"buildbridge/mapping/printable"
)

// maxExcerpt is how many characters of a line are shown.
const maxExcerpt = 100

// notExpression begins the message of a fault of syntax in an expression.
const notExpression = "not an expression: "

// lineOf gives the line of a fault of syntax, for people to see: "" for another fault, and for
// a line in which a secret may stand where it does not belong.
func (s scope) lineOf(f Fault) string {
	if !strings.HasPrefix(f.Message, yamldoc.NotYAML) && !strings.HasPrefix(f.Message, notExpression) {
		return ""
	}
	line, _ := s.file.Line(f.Line)
	if line == "" || !s.isPublic(f.Line, line) {
		return ""
	}
	return line
}

var (
	topLevel = regexp.MustCompile(`^([A-Za-z_-]+) *(:|$)`)
	onlyName = regexp.MustCompile(`^[\s-]*[A-Za-z_-]+ *:?$`)
	secretly = regexp.MustCompile(`(?i)secret|token|passw|_key|credential`)
)

// isPublic says whether no secret stands in a line: it has only a name, or it is among rules
// and names nothing secret.
func (s scope) isPublic(n int, line string) bool {
	if secretly.MatchString(line) {
		return false
	}
	for ; n > 0; n-- {
		above, _ := s.file.Line(n)
		if m := topLevel.FindStringSubmatch(above); m != nil {
			return slices.Contains([]string{"version", "rules", "defaults"}, m[1]) || above == line && onlyName.MatchString(line)
		}
	}
	return strings.HasPrefix(line, "version")
}

// Excerpt is the line of the file where a fault of syntax is, in two lines that each begin with
// a space, with a caret below the column; "" for other faults.
func (f Fault) Excerpt() string {
	if f.LineText == "" {
		return ""
	}
	characters := []rune(strings.TrimRight(f.LineText, " \t"))
	begin := max(0, min(f.Column-1-maxExcerpt/2, len(characters)-maxExcerpt))
	end := min(len(characters), begin+maxExcerpt)
	number := fmt.Sprintf("%5d | ", f.Line)
	var line, below strings.Builder
	for i, c := range characters[begin:end] {
		if c == '\t' {
			c = '→'
		}
		line.WriteRune(c)
		switch {
		case begin+i >= f.Column-1:
		case wide(c):
			below.WriteRune('\u3000') // as wide as c
		default:
			below.WriteByte(' ')
		}
	}
	for n := len(characters); n < f.Column-1; n++ {
		below.WriteByte(' ')
	}
	return number + printable.Text(line.String()) + "\n" + strings.Repeat(" ", len(number)-2) + "| " + below.String() + "^"
}

// wide says whether terminals show a character two columns wide.
func wide(c rune) bool {
	return unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) ||
		c >= 0x3000 && c <= 0x303f || c >= 0xff01 && c <= 0xff60
}
