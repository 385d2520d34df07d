package handlers

import (
	"cmp"
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
	"buildbridge/mapping/observe"
	"buildbridge/mapping/printable"
)

const (
	// answerWithin is how long after its beginning a call should be answered: Gitea gives
	// up after 5 s. If the body came late, each thing that the call waits for gets
	// leastTime anyway: its host has a longer timeout.
	answerWithin = 4500 * time.Millisecond
	leastTime    = time.Second
	// commitTimeout bounds the commit of a delivery.
	commitTimeout = 4 * time.Second
	// maxVerdicts and maxLeftOut bound the rules that an answer explains, and the changes
	// without an event that it names.
	maxVerdicts = 20
	maxLeftOut  = 20
	// notStoredRetryAfter is when a sender should try again if the database is down, and
	// fullRetryAfter if too many builds wait, which lasts longer.
	notStoredRetryAfter = 10 * time.Second
	fullRetryAfter      = time.Minute
	// largeBody is the size in bytes of bodies of which largeAtOnce are decoded at a time:
	// what a body decodes to is several times its size.
	largeBody   = 1 << 20
	largeAtOnce = 2
	// maxLoggedName bounds a name that a stranger may have chosen, and maxLoggedList a
	// list, in the log and in traces.
	maxLoggedName = 100
	maxLoggedList = 1000
)

// call is one request of a code host, or the replay of a delivery: what the log, the
// metrics and the trace tell of it. What it did not get to is not set.
type call struct {
	name     string  // of the source, from the path
	segment  string  // what the path has behind the name and a "/": it may be a secret, and is told to nobody
	longer   bool    // the path goes on behind the name
	source   *Source // nil if there is none of that name
	client   netip.Addr
	delivery codehost.Delivery
	builds   []mapping.Build
	rules    []string   // those that matched, once for each event
	only     []string   // rules that may build; none stands for all
	span     trace.Span // nil for none
}

// inNames are the characters of the names of sources, as the rules take them.
const inNames = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

// newCall ends the name of the source at the first character that no name has: what follows may be a
// secret even if it is not a "/", which a proxy may have escaped twice.
func newCall(path string) *call {
	path = strings.TrimSuffix(strings.TrimPrefix(path, webhooks), "/")
	rest := strings.TrimLeft(path, inNames)
	cl := &call{name: strings.TrimSuffix(path, rest), longer: rest != ""}
	if segment, ok := strings.CutPrefix(rest, "/"); ok {
		cl.segment = segment
	}
	return cl
}

// labels are source and provider for the metrics. The name in the path is not a
// label: a stranger may have chosen it.
func (cl *call) labels() (source, provider string) {
	if cl.source == nil {
		return "", ""
	}
	return cl.source.Name, cl.source.Provider
}

// webhook answers POST /webhooks/{source}, counts the call and logs its one line.
func (s *Server) webhook(c echo.Context) error {
	began := time.Now()
	cl := newCall(c.Request().URL.Path)
	a, err := s.receive(c, cl, began)
	if err != nil {
		a = answerTo(err)
	}
	took := time.Since(began)
	source, provider := cl.labels()
	s.metrics.deliveries.WithLabelValues(source, provider, a.Outcome, a.Reason).Inc()
	ctx := c.Request().Context()
	if cl.span != nil {
		ctx = trace.ContextWithSpan(ctx, cl.span)
	}
	observe.Duration(ctx, s.metrics.duration.WithLabelValues(source), took)
	if a.Outcome == accepted {
		for _, rule := range cl.rules {
			s.metrics.matches.WithLabelValues(rule).Inc()
		}
	}
	s.log(ctx, cl, a, took, err)
	if a.Outcome == rejected {
		s.reject(c.Request(), cl, a, err, began)
	}
	s.logDetails(ctx, c.Request(), cl, a)
	switch a.Status {
	case http.StatusMethodNotAllowed:
		c.Response().Header().Set(echo.HeaderAllow, http.MethodPost)
	case http.StatusUnauthorized:
		// RFC 9110, section 15.5.2, wants a scheme; signatures and tokens are none.
		if len(cl.source.Keys.Basic) > 0 {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Basic realm="buildbridge"`)
		}
	}
	if err := sendAnswer(c, a); err != nil {
		s.logger.LogAttrs(ctx, slog.LevelDebug, "answer not sent", slog.String("error", err.Error()))
	}
	cl.endTrace(a, err)
	return nil
}

// receive takes a call through everything that can refuse it, the cheapest first, and
// gives its answer.
func (s *Server) receive(c echo.Context, cl *call, now time.Time) (_ Answer, err error) {
	defer recoverInto(&err)
	r := c.Request()
	st := s.state.Load()
	cl.client = clientAddr(r, s.options.TrustedProxies)
	cl.source = st.Sources[cl.name]
	if r.Method != http.MethodPost {
		return Answer{}, refuse(http.StatusMethodNotAllowed, method, "this address is for a webhook: it wants a POST, from a code host", nil)
	}
	if cl.source == nil {
		return Answer{}, refuse(http.StatusNotFound, noSource, "no source has this name; "+whatIsThere, nil)
	}
	if cl.longer && !cl.source.secretInPath() {
		cl.source = nil
		return Answer{}, refuse(http.StatusNotFound, noSource, "the address of this source ends with its name; "+whatIsThere, nil)
	}
	if allowed := cl.source.AllowFrom; len(allowed) > 0 && !contains(allowed, cl.client) {
		return Answer{}, refuse(http.StatusForbidden, address, "this source does not take calls from your address",
			notAllowed(r, s.options.TrustedProxies, cl.client))
	}
	if err := st.checkRate(cl.source.Name, now); err != nil {
		return Answer{}, err
	}
	body, err := s.readBody(c, cl.source)
	if err != nil {
		return Answer{}, err
	}
	defer body.free()
	message, err := s.authenticate(cl, r.Header, body.raw, now)
	if err != nil {
		return Answer{}, err
	}
	ctx := s.beginTrace(r.Context(), cl, r, now)
	// Only now: a stranger must not use up the tokens of the host.
	if err := st.takeToken(cl.source.Name, now); err != nil {
		return Answer{}, err
	}
	if err := s.inSlot(len(body.raw), now, func() error { return cl.decode(message.Decode, now) }); err != nil {
		return Answer{}, err
	}
	return s.decide(ctx, cl, st.Rules)
}

// checkRate refuses a call if the source has a token bucket and that is empty. It takes
// no token.
func (st *state) checkRate(source string, now time.Time) error {
	if bucket := st.limiters[source]; bucket == nil || bucket.TokensAt(now) >= 1 {
		return nil
	}
	return st.takeToken(source, now) // says how long to wait
}

// takeToken takes a token, if the source has a token bucket.
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
	refusal := refuse(http.StatusTooManyRequests, rateLimit, "this source takes fewer deliveries per second", nil)
	refusal.RetryAfter = wait
	return refusal
}

// authenticate checks the raw bytes.
func (s *Server) authenticate(cl *call, header http.Header, raw []byte, now time.Time) (*codehost.Message, error) {
	if cl.source.secretInPath() {
		header = maps.Clone(header) // what is told of the call has to be without the secret
		header[codehost.PathSecret] = []string{cl.segment}
	}
	message, err := codehost.Authenticate(cl.source.Provider, cl.source.Keys, header, raw, now)
	if errors.Is(err, codehost.ErrUnauthenticated) {
		if len(cl.source.Doubts) > 0 {
			err = fmt.Errorf("%w; %s", err, strings.Join(cl.source.Doubts, "; "))
		}
		return nil, refuse(http.StatusUnauthorized, unauthenticated, "", err)
	}
	if err != nil {
		return nil, notDecoded(err)
	}
	if key := message.Key(); key != "" {
		s.metrics.keyUsed.WithLabelValues(cl.source.Name, key).Inc()
	}
	return message, nil
}

func (cl *call) decode(decode func() (codehost.Delivery, error), now time.Time) error {
	decoded, err := decode()
	if err != nil {
		return notDecoded(err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("delivery id: %w", err)
	}
	cl.delivery = decoded
	cl.delivery.ID, cl.delivery.Source, cl.delivery.ReceivedAt = id.String(), cl.source.Name, now
	return nil
}

// notDecoded tells the sender what is malformed, and nothing of other errors.
func notDecoded(err error) error {
	if errors.Is(err, codehost.ErrMalformed) {
		return refuse(http.StatusBadRequest, malformed, err.Error(), err)
	}
	return err
}

// decide asks the rules what the decoded delivery of a call builds, and has it kept.
func (s *Server) decide(ctx context.Context, cl *call, rules *mapping.Ruleset) (Answer, error) {
	reason, verdicts, more := cl.delivery.Ignored, []mapping.Verdict(nil), 0
	if reason == "" {
		if cl.match(rules); len(cl.builds) > 0 {
			return s.accept(ctx, cl)
		}
		reason, verdicts, more = explain(rules, cl.delivery.Events)
	}
	s.options.Acceptor.Ignore(cl.delivery.Delivery, reason, verdicts)
	return cl.answer(Answer{Status: http.StatusOK, Outcome: ignored, Reason: string(reason), Rules: verdicts, RulesLeftOut: more}), nil
}

func (cl *call) match(rules *mapping.Ruleset) {
	decider := rules.Decider()
	for i := range cl.delivery.Events {
		event := &cl.delivery.Events[i]
		cl.place(event)
		builds := decider.Decide(event)
		if len(cl.only) > 0 {
			builds = slices.DeleteFunc(builds, func(b mapping.Build) bool { return !slices.Contains(cl.only, b.Rule) })
		}
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

// place says of an event where it came from.
func (cl *call) place(event *mapping.Event) {
	event.Source, event.Origin = cl.source.Name, cmp.Or(cl.delivery.Origin, mapping.OriginWebhook)
}

// explain says why events build nothing, with at most maxVerdicts of the rules that name
// their repositories, and how many more there are.
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

// accept has the delivery and its builds committed. A sender that hangs up meanwhile
// does not stop it: many code hosts never send again.
func (s *Server) accept(ctx context.Context, cl *call) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeLeft(cl.delivery.ReceivedAt, answerWithin, commitTimeout))
	defer cancel()
	receipt, err := s.options.Acceptor.Accept(ctx, cl.delivery.Delivery, cl.builds)
	if err != nil {
		a := Answer{
			Status: http.StatusServiceUnavailable, Outcome: unavailable, Reason: notStored,
			Detail: "not known to be stored; send it again: it is not built twice", RetryAfter: notStoredRetryAfter,
		}
		if errors.Is(err, mapping.ErrFull) {
			a.Reason, a.Detail, a.RetryAfter = queueFull, "too many builds wait already; send it again", fullRetryAfter
		}
		return Answer{}, &Refusal{Answer: a, Err: fmt.Errorf("accept delivery: %w", err)}
	}
	if original := receipt.DuplicateOf; original != "" {
		return Answer{
			Status: http.StatusOK, Delivery: cl.delivery.ID, Outcome: duplicate,
			Of: original, Replay: "buildbridge deliveries replay " + original,
		}, nil
	}
	a := Answer{Status: http.StatusAccepted, Outcome: accepted, Builds: receipt.Builds}
	switch has := func(fits func(b mapping.BuildReceipt) bool) bool { return slices.ContainsFunc(receipt.Builds, fits) }; {
	case has(func(b mapping.BuildReceipt) bool { return b.Reason == "" }):
	case has(func(b mapping.BuildReceipt) bool { return b.SupersededBy == "" }):
		a.Reason = deadOnArrival
	case has(func(b mapping.BuildReceipt) bool { return b.Once }):
		a.Reason, a.Detail = builtOnce, "its commit is built already, or was: the rules say once: commit"
	default:
		a.Reason, a.Detail = builtByCatchUp, "this delivery came late: its push was built already, because catch-up had found it"
	}
	return cl.answer(a), nil
}

// answer adds what the answer to an accepted or ignored delivery has.
func (cl *call) answer(a Answer) Answer {
	a.Delivery = cl.delivery.ID
	a.LeftOut = cl.delivery.LeftOut[:min(len(cl.delivery.LeftOut), maxLeftOut)]
	a.MoreLeftOut = len(cl.delivery.LeftOut) - len(a.LeftOut)
	return a
}

// timeLeft is how long a call may wait for something if it should be done by the end of a
// time: at least leastTime, and at most limit.
func timeLeft(began time.Time, total, limit time.Duration) time.Duration {
	return min(max(total-time.Since(began), leastTime), limit)
}

// attrs are what the log and the trace say of a call.
func (cl *call) attrs(a Answer) []slog.Attr {
	var event mapping.Event
	if len(cl.delivery.Events) > 0 {
		event = cl.delivery.Events[0]
	}
	_, provider := cl.labels()
	attrs := []slog.Attr{
		slog.String("delivery", cl.delivery.ID),
		slog.String("source", printable.Clip(cl.name, maxLoggedName)),
		slog.String("provider", provider),
		slog.String("host_id", cl.delivery.HostID),
		slog.String("event", cl.delivery.Event),
		slog.String("repository", printable.Clip(event.Repository, maxLoggedName)),
		slog.String("ref", printable.Clip(event.Ref, maxLoggedName)),
		slog.String("commit", event.Commit),
		slog.Int("events", len(cl.delivery.Events)),
		slog.String("outcome", a.Outcome),
		slog.String("reason", a.Reason),
		slog.Int("builds", len(a.Builds)),
		slog.String("replay_of", a.ReplayOf),
		slog.String("origin", string(cl.delivery.Origin)),
		slog.String("actor", cl.delivery.By.Actor),
		slog.String("why", cl.delivery.By.Why),
	}
	return slices.DeleteFunc(attrs, func(attr slog.Attr) bool {
		if attr.Value.Kind() == slog.KindInt64 {
			return a.Outcome == rejected && attr.Value.Int64() == 0 // it was not decoded
		}
		return attr.Value.String() == ""
	})
}

func (s *Server) log(ctx context.Context, cl *call, a Answer, took time.Duration, err error) {
	level := slog.LevelInfo
	switch a.Outcome {
	case rejected:
		level = slog.LevelWarn
	case unavailable:
		level = slog.LevelError
	}
	attrs := append(cl.attrs(a), slog.Int("status", a.Status), slog.Float64("duration_ms", float64(took.Microseconds())/1000))
	if url := s.options.DeliveryURL(cl.delivery.ID); url != "" && a.Outcome != unavailable { // then nothing is kept
		attrs = append(attrs, slog.String("url", url))
	}
	if len(a.LeftOut) > 0 {
		var list []string
		for _, left := range a.LeftOut {
			list = append(list, left.String())
		}
		attrs = append(attrs, slog.String("left_out", printable.Clip(strings.Join(list, "; "), maxLoggedList)))
	}
	if err != nil {
		if cl.client.IsValid() {
			attrs = append(attrs, slog.String("client", cl.client.String()))
		}
		attrs = append(attrs, errorAttrs(err)...)
	}
	s.logger.LogAttrs(ctx, level, "delivery", attrs...)
}

// logDetails logs at debug what the one line has no room for: the clause of each rule
// that did not match, and the names of the headers of a call that was rejected. Their
// values may be secret.
func (s *Server) logDetails(ctx context.Context, r *http.Request, cl *call, a Answer) {
	if !s.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	for _, v := range a.Rules {
		s.logger.LogAttrs(ctx, slog.LevelDebug, "rule does not match", slog.String("delivery", cl.delivery.ID),
			slog.String("source", cl.name), slog.String("rule", v.Rule), slog.String("reason", v.Reason))
	}
	if a.Outcome == rejected {
		names := slices.Sorted(maps.Keys(r.Header))
		s.logger.LogAttrs(ctx, slog.LevelDebug, "delivery is rejected", slog.String("source", printable.Clip(cl.name, maxLoggedName)),
			slog.String("client", cl.client.String()), slog.String("reason", a.Reason), slog.String("method", r.Method),
			slog.Int64("content_length", r.ContentLength), slog.String("headers", printable.Clip(strings.Join(names, " "), maxLoggedList)))
	}
}
