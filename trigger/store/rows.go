package store

import (
	"cmp"
	"context"
	"database/sql"
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
	// defaults are the values that the table gives the last columns if an insert leaves them out.
	// Columns that often have another value come first.
	defaults []any
	args     []any // row after row: string, int64, bool or []byte
}

// grow makes room for n rows.
func (r *rows) grow(n int) { r.args = slices.Grow(r.args, n*len(r.columns)) }

func (r *rows) add(values ...any) { r.args = append(r.args, values...) }

// insert inserts the rows that were added since the last insert.
func (r *rows) insert(ctx context.Context, tx *tx) error {
	if len(r.args) == 0 {
		return nil
	}
	if err := tx.db.insertRows(ctx, tx, r.trim()); err != nil {
		return fmt.Errorf("insert into %s: %w", r.table, err)
	}
	r.args = r.args[:0]
	return nil
}

// trim leaves out the last columns that have their default in all rows: the database takes
// longer for a value that it is sent. It overwrites r.args.
func (r *rows) trim() *rows {
	all, required := len(r.columns), len(r.columns)-len(r.defaults)
	used := required
	for row := range slices.Chunk(r.args, all) {
		for i := all - 1; i >= used; i-- {
			if row[i] != r.defaults[i-required] {
				used = i + 1
			}
		}
	}
	if used == all {
		return r
	}
	args := r.args[:0]
	for row := range slices.Chunk(r.args, all) {
		args = append(args, row[:used]...)
	}
	return &rows{table: r.table, columns: r.columns[:used], args: args}
}

// pairs runs a statement that reads c and returns two columns: a number, such as the seq of
// a row, and a value.
func pairs[T any](ctx context.Context, tx *tx, c *rows, statement string, args ...any) (map[int64]T, error) {
	all := map[int64]T{}
	for some := range tx.db.portions(c) {
		with, values := tx.db.with(some)
		if err := each(ctx, tx, func(row scanner) error {
			var (
				number int64
				value  T
			)
			err := row.Scan(&number, &value)
			all[number] = value
			return err
		}, with+statement, append(values, args...)...); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// each runs a query and calls do for each of its rows.
func each(ctx context.Context, q querier, do func(row scanner) error, query string, args ...any) error {
	rows, err := q.query(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := do(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// queryRow runs a query and gives its first row, whose Scan returns sql.ErrNoRows if there is none.
func queryRow(ctx context.Context, q querier, query string, args ...any) scanner {
	rows, err := q.query(ctx, query, args...)
	return firstRow{rows, err}
}

type firstRow struct {
	rows cursor
	err  error // of the query
}

func (r firstRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	err := sql.ErrNoRows
	if r.rows.Next() {
		err = r.rows.Scan(dest...)
	}
	closed := r.rows.Close() // first: a statement may fail after its first row
	return cmp.Or(r.rows.Err(), closed, err)
}

// column reads the rows of a query that has one column.
func column[T any](ctx context.Context, q querier, query string, args ...any) (all []T, err error) {
	err = each(ctx, q, func(row scanner) error {
		var value T
		err := row.Scan(&value)
		all = append(all, value)
		return err
	}, query, args...)
	return all, err
}
