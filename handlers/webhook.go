package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

const (
	// answerWithin is when a call should have its answer, since it began: Gitea
	// gives up after 5 s. What came late gets atLeast all the same, for everything
	// it has to wait for: its host is a patient one.
	answerWithin = 4500 * time.Millisecond
	atLeast      = time.Second
	// maxVerdicts is how many rules an answer explains, and maxLeftOut how many
	// changes that are no event.
	maxVerdicts = 20
	maxLeftOut  = 20
	// storeRetryAfter is what a sender is told when the store is down.
	storeRetryAfter = 10 * time.Second
	// fullRetryAfter is what a sender is told when too many builds wait: that
	// lasts for longer.
	fullRetryAfter = time.Minute
	// largeBody is the size in bytes beyond which bodies are decoded by turns, and
	// largeAtOnce how many of them at a time. They wait for the processor anyway.
	largeBody   = 1 << 20
	largeAtOnce = 2
	// maxLoggedName bounds what the log takes of a source that does not exist.
	maxLoggedName = 100
	// maxLoggedList bounds what the log takes of a list: the names of headers, the
	// changes that are no event.
	maxLoggedList = 1000
)

// call is one request of a code host: what the log and the metrics tell of it,
// as far as it got.
type call struct {
	name     string  // of the source, as the path has it
	source   *Source // nil if there is none of that name
	client   netip.Addr
	delivery mapping.Delivery
	leftOut  []codehost.LeftOut
	builds   []mapping.Build
	rules    []string   // that matched, one for each rule and event
	span     trace.Span // nil for none
}

// event is the first one that the delivery tells of.
func (cl *call) event() mapping.Event {
	if len(cl.delivery.Events) == 0 {
		return mapping.Event{}
	}
	return cl.delivery.Events[0]
}

// decide asks the rules what each event builds.
func (cl *call) decide(rules *mapping.Ruleset) {
	decider := rules.Decider()
	for i := range cl.delivery.Events {
		event := &cl.delivery.Events[i]
		event.Source = cl.source.Name
		builds := decider.Decide(event)
		for j := range builds {
			// The jobs of one rule come one after the other.
			if rule := builds[j].Rule; j == 0 || rule != builds[j-1].Rule {
				cl.rules = append(cl.rules, rule)
			}
		}
		if i == 0 {
			cl.builds = builds
		} else {
			cl.builds = append(cl.builds, builds...)
		}
	}
}

// labels are source and provider for the metrics: what strangers put into a
// path must not become a label.
func (cl *call) labels() (source, provider string) {
	if cl.source == nil {
		return "", ""
	}
	return cl.source.Name, cl.source.Provider
}

// webhook answers POST /webhooks/{source}, counts it and logs its one line.
func (s *Server) webhook(c echo.Context) error {
	began := s.now()
	// Echo's Param is empty where RouteNotFound serves a path that has a POST.
	cl := &call{name: strings.TrimSuffix(strings.TrimPrefix(c.Request().URL.Path, webhooks), "/")}
	var a answer
	err := recovered(func(c echo.Context) (err error) {
		a, err = s.receive(c, cl, began)
		return err
	})(c)
	if err != nil {
		a = answerTo(err)
	}
	took := s.now().Sub(began)
	source, provider := cl.labels()
	s.metrics.deliveries.WithLabelValues(source, provider, a.Outcome, a.Reason).Inc()
	ctx := cl.in(c.Request().Context())
	observe(ctx, s.metrics.duration.WithLabelValues(source), took.Seconds())
	if a.Outcome == accepted {
		for _, rule := range cl.rules {
			s.metrics.matches.WithLabelValues(rule).Inc()
		}
	}
	s.log(ctx, cl, a, took, err)
	s.logWhy(ctx, c.Request(), cl, a)
	switch a.status {
	case http.StatusMethodNotAllowed:
		c.Response().Header().Set(echo.HeaderAllow, http.MethodPost)
	case http.StatusUnauthorized:
		// RFC 9110, section 15.5.2, wants a scheme; signatures and tokens are none.
		if len(cl.source.Keys.Basic) > 0 {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Basic realm="buildbridge"`)
		}
	}
	s.send(c, &a)
	cl.endTrace(a, err)
	return nil
}

// receive takes a call through everything that can refuse it, in an order that
// spends little on strangers, and gives its answer.
func (s *Server) receive(c echo.Context, cl *call, now time.Time) (answer, error) {
	r := c.Request()
	st := s.state.Load()
	cl.client = clientAddr(r, s.options.TrustedProxies)
	cl.source = st.Sources[cl.name]
	if r.Method != http.MethodPost {
		return answer{}, refuse(http.StatusMethodNotAllowed, method, "this address is for a webhook: it wants a POST, from a code host", nil)
	}
	if cl.source == nil {
		return answer{}, refuse(http.StatusNotFound, noSource, "no source has this name; "+whatIsThere, nil)
	}
	if allowed := cl.source.AllowFrom; len(allowed) > 0 && !contains(allowed, cl.client) {
		return answer{}, refuse(http.StatusForbidden, address, "this source does not take calls from your address", notAllowed(r, s.options.TrustedProxies, cl.client))
	}
	if err := st.tooSoon(cl.source.Name, now); err != nil {
		return answer{}, err
	}
	limit := cl.source.MaxBody
	if limit <= 0 {
		limit = mapping.DefaultMaxBody
	}
	limit = min(limit, s.options.MaxBodyMemory-1) // what can never be read is too large, not too early
	raw, held, err := s.readBody(c, limit)
	defer func() { s.release(raw, held) }()
	if err != nil {
		return answer{}, err
	}
	message, err := s.believe(cl, r.Header, raw, now)
	if err != nil {
		return answer{}, err
	}
	ctx := s.beginTrace(r.Context(), cl, r, now)
	// Only now: strangers must not use up what the host may send.
	if err := st.takeToken(cl.source.Name, now); err != nil {
		return answer{}, err
	}
	ignored, err := s.understand(cl, message, len(raw), now)
	if err != nil {
		return answer{}, err
	}
	return s.settle(ctx, cl, st.Rules, ignored)
}

// understand decodes a message of so many bytes. What it decodes to is several
// times its size, so the large ones take turns.
func (s *Server) understand(cl *call, message *codehost.Message, size int, now time.Time) (mapping.Reason, error) {
	if size > largeBody {
		end, err := s.takeTurn(now)
		if err != nil {
			return "", err
		}
		defer end()
	}
	return cl.understand(message, now)
}

// settle ends a call whose delivery is believed and understood. reason says why it
// has no events, if it has none.
func (s *Server) settle(ctx context.Context, cl *call, rules *mapping.Ruleset, reason mapping.Reason) (answer, error) {
	if reason != "" {
		return s.ignore(cl, reason, nil), nil
	}
	cl.decide(rules)
	if len(cl.builds) == 0 {
		reason, verdicts, more := explain(rules, cl.delivery.Events)
		a := s.ignore(cl, reason, verdicts)
		a.RulesLeftOut = more
		return a, nil
	}
	return s.accept(ctx, cl)
}

// tooSoon refuses a call while the source's bucket is empty, if it has one,
// without taking anything out of it.
func (st *state) tooSoon(source string, now time.Time) error {
	bucket := st.limiters[source]
	if bucket == nil || bucket.TokensAt(now) >= 1 {
		return nil
	}
	return st.takeToken(source, now) // says how long to wait
}

// takeToken takes a token of the source's bucket, if it has one.
func (st *state) takeToken(source string, now time.Time) error {
	bucket := st.limiters[source]
	if bucket == nil {
		return nil
	}
	reserved := bucket.ReserveN(now, 1)
	wait := reserved.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	reserved.CancelAt(now)
	refused := refuse(http.StatusTooManyRequests, rateLimit, "this source takes fewer deliveries per second", nil)
	refused.retryAfter = wait
	return refused
}

// believe authenticates the raw bytes.
func (s *Server) believe(cl *call, header http.Header, raw []byte, now time.Time) (*codehost.Message, error) {
	message, err := codehost.Authenticate(cl.source.Provider, cl.source.Keys, header, raw, now)
	if errors.Is(err, codehost.ErrUnauthenticated) {
		if len(cl.source.Doubts) > 0 {
			err = fmt.Errorf("%w; %s", err, strings.Join(cl.source.Doubts, "; "))
		}
		return nil, refuse(http.StatusUnauthorized, unauthenticated, "", err)
	}
	if err != nil {
		return nil, notUnderstood(err)
	}
	if key := message.Key(); key != "" {
		s.metrics.keyUsed.WithLabelValues(cl.source.Name, key).Inc()
	}
	return message, nil
}

// understand decodes a message into the call's delivery. The reason says why it
// has no events.
func (cl *call) understand(message *codehost.Message, now time.Time) (mapping.Reason, error) {
	decoded, err := message.Decode()
	if err != nil {
		return "", notUnderstood(err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("delivery id: %w", err)
	}
	cl.delivery = mapping.Delivery{
		ID:              id.String(),
		Source:          cl.source.Name,
		Provider:        cl.source.Provider,
		HostID:          decoded.HostID,
		Event:           decoded.Event,
		ReceivedAt:      now,
		DuplicateKey:    decoded.DuplicateKey,
		DuplicateWindow: decoded.DuplicateWindow,
		Header:          message.Header(),
		Body:            message.Stored(),
		Events:          decoded.Events,
	}
	cl.leftOut = decoded.LeftOut
	return decoded.Ignored, nil
}

// notUnderstood tells the sender what is malformed, and nothing of other errors.
func notUnderstood(err error) error {
	if errors.Is(err, codehost.ErrMalformed) {
		return refuse(http.StatusBadRequest, malformed, err.Error(), err)
	}
	return err
}

// explain says why events build nothing, with the rules that name their
// repositories: at most maxVerdicts, and how many more there are.
func explain(rules *mapping.Ruleset, events []mapping.Event) (reason mapping.Reason, verdicts []mapping.Verdict, more int) {
	for i := range events {
		some, left := rules.ExplainRepository(&events[i], maxVerdicts-len(verdicts))
		verdicts, more = append(verdicts, some...), more+left
	}
	if len(verdicts) == 0 {
		return mapping.ReasonNoRule, nil, 0
	}
	return mapping.ReasonNoMatch, verdicts, more
}

// ignore answers a delivery that builds nothing.
func (s *Server) ignore(cl *call, reason mapping.Reason, verdicts []mapping.Verdict) answer {
	s.options.Acceptor.Ignore(cl.delivery, reason, verdicts)
	return cl.answer(http.StatusOK, answer{Outcome: ignored, Reason: string(reason), Rules: verdicts})
}

// accept has the delivery and its builds committed. A sender that hangs up
// meanwhile does not stop it: many of them never send again.
func (s *Server) accept(ctx context.Context, cl *call) (answer, error) {
	timeout := s.left(cl.delivery.ReceivedAt, answerWithin, s.options.StoreTimeout)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	receipt, err := s.options.Acceptor.Accept(ctx, cl.delivery, cl.builds)
	if err != nil {
		a := answer{
			status: http.StatusServiceUnavailable, Outcome: unavailable, Reason: notStored,
			Detail: "not known to be stored; send it again: it is not built twice", retryAfter: storeRetryAfter,
		}
		if errors.Is(err, mapping.ErrFull) {
			a.Reason, a.Detail, a.retryAfter = queueFull, "too many builds wait already; send it again", fullRetryAfter
		}
		return answer{}, &refusal{answer: a, err: fmt.Errorf("accept delivery: %w", err)}
	}
	if of := receipt.DuplicateOf; of != "" {
		return answer{
			status: http.StatusOK, Delivery: cl.delivery.ID, Outcome: duplicate,
			Of: of, Replay: "buildbridge deliveries replay " + of,
		}, nil
	}
	a := answer{Outcome: accepted, Builds: receipt.Builds}
	if !slices.ContainsFunc(receipt.Builds, func(b mapping.BuildReceipt) bool { return b.Reason == "" }) {
		a.Reason = deadOnArrival
	}
	return cl.answer(http.StatusAccepted, a), nil
}

// answer fills what every answer to an understood delivery has.
func (cl *call) answer(status int, a answer) answer {
	a.status, a.Delivery = status, cl.delivery.ID
	a.LeftOut = cl.leftOut[:min(len(cl.leftOut), maxLeftOut)]
	a.MoreLeftOut = len(cl.leftOut) - len(a.LeftOut)
	return a
}

// left is how long a call may wait for something: what is left of a time since it
// began, but at least atLeast and never more than most.
func (s *Server) left(began time.Time, of, most time.Duration) time.Duration {
	return min(max(of-s.now().Sub(began), atLeast), most)
}

// log writes the one line of a call.
func (s *Server) log(ctx context.Context, cl *call, a answer, took time.Duration, err error) {
	level := slog.LevelInfo
	switch a.Outcome {
	case rejected:
		level = slog.LevelWarn
	case unavailable:
		level = slog.LevelError
	}
	event := cl.event()
	_, provider := cl.labels()
	attrs := []slog.Attr{
		slog.String("delivery", cl.delivery.ID),
		slog.String("source", clip(cl.name, maxLoggedName)),
		slog.String("provider", provider),
		slog.String("host_id", cl.delivery.HostID),
		slog.String("event", cl.delivery.Event),
		slog.String("repository", clip(event.Repository, maxLoggedName)),
		slog.String("ref", clip(event.Ref, maxLoggedName)),
		slog.String("commit", event.Commit),
		slog.Int("events", len(cl.delivery.Events)),
		slog.String("outcome", a.Outcome),
		slog.String("reason", a.Reason),
		slog.Int("builds", len(a.Builds)),
		slog.Int("status", a.status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
	}
	attrs = slices.DeleteFunc(attrs, func(attr slog.Attr) bool {
		if attr.Value.Kind() == slog.KindInt64 {
			return a.Outcome == rejected && attr.Value.Int64() == 0 // nobody knows what it has
		}
		return attr.Value.Kind() == slog.KindString && attr.Value.String() == ""
	})
	if len(a.LeftOut) > 0 {
		var list []string
		for _, l := range a.LeftOut {
			list = append(list, l.String())
		}
		attrs = append(attrs, slog.String("left_out", clip(strings.Join(list, "; "), maxLoggedList)))
	}
	if a.ReplayOf != "" {
		attrs = append(attrs, slog.String("replay_of", a.ReplayOf))
	} else if err != nil {
		if cl.client.IsValid() {
			attrs = append(attrs, slog.String("client", cl.client.String()))
		}
	}
	if err != nil {
		attrs = append(attrs, failure(err)...)
	}
	s.logger.LogAttrs(ctx, level, "delivery", attrs...)
}

// logWhy tells at debug what the one line has no room for: the clause of each rule
// that did not match, and which headers came with what was rejected; their values
// may be secret.
func (s *Server) logWhy(ctx context.Context, r *http.Request, cl *call, a answer) {
	if !s.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	for _, v := range a.Rules {
		s.logger.LogAttrs(ctx, slog.LevelDebug, "rule does not match", slog.String("delivery", cl.delivery.ID),
			slog.String("source", cl.name), slog.String("rule", v.Rule), slog.String("reason", v.Reason))
	}
	if a.Outcome == rejected {
		names := slices.Sorted(maps.Keys(r.Header))
		s.logger.LogAttrs(ctx, slog.LevelDebug, "delivery is rejected", slog.String("source", clip(cl.name, maxLoggedName)),
			slog.String("client", cl.client.String()), slog.String("reason", a.Reason), slog.String("method", r.Method),
			slog.Int64("content_length", r.ContentLength), slog.String("headers", clip(strings.Join(names, " "), maxLoggedList)))
	}
}

// clip bounds a text, in bytes, without cutting a character in two.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}
