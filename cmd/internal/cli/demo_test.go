package cli

import "testing"

// The bridge of the demo has the limits that serve has by default.
func TestDemoHasLimits(t *testing.T) {
	o, err := (&demoCommand{}).options(&Environment{})
	if err != nil {
		t.Fatal(err)
	}
	s := o.Settings
	if s.Handlers.MaxBodyMemory != 256<<20 || s.MaxConnections != 1024 || s.Trigger.MaxWaiting != 1_000_000 {
		t.Errorf("%d bytes of bodies, %d connections, %d waiting builds, want the defaults of serve",
			s.Handlers.MaxBodyMemory, s.MaxConnections, s.Trigger.MaxWaiting)
	}
}
