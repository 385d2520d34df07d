package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"math"
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
	numberedQueries.Range(func(_, numbered any) bool {
		all = append(all, numbered.(string)) //nolint:forcetypeassert // as stored
		return true
	})
	return all
}

// WriteBlocks writes the blocks of all that is committed, or as many as that many looks
// find to write.
func WriteBlocks(ctx context.Context, s *Store, looks int) error {
	for _, t := range []blockTable{buildBlocks, deliveryBlocks} {
		var newest int64
		if err := s.db.reader().queryRow(ctx, `SELECT coalesce(max(seq), 0) FROM `+t.table).Scan(&newest); err != nil {
			return err
		}
		c := &blockWriter{blockTable: t}
		for n := 1; c.complete < newest && n != looks; n++ {
			if err := s.writeBlocks(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// BlockCounts gives how many blocks each table has.
func BlockCounts(ctx context.Context, s *Store) (map[string]int64, error) {
	var builds, deliveries int64
	err := s.db.reader().queryRow(ctx, `SELECT (SELECT count(*) FROM builds_blocks), (SELECT count(*) FROM deliveries_blocks)`).Scan(&builds, &deliveries)
	return map[string]int64{"builds": builds, "deliveries": deliveries}, err
}

// EmptiedBlocks gives how many blocks of deliveries are known to have no bodies.
func EmptiedBlocks(ctx context.Context, s *Store) (n int64, err error) {
	err = s.db.reader().queryRow(ctx, `SELECT count(*) FROM deliveries_blocks WHERE emptied`).Scan(&n)
	return n, err
}

// BodiesAtOnce gives how many bodies the first transaction would forget, of all there are.
func BodiesAtOnce(ctx context.Context, s *Store) (int, error) {
	o := (&Retention{Bodies: 1}).pruneSteps()[1]
	seqs, err := s.rowsToPrune(ctx, o, span{0, math.MaxInt64}, math.MaxInt64)
	return len(seqs), err
}

// MakeDue makes a build due, whoever holds it: its wait or its lease is over.
func MakeDue(ctx context.Context, s *Store, id string) error {
	return s.write(ctx, nil, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `UPDATE builds SET due_at = 1 WHERE id = ?`, id)
		return err
	})
}
