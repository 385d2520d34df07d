package codehost

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"buildbridge/mapping"
)

var (
	// ErrUnauthenticated means that nobody should be told why: the wrapped text
	// is for our own log. It never holds a secret.
	ErrUnauthenticated = errors.New("not authenticated")

	// ErrMalformed means that the host, or who plays it, sent something that
	// cannot be understood. The wrapped text says what, and may be sent back.
	ErrMalformed = errors.New("malformed delivery")
)

// Message is a delivery that somebody vouches for: a key of its source, or the
// caller of [Trust].
type Message struct {
	host      *host
	key       string
	event, id string // from the headers
	// header holds the headers that name the event and the delivery, by their canonical
	// names, never credentials.
	header  map[string]string
	payload []byte // JSON, taken out of its form; it may hold secrets of the host
}

// Authenticate believes a delivery or not, by its raw bytes, before anything of
// it is decoded. The time matters to signatures that age.
//
// The error is [ErrUnauthenticated]; [ErrMalformed] for an authenticated form
// body without a payload, or from a host that sends no forms; or neither, for a
// provider that is none of [Providers].
func Authenticate(provider string, keys Keys, h http.Header, raw []byte, now time.Time) (*Message, error) {
	host, err := hostOf(provider)
	if err != nil {
		return nil, err
	}
	// A form is only taken apart here; what is in it stays bytes. Before it is
	// authenticated that is done for hosts alone that sign what is in it, and once a
	// signature is there.
	r := request{keys: keys, header: h, raw: raw, now: now}
	if host.signsInner {
		r.inner = sync.OnceValues(func() ([]byte, error) { return host.unwrap(h, raw) })
	}
	key := ""
	if !keys.Insecure || !keys.empty() {
		if key, err = host.proof.check(r); err != nil {
			return nil, fmt.Errorf("%s: %w: %w%s", provider, ErrUnauthenticated, err, host.mistaken(h))
		}
	}
	var payload []byte
	if r.inner != nil {
		payload, err = r.inner()
	} else {
		payload, err = host.unwrap(h, raw)
	}
	if err != nil {
		return nil, err
	}
	return newMessage(host, key, h, payload), nil
}

// Trust skips the authentication: for bodies the user explains, and for replays
// of what was authenticated before. The errors are those of [Authenticate]
// without [ErrUnauthenticated].
func Trust(provider string, h http.Header, raw []byte) (*Message, error) {
	host, err := hostOf(provider)
	if err != nil {
		return nil, err
	}
	payload, err := host.unwrap(h, raw)
	if err != nil {
		return nil, err
	}
	return newMessage(host, "", h, payload), nil
}

func newMessage(host *host, key string, h http.Header, payload []byte) *Message {
	m := &Message{host: host, key: key, header: make(map[string]string), payload: payload}
	m.event, m.id = m.keep(h, host.eventHeaders), m.keep(h, host.idHeaders)
	if host.pingHeader != "" {
		m.keep(h, []string{host.pingHeader})
	}
	return m
}

// keep keeps the named headers that were sent, and gives the value of the first.
func (m *Message) keep(h http.Header, names []string) (first string) {
	for _, name := range names {
		name = http.CanonicalHeaderKey(name)
		if value := h.Get(name); value != "" {
			m.header[name], first = value, cmp.Or(first, value)
		}
	}
	return first
}

// Key names the key that matched by its place in the configuration:
// "secrets[0]", "signing_tokens[1]", "basic[0]"; "" where none was asked for.
func (m *Message) Key() string { return m.key }

// EventHeader is the header that names the event; "" where the body does.
func (m *Message) EventHeader() string {
	for _, name := range m.host.eventHeaders {
		if m.header[http.CanonicalHeaderKey(name)] != "" {
			return name
		}
	}
	return ""
}

const redacted = "[hidden]"

// stored is the payload without the secrets that some hosts put into it: the password
// and sign of Gitee, the secret of Gogs and of older Giteas. It is nil for a body that may
// hold one and is no JSON object.
func (m *Message) stored() []byte {
	if !slices.ContainsFunc(m.host.secretFields, func(name string) bool {
		return bytes.Contains(m.payload, []byte(`"`+name+`"`))
	}) {
		return m.payload
	}
	var fields topFields
	if decodeJSON(m.payload, &fields) != nil {
		return nil
	}
	for _, name := range m.host.secretFields {
		if _, ok := fields[name]; ok {
			fields[name] = jsontext.Value(`"` + redacted + `"`)
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // nothing else shall change
	if encoder.Encode(fields) != nil {
		return nil
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// Decode tells what the host said. The error is [ErrMalformed] with the field
// that is missing or wrong.
func (m *Message) Decode() (Delivery, error) {
	d := Delivery{Delivery: mapping.Delivery{
		Provider: m.host.Name, Event: m.event, HostID: m.id, Header: m.header, Body: m.stored(),
	}}
	if err := m.decode(&d); err != nil {
		return Delivery{}, fmt.Errorf("%s: %w", m.host.Name, err)
	}
	d.finish(m.host, m.payload)
	return d, nil
}

func (m *Message) decode(d *Delivery) error {
	switch {
	case m.host.pingHeader != "" && m.header[m.host.pingHeader] == "true": // of a push that is made up
		return d.leaveOutAll(m.payload, mapping.ReasonPing, whyPing)
	case d.Event == "" && !m.host.eventInBody:
		return missing("header " + m.host.eventHeaders[0])
	}
	return m.host.decode(d, m.payload)
}
