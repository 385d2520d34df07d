package bridge

import (
	"context"
	"errors"
	"fmt"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/trigger"
)

// acceptor is the trigger as the handlers see it: it says in their words that the
// queue is full.
type acceptor struct{ *trigger.Trigger }

// Accept implements handlers.Store.
func (a acceptor) Accept(ctx context.Context, d mapping.Delivery, builds []mapping.Build) (mapping.Receipt, error) {
	receipt, err := a.Trigger.Accept(ctx, d, builds)
	if errors.Is(err, trigger.ErrFull) {
		err = fmt.Errorf("%w: %w", handlers.ErrFull, err)
	}
	return receipt, err
}
