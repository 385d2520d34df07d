package trigger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// ErrNoBody means that a build was dead on arrival: its RunJob body could not be
// resolved, so there is none to send.
var ErrNoBody = errors.New("the build was dead on arrival and has no RunJob body: mend the rule and replay its delivery")

// ErrNotResolved means that a build cannot be replayed because it is not done
// with.
var ErrNotResolved = errors.New("the build is not resolved yet")

// Replay sends the stored body of a build again, as a build of its own that names
// the one it repeats, or that one repeats in turn: at once, whatever waits in its
// line. A build that is not resolved is refused with ErrNotResolved, since it will
// still be called by itself, and one that was dead on arrival with ErrNoBody.
func (t *Trigger) Replay(ctx context.Context, id string) (b *store.Build, err error) {
	old, err := t.store.Build(ctx, id)
	if err != nil {
		return nil, err
	}
	if !old.State.Final() {
		return nil, fmt.Errorf("build %s is %s: %w", id, old.State, ErrNotResolved)
	}
	if len(old.Body) == 0 {
		return nil, fmt.Errorf("build %s: %w", id, ErrNoBody)
	}
	next, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("id of a build: %w", err)
	}
	now := time.Now()
	ctx, span := t.span(ctx, "replay build", trace.SpanKindProducer)
	defer func() { end(span, err) }()
	if before := old.SpanContext(); before.IsValid() { //nolint:contextcheck // what is stored, and not what ctx has
		span.AddLink(trace.Link{SpanContext: before})
	}
	b = &store.Build{
		ID: next.String(), Delivery: old.Delivery, Rule: old.Rule, Target: old.Target, JobID: old.JobID,
		Repository: old.Repository, Ref: old.Ref, Tag: old.Tag, Commit: old.Commit, Marker: old.Marker,
		ReplayOf: cmp.Or(old.ReplayOf, old.ID), ByHand: true, State: store.Waiting, ReceivedAt: now, Deadline: now.Add(t.retryFor(old.Target)),
		Trace: store.Trace(ctx),
	}
	if span.IsRecording() {
		span.SetAttributes(append(spanAttrs(b), attribute.String("replay_of", b.ReplayOf))...)
	}
	if b.Body, err = remark(old, b.ID); err != nil {
		return nil, fmt.Errorf("build %s: its body: %w", id, err)
	}
	if err := t.store.AddBuild(ctx, b); err != nil {
		return nil, err
	}
	t.log.InfoContext(ctx, "build is replayed", append(buildAttrs(b), "replay_of", b.ReplayOf)...)
	return b, nil
}

func (t *Trigger) retryFor(name string) time.Duration {
	if target := t.target(name); target != nil {
		return target.RetryFor
	}
	return mapping.DefaultRetryFor
}

// remark is the body of a build with the id of its replay for a marker.
func remark(old *store.Build, id string) ([]byte, error) {
	if old.Marker == "" {
		return old.Body, nil
	}
	var r codearts.RunJobRequest
	if err := json.Unmarshal(old.Body, &r); err != nil {
		return nil, err
	}
	for i := range r.Parameters {
		if r.Parameters[i].Name == old.Marker {
			r.Parameters[i].Value = id
		}
	}
	return encode(r)
}
