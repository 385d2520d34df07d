package store

import (
	"context"
	"database/sql"
	"os"

	"github.com/jackc/pgx/v5"
)

// SetSession gives a connection the settings of ours.
func SetSession(ctx context.Context, c *pgx.Conn) error { return setSession(ctx, c, nil) }

// WakeUp is what a River job of a build carries.
func WakeUp(build string) wakeUp { return wakeUp{Build: build} }

// OpenConns opens a pool of connections that keep their statements.
func OpenConns(dsn string) (*sql.DB, error) { return openConns(dsn) }

// LockFile takes a lock as opening a SQLite database does.
func LockFile(path string) (*os.File, bool, error) { return lockFile(path) }
