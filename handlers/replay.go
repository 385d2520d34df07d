package handlers

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

const noBody = "no_body" // the reason why a delivery cannot be replayed

// replayWindow is how long a second replay of a delivery counts as a duplicate: far longer
// than two people who replay it at the same time are apart.
const replayWindow = time.Minute

// Replay decides a stored delivery again, by the rules of now, and gives the answer that
// its webhook would have. The replay is a delivery of its own, which names the one that
// it repeats, and the metrics do not count it as a call of the webhook.
//
// Of the stored delivery it takes ID, Source, Provider, Header and Body, and
// DuplicateKey: the replay is a duplicate of another with the same key, which somebody
// else asked for at the same time. Client address, rate limit and secrets do not matter:
// the delivery was authenticated when it arrived.
func (s *Server) Replay(ctx context.Context, old mapping.Delivery, by mapping.By) Answer {
	began := time.Now()
	cl := &call{name: old.Source}
	if s.tracer != nil {
		ctx, cl.span = s.tracer.Start(ctx, "replay delivery", trace.WithTimestamp(began),
			trace.WithAttributes(attribute.String("source", cl.name)))
	}
	a, err := s.replay(ctx, cl, old, by, began)
	if err != nil {
		a = answerTo(err)
	}
	a.ReplayOf = old.ID
	s.log(ctx, cl, a, time.Since(began), err)
	cl.endTrace(a, err)
	return a
}

func (s *Server) replay(ctx context.Context, cl *call, old mapping.Delivery, by mapping.By, now time.Time) (Answer, error) {
	st := s.state.Load()
	if cl.source = st.Sources[old.Source]; cl.source == nil {
		return Answer{}, refuse(http.StatusConflict, noSource, fmt.Sprintf("the rules have no source %q any more", old.Source), nil)
	}
	if len(old.Body) == 0 {
		return Answer{}, refuse(http.StatusConflict, noBody,
			"the body of this delivery is not kept any more: have the code host send it again", nil)
	}
	header := make(http.Header, len(old.Header))
	for name, value := range old.Header {
		header.Set(name, value)
	}
	message, err := codehost.Trust(old.Provider, header, old.Body)
	if err != nil {
		return Answer{}, notDecoded(err)
	}
	if err := cl.decode(message, now); err != nil {
		return Answer{}, err
	}
	cl.delivery.ReplayOf, cl.delivery.Origin, cl.delivery.By = old.ID, old.Origin, by
	cl.delivery.DuplicateKey, cl.delivery.DuplicateWindow = old.DuplicateKey, replayWindow
	return s.decide(ctx, cl, st.Rules)
}
