package store

import (
	"context"
	"fmt"
	"time"
)

// LeadFor is how long a process leads if it does not ask again.
const LeadFor = 15 * time.Second

// Lead reports whether this process leads for the next LeadFor. One of all processes that
// share the database does.
func (s *Store) Lead(ctx context.Context) (bool, error) {
	if s.shared == nil {
		return true, nil
	}
	return s.shared.lead(ctx, s.caller)
}

// Analyze keeps statements quick while the tables grow. It is for the leader, every few
// seconds.
func (s *Store) Analyze(ctx context.Context) error {
	if s.shared == nil {
		return nil
	}
	if err := s.shared.analyze(ctx); err != nil {
		return fmt.Errorf("statistics of the tables: %w", err)
	}
	return nil
}
