package trigger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// named gives the ended spans of a name.
func named(spans *tracetest.SpanRecorder, name string) (found []sdk.ReadOnlySpan) {
	for _, s := range spans.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	return found
}

// ended waits until n spans of a name have ended: they end after the build is saved.
func ended(t *testing.T, spans *tracetest.SpanRecorder, name string, n int) []sdk.ReadOnlySpan {
	t.Helper()
	until(t, fmt.Sprintf("%d spans %q have ended", n, name), func() bool { return len(named(spans, name)) >= n })
	return named(spans, name)
}

func text(s sdk.ReadOnlySpan, key string) string {
	for _, kv := range s.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// A replay has a trace of its own, with a link to the one before. A build that was committed without a
// trace gets one with its attempt.
func TestTraceOfReplays(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	b := newTestTrigger(t, settings{traces: sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))})
	b.fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Status: 403, Times: 1})
	id := b.deliver(t, push(commitA))[0]
	b.await(t, id, store.Dead)
	dead := ended(t, spans, "attempt", 1)[0]
	commit := ended(t, spans, "commit", 1)[0]
	if dead.Status().Code != codes.Error || !strings.Contains(dead.Status().Description, "403") || text(dead, "outcome") != "dead" || dead.Parent().SpanID() != commit.SpanContext().SpanID() {
		t.Errorf("the attempt that was refused: %v %v", dead.Status(), dead.Attributes())
	}
	again, err := b.Replay(t.Context(), id, mapping.By{Actor: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	b.await(t, again.ID, store.Started)
	replay, started := ended(t, spans, "replay build", 1)[0], ended(t, spans, "attempt", 2)[1]
	if replay.Parent().IsValid() || replay.SpanKind() != trace.SpanKindProducer || len(replay.Links()) != 1 ||
		replay.Links()[0].SpanContext.SpanID() != commit.SpanContext().SpanID() || text(replay, "replay_of") != id {
		t.Errorf("the replay: parent %v, links %v, %v", replay.Parent(), replay.Links(), replay.Attributes())
	}
	if started.Parent().SpanID() != replay.SpanContext().SpanID() || text(started, "build_number") != "1" {
		t.Errorf("its attempt: parent %v, %v", started.Parent(), started.Attributes())
	}

	d := &store.Delivery{Delivery: mapping.Delivery{ID: "d", Source: "github", ReceivedAt: time.Now()}}
	untraced := &store.Build{ID: "b", Delivery: "d", Rule: "cart", Target: "north", JobID: job2, Commit: commitB, Ref: "refs/heads/x", Body: []byte(`{"job_id":"` + job2 + `"}`), ReceivedAt: time.Now(), Deadline: time.Now().Add(time.Hour)}
	if _, err := b.store.Accept(t.Context(), d, []*store.Build{untraced}); err != nil {
		t.Fatal(err)
	}
	b.await(t, "b", store.Started)
	if root := ended(t, spans, "attempt", 3)[2]; root.Parent().IsValid() || len(root.Links()) != 0 || text(root, "build") != "b" {
		t.Errorf("an attempt without a commit: parent %v, links %v", root.Parent(), root.Links())
	}
}

// The end of a build without a call is an attempt too.
func TestTraceOfADryRun(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	b := newTestTrigger(t, settings{dryRun: true, traces: sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))})
	b.await(t, b.deliver(t, push(commitA))[0], store.DryRun)
	s := ended(t, spans, "attempt", 1)[0]
	if commit := ended(t, spans, "commit", 1)[0]; s.Parent().SpanID() != commit.SpanContext().SpanID() || text(s, "outcome") != "dry_run" || s.Status().Code == codes.Error {
		t.Errorf("parent %v, %v, %v", s.Parent(), s.Attributes(), s.Status())
	}
}
