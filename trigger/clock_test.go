package trigger_test

import (
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// The clock jumps while a call is on its way. Only stored times are left of the time before the
// jump: so these tests shift stored times and the clock of the service, and not the clock.
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
			b := newTestTrigger(t, settings{stopped: true, target: target, sim: codeartstest.Options{
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

// A build was seen in the queue of the service, and left it an hour after the call: its record
// says that it was started then.
func TestBuildThatWasQueuedForLong(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		seen    int64 // the highest number in the records by then
		adopted bool
	}{
		"it was seen":                 {1, true},
		"it is another's, hours late": {0, false},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			target := patient()
			target.RetryFor = 3 * time.Hour
			b := newTestTrigger(t, settings{stopped: true, target: target})
			id := b.deliver(t, push(commitA))[0]
			row := b.await(t, id, store.Waiting)
			row.Service = strings.TrimPrefix(b.sim.URL, "http://")
			row.CalledThere = time.Now().Add(-time.Hour)
			if _, err := b.store.BeginCall(t.Context(), row, row.CalledThere); err != nil {
				t.Fatal(err)
			}
			row.State, row.Seen = store.Unknown, c.seen
			if err := b.store.Save(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			b.post(t, row.Body)
			b.close(t)
			b.open(t, settings{target: target})
			want := map[bool]int{true: 1, false: 2}[c.adopted]
			if got := b.await(t, id, store.Started, store.Dead); got.Adopted != c.adopted || b.sim.RunCount() != want {
				t.Errorf("%d builds were started, want %d; got %+v", b.sim.RunCount(), want, got)
			}
		})
	}
}
