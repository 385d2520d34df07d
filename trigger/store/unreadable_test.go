package store_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

// A row with impossible values is shown as far as it can be read, and delays no other.
func TestUnreadableRow(t *testing.T) {
	t.Parallel()
	for phrase, test := range map[string]struct {
		database func(t *testing.T) string
		run      func(t testing.TB, database, statement string)
		more     []string // that this database takes
	}{
		"SQLite": {
			database: func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "test.db") },
			run:      runSQLite,
			more:     []string{`UPDATE builds SET newest = 7, by_hand = -1, adopted = 2`, `UPDATE deliveries SET body = x'ff'`},
		},
		"Postgres": {
			database: func(t *testing.T) string { t.Helper(); return server.Database(t) },
			run:      runPostgres,
			more:     []string{`UPDATE deliveries SET body = '\xff'`},
		},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			database := test.database(t)
			s := opener(t, database)()
			bad, good := accept(t, s, nil), accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/good" })
			for _, statement := range append(test.more,
				`UPDATE builds SET received_at = 9215500000000000000, deadline = -9215500000000000000, called_at = 9215500000000000000,
					started_at = -1, log = '{' WHERE id = '`+bad.ID+`'`,
				`UPDATE deliveries SET received_at = 9215500000000000000, header = '[' WHERE id = '`+bad.Delivery+`'`) {
				test.run(t, database, statement)
			}
			listed := map[string]string{}
			builds, _, err := s.Builds(t.Context(), store.BuildFilter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range append(builds, read(t, s, bad.ID), read(t, s, good.ID)) {
				listed[b.ID] = b.Unreadable
				for _, at := range []time.Time{b.ReceivedAt, b.Deadline, b.CalledAt, b.StartedAt} {
					if _, err := at.MarshalJSON(); err != nil {
						t.Error(err)
					}
				}
			}
			deliveries, _, err := s.Deliveries(t.Context(), store.DeliveryFilter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range deliveries {
				listed[d.ID] = d.Unreadable
			}
			for id, want := range map[string]string{
				bad.ID: "received_at holds 9215500000000000000, which is not a time; deadline holds -9215500000000000000, which is not a time; " +
					"called_at holds 9215500000000000000, which is not a time",
				bad.Delivery: "received_at holds 9215500000000000000, which is not a time",
				good.ID:      "", good.Delivery: "",
			} {
				if got, ok := listed[id]; !ok || got != want {
					t.Errorf("listed %t, with %q, want %q", ok, got, want)
				}
			}
			d, err := s.Delivery(t.Context(), bad.Delivery)
			if err != nil || !strings.Contains(d.Unreadable, "header cannot be read: ") || !strings.Contains(d.Unreadable, "body cannot be read: ") {
				t.Errorf("got %+v, %v", d, err)
			}
			if _, err := s.Queue(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := s.Prune(t.Context(), store.Retention{Bodies: time.Hour, Deliveries: time.Hour, Builds: time.Hour}, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
}
