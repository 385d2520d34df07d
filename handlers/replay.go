package handlers

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// noBody is why a delivery cannot be decided anew.
const noBody = "no_body"

// replayWindow is far longer than two who replay a delivery at the same time are
// apart.
const replayWindow = time.Minute

// Replayed is what became of a delivery that was decided anew: the answer of its
// webhook, in JSON too.
type Replayed struct {
	Status int `json:"-"` // of HTTP
	answer
}

// Replay decides a delivery anew by the rules as they are now, because a person
// asked for it: as a delivery of its own that names the one it repeats. It takes
// what the store kept: ID, Source, Provider, Header and Body; and DuplicateKey, by
// which it is a duplicate of a replay that somebody else asked for at the same
// time. Neither the client's address nor the rate matters, nor do the source's
// secrets: it was authenticated when it arrived. It counts as no call of the
// webhook.
func (s *Server) Replay(ctx context.Context, old mapping.Delivery) Replayed {
	began := s.now()
	cl := &call{name: old.Source}
	ctx = s.beginReplayTrace(ctx, cl, began)
	a, err := s.decideAnew(ctx, cl, old, began)
	if err != nil {
		a = answerTo(err)
	}
	a.ReplayOf = old.ID
	s.log(ctx, cl, a, s.now().Sub(began), err)
	cl.endTrace(a, err)
	return Replayed{Status: a.status, answer: a}
}

func (s *Server) decideAnew(ctx context.Context, cl *call, old mapping.Delivery, now time.Time) (answer, error) {
	st := s.state.Load()
	if cl.source = st.Sources[old.Source]; cl.source == nil {
		return answer{}, refuse(http.StatusConflict, noSource, fmt.Sprintf("the rules have no source %q any more", old.Source), nil)
	}
	if len(old.Body) == 0 {
		return answer{}, refuse(http.StatusConflict, noBody, "the body of this delivery is not kept any more: have the code host send it again", nil)
	}
	header := make(http.Header, len(old.Header))
	for name, value := range old.Header {
		header.Set(name, value)
	}
	message, err := codehost.Trust(old.Provider, header, old.Body)
	if err != nil {
		return answer{}, notUnderstood(err)
	}
	why, err := cl.understand(message, now)
	if err != nil {
		return answer{}, err
	}
	cl.delivery.Provider, cl.delivery.ReplayOf = old.Provider, old.ID
	cl.delivery.DuplicateKey, cl.delivery.DuplicateWindow = old.DuplicateKey, replayWindow
	return s.settle(ctx, cl, st.Rules, why)
}
