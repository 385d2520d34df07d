package mapping

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxRecorded is the most bytes of a line of an export.
const MaxRecorded = 16 << 20

// Recorded is a line of an export of stored deliveries: what rules can read of one, and no
// more of it: no headers, no body, no secrets.
type Recorded struct {
	ID         string    `json:"id"`
	ReceivedAt time.Time `json:"received_at"`
	Source     string    `json:"source"`
	Provider   string    `json:"provider"`
	Outcome    string    `json:"outcome"`          // then: accepted, ignored or duplicate
	Origin     Origin    `json:"origin,omitempty"` // unset if its code host sent it

	// Rules are those that may build, if a person started it for some of them; none stands
	// for all.
	Rules  []string        `json:"rules,omitempty"`
	Events []RecordedEvent `json:"events"` // none of a ping, for example

	Error string `json:"error,omitempty"` // why its events are not known
}

// RecordedEvent is an event with all that rules can read.
type RecordedEvent struct {
	Event

	Commits []Commit `json:"commits,omitempty"`
}

// NewRecordedEvent gives an event as a line has it.
func NewRecordedEvent(ev *Event) RecordedEvent { return RecordedEvent{*ev, ev.Commits} }

// RecordedEnd is the last line of an export that is complete.
type RecordedEnd struct {
	End        bool  `json:"end"` // true
	Deliveries int64 `json:"deliveries"`
}

// ParseRecorded reads a line of an export: a delivery, or the end.
func ParseRecorded(line []byte) (*Recorded, *RecordedEnd, error) {
	var read struct {
		Recorded
		RecordedEnd
	}
	if err := json.Unmarshal(line, &read); err != nil {
		return nil, nil, fmt.Errorf("not JSON of an export: %w", err)
	}
	if read.End {
		return nil, &read.RecordedEnd, nil
	}
	d := &read.Recorded
	switch {
	case d.ID == "" || d.Source == "":
		return nil, nil, errors.New("no delivery: it has no id or no source")
	case d.Events == nil && d.Error == "":
		return nil, nil, errors.New("the delivery has no events: is it of deliveries list? Only deliveries export writes them")
	}
	for i := range d.Events {
		ev := &d.Events[i]
		ev.Event.Commits, ev.Source = ev.Commits, d.Source
		ev.Origin = cmp.Or(ev.Origin, OriginWebhook) // which is left out
		switch {
		case ev.Kind != Push && ev.Kind != Tag:
			return nil, nil, fmt.Errorf("events[%d].kind: %q is none of push, tag", i, ev.Kind)
		case ev.Repository == "" || ev.Ref == "":
			return nil, nil, fmt.Errorf("events[%d]: no repository or no ref", i)
		}
	}
	return d, nil, nil
}
