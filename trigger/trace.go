package trigger

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"buildbridge/mapping"
	"buildbridge/mapping/observe"
	"buildbridge/trigger/store"
)

// tracerName is the scope of this package's spans.
const tracerName = "buildbridge/trigger"

// messagingSystem is the program's own queue. OpenTelemetry allows a name that it does not
// list (https://opentelemetry.io/docs/specs/semconv/registry/attributes/messaging/).
var messagingSystem = attribute.String("messaging.system", "buildbridge")

// span begins a span. Without a tracer it is a span that does and costs nothing.
func (t *Trigger) span(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, noop.Span{}
	}
	return t.tracer.Start(ctx, name, trace.WithSpanKind(kind),
		trace.WithAttributes(messagingSystem, attribute.String("messaging.operation.type", "send")))
}

// attempt begins the span of an attempt: a call that starts a build, a search, or the end of a build
// without either. Its parent is the span that committed the build, however long ago and in
// whichever process that was, and it has a link to it.
func (t *Trigger) attempt(ctx context.Context, name string, b *store.Build, more ...trace.SpanStartOption) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, noop.Span{}
	}
	options := append(more,
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(messagingSystem,
			attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.destination.name", b.Target),
		),
		trace.WithAttributes(t.spanAttrs(b)...),
	)
	if commit := observe.SpanContext(b.Trace); commit.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, commit)
		options = append(options, trace.WithLinks(trace.Link{SpanContext: commit}))
	}
	return t.tracer.Start(ctx, name, options...)
}

// spanAttrs are what every span about a build has: the same as its log lines.
func (t *Trigger) spanAttrs(b *store.Build) (attrs []attribute.KeyValue) {
	for _, a := range t.buildAttrs(b) {
		if value := a.Value.String(); value != "" || a.Key != "commit" {
			attrs = append(attrs, attribute.String(a.Key, value))
		}
	}
	return attrs
}

// setCommit adds to the span of a commit what was written.
func setCommit(span trace.Span, d mapping.Delivery, r mapping.Receipt) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("delivery", d.ID), attribute.String("source", d.Source), attribute.Int("builds", len(r.Builds)))
	if r.DuplicateOf != "" {
		span.SetAttributes(attribute.String("duplicate_of", r.DuplicateOf))
	}
}

// setAttempt adds to the span of an attempt what became of it. An attempt that started
// nothing is an error, unless it is a search that found nothing yet.
func setAttempt(span trace.Span, b *store.Build, a store.Attempt) {
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

// traceBuild makes the span of a build that has ended, from its start to its end. ctx gets it,
// for exemplars.
func (t *Trigger) traceBuild(ctx context.Context, b *store.Build) context.Context {
	ctx, span := t.attempt(ctx, "build", b, trace.WithTimestamp(b.StartedAt))
	span.SetAttributes(attribute.String("result", string(b.Result)), attribute.String("build_number", b.BuildNumber))
	if b.Step != "" {
		span.SetAttributes(attribute.String("step", b.Step))
	}
	if b.Result != store.Success {
		span.SetStatus(codes.Error, b.Message)
	}
	span.End(trace.WithTimestamp(b.EndedAt))
	return ctx
}

func endSpan(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
