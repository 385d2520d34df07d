package pages

import (
	"bytes"
	"encoding/json"
	"html/template"
	"strings"

	"buildbridge/mapping/printable"
)

const (
	// maxExcerpt bounds the beginning of a body, in bytes of HTML.
	maxExcerpt = 20_000
	// indentedAtMost is the size in bytes of bodies that are indented.
	indentedAtMost = 256 << 10
	// maxPlain and maxLine bound a text in a page and in a table, in characters.
	maxPlain, maxLine = 600, 120
)

// excerpt is the beginning of a body, fit to be shown.
type excerpt struct {
	Text string
	Size int  // of the whole body, in bytes
	More bool // Text is not all of it
}

// excerptOf gives the beginning of a body: indented if it is JSON and not large.
func excerptOf(body []byte) excerpt {
	e := excerpt{Size: len(body)}
	if len(body) <= indentedAtMost {
		var indented bytes.Buffer
		if json.Indent(&indented, body, "", "  ") == nil {
			body = indented.Bytes()
		}
	}
	var shown strings.Builder
	left := maxExcerpt
	for _, r := range string(body[:min(len(body), maxExcerpt)]) {
		text := string(r)
		if r != '\n' {
			text = printable.Text(text)
		}
		if left -= size(text); left < 0 {
			break
		}
		shown.WriteString(text)
	}
	e.Text, e.More = shown.String(), left < 0 || len(body) > maxExcerpt
	return e
}

// size is how many bytes texts take in HTML.
func size(texts ...string) (n int) {
	for _, text := range texts {
		n += len(template.HTMLEscapeString(text))
	}
	return n
}

// plain is a text from outside as it can be shown: without characters that do not print or that turn
// the direction of others, and not long.
func plain(text string) string { return printable.Text(printable.Clip(text, maxPlain)) }

// line is the same, shorter.
func line(text string) string { return printable.Text(printable.Clip(text, maxLine)) }
