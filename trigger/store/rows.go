package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// rows go into one statement together, to be inserted into a table, or as the table c that
// the statement reads. They are sent column by column or row by row, whichever is faster
// for the database.
type rows struct {
	table   string
	columns []string
	args    []any // row after row: string, int64, bool or []byte
}

// grow makes room for n rows.
func (r *rows) grow(n int) { r.args = slices.Grow(r.args, n*len(r.columns)) }

func (r *rows) add(values ...any) { r.args = append(r.args, values...) }

// insert inserts the rows that were added since the last insert.
func (r *rows) insert(ctx context.Context, tx *tx) error {
	if len(r.args) == 0 {
		return nil
	}
	if err := tx.db.insertRows(ctx, tx, r); err != nil {
		return fmt.Errorf("insert into %s: %w", r.table, err)
	}
	r.args = r.args[:0]
	return nil
}

// pairs runs a statement that reads c and returns two columns: a number, such as the seq of
// a row, and a value.
func pairs[T any](ctx context.Context, tx *tx, c *rows, statement string, args ...any) (map[int64]T, error) {
	all := map[int64]T{}
	for some := range tx.db.portions(c) {
		with, values := tx.db.with(some)
		found, err := tx.query(ctx, with+statement, append(values, args...)...)
		if err != nil {
			return nil, err
		}
		for found.Next() {
			var (
				number int64
				value  T
			)
			if err := found.Scan(&number, &value); err != nil {
				return nil, errors.Join(err, found.Close())
			}
			all[number] = value
		}
		if err := errors.Join(found.Err(), found.Close()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// collect reads rows of one column, and closes them.
func collect[T any](rows cursor) (all []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var value T
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, rows.Err()
}
