package trigger_test

import (
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// The clock jumps while a call is on its way. What is left of the time before the
// jump is what was stored, so that is what these tests shift, and the clock of the
// service; the clock itself stays.
func TestClockJumpsDuringACall(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		called, service time.Duration // from now
	}{
		"it was set forward by an hour, wrongly": {-time.Hour, -time.Hour},
		"it was set back by an hour, wrongly":    {time.Hour, time.Hour},
		"it was an hour ahead, and was set back": {time.Hour, 0},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			target := patient()
			target.Timeout, target.RetryFor = time.Second, 3*time.Hour
			b := newBridge(t, settings{stopped: true, target: target, sim: codeartstest.Options{
				RecordLag: 50 * time.Millisecond, CommitLag: 100 * time.Millisecond,
				Now: func() time.Time { return time.Now().Add(c.service) },
			}})
			id := b.deliver(t, push(commitA))[0]
			row := b.await(t, id, store.Waiting)
			row.Service = strings.TrimPrefix(b.sim.URL, "http://")
			if _, err := b.store.BeginCall(t.Context(), row, time.Now().Add(c.called)); err != nil {
				t.Fatal(err)
			}
			b.post(t, row.Body)
			b.close(t)
			b.open(t, settings{target: target})
			if got := b.await(t, id, store.Started, store.Dead); !got.Adopted {
				t.Errorf("got %+v, want the build that was started", got)
			}
			if n := b.sim.RunCount(); n != 1 {
				t.Errorf("%d builds were started, want 1", n)
			}
		})
	}
}
