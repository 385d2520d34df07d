package trigger

import (
	"context"
	"errors"
	"time"

	"buildbridge/trigger/store"
)

// Work moves a build as far as it gets, as its queue would. It returns how long it waits
// then, 0 if it is done with, is held, or is to be looked at anew.
func (t *Trigger) Work(ctx context.Context, id string) (again time.Duration, err error) {
	b, err := t.store.Build(ctx, id)
	if err != nil {
		return 0, err
	}
	b.DueAt = time.Time{}
	if err := t.step(ctx, b); err != nil && !errors.Is(err, store.ErrStale) {
		return 0, err
	}
	if now, err := t.store.Build(ctx, id); err != nil || now.State.Final() || b.DueAt.IsZero() {
		return 0, err
	}
	return max(time.Until(b.DueAt), time.Millisecond), nil
}
