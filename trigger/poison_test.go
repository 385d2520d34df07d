package trigger_test

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"buildbridge/trigger/store"
)

// The database holds a row that this program cannot have written: the build is dead with a reason,
// or nothing happens to it, and it delays no other.
func TestPoison(t *testing.T) {
	t.Parallel()
	for phrase, c := range map[string]struct {
		poison string // $1 is the id of a build that waits
		want   store.State
		reason string // part of it
	}{
		"a log that cannot be read":  {poison: `UPDATE builds SET log = '[{"at": nonsense' WHERE id = $1`, want: store.Started},
		"a body that is no RunJob":   {poison: `UPDATE builds SET body = substr(body, 2) WHERE id = $1`, want: store.Dead, reason: "CB.00060200"},
		"an empty body":              {poison: `UPDATE builds SET body = substr(body, 1, 0) WHERE id = $1`, want: store.Dead, reason: "CB.00060200"},
		"a state that nobody knows":  {poison: `UPDATE builds SET state = 'lost' WHERE id = $1`, want: "lost"},
		"a target that nobody knows": {poison: `UPDATE builds SET target = 'nowhere' WHERE id = $1`, want: store.Waiting, reason: "not in the rules"},
		"a time out of this world":   {poison: `UPDATE builds SET received_at = 9223372036854775807, deadline = 9223372036854775807 WHERE id = $1`, want: store.Started},
	} {
		for database, driver := range map[string]string{"SQLite": "sqlite", "Postgres": "pgx"} {
			t.Run(phrase+" on "+database, func(t *testing.T) {
				t.Parallel()
				s := settings{stopped: true}
				if database == "Postgres" {
					s.path = server.Database(t)
				}
				b := newTestTrigger(t, s)
				poisoned := b.deliver(t, push(commitA))[0]
				db, err := sql.Open(driver, b.path)
				if err != nil {
					t.Fatal(err)
				}
				args := []any{}
				if strings.Contains(c.poison, "$1") {
					args = append(args, poisoned)
				}
				if _, err := db.ExecContext(t.Context(), c.poison, args...); err != nil {
					t.Fatal(err)
				}
				if err := b.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				other := push(commitB)
				other.Ref = "refs/heads/next" // those of its own ordering key wait for an hour at most
				b.await(t, b.deliver(t, other)[0], store.Started)
				until(t, "it is "+string(c.want)+": "+c.reason, func() bool {
					got, err := b.store.Build(t.Context(), poisoned)
					return err == nil && got.State == c.want && strings.Contains(got.Reason, c.reason)
				})
				if _, _, err := b.store.Builds(t.Context(), store.BuildFilter{}); err != nil {
					t.Errorf("the builds cannot be listed any more: %v", err)
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
