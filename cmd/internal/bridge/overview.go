package bridge

import (
	"context"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/trigger"
)

// Overview is the answer to GET /api/v1/status.
type Overview struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"` // this process
	Rules   int       `json:"rules"`   // how many are in force
	Digest  string    `json:"digest"`  // of these rules

	Pauses []admin.Pause `json:"pauses"`
	trigger.Overview
}

func (b *Bridge) overview(ctx context.Context) (any, error) {
	state, err := b.trigger.Overview(ctx)
	if err != nil {
		return nil, err
	}
	o := Overview{Version: b.o.Version, Started: b.started, Pauses: admin.NewPauses(state.Pauses, state.InRules), Overview: state}
	if force := b.inForce.Load(); force != nil {
		o.Rules, o.Digest = force.Rules.Len(), force.Rules.Digest()
		if force.Failed != nil {
			o.Faults = append(o.Faults, "the rules' files have faults, and older rules are in force: "+force.Failed.First)
		}
	}
	return o, nil
}
