// Package telemetrytest is a collector of traces for tests: it takes OTLP by HTTP,
// in protobuf, and keeps what arrives.
package telemetrytest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span that arrived.
type Span struct {
	Name, Kind           string // server, producer, …
	Trace, ID, Parent    string // hex; Parent is "" for a root
	Links                []Link
	Attributes, Resource map[string]string
	Failed               bool
	Message              string // of the status
}

// Link is to another span.
type Link struct{ Trace, ID string }

// Collector keeps spans.
type Collector struct {
	URL string

	mu     sync.Mutex
	spans  []Span
	bodies [][]byte
	header http.Header // of the last request
}

// New starts a collector that ends with the test.
func New(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// ServeHTTP takes POST /v1/traces.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, fmt.Sprintf("not POST /v1/traces in protobuf: %v", err), http.StatusBadRequest)
		return
	}
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.Take(&request)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies = append(c.bodies, body)
	c.header = r.Header.Clone()
}

// Take keeps the spans of a request.
func (c *Collector) Take(request *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range request.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, read(s, of.GetResource().GetAttributes()))
			}
		}
	}
}

func read(s *otlp.Span, resource []*common.KeyValue) Span {
	span := Span{
		Name: s.GetName(), Kind: kinds()[s.GetKind()],
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		Attributes: texts(s.GetAttributes()), Resource: texts(resource),
		Failed: s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR, Message: s.GetStatus().GetMessage(),
	}
	for _, l := range s.GetLinks() {
		span.Links = append(span.Links, Link{hex.EncodeToString(l.GetTraceId()), hex.EncodeToString(l.GetSpanId())})
	}
	return span
}

func kinds() map[otlp.Span_SpanKind]string {
	return map[otlp.Span_SpanKind]string{
		otlp.Span_SPAN_KIND_INTERNAL: "internal", otlp.Span_SPAN_KIND_SERVER: "server", otlp.Span_SPAN_KIND_CLIENT: "client",
		otlp.Span_SPAN_KIND_PRODUCER: "producer", otlp.Span_SPAN_KIND_CONSUMER: "consumer",
	}
}

// texts returns attributes with their values as text.
func texts(attributes []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, kv := range attributes {
		switch v := kv.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[kv.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			all[kv.GetKey()] = fmt.Sprint(v.IntValue)
		default:
			all[kv.GetKey()] = fmt.Sprint(v)
		}
	}
	return all
}

// Spans returns the spans of a name in the order in which they arrived; all for "".
func (c *Collector) Spans(name string) []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.spans), func(s Span) bool { return name != "" && s.Name != name })
}

// Raw returns all that arrived, as it was sent.
func (c *Collector) Raw() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(c.bodies...)
}

// Header returns the header of the last request.
func (c *Collector) Header() http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header
}
