package store

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const traceparent = "traceparent" // https://www.w3.org/TR/trace-context/

// Trace gives the span of ctx as a build keeps it in its field of that name; "" if
// there is none.
func Trace(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}

// SpanContext reads what [Trace] gave; it is not valid for a build without a trace.
func (b *Build) SpanContext() trace.SpanContext {
	if b.Trace == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: b.Trace})
	return trace.SpanContextFromContext(ctx)
}
