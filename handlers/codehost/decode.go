package codehost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// unmarshal decodes a JSON object into v. Anything else, and anything after it,
// is malformed: null would leave v as it is without a word.
func unmarshal(body []byte, v any) error {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 {
		return malformed("the body is empty")
	} else if trimmed[0] != '{' {
		return malformed("the body is no JSON object")
	}
	err := json.Unmarshal(body, v)
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return malformed("not JSON at byte %d: %s", syntax.Offset, syntax.Error())
	case errors.As(err, &wrong):
		return malformed("%s is a JSON %s, which it should not be", jsonPath(wrong.Field), wrong.Value)
	default:
		return malformed("%s", err)
	}
}

// jsonPath drops the names of embedded Go types out of the path of a field: no
// host begins a name with a capital.
func jsonPath(field string) string {
	parts := slices.DeleteFunc(strings.Split(field, "."), func(part string) bool {
		return part != "" && part[0] >= 'A' && part[0] <= 'Z'
	})
	return strings.Join(parts, ".")
}

// ignoreBody reads nothing of a body but whether it is a JSON object.
func ignoreBody(body []byte) error { return unmarshal(body, &struct{}{}) }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func missing(field string) error { return malformed("%s is missing", field) }

// unread stands where a type of the webhooks library wants more of a field
// than we do: hosts and their versions differ in dates and numbers that nobody
// here reads, and none of them shall cost a build.
type unread struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (unread) UnmarshalJSON([]byte) error { return nil }
