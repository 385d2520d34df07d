package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"os"

	"github.com/jackc/pgx/v5"
)

// SetSession gives a connection the settings of ours.
func SetSession(ctx context.Context, c *pgx.Conn) error { return setSession(ctx, c, nil) }

// OpenConns opens a pool of connections that keep their statements.
func OpenConns(dsn string) (*sql.DB, error) { return openConns(dsn) }

// LockFile takes a lock as opening a SQLite database does.
func LockFile(path string) (*os.File, bool, error) { return lockFile(path) }

// Statements gives what a SQLite store has run, as far as its connections keep it.
func Statements(ctx context.Context, s *Store) (all map[string]bool, err error) {
	d := s.db.(*sqlite) //nolint:forcetypeassert // as the caller says
	all = map[string]bool{}
	for db, n := range map[*sql.DB]int{d.writer: 1, d.read: readers} {
		for range n { // held until the end, so that each is another
			c, err := db.Conn(ctx)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, c.Close()) }()
			err = c.Raw(func(raw any) error {
				kept := raw.(*conn).kept //nolint:forcetypeassert // our driver's
				if len(kept) == keptMost {
					return errors.New("more statements than a connection keeps")
				}
				for query := range maps.Keys(kept) {
					all[query] = true
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// PostgresStatements gives what was run on Postgres by this process.
func PostgresStatements() []string {
	var all []string
	queries.Range(func(_, numbered any) bool {
		all = append(all, numbered.(string)) //nolint:forcetypeassert // as stored
		return true
	})
	return all
}
