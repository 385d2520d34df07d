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

// parseAnswer never fails: of what it does not understand, object is nil. Texts are
// those that may be kept, see hide.
func parseAnswer(body []byte, secrets ...string) answer {
	object, ok := decodeObject(body, 2)
	if !ok {
		switch body = bytes.TrimSpace(body); {
		case len(body) == 0:
			return answer{}
		case body[0] == '<':
			return answer{message: "a page instead of JSON"}
		}
		return answer{message: "something else than a JSON object"}
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
	a.code = identifier(a.code, secrets)
	a.message = oneLine(hide(a.message, secrets), 500)
	a.requestID = identifier(text(object, "request_id"), secrets)
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
