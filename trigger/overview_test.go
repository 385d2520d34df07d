package trigger_test

import (
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

// It is not known whether a call started its build. After a while that is a fault.
func TestBuildThatStaysUnknownIsAFault(t *testing.T) {
	t.Parallel()
	for ago, want := range map[time.Duration]bool{9 * time.Minute: false, 11 * time.Minute: true} {
		t.Run(ago.String(), func(t *testing.T) {
			t.Parallel()
			b := newTestTrigger(t, settings{stopped: true})
			row := b.await(t, b.deliver(t, push(commitA))[0], store.Waiting)
			if _, err := b.store.BeginCall(t.Context(), row, time.Now().Add(-ago)); err != nil {
				t.Fatal(err)
			}
			row.State, row.DueAt = store.Unknown, time.Now().Add(time.Minute)
			if err := b.store.Save(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			o, err := b.Overview(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, f := range o.Faults {
				found = found || f.About == store.FaultOfTarget && f.Name == "north" &&
					strings.Contains(f.Says, "it is not known whether they started 1 build: buildbridge builds list --state unknown --target 'north'")
			}
			if found != want {
				t.Errorf("the faults are %v", o.Faults)
			}
		})
	}
}
