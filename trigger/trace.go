package trigger

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// tracerName is the scope of this package's spans.
const tracerName = "buildbridge/trigger"

// messagingSystem is the program's own queue: OpenTelemetry takes a name of our own for
// a system that it does not list
// (https://opentelemetry.io/docs/specs/semconv/registry/attributes/messaging/).
const messagingSystem = "buildbridge"

// span begins a span. Without a tracer it is one that does nothing, and costs
// nothing.
func (t *Trigger) span(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, noop.Span{}
	}
	return t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(
		attribute.String("messaging.system", messagingSystem),
		attribute.String("messaging.operation.type", "send"),
	))
}

// attempt begins the span of an attempt: a call of RunJob, a search, or the end of
// a build without either. It belongs to the commit of the build, however long ago
// and in whatever process that was, and is linked to it.
func (t *Trigger) attempt(ctx context.Context, name string, b *store.Build) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, noop.Span{}
	}
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(
			attribute.String("messaging.system", messagingSystem),
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.destination.name", b.Target),
		),
		trace.WithAttributes(spanAttrs(b)...),
	}
	if commit := b.SpanContext(); commit.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, commit)
		options = append(options, trace.WithLinks(trace.Link{SpanContext: commit}))
	}
	return t.tracer.Start(ctx, name, options...)
}

// spanAttrs are what every span about a build carries: the words of the log.
func spanAttrs(b *store.Build) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String("build", b.ID), attribute.String("delivery", b.Delivery),
		attribute.String("rule", b.Rule), attribute.String("target", b.Target), attribute.String("job_id", b.JobID),
		attribute.String("repository", b.Repository), attribute.String("ref", b.Ref),
	}
	if b.Commit != "" {
		attrs = append(attrs, attribute.String("commit", b.Commit))
	}
	return attrs
}

// committed says what a commit wrote.
func committed(span trace.Span, d mapping.Delivery, r mapping.Receipt) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("delivery", d.ID), attribute.String("source", d.Source), attribute.Int("builds", len(r.Builds)))
	if r.DuplicateOf != "" {
		span.SetAttributes(attribute.String("duplicate_of", r.DuplicateOf))
	}
}

// attempted says what became of an attempt. One that started nothing is an error,
// unless it searched: that there is nothing yet is no fault.
func attempted(span trace.Span, b *store.Build, a store.Attempt) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("outcome", string(a.Outcome)), attribute.Int("attempt", b.Attempts))
	if b.BuildNumber != "" {
		span.SetAttributes(attribute.String("build_number", b.BuildNumber))
	}
	if a.Error != "" && (!a.Search || a.Outcome == store.Dead) {
		span.SetStatus(codes.Error, a.Error)
	}
}

// end ends a span, with the error of what it is about.
func end(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
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
