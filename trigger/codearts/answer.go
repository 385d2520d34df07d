package codearts

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
)

// answer is what every body of the service can say, whichever of its shapes it
// has: flat or under "result", an error_code, an error object, or a JSON string
// that holds JSON.
type answer struct {
	object      map[string]any // nil if the body holds no JSON object
	buildNumber string
	code        string
	message     string
	requestID   string
}

// parseAnswer never fails: what it does not understand is in message, and
// object is nil. Secrets are taken out of the texts before these are cut.
func parseAnswer(body []byte, secrets ...string) answer {
	object, ok := decodeObject(body, 2)
	if !ok {
		return answer{message: excerpt(hide(string(body), secrets))}
	}
	a := answer{object: object, buildNumber: text(object, "actual_build_number")}
	if result, ok := object["result"].(map[string]any); ok && a.buildNumber == "" {
		a.buildNumber = text(result, "actual_build_number")
	}
	a.code = text(object, "error_code", "err_code", "errorCode")
	a.message = text(object, "error_msg", "errorMsg", "message")
	switch e := object["error"].(type) {
	case map[string]any:
		if a.code == "" {
			a.code = text(e, "code", "error_code")
		}
		if a.message == "" {
			a.message = text(e, "message", "reason", "error_msg")
		}
	case string:
		if a.message == "" {
			a.message = e
		}
	}
	a.code = oneLine(hide(a.code, secrets), 64)
	a.message = oneLine(hide(a.message, secrets), 500)
	a.requestID = oneLine(hide(text(object, "request_id"), secrets), 64)
	return a
}

// failed tells whether the body itself reports an error, whatever the status.
func (a answer) failed() bool {
	if a.code != "" || a.object == nil {
		return true
	}
	switch a.object["error"].(type) {
	case nil:
	case string:
		if a.object["error"] != "" {
			return true
		}
	default:
		return true
	}
	switch strings.ToLower(text(a.object, "status")) {
	case "error", "fail", "failed":
		return true
	}
	return false
}

// decodeObject decodes a JSON object, or a JSON string that holds one, down to
// depth strings.
func decodeObject(body []byte, depth int) (map[string]any, bool) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return nil, false
	}
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case string:
		if depth > 0 {
			return decodeObject([]byte(v), depth-1)
		}
	}
	return nil, false
}

// text gives the first of the named members that is a string or a number and
// not empty.
func text(object map[string]any, names ...string) string {
	for _, name := range names {
		switch v := object[name].(type) {
		case string:
			if s := strings.TrimSpace(v); s != "" {
				return s
			}
		case json.Number:
			return v.String()
		}
	}
	return ""
}

// excerpt says what a body that is not ours holds: a page's title, else its
// first words.
func excerpt(body string) string {
	s := strings.TrimSpace(body)
	if s == "" {
		return ""
	}
	if strings.HasPrefix(s, "<") {
		lower := strings.ToLower(s)
		if _, rest, ok := strings.Cut(lower, "<title>"); ok {
			start := len(lower) - len(rest)
			if end := strings.Index(rest, "</title>"); end >= 0 && len(lower) == len(s) {
				return oneLine("a page titled "+strings.TrimSpace(s[start:start+end]), 200)
			}
		}
		return "a page instead of JSON"
	}
	return oneLine(s, 200)
}

// oneLine makes foreign text safe to log and to show: valid, printable, one
// line, at most limit characters.
func oneLine(s string, limit int) string {
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
