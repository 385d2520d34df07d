package store

import (
	"context"
	"fmt"
)

// Replica is a process that uses the database.
type Replica struct {
	Name  string `json:"name"` // its [Store.Caller]
	Leads bool   `json:"leads,omitempty"`
	Self  bool   `json:"self,omitempty"` // the process that was asked
}

// Replicas lists the processes that have asked for the lead within [LeadFor], by name.
func (s *Store) Replicas(ctx context.Context) ([]Replica, error) {
	if s.shared == nil {
		return []Replica{{Name: s.caller, Leads: true, Self: true}}, nil
	}
	replicas, err := s.shared.replicas(ctx)
	if err != nil {
		return nil, fmt.Errorf("replicas: %w", err)
	}
	for i := range replicas {
		replicas[i].Self = replicas[i].Name == s.caller
	}
	return replicas, nil
}
