package store

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const traceparent = "traceparent" // https://www.w3.org/TR/trace-context/

// Trace gives the span of ctx in the form of [Build.Trace], "" if there is none.
func Trace(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}

// SpanContext gives the span that committed the build. It is not valid if there was none.
func (b *Build) SpanContext() trace.SpanContext {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: b.Trace})
	return trace.SpanContextFromContext(ctx)
}
