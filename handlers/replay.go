package handlers

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
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
	if err := cl.restore(st, old, now); err != nil {
		return Answer{}, err
	}
	cl.delivery.ReplayOf, cl.delivery.By = old.ID, by
	cl.delivery.DuplicateKey, cl.delivery.DuplicateWindow = old.DuplicateKey, replayWindow
	return s.decide(ctx, cl, st.Rules)
}

// restore decodes a stored delivery once more, for the source of the same name.
func (cl *call) restore(st *state, old mapping.Delivery, now time.Time) error {
	if cl.source = st.Sources[old.Source]; cl.source == nil {
		return refuse(http.StatusConflict, noSource, fmt.Sprintf("the rules have no source %q any more", old.Source), nil)
	}
	if len(old.Body) == 0 {
		return refuse(http.StatusConflict, noBody,
			"the body of this delivery is not kept any more: have the code host send it again", nil)
	}
	decode := func() (d codehost.Delivery, err error) {
		header := make(http.Header, len(old.Header))
		for name, value := range old.Header {
			header.Set(name, value)
		}
		message, err := codehost.Trust(old.Provider, header, old.Body)
		if err != nil {
			return d, err
		}
		return message.Decode()
	}
	if old.Origin == mapping.OriginManual || old.Origin == mapping.OriginCatchUp {
		decode = func() (d codehost.Delivery, err error) {
			d, cl.only, err = decodeMade(old)
			return d, err
		}
	}
	if err := cl.decode(decode, now); err != nil {
		return err
	}
	cl.delivery.Origin = old.Origin
	return nil
}

// Decision is what the rules of now make of a stored delivery. Outcome is accepted, ignored
// or, if it cannot be decided, rejected with the detail. Rules is what each rule said that
// names the repository.
type Decision struct {
	Outcome string            `json:"outcome"`
	Reason  string            `json:"reason,omitempty"`
	Detail  string            `json:"detail,omitempty"`
	Rules   []mapping.Verdict `json:"rules,omitempty"`
	Builds  []Planned         `json:"builds,omitempty"`

	LeftOut []codehost.LeftOut `json:"left_out,omitempty"` // what else the delivery tells of

	MoreRules int `json:"-"` // how many more name the repositories: only [Server.Explain] leaves some out

	// Events are those that were decided, at most 100: only [Server.Explain] gives them.
	Events     []DecidedEvent `json:"events,omitempty"`
	MoreEvents int            `json:"more_events,omitempty"` // how many more there are
}

// Decide says what a replay of a stored delivery would do. It keeps nothing and logs nothing.
// It takes of the delivery what Replay takes.
func (s *Server) Decide(old mapping.Delivery) Decision {
	st := s.state.Load()
	return st.decideAgain(st.Rules, old, false, 0)
}

// Explain is Decide with the events, and with every clause of each rule: of at most so many rules, the first of all
// those that match.
func (s *Server) Explain(old mapping.Delivery, most int) Decision {
	st := s.state.Load()
	return st.decideAgain(st.Rules, old, true, most)
}

// ExplainThen is Explain, also by the rules that were in force at ReceivedAt. then is nil if this process
// does not know them: they are kept in memory, those of the last three reloads that changed any.
func (s *Server) ExplainThen(old mapping.Delivery, most int) (now Decision, then *Decision) {
	st := s.state.Load()
	now = st.decideAgain(st.Rules, old, true, most)
	switch rules := st.rulesAt(old.ReceivedAt); rules {
	case nil:
		return now, nil
	case st.Rules:
		return now, &now
	default:
		past := st.decideAgain(rules, old, true, most)
		return now, &past
	}
}

func (st *state) decideAgain(rules *mapping.Ruleset, old mapping.Delivery, explain bool, most int) Decision {
	cl := &call{name: old.Source}
	if err := cl.restore(st, old, time.Now()); err != nil {
		a := answerTo(err)
		return Decision{Outcome: rejected, Reason: a.Reason, Detail: cmp.Or(a.Detail, err.Error())}
	}
	d := Decision{Outcome: ignored, Reason: string(cl.delivery.Ignored), LeftOut: cl.delivery.LeftOut}
	if d.Reason != "" {
		return d
	}
	cl.match(rules)
	for i := range cl.delivery.Events {
		event := &cl.delivery.Events[i]
		var verdicts []mapping.Verdict
		more := 0
		if explain {
			verdicts, more = rules.ExplainClauses(event, cl.rules, most-len(d.Rules))
		} else {
			verdicts, _ = rules.ExplainRepository(event, rules.Len())
		}
		if len(cl.only) > 0 {
			verdicts = slices.DeleteFunc(verdicts, func(v mapping.Verdict) bool { return !slices.Contains(cl.only, v.Rule) })
		}
		d.Rules, d.MoreRules = append(d.Rules, verdicts...), d.MoreRules+more
		switch {
		case explain && i < maxTold:
			d.Events = append(d.Events, told(event, len(verdicts)))
		case explain:
			d.MoreEvents++
		}
	}
	switch d.Builds = planned(cl.builds); {
	case len(cl.builds) > 0:
		d.Outcome = accepted
		if !slices.ContainsFunc(cl.builds, func(b mapping.Build) bool { return b.Dead == "" }) {
			d.Reason = deadOnArrival
		}
	case len(d.Rules) == 0:
		d.Reason = string(mapping.ReasonNoRule)
	default:
		d.Reason = string(mapping.ReasonNoMatch)
	}
	return d
}
