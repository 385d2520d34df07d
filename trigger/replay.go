package trigger

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/mapping"
	"buildbridge/mapping/observe"
	"buildbridge/trigger/store"
)

// Replay sends the stored body of a build again, as a new build that names the first build
// which it repeats. It is due at once, whatever waits for the same ordering key. Replay
// returns [store.ErrNotResolved] for a build that is still to be called, [store.ErrNoBody]
// for one that was dead on arrival, and [store.ErrReplayed] if somebody else replays it at
// the same time, or a replay of it is not resolved.
func (t *Trigger) Replay(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
	old, err := t.store.Build(ctx, id)
	if err != nil {
		return nil, err
	}
	last, err := t.store.LastReplay(ctx, old)
	if err != nil {
		return nil, err
	}
	return t.replay(ctx, old, last, by)
}

// ReplayListed is Replay for a build from the list of [store.Store.ToReplay]. It returns
// [store.ErrReplayed] if the build was replayed since.
func (t *Trigger) ReplayListed(ctx context.Context, r store.Replayable, by mapping.By) (*store.Build, error) {
	old, err := t.store.Build(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return t.replay(ctx, old, r.Last, by)
}

// replay repeats a build whose newest replay is last.
func (t *Trigger) replay(ctx context.Context, old *store.Build, last string, by mapping.By) (b *store.Build, err error) {
	if !old.State.Final() {
		return nil, fmt.Errorf("build %s is %s: %w", old.ID, old.State, store.ErrNotResolved)
	}
	if len(old.Body) == 0 {
		return nil, fmt.Errorf("build %s: %w %s", old.ID, store.ErrNoBody, old.Delivery)
	}
	now := time.Now()
	ctx, span := t.span(ctx, "replay build", trace.SpanKindProducer)
	defer func() { endSpan(span, err) }()
	if before := observe.SpanContext(old.Trace); before.IsValid() { //nolint:contextcheck // the stored span, not that of ctx
		span.AddLink(trace.Link{SpanContext: before})
	}
	b = &store.Build{
		ID: newID(), Delivery: old.Delivery, Rule: old.Rule, Target: old.Target,
		Action: old.Action, JobID: old.JobID, ProjectID: old.CalledProject(),
		Repository: old.Repository, Ref: old.Ref, Tag: old.Tag, Commit: old.Commit, Marker: old.Marker,
		TagCommit: old.TagCommit, Context: old.Context, Origin: old.Origin, By: by, Pusher: old.Pusher, Title: old.Title,
		ReplayOf: old.Original(), ByHand: true, State: store.Waiting, ReceivedAt: now, Deadline: now.Add(t.retryFor(old.Target)),
		Trace: observe.Traceparent(ctx),
	}
	if span.IsRecording() {
		span.SetAttributes(append(t.spanAttrs(b), attribute.String("replay_of", b.ReplayOf))...)
	}
	if b.Body, err = (*target)(nil).action(b.Action).again(old, b.ID); err != nil {
		return nil, fmt.Errorf("build %s: its body: %w", old.ID, err)
	}
	if err := t.store.AddReplay(ctx, b, last); err != nil {
		return nil, fmt.Errorf("build %s: %w", old.ID, err)
	}
	t.log.LogAttrs(ctx, slog.LevelInfo, "build is replayed",
		t.buildAttrs(b, slog.String("replay_of", b.ReplayOf), slog.String("actor", by.Actor), slog.String("why", by.Why))...)
	return b, nil
}

func (t *Trigger) retryFor(name string) time.Duration {
	if target := t.target(name); target != nil {
		return target.RetryFor
	}
	return mapping.DefaultRetryFor
}
