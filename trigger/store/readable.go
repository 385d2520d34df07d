package store

import (
	"context"
	"fmt"
)

// Readable is whether the refs of a source's repositories can be read, of those that are looked at.
type Readable struct {
	OK      int64  // those whose last look read them
	Failing int64  // those whose last look did not
	Why     string // of the first of these by name: the name and the reason
}

// Readable counts the repositories that are looked at, by their sources.
func (s *Store) Readable(ctx context.Context) (map[string]Readable, error) {
	counted := map[string]Readable{}
	err := each(ctx, s.db.reader(), func(row scanner) error {
		var (
			source string
			r      Readable
		)
		err := row.Scan(&source, &r.OK, &r.Failing, &r.Why)
		counted[source] = r
		return err
	}, `SELECT source, count(CASE WHEN failures = 0 AND looked_at > 0 THEN 1 END), count(CASE WHEN failures > 0 THEN 1 END),
		coalesce(min(CASE WHEN failures > 0 THEN repository || ': ' || reason END), '')
		FROM repositories WHERE due_at > 0 GROUP BY source`)
	if err != nil {
		return nil, fmt.Errorf("count the repositories whose refs can be read: %w", err)
	}
	return counted, nil
}
