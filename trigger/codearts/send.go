package codearts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"buildbridge/trigger/internal/quoted"
)

// sender sends requests, each once. It makes a span of each, if the caller's span is recorded,
// and a log line at debug.
type sender struct {
	http *http.Client
	now  func() time.Time // of signatures, and of dates in Retry-After
	log  *slog.Logger
	date atomic.Pointer[dated] // of the last answer that had a date
}

func newSender(transport http.RoundTripper, log *slog.Logger) *sender {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if transport == nil {
		transport = newTransport()
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &sender{http: client, now: time.Now, log: log}
}

// send sends one request. secrets are those in its body; those in its header are known.
func (s *sender) send(ctx context.Context, op string, req *http.Request, secrets ...string) (reply, error) {
	ctx, span := beginSpan(ctx, op, req)
	defer span.End()
	began := time.Now()
	r, err := s.roundTrip(ctx, op, req, secrets)
	setResult(span, r, err)
	if s.log.Enabled(ctx, slog.LevelDebug) {
		attrs := []slog.Attr{
			slog.String("op", op), slog.String("method", req.Method), slog.String("url", req.URL.Redacted()),
			slog.Int("status", r.status), slog.String("request_id", r.requestID()), slog.Int("answer_bytes", len(r.body)),
			slog.Float64("duration_ms", float64(time.Since(began).Microseconds())/1000),
		}
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		}
		s.log.LogAttrs(ctx, slog.LevelDebug, "request to the service", attrs...)
	}
	return r, err
}

// roundTrip tells a request that was not sent (FateRetry) from one that may have arrived
// (FateUnknown).
//
// A request that got no connection was not sent. One that got a connection counts as sent,
// though it may not have been: net/http writes it in another goroutine, and a deadline can
// pass meanwhile. If net/http takes a second connection, because the first was closed before
// anything was written, the request counts as not sent until it gets that.
func (s *sender) roundTrip(ctx context.Context, op string, req *http.Request, secrets []string) (reply, error) {
	secrets = append(secrets, secretsIn(req.Header)...)
	var connected, tooLate atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	res, err := s.http.Do(withDeadline(ctx, req, &tooLate))
	if err != nil {
		e := &Error{Op: op, Fate: FateRetry, what: "not sent", Timeout: timedOut(ctx, err), Err: quoted.Error(cause(err), secrets)}
		if connected.Load() && !tooLate.Load() {
			e.Fate, e.kind, e.what = FateUnknown, noAnswer, "no answer"
		}
		return reply{}, e
	}
	defer res.Body.Close()
	s.readClock(res)
	r := reply{
		status:     res.StatusCode,
		header:     res.Header,
		secrets:    secrets,
		retryAfter: retryAfter(res.Header.Get("Retry-After"), s.now),
	}
	r.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(r.body) > maxAnswer && r.ok() {
		return reply{}, &Error{
			Op: op, Fate: FateUnknown, Status: r.status, RequestID: r.requestID(),
			what: fmt.Sprintf("the answer is longer than %d MiB", maxAnswer>>20),
		}
	}
	if err != nil && r.ok() {
		return reply{}, &Error{
			Op: op, Fate: FateUnknown, kind: noAnswer, what: "no answer", Status: r.status, RequestID: r.requestID(),
			Timeout: timedOut(ctx, err), Err: quoted.Error(cause(err), secrets),
		}
	}
	return r, nil
}

// deadlineBody does not send a request after its deadline. A process that stands still while it
// connects or logs in may go on after another process has given the call up, and its timers
// fire too late then. net/http reads the body after all that takes long, and a request is not
// complete without its body.
type deadlineBody struct {
	io.ReadCloser

	ctx     context.Context //nolint:containedctx // of the request
	tooLate *atomic.Bool
}

// withDeadline gives the request such a body, if it has one.
func withDeadline(ctx context.Context, req *http.Request, tooLate *atomic.Bool) *http.Request {
	req = req.WithContext(ctx)
	if req.GetBody == nil || req.Body == http.NoBody {
		return req
	}
	getBody := req.GetBody
	req.Body = deadlineBody{req.Body, ctx, tooLate}
	req.GetBody = func() (io.ReadCloser, error) { // net/http takes another connection
		body, err := getBody()
		return deadlineBody{body, ctx, tooLate}, err
	}
	return req
}

func (b deadlineBody) Read(p []byte) (int, error) {
	if end, ok := b.ctx.Deadline(); ok {
		// Both clocks, because each misses something: the monotonic clock stops while the
		// machine is suspended, and the wall clock can be set.
		if now := time.Now(); now.After(end) || now.Round(0).After(end.Round(0)) {
			b.tooLate.Store(true)
			return 0, errTooLate
		}
	}
	return b.ReadCloser.Read(p)
}

var errTooLate = errors.New("its time was over before it was sent: this process stood still")

// dated is the Date of an answer, in whole seconds (RFC 9110, 6.6.1), when the answer came, and
// what the wall clock showed then.
type dated struct{ date, came, clock time.Time }

// readClock reads the Date of answers that are not errors: an error may be a proxy's.
func (s *sender) readClock(res *http.Response) {
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil && res.StatusCode/100 == 2 && res.Header.Get("Age") == "" {
		s.date.Store(&dated{date, time.Now(), s.now().Round(0)})
	}
}

// beginSpan begins the span of a request
// (https://opentelemetry.io/docs/specs/semconv/http/http-spans/), named after its operation.
// It has nothing of the header and the body.
func beginSpan(ctx context.Context, op string, req *http.Request) (context.Context, trace.Span) {
	caller := trace.SpanFromContext(ctx)
	if !caller.IsRecording() {
		return ctx, noop.Span{}
	}
	port, err := strconv.Atoi(req.URL.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[req.URL.Scheme]
	}
	return caller.TracerProvider().Tracer("buildbridge/trigger/codearts").Start(ctx, op,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("http.request.method", req.Method),
			attribute.String("url.full", req.URL.Redacted()),
			attribute.String("server.address", req.URL.Hostname()),
			attribute.Int("server.port", port),
		))
}

// setResult adds to the span of a request how it ended.
func setResult(span trace.Span, r reply, err error) {
	if !span.IsRecording() {
		return
	}
	if id := r.requestID(); id != "" {
		span.SetAttributes(attribute.String("request_id", id)) // for the service's support
	}
	if r.status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", r.status))
	}
	switch {
	case err != nil:
		label := "other"
		if e, ok := errors.AsType[*Error](err); ok {
			label = e.Label()
		}
		span.SetAttributes(attribute.String("error.type", label))
		span.SetStatus(codes.Error, err.Error())
	case r.status >= 400:
		span.SetAttributes(attribute.String("error.type", strconv.Itoa(r.status)))
		span.SetStatus(codes.Error, "")
	}
}
