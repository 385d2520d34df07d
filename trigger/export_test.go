package trigger

import (
	"context"
	"errors"
	"time"

	"buildbridge/trigger/store"
)

// Slots is how many builds of a target are worked at the same time.
const Slots = slots

// FollowStep is how long to wait before the service is asked again, unless Options say otherwise.
func FollowStep(age time.Duration) time.Duration { return followStep(age) }

// Work moves a build as far as possible, as its queue would. It returns how long the build
// waits then: 0 if it is final, is held, or is to be read again.
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
