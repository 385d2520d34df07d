package trigger_test

import (
	"strings"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// A deadline passes while no process looks: the machine is off for three days, or its clock is a day ahead. The
// build still gets one call, and no more.
func TestDeadlineThatNobodySaw(t *testing.T) {
	t.Parallel()
	const off = 72 * time.Hour
	tried := func(t *testing.T, b *testTrigger, row *store.Build) {
		t.Helper()
		row.Service = b.client(t, patient()).Address()
		if _, err := b.store.BeginCall(t.Context(), row, time.Now().Add(-off)); err != nil {
			t.Fatal(err)
		}
	}
	save := func(t *testing.T, b *testTrigger, row *store.Build, state store.State) {
		t.Helper()
		row.State, row.Reason = state, "as it was before"
		if err := b.store.Save(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	refused := codeartstest.Fault{Path: codeartstest.PathRun, Status: 429, RetryAfter: 1}
	for phrase, c := range map[string]struct {
		before func(t *testing.T, b *testTrigger, row *store.Build)
		fault  codeartstest.Fault // none if it has no path
		want   store.State
		reason string // part of it
		calls  int    // since
	}{
		"never tried": {want: store.Started, calls: 1},
		"tried before": {before: func(t *testing.T, b *testTrigger, row *store.Build) {
			t.Helper()
			tried(t, b, row)
			save(t, b, row, store.Waiting)
		}, want: store.Started, calls: 1},
		"in the middle of a call": {before: tried, want: store.Started, calls: 1},
		"unknown": {before: func(t *testing.T, b *testTrigger, row *store.Build) {
			t.Helper()
			tried(t, b, row)
			save(t, b, row, store.Unknown)
		}, want: store.Started, calls: 1},
		"unknown, and the search fails": {
			before: func(t *testing.T, b *testTrigger, row *store.Build) {
				t.Helper()
				tried(t, b, row)
				save(t, b, row, store.Unknown)
			},
			fault: codeartstest.Fault{Path: codeartstest.PathList, Status: 500, Times: 1}, want: store.Started, calls: 1,
		},
		"unknown, and every search fails": {
			before: func(t *testing.T, b *testTrigger, row *store.Build) {
				t.Helper()
				tried(t, b, row)
				save(t, b, row, store.Unknown)
			},
			fault: codeartstest.Fault{Path: codeartstest.PathList, Status: 500}, want: store.Dead, reason: "it is not known whether",
		},
		"throttled then": {fault: refused, want: store.Dead, reason: "not started by its deadline", calls: 1},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			b := newTestTrigger(t, settings{stopped: true})
			r, err := b.Accept(t.Context(), mapping.Delivery{
				ID: phrase, Source: "github", DuplicateKey: phrase, ReceivedAt: time.Now().Add(-off), Body: []byte("{}"),
			}, []mapping.Build{push(commitA)})
			if err != nil {
				t.Fatal(err)
			}
			id := r.Builds[0].ID
			row := b.await(t, id, store.Waiting)
			if c.before != nil {
				c.before(t, b, row)
			}
			before := row.Attempts
			if c.fault.Path != "" {
				b.fault(t, c.fault)
			}
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := b.await(t, id, store.Started, store.Dead)
			if got.State != c.want || !strings.Contains(got.Reason, c.reason) || got.Attempts-before != c.calls {
				t.Errorf("got %s (%s) after %d calls, want %s after %d", got.State, got.Reason, got.Attempts-before, c.want, c.calls)
			}
		})
	}
}
