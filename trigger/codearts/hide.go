package codearts

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A service, or a proxy before it, may tell in its errors what it was sent, in
// whatever spelling. So nothing of an answer gets into logs and databases but a code, a
// request id, and a message from a field that is known for it; of these, none that has
// a piece of a secret in it.

// hidden takes the place of a text that repeats a secret.
const hidden = "[hidden: it repeats a secret]"

// piece is how many characters in a row make a piece of a secret. Secrets that are
// shorter are none: they would be found in many a word.
const piece = 6

// hide gives the text, or what stands for it if it repeats a secret.
func hide(text string, secrets []string) string {
	if repeats(text, secrets) {
		return hidden
	}
	return text
}

// identifier gives a code or the id of a request; "" if it is not one, or repeats a
// secret.
func identifier(text string, secrets []string) string {
	if !identifiers.MatchString(text) || repeats(text, secrets) {
		return ""
	}
	return text
}

var identifiers = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._:/-]{0,63}$`)

// secretsIn gives the secrets that the header of a request carries.
func secretsIn(h http.Header) []string {
	var values []string
	for _, name := range []string{headerAuthorization, headerToken, headerSecurityToken} {
		value := h.Get(name)
		if _, signature, ok := strings.Cut(value, "Signature="); ok {
			value = signature // the words before it are no secret
		}
		if value != "" {
			values = append(values, value)
		}
	}
	return values
}

// repeats tells whether a text has a piece of a secret in it: as it is, reversed, in
// base64 or hexadecimal, escaped in the ways of JSON, HTML, URLs and programming
// languages, with other characters in between, in either case.
func repeats(text string, secrets []string) bool {
	if len(text) < piece {
		return false
	}
	text = text[:min(len(text), maxRepeated)]
	pieces := map[characters]bool{}
	for _, plain := range unescaped(text) {
		for _, form := range forms(plain) {
			for _, long := range []int{piece, 2 * piece} {
				eachPiece(form, long, func(p characters) bool { pieces[p] = true; return true })
			}
		}
	}
	for _, secret := range secrets {
		if len(secret) < piece {
			continue
		}
		for spelling, long := range spellings(secret) {
			for _, form := range forms(spelling) {
				if !eachPiece(form, long, func(p characters) bool { return !pieces[p] }) {
					return true
				}
			}
		}
	}
	return false
}

// maxRepeated is how much of a text is looked at, in bytes: more than is kept of any.
const maxRepeated = 4 << 10

// spellings of a secret, with the length of a piece of each. In base64 it depends on what
// stands before it how a text is written. Pieces in hexadecimal are twice as long: the ids
// of jobs, commits and requests have many a short one.
func spellings(secret string) map[string]int {
	reversed := []rune(secret)
	slices.Reverse(reversed)
	all := map[string]int{hex.EncodeToString([]byte(secret)): 2 * piece, secret: piece, string(reversed): piece}
	for before := range 3 {
		b := []byte(strings.Repeat(" ", before) + secret)
		b = b[(3-before)%3+before:]    // what shares a group with what stands before it
		b = b[:len(b)-len(b)%3]        // or behind it
		standard := base64.StdEncoding // the other alphabet differs in characters that forms leaves out
		all[standard.EncodeToString(b)] = piece
	}
	return all
}

// forms of a text in which pieces are compared: in lower case, whole and without
// anything but letters and digits.
func forms(text string) []string {
	text = strings.ToLower(text)
	return []string{text, strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, text)}
}

// characters of a piece.
type characters [2 * piece]rune

// eachPiece calls do for each piece of a text, of that many characters, until it returns
// false, and reports whether it never did.
func eachPiece(text string, long int, do func(characters) bool) bool {
	runes := []rune(text)
	for i := 0; i+long <= len(runes); i++ {
		var p characters
		copy(p[:], runes[i:i+long])
		if !do(p) {
			return false
		}
	}
	return true
}

// unescaped gives a text as it is, and without its escapes: three times, for those
// within others.
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

var escapes = regexp.MustCompile(`\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}|\\[ux]\{[0-9A-Fa-f]{1,6}\}|\\x[0-9A-Fa-f]{2}|\\[0-7]{3}|%[0-9A-Fa-f]{2}|\\.`)
