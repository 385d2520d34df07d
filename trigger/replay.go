package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// Replay sends the stored body of a build again, as a build of its own that names
// the one it repeats, or that one repeats in turn: at once, whatever waits in its
// line. It returns [store.ErrNotResolved] for a build that will still be called by
// itself, [store.ErrNoBody] for one that was dead on arrival, and [store.ErrReplayed]
// if somebody else replays it at the same time, or a replay of it is not resolved.
func (t *Trigger) Replay(ctx context.Context, id string) (*store.Build, error) {
	old, err := t.store.Build(ctx, id)
	if err != nil {
		return nil, err
	}
	last, err := t.store.LastReplay(ctx, old)
	if err != nil {
		return nil, err
	}
	return t.replay(ctx, old, last)
}

// ReplayListed is Replay for one of the builds that [store.Store.ToReplay] gave. It
// returns [store.ErrReplayed] if it was replayed since.
func (t *Trigger) ReplayListed(ctx context.Context, r store.Replayable) (*store.Build, error) {
	old, err := t.store.Build(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return t.replay(ctx, old, r.Last)
}

// replay repeats a build, of which last was the newest replay.
func (t *Trigger) replay(ctx context.Context, old *store.Build, last string) (b *store.Build, err error) {
	if !old.State.Final() {
		return nil, fmt.Errorf("build %s is %s: %w", old.ID, old.State, store.ErrNotResolved)
	}
	if len(old.Body) == 0 {
		return nil, fmt.Errorf("build %s: %w %s", old.ID, store.ErrNoBody, old.Delivery)
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
		ReplayOf: old.Original(), ByHand: true, State: store.Waiting, ReceivedAt: now, Deadline: now.Add(t.retryFor(old.Target)),
		Trace: store.Trace(ctx),
	}
	if span.IsRecording() {
		span.SetAttributes(append(spanAttrs(b), attribute.String("replay_of", b.ReplayOf))...)
	}
	if b.Body, err = remark(old, b.ID); err != nil {
		return nil, fmt.Errorf("build %s: its body: %w", old.ID, err)
	}
	if err := t.store.AddReplay(ctx, b, last); err != nil {
		return nil, fmt.Errorf("build %s: %w", old.ID, err)
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
