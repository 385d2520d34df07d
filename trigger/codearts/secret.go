package codearts

import (
	"net/http"
	"regexp"
	"strings"

	"buildbridge/trigger/internal/quoted"
)

// Only three things of an answer get into logs and databases: a code, a request id, and a
// message from a known field; and none of them if it contains a piece of a secret (package
// quoted).

// identifier gives a code or a request id, or "" if the text is neither, or repeats a secret.
func identifier(text string, secrets []string) string {
	if !identifiers.MatchString(text) || quoted.Repeats(text, secrets) {
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
