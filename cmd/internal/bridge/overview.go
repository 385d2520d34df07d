package bridge

import (
	"context"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

func (b *Bridge) overview(ctx context.Context) (o admin.Overview, err error) {
	state, err := b.trigger.Overview(ctx)
	if err != nil {
		return o, err
	}
	o = admin.Overview{
		Version: b.o.Version, Started: b.started, Pauses: admin.NewPauses(state.Pauses, state.InRules),
		Targets: state.Targets, Sources: state.Sources, Replicas: state.Replicas, OnHold: state.OnHold, Faults: state.Faults,
	}
	if force := b.inForce.Load(); force != nil {
		o.Rules, o.Digest = force.Rules.Len(), force.Rules.Digest()
		if force.Failed != nil {
			o.Faults = append(o.Faults, store.Fault{
				About: store.FaultOfRules, Says: "the rules' files have faults, and older rules are in force: " + force.Failed.First,
			})
		}
	}
	return o, nil
}
