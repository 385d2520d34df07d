package handlers

import (
	"encoding/json"
	"fmt"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// madeEvent is the body of a delivery that no code host sent: its event, whose origin is
// manual or catch_up.
type madeEvent struct {
	mapping.Event

	// Rules are those that may build; none stands for all.
	Rules []string `json:"rules,omitempty"`
}

// startEvent is the name of the event of a start by hand, where a code host's name is else.
const startEvent = "start"

// decodeMade decodes the body of a stored delivery that no code host sent.
func decodeMade(old mapping.Delivery) (d codehost.Delivery, rules []string, err error) {
	var made madeEvent
	if err := json.Unmarshal(old.Body, &made); err != nil {
		return d, nil, fmt.Errorf("%w: the event in its body: %w", codehost.ErrMalformed, err)
	}
	if made.Ref == "" || made.Repository == "" {
		return d, nil, fmt.Errorf("%w: its body has no event", codehost.ErrMalformed)
	}
	made.FilesUnknown = filesUnknown(old.Origin)
	d.Delivery = mapping.Delivery{
		Provider: old.Provider, Event: old.Event, HostID: old.HostID, Header: old.Header, Body: old.Body, Events: []mapping.Event{made.Event},
	}
	return d, made.Rules, nil
}

// filesUnknown says why the changed files of an event are not known, by its origin.
func filesUnknown(origin mapping.Origin) string {
	if origin == mapping.OriginCatchUp {
		return "no delivery came that would name them"
	}
	return "a start by hand names none"
}
