package codearts

import (
	"context"
	"errors"
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
)

// sender sends requests, each once, and tells of them: in a span, if the caller is
// in one that is recorded, and at debug in the log.
type sender struct {
	http *http.Client
	now  func() time.Time
	log  *slog.Logger
	date atomic.Pointer[dated] // of the last answer that had one
}

func newSender(transport http.RoundTripper, now func() time.Time, log *slog.Logger) *sender {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &sender{http: newHTTPClient(transport), now: now, log: log}
}

// send sends one request. secrets are those in the body; what the header carries
// is known.
func (s *sender) send(ctx context.Context, op string, req *http.Request, secrets ...string) (reply, error) {
	ctx, span := begin(ctx, op, req)
	defer span.End()
	began := time.Now()
	r, err := s.once(ctx, op, req, secrets)
	answeredIn(span, r, err)
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

// once tells a request that never left (FateRetry) from one that may have arrived
// (FateUnknown).
//
// The border is the connection: a request that got none was not sent. From then
// on it counts as sent, though it may not have been: net/http writes it in
// another goroutine, and a deadline can pass while it does. Where net/http
// takes a second connection because the first was closed before anything was
// written, the border moves along.
func (s *sender) once(ctx context.Context, op string, req *http.Request, secrets []string) (reply, error) {
	secrets = append(secrets, secretsIn(req.Header)...)
	var connected, refused atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	res, err := s.http.Do(timely(ctx, req, &refused))
	if err != nil {
		e := &Error{Op: op, Fate: FateRetry, what: whatNotSent, Timeout: timedOut(ctx, err), Err: foreign(cause(err), secrets)}
		if connected.Load() && !refused.Load() {
			e.Fate, e.what = FateUnknown, whatNoAnswer
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
	r.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil && r.status >= 200 && r.status < 300 {
		return reply{}, &Error{
			Op: op, Fate: FateUnknown, what: whatNoAnswer, Status: r.status, RequestID: r.requestID(),
			Timeout: timedOut(ctx, err), Err: foreign(cause(err), secrets),
		}
	}
	return r, nil
}

// timelyBody keeps a request back whose time is over: a process that stands still
// while it connects or logs in may wake to find that others went on without it. Its
// timers come too late then. A request is not whole before its body was read, and the
// body is read after all that takes long.
type timelyBody struct {
	io.ReadCloser

	ctx     context.Context //nolint:containedctx // of the request
	refused *atomic.Bool
}

// timely gives the request with such a body, if it has one.
func timely(ctx context.Context, req *http.Request, refused *atomic.Bool) *http.Request {
	req = req.WithContext(ctx)
	if req.GetBody == nil || req.Body == http.NoBody {
		return req
	}
	whole := req.GetBody
	req.Body = timelyBody{req.Body, ctx, refused}
	req.GetBody = func() (io.ReadCloser, error) { // net/http takes another connection
		body, err := whole()
		return timelyBody{body, ctx, refused}, err
	}
	return req
}

// Read implements io.Reader.
func (b timelyBody) Read(p []byte) (int, error) {
	if end, ok := b.ctx.Deadline(); ok {
		// Neither clock alone sees each way to stand still: that of a suspended machine
		// stops, the other one can be set.
		if now := time.Now(); now.After(end) || now.Round(0).After(end.Round(0)) {
			b.refused.Store(true)
			return 0, errTooLate
		}
	}
	return b.ReadCloser.Read(p)
}

var errTooLate = errors.New("its time was over before it was sent: this process stood still")

// dated is the time that the other side wrote on an answer, to the second below
// (RFC 9110, 6.6.1), when it came, and what the machine's clock showed then.
type dated struct{ date, came, clock time.Time }

// readClock takes the time from answers that are not errors: those may be a proxy's.
func (s *sender) readClock(res *http.Response) {
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil && res.StatusCode/100 == 2 && res.Header.Get("Age") == "" {
		s.date.Store(&dated{date, time.Now(), s.now().Round(0)})
	}
}

// begin begins the span of a request
// (https://opentelemetry.io/docs/specs/semconv/http/http-spans/), named after what
// it is for. Nothing of its headers or its body is in it.
func begin(ctx context.Context, op string, req *http.Request) (context.Context, trace.Span) {
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

// answeredIn says how a request ended.
func answeredIn(span trace.Span, r reply, err error) {
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
		kind := "other"
		if e, ok := errors.AsType[*Error](err); ok {
			kind = e.Label()
		}
		span.SetAttributes(attribute.String("error.type", kind))
		span.SetStatus(codes.Error, err.Error())
	case r.status >= 400:
		span.SetAttributes(attribute.String("error.type", strconv.Itoa(r.status)))
		span.SetStatus(codes.Error, "")
	}
}
