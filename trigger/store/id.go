package store

import (
	"context"
	"fmt"
	"strings"
)

// MaxIDs is how many ids BuildIDs and DeliveryIDs give at most.
const MaxIDs = 10

// BuildIDs gives ids of builds that begin with this text, in their order: MaxIDs at most. ok is false if no
// id can begin so.
func (s *Store) BuildIDs(ctx context.Context, beginning string) (ids []string, ok bool, err error) {
	return s.ids(ctx, "builds", beginning)
}

// DeliveryIDs is BuildIDs for deliveries.
func (s *Store) DeliveryIDs(ctx context.Context, beginning string) (ids []string, ok bool, err error) {
	return s.ids(ctx, "deliveries", beginning)
}

func (s *Store) ids(ctx context.Context, table, beginning string) (ids []string, ok bool, err error) {
	first, last, ok := idRange(beginning)
	if !ok {
		return nil, false, nil
	}
	if ids, err = column[string](ctx, s.db.reader(), fmt.Sprintf(`SELECT id FROM %s WHERE id >= ? AND id <= ? ORDER BY id LIMIT %d`,
		table, MaxIDs), first, last); err != nil {
		return nil, true, fmt.Errorf("ids of %s: %w", table, err)
	}
	return ids, true, nil
}

// idRange gives the first and the last UUID that can begin with a text, with or without hyphens. Both have
// the shape of ids, so that the range is the same in each collation: some of them skip hyphens.
func idRange(beginning string) (first, last string, ok bool) {
	const shape, digits = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "0123456789abcdef"
	given := strings.ToLower(beginning)
	if strings.Contains(given, "-") { // only where an id has them
		for i, c := range given {
			if i >= len(shape) || (c == '-') != (shape[i] == '-') {
				return "", "", false
			}
		}
		given = strings.ReplaceAll(given, "-", "")
	}
	if given == "" || len(given) > 2*16 || strings.Trim(given, digits) != "" {
		return "", "", false
	}
	pad := func(with string) string {
		full := given + strings.Repeat(with, 2*16-len(given))
		return strings.Join([]string{full[:8], full[8:12], full[12:16], full[16:20], full[20:]}, "-")
	}
	return pad("0"), pad("f"), true
}
