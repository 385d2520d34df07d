// Package quoted makes texts of others fit to be logged, shown and stored: what a service, a code
// host or a proxy answered. They may repeat what was sent, in any spelling: a text that has a
// piece of a secret is not shown at all.
package quoted

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Hidden replaces a text that repeats a secret.
const Hidden = "[hidden: it repeats a secret]"

// Piece is how many characters in a row are a piece of a secret. Shorter secrets are not looked
// for: they would be found in ordinary words.
const Piece = 6

// Hide gives the text, or Hidden if it repeats a secret.
func Hide(text string, secrets []string) string {
	if Repeats(text, secrets) {
		return Hidden
	}
	return text
}

// Repeats reports whether a text contains a piece of a secret: as it is, reversed, in base64 or
// hexadecimal, with the escapes of JSON, HTML, URLs and programming languages, with other
// characters in between, in upper or lower case.
func Repeats(text string, secrets []string) bool {
	if len(text) < Piece {
		return false
	}
	text = text[:min(len(text), maxRepeated)]
	seen := map[characters]bool{}
	for _, plain := range unescaped(text) {
		for _, form := range forms(plain) {
			for _, long := range []int{Piece, 2 * Piece} {
				for p := range pieces(form, long) {
					seen[p] = true
				}
			}
		}
	}
	for _, secret := range secrets {
		if len(secret) < Piece {
			continue
		}
		for spelling, long := range spellings(secret) {
			for _, form := range forms(spelling) {
				for p := range pieces(form, long) {
					if seen[p] {
						return true
					}
				}
			}
		}
	}
	return false
}

// maxRepeated is how many bytes of a text are searched: more than are kept of any text.
const maxRepeated = 4 << 10

// spellings gives the spellings of a secret, with the length of a piece of each. There are three
// in base64: how a text is written depends on how many bytes stand before it. Pieces in
// hexadecimal are twice as long, because ids of jobs, commits and requests contain short ones.
func spellings(secret string) map[string]int {
	reversed := []rune(secret)
	slices.Reverse(reversed)
	all := map[string]int{hex.EncodeToString([]byte(secret)): 2 * Piece, secret: Piece, string(reversed): Piece}
	for before := range 3 {
		b := []byte(strings.Repeat(" ", before) + secret)
		b = b[(3-before)%3+before:]    // without the bytes that share a group with those before,
		b = b[:len(b)-len(b)%3]        // or with those behind
		standard := base64.StdEncoding // the URL alphabet differs only in characters that forms leaves out
		all[standard.EncodeToString(b)] = Piece
	}
	return all
}

// forms are how texts are compared: in lower case, as they are and with letters and digits only.
func forms(text string) []string {
	text = strings.ToLower(text)
	return []string{text, strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, text)}
}

// characters are those of a piece.
type characters [2 * Piece]rune

// pieces gives the pieces of a text that are long characters long.
func pieces(text string, long int) iter.Seq[characters] {
	return func(yield func(characters) bool) {
		runes := []rune(text)
		for i := range len(runes) - long + 1 {
			var p characters
			if copy(p[:], runes[i:i+long]); !yield(p) {
				return
			}
		}
	}
}

// unescaped gives a text as it is and without its escapes, three times, because there may be
// escapes within escapes.
func unescaped(text string) []string {
	all := []string{text}
	for range 3 {
		plain := escapes.ReplaceAllStringFunc(html.UnescapeString(text), func(s string) string {
			digits, base := strings.Trim(s[1:], "uUx{}"), 16
			if s[0] == '\\' && '0' <= s[1] && s[1] <= '7' {
				base = 8
			}
			if n, err := strconv.ParseInt(digits, base, 32); err == nil && len(digits) > 1 {
				return string(rune(n))
			}
			return s[1:]
		})
		if plain == text {
			break
		}
		all = append(all, plain)
		text = plain
	}
	return all
}

//nolint:lll // one expression
var escapes = regexp.MustCompile(`\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|\\[ux]\{[0-9A-Fa-f]{1,6}\}|\\x[0-9A-Fa-f]{2}|\\[0-7]{3}|%[0-9A-Fa-f]{2}|\\.`)

// Line makes the text of others fit to be logged and shown: printable, on one line, with
// at most limit characters. Unlike printable.Text it drops what does not print: these are
// sentences, which read better without escapes.
func Line(s string, limit int) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if !unicode.IsPrint(r) || unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		if n >= limit {
			b.WriteRune('…')
			break
		}
		if space {
			b.WriteByte(' ')
			n++
			space = false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// Error makes an error fit to be logged, shown and stored whose text may quote others: a
// proxy, or a service that does not speak HTTP. What the latter sent is left out. See [Hide].
func Error(err error, secrets []string) error {
	text := err.Error()
	if before, _, quoted := strings.Cut(text, "malformed "); quoted {
		text = before + "malformed HTTP"
	}
	return foreignError{text: Line(Hide(text, secrets), 1000), error: err}
}

type foreignError struct {
	error
	text string
}

func (e foreignError) Error() string { return e.text }
func (e foreignError) Unwrap() error { return e.error }
