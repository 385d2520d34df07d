package store

import "database/sql"

// WakeUp is what a River job of a build carries.
func WakeUp(build string) wakeUp { return wakeUp{Build: build} }

// OpenConns opens a pool of connections that keep their statements.
func OpenConns(dsn string) (*sql.DB, error) { return openConns(dsn) }
