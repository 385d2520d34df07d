// Package telemetry sends traces to a collector, if the standard environment variables of
// OpenTelemetry name one
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
//
// If they do not, [Start] returns nil and starts nothing; all methods work on nil. Spans wait
// in a queue of limited length and are sent in the background. If a collector is slow or
// cannot be reached, spans are lost, and nothing else happens. [Tracing.Stop] sends the rest.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// maxText is how long a text in a span may be, in bytes, unless the environment sets it.
const maxText = 1000

// Tracing sends traces until Stop. A nil Tracing sends none.
type Tracing struct {
	log      *slog.Logger
	provider *sdk.TracerProvider
	exporter sdk.SpanExporter
}

// Start begins to send traces if the environment names a collector, and returns nil if it
// does not. A variable with an invalid value is an error; it does not contain the value of a
// URL or of headers, which may be secret. Start makes no network call. Errors of sending are
// logged, at most one a minute.
func Start(ctx context.Context, version string, log *slog.Logger) (*Tracing, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	name, endpoint := setting("ENDPOINT")
	if endpoint == "" {
		return nil, nil
	}
	exporters := strings.TrimSpace(os.Getenv("OTEL_TRACES_EXPORTER"))
	switch list := strings.Split(exporters, ","); {
	case exporters == "", slices.Contains(list, "otlp"):
	case slices.Contains(list, "none"):
		return nil, nil
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is not known: want otlp or none", exporters)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%s: not an http or https URL, such as http://localhost:4318", name)
	}

	f := &faults{log: log, hidden: secrets(u)}
	// These are set for the process. By default the SDK writes to standard error.
	otel.SetErrorHandler(f)
	otel.SetLogger(logr.New(f))

	t := &Tracing{log: log}
	if t.exporter, err = newExporter(ctx); err != nil {
		return nil, f.plain(err)
	}
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(
			attribute.String("service.name", "buildbridge"),
			attribute.String("service.version", version),
			attribute.String("service.instance.id", uuid.NewString()),
		),
		resource.WithFromEnv(), // replaces those above
	)
	if err != nil {
		f.Handle(err) //nolint:contextcheck // an error handler of OpenTelemetry gets none
	}
	limits := sdk.NewSpanLimits() // reads the environment
	if limits.AttributeValueLengthLimit < 0 {
		limits.AttributeValueLengthLimit = maxText
	}
	t.provider = sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithRawSpanLimits(limits), sdk.WithBatcher(t.exporter))
	if err := f.started(); err != nil {
		t.Stop(ctx, time.Second)
		return nil, err
	}
	return t, nil
}

// newExporter makes the exporter for the protocol, which reads its own variables.
func newExporter(ctx context.Context) (e sdk.SpanExporter, err error) {
	switch name, protocol := setting("PROTOCOL"); protocol {
	case "", "http/protobuf", "http/json":
		e, err = otlptracehttp.New(ctx)
	case "grpc":
		e, err = otlptracegrpc.New(ctx)
	default:
		return nil, fmt.Errorf("%s: %q is not known: want http/protobuf, http/json or grpc", name, protocol)
	}
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_…: %w", err)
	}
	return e, nil
}

// setting is a setting of the exporter: the one for traces, else the one for all signals.
func setting(key string) (name, value string) {
	for _, name = range []string{"OTEL_EXPORTER_OTLP_TRACES_" + key, "OTEL_EXPORTER_OTLP_" + key} {
		if value = strings.TrimSpace(os.Getenv(name)); value != "" {
			break
		}
	}
	return name, value
}

// secrets are the secrets that an error of sending may contain: the values of headers, and a
// password in the URL.
func secrets(endpoint *url.URL) (all []string) {
	if password, ok := endpoint.User.Password(); ok {
		all = append(all, password, url.QueryEscape(password))
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		for header := range strings.SplitSeq(os.Getenv(name), ",") {
			_, value, _ := strings.Cut(header, "=")
			all = append(all, strings.TrimSpace(value))
			if plain, err := url.PathUnescape(value); err == nil {
				_, token, _ := strings.Cut(strings.TrimSpace(plain), " ") // after Bearer or Basic
				all = append(all, strings.TrimSpace(plain), token)
			}
		}
	}
	return all
}

// TracerProvider makes spans. It is nil if t is.
func (t *Tracing) TracerProvider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// Stop sends the spans that wait. Those that are not sent in time are lost. Stop uses the
// values of ctx, not its deadline.
func (t *Tracing) Stop(ctx context.Context, within time.Duration) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	if t.provider != nil {
		if err := t.provider.Shutdown(ctx); err == nil {
			return
		}
		t.log.LogAttrs(ctx, slog.LevelWarn, "the last traces were not sent in time, and are lost")
	}
	// This cuts the request under way.
	if err := t.exporter.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.log.LogAttrs(ctx, slog.LevelWarn, "the exporter of traces did not stop", slog.String("error", err.Error()))
	}
}
