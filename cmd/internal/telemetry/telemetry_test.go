package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"buildbridge/cmd/internal/e2e/program"
	"buildbridge/cmd/internal/telemetry"
	"buildbridge/cmd/internal/telemetry/telemetrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logger writes text to a log.
func logger(l *program.Log) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// environment sets variables, and unsets all others of OpenTelemetry.
func environment(t *testing.T, set map[string]string) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range set {
		t.Setenv(name, value)
	}
}

func TestNothingIsStartedUnlessACollectorIsNamed(t *testing.T) {
	const url = "http://127.0.0.1:1"
	for name, set := range map[string]map[string]string{
		"unset":                {},
		"empty":                {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
		"a name alone":         {"OTEL_SERVICE_NAME": "bridge", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"},
		"the SDK is disabled":  {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SDK_DISABLED": "TRUE"},
		"traces are not meant": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url, "OTEL_TRACES_EXPORTER": "none"},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, set)
			l := &program.Log{}
			log := logger(l)
			tracing, err := telemetry.Start(t.Context(), "v1", log)
			if err != nil || tracing != nil {
				t.Fatalf("started: %v, error %v", tracing, err)
			}
			if tracing.TracerProvider() != nil || tracing.Logger(log) != log {
				t.Error("there is a tracer, or another log")
			}
			if err := goleak.Find(goleak.IgnoreCurrent()); err != nil {
				t.Error(err)
			}
			tracing.Stop(t.Context(), time.Second)
		})
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	const secret = "s3cr3t-value"
	for name, test := range map[string]struct {
		set  map[string]string
		want string
	}{
		"no URL":          {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT: not an http or https URL"},
		"a broken URL":    {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:" + secret + "@%zz"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: not an http or https URL"},
		"a protocol":      {map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "thrift"}, `OTEL_EXPORTER_OTLP_PROTOCOL: "thrift" is not known: want http/protobuf, http/json or grpc`},
		"an exporter":     {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, `OTEL_TRACES_EXPORTER: "zipkin" is not known: want otlp or none`},
		"a sampler":       {map[string]string{"OTEL_TRACES_SAMPLER": "coin"}, "unsupported sampler: coin"},
		"a sampler's arg": {map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "invalid trace ID ratio"},
		"headers":         {map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": secret}, "parse headers: missing"},
		"a timeout":       {map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "parse duration"},
		"a certificate":   {map[string]string{"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere"}, "read tls ca cert file"},
		"attributes":      {map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "zone"}, "missing value"},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
			for name, value := range test.set {
				t.Setenv(name, value)
			}
			tracing, err := telemetry.Start(t.Context(), "v1", logger(&program.Log{}))
			if err == nil {
				tracing.Stop(t.Context(), time.Second)
				t.Fatal("it was started")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("the error is %q, want %q and no value", err, test.want)
			}
		})
	}
}

func span(t *testing.T, tracing *telemetry.Tracing) trace.Span {
	t.Helper()
	ctx, s := tracing.TracerProvider().Tracer("test").Start(t.Context(), "test")
	log := &program.Log{}
	tracing.Logger(logger(log)).With(slog.Int("a", 1)).InfoContext(ctx, "in it")
	want := "trace_id=" + s.SpanContext().TraceID().String() + " span_id=" + s.SpanContext().SpanID().String()
	if strings.Contains(log.String(), want) != s.SpanContext().IsSampled() {
		t.Errorf("the log is %s, want %s if it is sampled", log, want)
	}
	s.End()
	return s
}

func TestStandardEnvironment(t *testing.T) {
	c := telemetrytest.New(t)
	environment(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL,
		"OTEL_EXPORTER_OTLP_HEADERS":  "x-api-key=abc%20def",
		"OTEL_RESOURCE_ATTRIBUTES":    "deployment.environment=lab,service.version=v9",
	})
	l := &program.Log{}
	tracing, err := telemetry.Start(t.Context(), "v1", logger(l))
	if err != nil {
		t.Fatal(err)
	}
	span(t, tracing)
	tracing.Stop(t.Context(), time.Minute)
	spans := c.Spans("test")
	if len(spans) != 1 || c.Header().Get("X-Api-Key") != "abc def" {
		t.Fatalf("%d spans arrived, header %v; the log is %s", len(spans), c.Header(), l)
	}
	for name, want := range map[string]string{"service.name": "buildbridge", "service.version": "v9", "deployment.environment": "lab", "telemetry.sdk.language": "go"} {
		if got := spans[0].Resource[name]; got != want {
			t.Errorf("resource attribute %s is %q, want %q", name, got, want)
		}
	}
	if l.String() != "" {
		t.Errorf("the log is %s", l)
	}

	t.Setenv("OTEL_SERVICE_NAME", "other")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	tracing, err = telemetry.Start(t.Context(), "v1", logger(l))
	if err != nil {
		t.Fatal(err)
	}
	if span(t, tracing).SpanContext().IsSampled() {
		t.Error("the sampler is not that of the environment")
	}
	tracing.Stop(t.Context(), time.Minute)
	t.Setenv("OTEL_TRACES_SAMPLER", "")
	if tracing, err = telemetry.Start(t.Context(), "v1", logger(l)); err != nil {
		t.Fatal(err)
	}
	span(t, tracing)
	tracing.Stop(t.Context(), time.Minute)
	if spans := c.Spans("test"); len(spans) != 2 || spans[1].Resource["service.name"] != "other" {
		t.Errorf("want a second span of service other: %+v", spans)
	}
}

// grpcCollector takes OTLP by gRPC.
type grpcCollector struct {
	collector.UnimplementedTraceServiceServer
	kept *telemetrytest.Collector
}

func (c grpcCollector) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.kept.Take(r)
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestGRPC(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	kept := &telemetrytest.Collector{}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, grpcCollector{kept: kept})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + l.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
	log := &program.Log{}
	tracing, err := telemetry.Start(t.Context(), "v1", logger(log))
	if err != nil {
		t.Fatal(err)
	}
	span(t, tracing)
	tracing.Stop(t.Context(), time.Minute)
	if len(kept.Spans("test")) != 1 {
		t.Errorf("no span arrived; the log is %s", log)
	}
	server.Stop()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		t.Error(err)
	}
}

// A collector that takes a connection and says nothing costs no more than the time
// that Stop has, by either protocol.
func TestStopIsBounded(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // what was cut ends by itself
			release := make(chan struct{})
			silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
			defer silent.Close()
			defer close(release)
			environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": silent.URL, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
			l := &program.Log{}
			tracing, err := telemetry.Start(t.Context(), "v1", logger(l))
			if err != nil {
				t.Fatal(err)
			}
			for range 5000 { // more than the queue holds
				span(t, tracing)
			}
			began := time.Now()
			tracing.Stop(t.Context(), 200*time.Millisecond)
			if took := time.Since(began); took > 8*time.Second { // a request may take 10 s
				t.Errorf("Stop took %s", took)
			}
			if !strings.Contains(l.String(), "not sent in time") {
				t.Errorf("the log is %s", l)
			}
		})
	}
}

// What the collector answers is logged now and then, and shows no secret.
func TestFaultsAreLoggedNowAndThen(t *testing.T) {
	const secret = "s3cr3t-api-key"
	refused := make(chan struct{}, 100)
	angry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "who is "+r.Header.Get("Authorization")+strings.Repeat("?", 5000), http.StatusUnauthorized)
		refused <- struct{}{}
	}))
	defer angry.Close()
	environment(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": angry.URL, "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20" + secret,
		"OTEL_BSP_SCHEDULE_DELAY": "10",
	})
	l := &program.Log{}
	tracing, err := telemetry.Start(t.Context(), "v1", logger(l))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		span(t, tracing)
		<-refused
	}
	tracing.Stop(t.Context(), time.Minute)
	text := l.String()
	if strings.Count(text, "traces cannot be sent") != 1 || !strings.Contains(text, "401") || !strings.Contains(text, "[hidden]") || strings.Contains(text, secret) || len(text) > 1000 {
		t.Errorf("want one line, short and without the secret: %s", text)
	}
}
