package codehost

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"buildbridge/mapping"
)

const (
	// maxHostID bounds what we keep of a host's delivery id, in bytes.
	maxHostID = 256
	// maxEvent bounds what we keep of the name of an event, in bytes.
	maxEvent = 100
	// digestWindow is how long two equal bodies are one delivery, where the host
	// sends no delivery id.
	digestWindow = 10 * time.Minute
)

// Delivery is what a host said.
type Delivery struct {
	HostID string // the host's delivery id, "" if it sends none; at most 256 bytes, else a digest of it
	Event  string // the host's name of the event: "push", "Tag Push Hook"

	// DuplicateKey is equal for deliveries that say the same thing: made of the
	// host's delivery id, else of the body without what changes when it is sent
	// again. DuplicateWindow bounds how long that holds; 0 is without bound.
	DuplicateKey    string
	DuplicateWindow time.Duration

	// Events are the refs that were pushed, in the host's order, without Source.
	Events []mapping.Event

	// Ignored says why there are no Events: ping, event or deleted. It is "" if
	// there are some.
	Ignored mapping.Reason
}

// ignore notes why a change is no event. That something was deleted says more
// than that something else was of no interest.
func (d *Delivery) ignore(reason mapping.Reason) {
	if d.Ignored == "" || reason == mapping.ReasonDeleted {
		d.Ignored = reason
	}
}

// finish fills what follows from the rest.
func (d *Delivery) finish(provider string, body []byte) {
	if len(d.Events) > 0 {
		d.Ignored = ""
	}
	for i := range d.Events {
		d.Events[i].Provider = provider
	}
	if len(d.Event) > maxEvent {
		d.Event = strings.ToValidUTF8(d.Event[:maxEvent], "")
	}
	if len(d.HostID) > maxHostID {
		digest := sha256.Sum256([]byte(d.HostID))
		d.HostID = "sha256:" + hex.EncodeToString(digest[:])
	}
	if d.HostID != "" {
		d.DuplicateKey = "id:" + d.HostID
		return
	}
	d.DuplicateKey = "body:" + bodyDigest(body)
	d.DuplicateWindow = digestWindow
}

// bodyDigest is the same for a body and its repetition: the fields at the top
// of it without those that change with the time, in order of their names, and
// without white space.
func bodyDigest(body []byte) string {
	digest := sha256.New()
	var fields topFields
	if decodeJSON("", body, &fields) != nil {
		fields = nil
		digest.Write(body)
	}
	var value bytes.Buffer
	write := func(b []byte) {
		digest.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		digest.Write(b)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case "timestamp", "sign", "password":
			continue
		}
		write([]byte(name))
		value.Reset()
		if json.Compact(&value, fields[name]) != nil { // cannot be: it was just decoded
			continue
		}
		write(value.Bytes())
	}
	return hex.EncodeToString(digest.Sum(nil))
}
