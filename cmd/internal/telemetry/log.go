package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Logger gives a log whose lines name the trace and the span that they belong to,
// if that is sampled: what is named can be found. Of nil it is the log itself.
func (t *Tracing) Logger(log *slog.Logger) *slog.Logger {
	if t == nil {
		return log
	}
	return slog.New(spanned{log.Handler()})
}

type spanned struct{ slog.Handler }

// Handle implements slog.Handler.
func (h spanned) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h spanned) WithAttrs(attrs []slog.Attr) slog.Handler {
	return spanned{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h spanned) WithGroup(name string) slog.Handler { return spanned{h.Handler.WithGroup(name)} }
