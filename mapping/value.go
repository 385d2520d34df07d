package mapping

import (
	"cmp"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// maxValue is the most characters that CodeArts Build takes as the value of a
// parameter (its page "Execute the build job").
const maxValue = 8192

// unsendable says why text is not sent to CodeArts Build, "" if it may be.
func unsendable(s string) string {
	for _, c := range s {
		switch {
		case c == utf8.RuneError: // bytes that are not UTF-8, or what a decoder wrote in place of them
			return "the value has a character that was not UTF-8 (U+FFFD)"
		case unicode.IsControl(c):
			return fmt.Sprintf("the value has a control character (%s)", cmp.Or(controlNames[c], fmt.Sprintf("%U", c)))
		}
	}
	return ""
}

var controlNames = map[rune]string{'\n': "a line break", '\r': "a line break", '\t': "a tab"}
