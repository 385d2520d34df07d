package codehost

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Saved is [Trust] for a body that was saved, perhaps without its headers. It takes a body
// that begins as a form for a form, and guesses the event from the fields of the body if
// no header names it. The error for a body that is no JSON object is [ErrMalformed],
// which says so, and does not ask for a header.
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
	return newMessage(host, "", withEvent(provider, h, body), payload), nil
}

// with gives a copy of the headers with one more.
func with(h http.Header, name, value string) http.Header {
	if h = h.Clone(); h == nil {
		h = make(http.Header)
	}
	h.Set(name, value)
	return h
}

// withEvent adds the header that names the event, if there is none and the body tells the
// event. It is for explaining, never for a delivery from the network: its host names the
// event.
func withEvent(provider string, h http.Header, body []byte) http.Header {
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

// mistaken says for the log that the headers are those of another host: most often the
// source has the wrong provider. It is "" if they may be those of this host.
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

// text is the text of a field, "" if it is none.
func (f topFields) text(name string) string {
	var text loose
	if decodeJSON(f[name], &text) != nil || f[name].Kind() != jsontext.KindString {
		return ""
	}
	return string(text)
}
