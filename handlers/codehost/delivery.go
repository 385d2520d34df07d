package codehost

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"buildbridge/mapping"
)

const (
	// maxHostID bounds the host's delivery id, in bytes.
	maxHostID = 256
	// maxEvent bounds the name of an event, in bytes.
	maxEvent = 100
	// digestWindow is how long equal bodies of a host without delivery ids count as one
	// delivery.
	digestWindow = 10 * time.Minute
)

// Delivery is what a host said. Of the embedded delivery, Decode leaves ID, Source,
// ReceivedAt and ReplayOf to its caller.
//
// HostID has at most 256 bytes: a longer one is a digest. DuplicateKey is made of the
// host's delivery id, with ref and commit where the id may be the same for several. If
// there is no id it is a digest of the body without what changes when it is sent again.
// Events are in the host's order.
type Delivery struct {
	mapping.Delivery

	// LeftOut is what else the delivery tells of, in the host's order. It is not empty if
	// there are no Events.
	LeftOut []LeftOut

	// Ignored says why there are no Events: ping, event or deleted; "" if there are some.
	Ignored mapping.Reason
}

// LeftOut is a change without an event, or a delivery without a change.
type LeftOut struct {
	Ref    string         `json:"ref,omitempty"` // as the host wrote it, at most [mapping.MaxRef] bytes; "" for none
	Reason mapping.Reason `json:"reason"`        // ping, event or deleted
	Why    string         `json:"why"`           // the reason in words
}

// String gives it for people, on one line.
func (l LeftOut) String() string {
	if l.Ref == "" {
		return l.Why
	}
	return fmt.Sprintf("%q: %s", l.Ref, l.Why)
}

// What is left out, as several hosts have it.
var (
	refDeleted    = LeftOut{Reason: mapping.ReasonDeleted, Why: "the ref was deleted"}
	testCall      = LeftOut{Reason: mapping.ReasonPing, Why: "a test call"}
	pushedToo     = LeftOut{Reason: mapping.ReasonEvent, Why: "a push says the same"}
	noBranchOrTag = LeftOut{Reason: mapping.ReasonEvent, Why: "neither a branch nor a tag"}
)

// leaveOut adds why the change of a ref has no event.
func (d *Delivery) leaveOut(ref string, what LeftOut) {
	what.Ref = clip(ref, mapping.MaxRef)
	d.LeftOut = append(d.LeftOut, what)
}

// leaveOutAll adds why a delivery is not a push. It reads only the ref of its body, if there
// is one.
func (d *Delivery) leaveOutAll(body []byte, what LeftOut) error {
	var about struct {
		Ref loose `json:"ref"`
	}
	if err := unmarshal(body, &about); err != nil {
		return err
	}
	d.leaveOut(string(about.Ref), what)
	return nil
}

// leaveOutEvent is leaveOutAll for an event that is not a push, by its name.
func (d *Delivery) leaveOutEvent(body []byte, name string) error {
	why := fmt.Sprintf("the event %q is neither a push nor a tag", clip(name, maxEvent))
	return d.leaveOutAll(body, LeftOut{Reason: mapping.ReasonEvent, Why: why})
}

// clip bounds a text, in bytes, without cutting a character in two.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// finish sets the fields that follow from the others.
func (d *Delivery) finish(h *host, body []byte) {
	if len(d.Events) == 0 {
		if len(d.LeftOut) == 0 {
			d.leaveOut("", LeftOut{Reason: mapping.ReasonEvent, Why: "the push changes no branch or tag"})
		}
		d.Ignored = d.LeftOut[0].Reason
		for _, l := range d.LeftOut {
			if l.Reason == mapping.ReasonDeleted { // it matters more than the reason of another change
				d.Ignored = l.Reason
			}
		}
	}
	for i := range d.Events {
		d.Events[i].Provider = h.Name
	}
	d.Event = clip(d.Event, maxEvent)
	d.HostID = shortID(d.HostID)
	switch {
	case d.DuplicateKey != "": // decode made it
		return
	case d.HostID == "":
		d.DuplicateKey = "body:" + bodyDigest(body)
		d.DuplicateWindow = digestWindow
		return
	}
	id := []string{d.HostID}
	if h.idOfPush {
		for _, e := range d.Events {
			id = append(id, e.Ref, e.Commit)
		}
	}
	d.DuplicateKey = "id:" + shortID(strings.Join(id, " "))
}

// shortID is an id or, if it is long, its digest.
func shortID(id string) string {
	if len(id) <= maxHostID {
		return id
	}
	digest := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(digest[:])
}

// bodyDigest is the same for a body and for its repetition. It is the digest of the fields
// at the top, sorted by name, without white space and without those that change with the
// time.
func bodyDigest(body []byte) string {
	digest := sha256.New()
	var fields topFields
	if decodeJSON(body, &fields) != nil {
		fields = nil
		digest.Write(body)
	}
	write := func(b []byte) {
		digest.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		digest.Write(b)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case "timestamp", "sign", "password":
			continue
		}
		value := fields[name]
		write([]byte(name))
		if value.Compact() == nil { // always: it was just decoded
			write(value)
		}
	}
	return hex.EncodeToString(digest.Sum(nil))
}
