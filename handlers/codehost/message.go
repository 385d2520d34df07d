package codehost

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"buildbridge/mapping"
)

var (
	// ErrUnauthenticated means that a delivery is not authenticated. The wrapped text says
	// why, for the log only. It never holds a secret.
	ErrUnauthenticated = errors.New("not authenticated")

	// ErrMalformed means that a delivery cannot be decoded. The wrapped text says why, and
	// may be sent back.
	ErrMalformed = errors.New("malformed delivery")
)

// Message is an authenticated delivery that is not decoded yet.
type Message struct {
	host      *host
	key       string
	event, id string // from the headers
	// header holds the headers that name the event and the delivery, by their canonical
	// names, never credentials.
	header  map[string]string
	payload []byte // JSON, taken out of its form; it may hold secrets of the host
}

// Authenticate authenticates a delivery by its raw bytes, before anything is decoded. Some
// signatures are valid for a limited time around now.
//
// The error is [ErrUnauthenticated]; [ErrMalformed] for an authenticated form without a
// payload, or from a host that sends no forms; or another one for a provider that is not
// one of [Providers].
func Authenticate(provider string, keys Keys, h http.Header, raw []byte, now time.Time) (*Message, error) {
	host, err := hostOf(provider)
	if err != nil {
		return nil, err
	}
	// The JSON is taken out of a form, and stays bytes. That is done before the
	// authentication only for hosts that sign the JSON, if there is a signature.
	unwrap := func() ([]byte, error) { return host.unwrap(h.Get("Content-Type"), raw) }
	r := request{keys: keys, header: h, raw: raw, now: now}
	if host.signsInner {
		unwrap = sync.OnceValues(unwrap)
		r.inner = unwrap
	}
	key := ""
	if !keys.Insecure || !keys.empty() {
		if key, err = host.proof.check(r); err != nil {
			return nil, fmt.Errorf("%s: %w: %w%s", provider, ErrUnauthenticated, err, host.mistaken(h))
		}
	}
	payload, err := unwrap()
	if err != nil {
		return nil, err
	}
	return newMessage(host, key, h, payload), nil
}

// Trust gives the message without authentication: for bodies to explain, and for replays of
// deliveries that were authenticated before. The errors are those of [Authenticate] but
// [ErrUnauthenticated].
func Trust(provider string, h http.Header, raw []byte) (*Message, error) {
	host, err := hostOf(provider)
	if err != nil {
		return nil, err
	}
	payload, err := host.unwrap(h.Get("Content-Type"), raw)
	if err != nil {
		return nil, err
	}
	return newMessage(host, "", h, payload), nil
}

func newMessage(host *host, key string, h http.Header, payload []byte) *Message {
	m := &Message{host: host, key: key, header: make(map[string]string), payload: payload}
	m.event, m.id = m.keep(h, host.eventHeaders), m.keep(h, host.idHeaders)
	for _, name := range []string{host.pingHeader, host.keptHeader} {
		if name != "" {
			m.keep(h, []string{name})
		}
	}
	return m
}

// keep keeps the named headers, and gives the value of the first that is there.
func (m *Message) keep(h http.Header, names []string) (first string) {
	for _, name := range names {
		name = http.CanonicalHeaderKey(name)
		if value := h.Get(name); value != "" {
			m.header[name], first = value, cmp.Or(first, value)
		}
	}
	return first
}

// Key is the place of the key that matched in the configuration: "secrets[0]",
// "signing_tokens[1]", "basic[0]"; "" if no key was needed.
func (m *Message) Key() string { return m.key }

// EventHeader is the header that names the event, "" if the body does.
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
// hold one and is not a JSON object.
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
	encoder.SetEscapeHTML(false) // the rest has to stay as it is
	if encoder.Encode(fields) != nil {
		return nil
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// Decode decodes the message. The error is [ErrMalformed], with the field that is missing
// or wrong.
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
	case m.host.pingHeader != "" && isPing(m.header[m.host.pingHeader]): // of an invented push
		return d.leaveOutAll(m.payload, testCall)
	case m.host.eventInBody:
		return m.host.decode(d, m.payload)
	case d.Event == "":
		return missing("header " + m.host.eventHeaders[0])
	}
	switch what, ok := m.host.events[d.Event]; {
	case !ok:
		return d.leaveOutEvent(m.payload, d.Event)
	case what.Why != "":
		return d.leaveOutAll(m.payload, what)
	}
	return m.host.decode(d, m.payload)
}

func isPing(value string) bool {
	return strings.EqualFold(value, "true") || strings.EqualFold(value, "test")
}
