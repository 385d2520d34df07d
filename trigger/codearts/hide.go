package codearts

import (
	"encoding/json"
	"net/http"
	"strings"
)

// hidden takes the place of a secret, one that is long enough to be one: a short
// text would be found in many a word.
const (
	hidden    = "[hidden]"
	minSecret = 6
)

// credentialsIn gives the credentials that a request carries. A service, or a
// proxy before it, that tells in its errors what it was sent must not bring them
// into logs and databases.
func credentialsIn(h http.Header) []string {
	var values []string
	for _, name := range []string{headerAuthorization, headerToken, headerSecurityToken} {
		if value := h.Get(name); value != "" {
			values = append(values, value)
		}
	}
	return values
}

// hide takes secrets out of a text, as they are and as JSON writes them.
func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) < minSecret {
			continue
		}
		text = strings.ReplaceAll(text, secret, hidden)
		if quoted, err := json.Marshal(secret); err == nil {
			text = strings.ReplaceAll(text, string(quoted[1:len(quoted)-1]), hidden)
		}
	}
	return text
}
