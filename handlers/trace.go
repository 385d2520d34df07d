package handlers

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// tracerName is the scope of this package's spans.
const tracerName = "buildbridge/handlers"

// beginTrace begins the span of a call whose sender is believed, if there is a tracer.
// Others get none: strangers could fill the queue of the exporter. It counts from
// when the call began.
//
// It is a trace of its own, whatever the sender says: traces that others have
// begun would be sampled as they like. What traceparent names is linked to.
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
			attribute.String("url.path", r.URL.Path),
			attribute.String("url.scheme", scheme),
			attribute.String("client.address", cl.client.String()),
			attribute.String("source", cl.source.Name),
			attribute.String("provider", cl.source.Provider),
		),
	}
	const traceparent = "traceparent" // https://www.w3.org/TR/trace-context/
	if values := r.Header.Values(traceparent); len(values) == 1 {
		theirs := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: values[0]}))
		if theirs.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: theirs}))
		}
	}
	ctx, cl.span = s.tracer.Start(ctx, "POST "+webhooks+"{source}", options...)
	return ctx
}

// beginReplayTrace begins the span of a delivery that is decided anew.
func (s *Server) beginReplayTrace(ctx context.Context, cl *call, began time.Time) context.Context {
	if s.tracer == nil {
		return ctx
	}
	ctx, cl.span = s.tracer.Start(ctx, "replay delivery", trace.WithTimestamp(began),
		trace.WithAttributes(attribute.String("source", cl.name)))
	return ctx
}

// in is a context with the span of the call, if it has one.
func (cl *call) in(ctx context.Context) context.Context {
	if cl.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, cl.span)
}

// endTrace ends the span of the call, if it has one, with what the log has of it.
func (cl *call) endTrace(a answer, err error) {
	if cl.span == nil {
		return
	}
	defer cl.span.End()
	if !cl.span.IsRecording() {
		return
	}
	event := cl.event()
	attrs := []attribute.KeyValue{
		attribute.Int("http.response.status_code", a.status),
		attribute.String("delivery", cl.delivery.ID),
		attribute.String("host_id", clip(cl.delivery.HostID, maxLoggedName)),
		attribute.String("repository", clip(event.Repository, maxLoggedName)),
		attribute.String("ref", clip(event.Ref, maxLoggedName)),
		attribute.String("commit", event.Commit),
		attribute.Int("events", len(cl.delivery.Events)),
		attribute.String("outcome", a.Outcome),
		attribute.String("reason", a.Reason),
		attribute.Int("builds", len(a.Builds)),
		attribute.String("replay_of", a.ReplayOf),
	}
	cl.span.SetAttributes(slices.DeleteFunc(attrs, func(kv attribute.KeyValue) bool {
		return kv.Value.Type() == attribute.STRING && kv.Value.AsString() == ""
	})...)
	if err == nil {
		return
	}
	cl.span.RecordError(err)
	if a.status >= http.StatusInternalServerError { // of a server, the others are no errors
		cl.span.SetAttributes(attribute.String("error.type", a.Reason))
		cl.span.SetStatus(codes.Error, err.Error())
	}
}

// observe takes a time, with the trace that it was seen in for an exemplar.
func observe(ctx context.Context, o prometheus.Observer, seconds float64) {
	span := trace.SpanContextFromContext(ctx)
	if exemplars, ok := o.(prometheus.ExemplarObserver); ok && span.IsSampled() {
		exemplars.ObserveWithExemplar(seconds, prometheus.Labels{"trace_id": span.TraceID().String()})
		return
	}
	o.Observe(seconds)
}
