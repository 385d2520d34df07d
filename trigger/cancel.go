package trigger

import (
	"context"
	"log/slog"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// canceled is the outcome of builds that a person canceled, in the metric of outcomes: they are
// dead, and nobody has to look at them.
const canceled = "canceled"

// Cancel ends a build that waits. The errors are those of [store.Store.Cancel].
func (t *Trigger) Cancel(ctx context.Context, id string, by mapping.By) (*store.Build, error) {
	b, err := t.store.Cancel(ctx, id, by.Actor, by.Why)
	if err != nil {
		return nil, err
	}
	t.metrics.builds.WithLabelValues(b.Rule, b.Target, canceled).Inc()
	t.log.LogAttrs(ctx, slog.LevelInfo, "build is canceled", t.buildAttrs(b, slog.String("actor", by.Actor), slog.String("reason", by.Why))...)
	return b, nil
}
