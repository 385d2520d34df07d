package handlers_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/handlers"
	"buildbridge/mapping"
)

// theirs is the traceparent of a trace that is sampled.
const theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// traced is a bridge whose spans are recorded.
func traced(t *testing.T, options ...sdk.TracerProviderOption) (*bridge, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(append(options, sdk.WithSpanProcessor(spans))...)
	return newBridge(t, func(o *handlers.Options) { o.TracerProvider = provider }), spans
}

// attributes are the attributes of a span, by name.
func attributes(s sdk.ReadOnlySpan) map[string]any {
	all := map[string]any{}
	for _, kv := range s.Attributes() {
		all[string(kv.Key)] = kv.Value.AsInterface()
	}
	return all
}

func TestSpanOfADelivery(t *testing.T) {
	main := push("acme/shop", "refs/heads/main", commit)
	for name, test := range map[string]struct {
		request *http.Request
		stored  error
		want    map[string]any // some of the attributes; nil for no span
		links   int
		failed  bool
	}{
		"accepted": {
			request: request("github", main),
			want:    map[string]any{"outcome": "accepted", "builds": int64(2), "http.response.status_code": int64(202), "repository": "acme/shop", "commit": commit, "source": "github"},
		},
		"one that names a trace is linked to it": {
			request: request("github", main, "Traceparent", theirs), links: 1, want: map[string]any{"outcome": "accepted"},
		},
		"what is no trace is nothing": {
			request: request("github", main, "Traceparent", "00-zz-01"), want: map[string]any{"outcome": "accepted"},
		},
		"ignored": {
			request: request("github", push("other/thing", "refs/heads/main", commit)),
			want:    map[string]any{"outcome": "ignored", "reason": "no_rule", "http.response.status_code": int64(200)},
		},
		"malformed, though authenticated, is no error of a server": {
			request: request("github", `{"ref":`), want: map[string]any{"outcome": "rejected", "reason": "malformed"},
		},
		"not stored": {
			request: request("github", main), stored: errors.New("disk full"), failed: true,
			want: map[string]any{"outcome": "unavailable", "reason": "not_stored", "error.type": "not_stored"},
		},
		"a stranger makes none":  {request: request("github", main, "X-Hub-Signature-256", sign("guess", main), "Traceparent", theirs)},
		"nor an unknown source":  {request: request("nobody", main)},
		"nor an address refused": {request: request("inside", main)},
	} {
		t.Run(name, func(t *testing.T) {
			b, spans := traced(t)
			if test.stored != nil {
				b.store.accept = func(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) {
					return mapping.Receipt{}, test.stored
				}
			}
			b.post(test.request)
			ended := spans.Ended()
			if len(spans.Started()) != len(ended) {
				t.Errorf("%d spans were begun, %d ended", len(spans.Started()), len(ended))
			}
			if test.want == nil {
				if len(ended) > 0 {
					t.Errorf("there are spans: %v", ended)
				}
				return
			}
			if len(ended) != 1 {
				t.Fatalf("there are %d spans, want one", len(ended))
			}
			s := ended[0]
			got := attributes(s)
			for key, want := range test.want {
				if got[key] != want {
					t.Errorf("%s is %v, want %v", key, got[key], want)
				}
			}
			if s.Parent().IsValid() || s.SpanKind() != trace.SpanKindServer || len(s.Links()) != test.links || (s.Status().Code == codes.Error) != test.failed {
				t.Errorf("parent %v, kind %s, links %v, status %v", s.Parent(), s.SpanKind(), s.Links(), s.Status())
			}
			for _, l := range s.Links() {
				if !l.SpanContext.IsRemote() || l.SpanContext.TraceID() == s.SpanContext().TraceID() {
					t.Errorf("link %v", l)
				}
			}
		})
	}
}

// A sender that names a trace does not decide whether the delivery is sampled. The spans of
// the store are children of the delivery's span.
func TestStrangersDoNotSample(t *testing.T) {
	b, spans := traced(t, sdk.WithSampler(sdk.ParentBased(sdk.NeverSample())))
	var in trace.SpanContext
	b.store.accept = func(ctx context.Context, _ mapping.Delivery, _ []mapping.Build) (mapping.Receipt, error) {
		in = trace.SpanContextFromContext(ctx)
		return mapping.Receipt{}, nil
	}
	if w := b.post(request("github", push("acme/shop", "refs/heads/main", commit), "Traceparent", theirs)); w.Code != http.StatusAccepted {
		t.Fatalf("status %d", w.Code)
	}
	if len(spans.Ended()) > 0 || in.IsSampled() || !in.IsValid() {
		t.Errorf("%d spans are sampled, and the store is in %v", len(spans.Ended()), in)
	}
}

func TestSpanOfAReplay(t *testing.T) {
	b, spans := traced(t)
	old := b.kept(t)
	for name, d := range map[string]mapping.Delivery{"decided": old, "without a body": {ID: "old", Source: "github", Provider: "github"}} {
		got := b.Replay(t.Context(), d, mapping.By{})
		s := spans.Ended()[len(spans.Ended())-1]
		have := attributes(s)
		if have["outcome"] != got.Outcome || have["replay_of"] != d.ID || have["source"] != "github" || s.Name() != "replay delivery" || s.Parent().IsValid() {
			t.Errorf("%s: %s, parent %v, %v", name, s.Name(), s.Parent(), have)
		}
	}
}
