package codehost

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Saved is [Trust] for a body that was saved, perhaps without its headers: one
// that begins as a form is taken for a form, and the event is that of
// [WithEvent]. A body that nothing can be guessed from is [ErrMalformed] for what
// it is, not for the header it lacks.
func Saved(provider string, h http.Header, body []byte) (*Message, error) {
	host, err := hostOf(provider)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		return nil, fmt.Errorf("%s: %w", provider, malformed("the body is compressed by gzip, which no host does; unpack it"))
	}
	if h.Get("Content-Type") == "" && bytes.HasPrefix(body, []byte("payload=")) {
		h = with(h, "Content-Type", formType)
	}
	payload, err := host.unwrap(h, body)
	if err != nil {
		return nil, err
	}
	if err := ignoreBody(payload); err != nil {
		return nil, fmt.Errorf("%s: %w", provider, err)
	}
	return newMessage(host, "", WithEvent(provider, h, body), payload), nil
}

// with gives the headers with another one.
func with(h http.Header, name, value string) http.Header {
	if h = h.Clone(); h == nil {
		h = make(http.Header)
	}
	h.Set(name, value)
	return h
}

// WithEvent gives the headers of a body that was saved without them: where none
// names the event, it is guessed from the fields of the body. A body that says
// nothing gets no header. It is for explaining, never for what came by network:
// there the host names its event.
func WithEvent(provider string, h http.Header, body []byte) http.Header {
	host, err := hostOf(provider)
	if err != nil || len(host.eventHeaders) == 0 {
		return h
	}
	for _, name := range host.eventHeaders {
		if h.Get(name) != "" {
			return h
		}
	}
	payload, err := host.unwrap(h, body)
	if err != nil {
		return h
	}
	var fields topFields
	if decodeJSON(payload, &fields) != nil {
		return h
	}
	if event := host.guess(fields); event != "" {
		return with(h, host.eventHeaders[0], event)
	}
	return h
}

// mistaken is what our log is told where the headers are those of another host: most
// often the source has the wrong provider. It is "" where they may be this host's.
func (h *host) mistaken(header http.Header) string {
	for _, sender := range slices.Backward(hosts) {
		for _, name := range sender.ownHeaders {
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

// has reports whether there is a field.
func (f topFields) has(name string) bool {
	_, ok := f[name]
	return ok
}

// text is a field that is text, else "".
func (f topFields) text(name string) string {
	var text loose
	if decodeJSON(f[name], &text) != nil || f[name].Kind() != jsontext.KindString {
		return ""
	}
	return string(text)
}
