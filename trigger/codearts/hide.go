package codearts

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The errors of a service, or of a proxy before it, may repeat what it was sent, in any
// spelling. So only three things of an answer get into logs and databases: a code, a request
// id, and a message from a known field; and none of them if it contains a piece of a secret.

// hidden replaces a text that repeats a secret.
const hidden = "[hidden: it repeats a secret]"

// piece is how many characters in a row are a piece of a secret. Shorter secrets are not looked
// for: they would be found in ordinary words.
const piece = 6

// hide gives the text, or hidden if it repeats a secret.
func hide(text string, secrets []string) string {
	if repeats(text, secrets) {
		return hidden
	}
	return text
}

// identifier gives a code or a request id, or "" if the text is neither, or repeats a secret.
func identifier(text string, secrets []string) string {
	if !identifiers.MatchString(text) || repeats(text, secrets) {
		return ""
	}
	return text
}

var identifiers = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._:/-]{0,63}$`)

// secretsIn gives the secrets in the header of a request.
func secretsIn(h http.Header) []string {
	var values []string
	for _, name := range []string{headerAuthorization, headerToken, headerSecurityToken} {
		value := h.Get(name)
		if _, signature, ok := strings.Cut(value, "Signature="); ok {
			value = signature // what stands before it is not secret
		}
		if value != "" {
			values = append(values, value)
		}
	}
	return values
}

// repeats reports whether a text contains a piece of a secret: as it is, reversed, in base64 or
// hexadecimal, with the escapes of JSON, HTML, URLs and programming languages, with other
// characters in between, in upper or lower case.
func repeats(text string, secrets []string) bool {
	if len(text) < piece {
		return false
	}
	text = text[:min(len(text), maxRepeated)]
	seen := map[characters]bool{}
	for _, plain := range unescaped(text) {
		for _, form := range forms(plain) {
			for _, long := range []int{piece, 2 * piece} {
				for p := range pieces(form, long) {
					seen[p] = true
				}
			}
		}
	}
	for _, secret := range secrets {
		if len(secret) < piece {
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
	all := map[string]int{hex.EncodeToString([]byte(secret)): 2 * piece, secret: piece, string(reversed): piece}
	for before := range 3 {
		b := []byte(strings.Repeat(" ", before) + secret)
		b = b[(3-before)%3+before:]    // without the bytes that share a group with those before,
		b = b[:len(b)-len(b)%3]        // or with those behind
		standard := base64.StdEncoding // the URL alphabet differs only in characters that forms leaves out
		all[standard.EncodeToString(b)] = piece
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
type characters [2 * piece]rune

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
