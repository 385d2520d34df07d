package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/mapping/observe"
)

// tracerName is the scope of this package's spans.
const tracerName = "buildbridge/handlers"

// beginTrace begins the span of a call that is authenticated, as of when the call began,
// if there is a tracer. Other calls get no span: strangers could fill the queue of the
// exporter.
//
// The span begins a trace of its own and links to the one that traceparent names: a
// sender must not decide what is sampled here.
func (s *Server) beginTrace(ctx context.Context, cl *call, r *http.Request, began time.Time) context.Context {
	if s.tracer == nil {
		return ctx
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	options := []trace.SpanStartOption{
		trace.WithNewRoot(),
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(began),
		trace.WithAttributes(
			attribute.String("http.request.method", r.Method),
			attribute.String("http.route", webhooks+"{source}"),
			attribute.String("url.path", ShownPath(r.URL.Path)),
			attribute.String("url.scheme", scheme),
			attribute.String("client.address", cl.client.String()),
			attribute.String("source", cl.source.Name),
			attribute.String("provider", cl.source.Provider),
		),
	}
	if values := r.Header.Values("Traceparent"); len(values) == 1 {
		if theirs := observe.SpanContext(values[0]); theirs.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: theirs}))
		}
	}
	ctx, cl.span = s.tracer.Start(ctx, "POST "+webhooks+"{source}", options...)
	return ctx
}

// endTrace ends the span of the call, if it has one.
func (cl *call) endTrace(a Answer, err error) {
	if cl.span == nil {
		return
	}
	defer cl.span.End()
	if !cl.span.IsRecording() {
		return
	}
	cl.span.SetAttributes(attribute.Int("http.response.status_code", a.Status))
	for _, attr := range cl.attrs(a) {
		if attr.Value.Kind() == slog.KindInt64 {
			cl.span.SetAttributes(attribute.Int64(attr.Key, attr.Value.Int64()))
		} else {
			cl.span.SetAttributes(attribute.String(attr.Key, attr.Value.String()))
		}
	}
	if err == nil {
		return
	}
	cl.span.RecordError(err)
	if a.Status >= http.StatusInternalServerError { // for a server, others are not errors
		cl.span.SetAttributes(attribute.String("error.type", a.Reason))
		cl.span.SetStatus(codes.Error, err.Error())
	}
}
