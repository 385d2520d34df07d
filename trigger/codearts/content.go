package codearts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"buildbridge/trigger/internal/quoted"
)

// content is what the body of an answer says, in whichever shape: flat or under "result", an
// error_code, an error object, or a JSON string that holds JSON.
type content struct {
	object      map[string]any // nil if the body holds no JSON object
	list        []any          // of a body that is a JSON array
	buildNumber string
	run         RunStart // of RunPipeline
	code        string
	message     string
	requestID   string
}

// parseContent never fails: object and list are nil for a body that it does not understand. Texts that
// repeat a secret are hidden, see package quoted.
func parseContent(body []byte, secrets ...string) content {
	value := decodeValue(body, 2)
	object, ok := value.(map[string]any)
	if !ok {
		if list, ok := value.([]any); ok {
			return content{list: list, message: "a list instead of a JSON object"}
		}
		switch body = bytes.TrimSpace(body); {
		case len(body) == 0:
			return content{}
		case body[0] == '<':
			return content{message: "a page instead of JSON"}
		}
		return content{message: "something else than a JSON object"}
	}
	const number = "actual_build_number"
	result, _ := object["result"].(map[string]any)
	c := content{object: object, buildNumber: cmp.Or(text(object, number), text(result, number)), run: parseRunStart(object)}
	c.code = text(object, "error_code", "err_code", "errorCode")
	c.message = text(object, "error_msg", "errorMsg", "message")
	switch e := object["error"].(type) {
	case map[string]any:
		c.code = cmp.Or(c.code, text(e, "code", "error_code"))
		c.message = cmp.Or(c.message, text(e, "message", "reason", "error_msg"))
	case string:
		c.message = cmp.Or(c.message, e)
	}
	c.code = identifier(c.code, secrets)
	c.message = quoted.Line(quoted.Hide(c.message, secrets), 500)
	c.requestID = identifier(text(object, "request_id"), secrets)
	return c
}

// failed reports whether the body says that the call failed, whatever the status.
func (c content) failed() bool {
	return c.refused() || slices.Contains([]string{"error", "fail", "failed"}, strings.ToLower(text(c.object, "status")))
}

// refused is failed for a body whose status is that of what was asked for.
func (c content) refused() bool {
	e := c.object["error"]
	return c.code != "" || c.object == nil || e != nil && e != ""
}

// decodeValue decodes a JSON value, or one in a JSON string, in up to depth strings; nil if
// there is none.
func decodeValue(body []byte, depth int) any {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return nil
	}
	if s, ok := v.(string); ok && depth > 0 {
		return decodeValue([]byte(s), depth-1)
	}
	return v
}

// text gives the first of the named members that is a string or a number, and is not empty.
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
