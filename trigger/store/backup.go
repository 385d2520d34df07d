package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
)

// ErrNoBackup means that the database has tools of its own for backups.
var ErrNoBackup = errors.New("PostgreSQL makes its backups itself: " +
	"pg_dump --format=custom --file=buildbridge.dump URL, with the URL of --database")

// Backup writes a copy of the SQLite file as it was at one moment: everything that was committed before the
// call is in it. begin gets the bytes of the copy before the first of them, and says where they go. Others
// read and write meanwhile; the write-ahead log grows by what they write, until the copy is done. The pages
// are read by the table sqlite_dbpage (https://www.sqlite.org/dbpage.html), so nothing is needed of the disk.
// The error of a PostgreSQL database is ErrNoBackup.
func (s *Store) Backup(ctx context.Context, begin func(size int64) io.Writer) (err error) {
	d, ok := s.db.(*sqlite)
	if !ok {
		return ErrNoBackup
	}
	s.copying.RLock()
	defer s.copying.RUnlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)() //nolint:contextcheck // Close ends it too
	defer func() {
		if err != nil {
			err = fmt.Errorf("backup: %w", err)
		}
	}()
	if s.life.Err() != nil {
		return errors.New("the store is closed")
	}
	if err := d.checkMoved(); err != nil {
		return err
	}
	// A connection of its own: those of lists are not kept from them.
	pool, err := sql.Open("sqlite", "file:"+uriPath(d.real)+"?"+url.Values{
		"mode": {"rw"}, "_pragma": {"busy_timeout(5000)", "query_only(ON)", "cache_size(-512)"},
	}.Encode())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it only reads
	var pages, size int64
	// The first statement that reads fixes the moment.
	if err := tx.QueryRowContext(ctx, `SELECT (SELECT page_count FROM pragma_page_count), (SELECT page_size FROM pragma_page_size)
		FROM (SELECT count(*) FROM sqlite_master)`).Scan(&pages, &size); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, `SELECT data FROM sqlite_dbpage('main') ORDER BY pgno`)
	if err != nil {
		return err
	}
	defer rows.Close()
	w := begin(pages * size)
	var page sql.RawBytes
	for ctx.Err() == nil && s.life.Err() == nil && rows.Next() {
		if err := rows.Scan(&page); err != nil {
			return err
		}
		if pages--; pages < 0 || int64(len(page)) != size {
			return errors.New("the database changed while it was read")
		}
		if _, err := w.Write(page); err != nil {
			return err
		}
	}
	if err := cmp.Or(ctx.Err(), s.life.Err(), rows.Err()); err != nil {
		return err
	}
	if pages != 0 {
		return errors.New("the database ended early")
	}
	return nil
}
