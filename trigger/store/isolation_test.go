package store_test

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"buildbridge/trigger/store"
)

// Whatever the default isolation of a server, a database, a role or a URL is: if several replicas get the
// same delivery at once, one of them builds, and none of them fails.
func TestDefaultIsolation(t *testing.T) {
	t.Parallel()
	for phrase, set := range map[string]func(t *testing.T, database, level string) string{
		"of the database": func(t *testing.T, database, level string) string {
			t.Helper()
			runPostgres(t, database, `ALTER DATABASE `+name(t, database)+` SET default_transaction_isolation = '`+level+`'`)
			return database
		},
		"of the role": func(t *testing.T, database, level string) string {
			t.Helper()
			role := "role_" + name(t, database)
			runPostgres(t, database, `CREATE ROLE `+role+` LOGIN; GRANT ALL ON SCHEMA public TO `+role+`;
				ALTER ROLE `+role+` SET default_transaction_isolation = '`+level+`'`)
			return strings.Replace(database, "postgres@", role+"@", 1)
		},
		"of the URL": func(t *testing.T, database, level string) string {
			t.Helper()
			return database + "&default_transaction_isolation=" + url.PathEscape(level)
		},
	} {
		for _, level := range []string{"repeatable read", "serializable"} {
			t.Run(phrase+", "+level, func(t *testing.T) {
				t.Parallel()
				database := set(t, server.Database(t), level)
				replicas := []*store.Store{opener(t, database)(), opener(t, database)(), opener(t, database)()}
				const deliveries, times = 40, 4
				var wg sync.WaitGroup
				for i := range deliveries {
					for j := range times {
						wg.Go(func() {
							d := delivery("key-" + strconv.Itoa(i))
							if err := inTime(func() error {
								return second(replicas[(i+j)%len(replicas)].Accept(t.Context(), d, []*store.Build{build(d)}))
							}); err != nil {
								t.Error(err)
							}
						})
					}
				}
				wg.Wait()
				builds, _, err := replicas[0].Builds(context.WithoutCancel(t.Context()), store.BuildFilter{Limit: store.MaxPage})
				if err != nil || len(builds) != deliveries {
					t.Errorf("%d builds (%v), want %d", len(builds), err, deliveries)
				}
			})
		}
	}
}

// A commit waits for the disk, even if the database is set not to. A setting that waits for more stays.
func TestSynchronousCommit(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	for set, want := range map[string]string{"off": "on", "on": "on", "local": "local", "remote_apply": "remote_apply"} {
		conn, err := pgx.Connect(t.Context(), database+"&synchronous_commit="+set)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = errors.Join(store.SetSession(t.Context(), conn),
			conn.QueryRow(t.Context(), `SHOW synchronous_commit`).Scan(&got), conn.Close(t.Context()))
		if err != nil || got != want {
			t.Errorf("%s became %s (%v), want %s", set, got, err, want)
		}
	}
}

// name is the name of the database in a URL.
func name(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}
