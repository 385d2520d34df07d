package handlers

import (
	"cmp"
	"time"

	"buildbridge/mapping"
)

// Record gives what rules can read of a stored delivery, for an export. Error of it says why that
// is not known: the body is not kept any more or cannot be decoded, or the rules in force do not
// have the source. It takes of the delivery what Replay takes, and ReceivedAt.
func (s *Server) Record(old mapping.Delivery) mapping.Recorded {
	r := mapping.Recorded{
		ID: old.ID, ReceivedAt: old.ReceivedAt, Source: old.Source, Provider: old.Provider, Events: []mapping.RecordedEvent{},
	}
	if !old.Origin.IsZero() {
		r.Origin = old.Origin
	}
	cl := &call{name: old.Source}
	if err := cl.restore(s.state.Load(), old, time.Now()); err != nil {
		r.Error = cmp.Or(answerTo(err).Detail, err.Error())
		return r
	}
	r.Rules = cl.only
	for i := range cl.delivery.Events {
		event := &cl.delivery.Events[i]
		cl.place(event)
		r.Events = append(r.Events, mapping.NewRecordedEvent(event))
	}
	return r
}
