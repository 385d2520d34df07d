package trigger

import (
	"context"
	"time"
)

// Work is what the workers do with a wake-up.
func (t *Trigger) Work(ctx context.Context, id string) (again time.Duration, err error) {
	return t.work(ctx, id)
}
