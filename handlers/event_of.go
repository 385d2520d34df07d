package handlers

import (
	"time"

	"buildbridge/mapping"
)

// EventOf decodes the event of a stored delivery that is about a ref, as Decide does: nil if there is
// none, or the delivery cannot be decoded any more.
func (s *Server) EventOf(old mapping.Delivery, ref string) *mapping.Event {
	cl := &call{name: old.Source}
	if err := cl.restore(s.state.Load(), old, time.Now()); err != nil {
		return nil
	}
	for i := range cl.delivery.Events {
		if event := &cl.delivery.Events[i]; event.Ref == ref {
			return event
		}
	}
	return nil
}
