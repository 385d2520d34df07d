package store

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// SetSession gives a connection the settings of this program.
func SetSession(ctx context.Context, c *pgx.Conn) error { return setSession(ctx, c, nil) }

// LockFile takes a lock, as opening a SQLite database does.
func LockFile(path string) (*os.File, bool, error) { return lockFile(path) }

// Statements gives the statements that a SQLite store has run.
func Statements(s *Store) (all []string) {
	d := s.db.(*sqlite) //nolint:forcetypeassert // as the caller says
	for _, q := range []*preparedQuerier{d.reads, d.writes} {
		q.mu.Lock()
		all = slices.AppendSeq(all, maps.Keys(q.statements))
		q.mu.Unlock()
	}
	return all
}

// EachRow runs a query on the connections of a SQLite store that read, and do for each of its
// rows, of one number.
func EachRow(ctx context.Context, s *Store, query string, do func(n int)) (err error) {
	rows, err := s.db.reader().query(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return err
		}
		do(n)
	}
	return rows.Err()
}

// PostgresStatements gives the statements that this process has run on PostgreSQL.
func PostgresStatements() []string {
	var all []string
	numberedQueries.Range(func(_, numbered any) bool {
		all = append(all, numbered.(string)) //nolint:forcetypeassert // as stored
		return true
	})
	return all
}

// WriteBlocks writes the blocks of all rows that are committed, or as many as that many looks find. They are
// kept in memory from then on.
func WriteBlocks(ctx context.Context, s *Store, looks int) error {
	for _, t := range []blockTable{buildBlocks, deliveryBlocks} {
		var newest int64
		if err := queryRow(ctx, s.db.reader(), `SELECT coalesce(max(seq), 0) FROM `+t.table).Scan(&newest); err != nil {
			return err
		}
		c := &blockWriter{blockTable: t}
		for n := 1; c.complete < newest && n != looks; n++ {
			if err := s.writeBlocks(ctx, c); err != nil {
				return err
			}
		}
		s.wantBlocks()
		if err := s.keepBlocks(ctx, t, blockMemory); err != nil {
			return err
		}
	}
	return nil
}

// BlockCounts gives how many blocks each table has.
func BlockCounts(ctx context.Context, s *Store) (map[string]int64, error) {
	var builds, deliveries int64
	err := queryRow(ctx, s.db.reader(), `SELECT (SELECT count(*) FROM builds_blocks), (SELECT count(*) FROM deliveries_blocks)`).Scan(&builds, &deliveries)
	return map[string]int64{"builds": builds, "deliveries": deliveries}, err
}

// KeptBlocks gives how many blocks of builds lists find in memory, and the bytes of their filters.
func KeptBlocks(ctx context.Context, s *Store) (n, size int, err error) {
	kept, err := s.keptBlocks(ctx, buildBlocks)
	for _, b := range kept {
		size += len(b.filter)
	}
	return len(kept), size, err
}

// KeepBlocks keeps blocks of builds of at most that many bytes, as if the last list was then.
func KeepBlocks(ctx context.Context, s *Store, most int, wanted time.Time) error {
	s.keeper(buildBlocks).wanted.Store(micros(wanted))
	return s.keepBlocks(ctx, buildBlocks, most)
}

// EmptiedBlocks gives how many blocks of deliveries are known to have no bodies.
func EmptiedBlocks(ctx context.Context, s *Store) (n int64, err error) {
	err = queryRow(ctx, s.db.reader(), `SELECT count(*) FROM deliveries_blocks WHERE emptied`).Scan(&n)
	return n, err
}

// BodiesAtOnce gives how many bodies the first transaction would prune, of all bodies.
func BodiesAtOnce(ctx context.Context, s *Store) (int, error) {
	o := (&Retention{Bodies: 1}).pruneSteps()[1]
	seqs, err := s.rowsToPrune(ctx, o, span{0, math.MaxInt64}, math.MaxInt64)
	return len(seqs), err
}

// MakeStatusesDue makes all statuses that wait due, and ends their leases.
func MakeStatusesDue(ctx context.Context, s *Store) error {
	return s.write(ctx, nil, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `UPDATE statuses SET due_at = 1 WHERE due_at > 0`)
		return err
	})
}

// MakeDue makes a build due, whoever works it: its wait or its lease is over.
func MakeDue(ctx context.Context, s *Store, id string) error {
	return s.write(ctx, nil, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `UPDATE builds SET due_at = 1 WHERE id = ?`, id)
		return err
	})
}

// SetFollowsBack makes all jobs due later by as much as a clock was set back.
func SetFollowsBack(ctx context.Context, s *Store, by time.Duration) error {
	return s.write(ctx, nil, func(ctx context.Context, tx *tx) error {
		_, err := tx.exec(ctx, `UPDATE follows SET due_at = due_at + ? WHERE due_at > 0`, by.Microseconds())
		return err
	})
}

// Integrity is what SQLite says of a whole database: "ok".
func Integrity(ctx context.Context, s *Store) string {
	var said string
	if err := queryRow(ctx, s.db.reader(), `PRAGMA integrity_check`).Scan(&said); err != nil {
		return err.Error()
	}
	return said
}
