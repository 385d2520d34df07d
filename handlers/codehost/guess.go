package codehost

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Saved is [Trust] for a body that was saved, perhaps without its headers. It takes a body
// that begins as a form for a form, and guesses the event from the fields of the body if
// no header names it. The error for a body that is not a JSON object is [ErrMalformed],
// which says so, and does not ask for a header.
func Saved(provider string, h http.Header, body []byte) (*Message, error) {
	host, err := hostOf(provider)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		return nil, fmt.Errorf("%s: %w", provider, malformed("the body is compressed by gzip, which no host does; unpack it"))
	}
	contentType := h.Get("Content-Type")
	if contentType == "" && bytes.HasPrefix(body, []byte("payload=")) {
		contentType = formType
	}
	payload, err := host.unwrap(contentType, body)
	if err != nil {
		return nil, err
	}
	if err := unmarshal(payload, &struct{}{}); err != nil {
		return nil, fmt.Errorf("%s: %w", provider, err)
	}
	m := newMessage(host, "", h, payload)
	var fields topFields
	if m.event != "" || decodeJSON(payload, &fields) != nil {
		return m, nil
	}
	for _, g := range host.guesses {
		if m.event = g.eventOf(fields); m.event != "" {
			m.header[http.CanonicalHeaderKey(host.eventHeaders[0])] = m.event
			break
		}
	}
	return m, nil
}

// guess is an event, and the fields at the top that a body of it has, apart by spaces: a
// name, or name=text. Without an event, the text of the field names it.
type guess struct{ event, fields string }

// eventOf is the event, "" if the guess does not fit.
func (g guess) eventOf(body topFields) string {
	for field := range strings.FieldsSeq(g.fields) {
		name, want, hasText := strings.Cut(field, "=")
		if _, ok := body[name]; !ok || hasText && body.text(name) != want {
			return ""
		}
	}
	return cmp.Or(g.event, body.text(g.fields))
}

// mistaken says for the log that the headers are those of another host: most often the
// source has the wrong provider. It is "" if they may be those of this host.
func (h *host) mistaken(header http.Header) string {
	for _, sender := range slices.Backward(hosts) {
		for _, name := range sender.own() {
			switch {
			case header.Get(name) == "":
			case sender == h, sender.Name == h.formerly:
				return ""
			default:
				return fmt.Sprintf("; %s came: is the provider %s?", name, sender.Name)
			}
		}
	}
	return ""
}

// Named gives the event and the id of a delivery as headers name them, whatever the host; ""
// for what none names. Nothing of it is authenticated.
func Named(header http.Header) (event, id string) {
	for _, h := range slices.Backward(hosts) {
		for _, name := range h.eventHeaders {
			event = cmp.Or(event, header.Get(name))
		}
		for _, name := range h.idHeaders {
			id = cmp.Or(id, header.Get(name))
		}
	}
	return event, id
}

// text is the text of a field, "" if it is not text.
func (f topFields) text(name string) string {
	var text loose
	if decodeJSON(f[name], &text) != nil || f[name].Kind() != jsontext.KindString {
		return ""
	}
	return string(text)
}
