package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	sqlitedriver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// sqlite is the embedded database: one connection that writes, and a pool of connections
// that only read.
type sqlite struct {
	path   string                 // as the user gave it
	real   string                 // without symbolic links: the lock and SQLite's other files are named after it
	file   *os.File               // the lock
	opened map[string]os.FileInfo // the files that were opened, by their suffixes
	pools  []*sql.DB
	writer *sql.Conn // the connection that writes
	writes *preparedQuerier
	reads  *preparedQuerier
}

// readers is the most connections that only read.
const readers = 4

func openSQLite(ctx context.Context, path string, log *slog.Logger) (_ database, err error) {
	d := &sqlite{path: path}
	var created bool
	defer func() {
		if err != nil {
			if created { // and is still locked
				_ = os.Remove(d.file.Name())
			}
			err = errors.Join(err, d.close())
		}
	}()
	if d.real, err = resolve(path); err != nil {
		return nil, err
	}
	if d.file, created, err = lockFile(d.real + ".lock"); err != nil {
		return nil, err
	}
	if err := checkFile(d.real); err != nil { // before anything in it is changed
		return nil, err
	}
	// It holds bodies of private repositories, so nobody else may read it. SQLite gives its
	// other files the mode of this one.
	file, err := os.OpenFile(d.real, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	for _, suffix := range append(suffixes(), ".lock") { // a backup that was put back may be readable by all
		if info, err := os.Stat(d.real + suffix); err == nil && info.Mode().Perm()&0o077 != 0 {
			if err := os.Chmod(d.real+suffix, 0o600); err != nil {
				log.LogAttrs(ctx, slog.LevelWarn, "others can read the database", slog.String("file", d.real+suffix), slog.String("error", err.Error()))
			} else {
				log.LogAttrs(ctx, slog.LevelWarn, "others could read the database: its file is yours alone now", slog.String("file", d.real+suffix))
			}
		}
	}
	// As SQLite does by itself on Linux: the time of a file's last change need not be on
	// disk. Systems without this call go on as before.
	_, _ = sqlitedriver.Fdatasync(true)
	// An acknowledged delivery must survive a power cut: synchronous=FULL.
	writer := url.Values{
		"mode":    {"rw"}, // a file that was deleted is not created again
		"_txlock": {"immediate"},
		"_pragma": {
			"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "temp_store(MEMORY)", "cache_size(-2048)",
		},
	}
	pool, err := d.openPool(1, writer)
	if err != nil {
		return nil, err
	}
	if d.writer, err = pool.Conn(ctx); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	d.writes = newPreparedQuerier(d.writer, true)
	reader := url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(5000)", "query_only(ON)", "cache_size(-512)"}}
	if pool, err = d.openPool(readers, reader); err != nil {
		return nil, err
	}
	d.reads = newPreparedQuerier(pool, false)

	var version int64
	if err := d.writer.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return nil, fmt.Errorf("version of the tables: %w", err)
	}
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	var foreign bool
	if err := d.writer.QueryRowContext(ctx, `SELECT CASE ? WHEN 0 THEN EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table')
		ELSE NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'builds' AND sql LIKE '%due_at%') END`, version).Scan(&foreign); err != nil {
		return nil, fmt.Errorf("its tables: %w", err)
	}
	words := strings.NewReplacer("bigint", "integer", "{seq}", "integer PRIMARY KEY",
		"{bytes}", "blob", "{bool}", "integer", "{false}", "0", "{strict}", "STRICT")
	if foreign {
		return nil, errForeign
	}
	text, err := schemaAfter(version, words, "")
	if err != nil {
		return nil, err
	}
	if text != "" { // all tables or none
		number := fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion)
		if _, err := d.writer.ExecContext(ctx, "BEGIN IMMEDIATE;"+text+number+"COMMIT;"); err != nil {
			return nil, fmt.Errorf("create the tables: %w", err)
		}
	}
	// The process that worked these rows has ended: this one owns the file now.
	for _, table := range []string{"builds", "statuses"} {
		//nolint:gosec // the names above
		if _, err := d.writer.ExecContext(ctx, `UPDATE `+table+` SET worker = '', due_at = `+sqliteNow+`
			WHERE due_at > 0 AND due_at > `+sqliteNow+` AND worker <> ''`); err != nil {
			return nil, fmt.Errorf("take over the queue: %w", err)
		}
	}
	d.opened = map[string]os.FileInfo{}
	for _, suffix := range suffixes() { // SQLite has created them by now
		if d.opened[suffix], err = os.Stat(d.real + suffix); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *sqlite) openPool(conns int, query url.Values) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", "file:"+uriPath(d.real)+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	d.pools = append(d.pools, pool)
	return pool, nil
}

// checkFile refuses a file with tables of another version, by its header
// (https://www.sqlite.org/fileformat2.html#database_header: user_version is at 60).
func checkFile(path string) error {
	file, err := os.Open(path) //nolint:gosec // the path is the user's own setting
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var header [64]byte
	if _, err := io.ReadFull(file, header[:]); err != nil || !bytes.HasPrefix(header[:], []byte("SQLite format 3\x00")) {
		return nil //nolint:nilerr // SQLite will say what is wrong with it
	}
	return checkVersion(int64(binary.BigEndian.Uint32(header[60:])))
}

// suffixes are the ends of the names of a database's files: of the database itself, of the
// write-ahead log with the last commits, and of the index of that log.
func suffixes() []string { return []string{"", "-wal", "-shm"} }

// uriPath escapes the characters that have a meaning in SQLite's URI file names
// (https://www.sqlite.org/uri.html).
func uriPath(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(path))
}

// resolve gives the file that a path leads to, or the one that would be created there, so
// that all paths of a file share one lock.
func resolve(path string) (string, error) {
	file, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	if to, err := os.Readlink(path); err == nil { // a link to a file that does not exist yet
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		return resolve(to)
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("the folder %s does not exist: %w", filepath.Dir(path), err)
	}
	return filepath.Join(folder, filepath.Base(path)), err
}

// lockFile locks a file for this process, and says whether it created the file. The lock
// ends with the process, however that ends.
func lockFile(path string) (_ *os.File, created bool, err error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // the path is the user's own setting
		created := err == nil
		if errors.Is(err, fs.ErrExist) {
			f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // as above
		}
		if err != nil {
			return nil, false, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			err = fmt.Errorf("%s: in use by another process (%w): stop that one, or give this one a database of its own", path, err)
			return nil, false, errors.Join(err, f.Close())
		}
		locked, err := f.Stat()
		if err != nil {
			return nil, false, errors.Join(err, f.Close())
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(locked, now) {
			return f, created, nil
		}
		// The process that had the lock removed the file meanwhile: a lock on a
		// removed file has no effect.
		if err := f.Close(); err != nil {
			return nil, false, err
		}
	}
}

func (d *sqlite) close() error {
	var errs []error
	if d.reads != nil {
		d.reads.close()
	}
	if d.writer != nil {
		d.writes.close()
		errs = append(errs, d.writer.Close())
	}
	for _, pool := range slices.Backward(d.pools) { // the last connection that is closed writes: it empties the log
		errs = append(errs, pool.Close())
	}
	if d.file != nil {
		errs = append(errs, d.file.Close())
	}
	return errors.Join(errs...)
}

// errMoved means that a file of the database is no longer where it was opened.
var errMoved = errors.New("the database is not the file that was opened")

// checkMoved returns an error if a file was moved, deleted or replaced. SQLite would go on
// writing into it, and nobody would find that after a restart.
func (d *sqlite) checkMoved() error {
	for _, suffix := range suffixes() {
		path, orRestart := d.path, ""
		if suffix != "" {
			path, orRestart = d.real+suffix, ", or restart: its contents are saved"
		}
		now, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("%w: a file is gone; put it back%s: %w", errMoved, orRestart, err)
		}
		if !os.SameFile(d.opened[suffix], now) {
			return fmt.Errorf("%w: a file was replaced by another; put the first one back, or restart: %s", errMoved, path)
		}
	}
	return nil
}

func (d *sqlite) reader() querier { return d.reads }

// dialect goes by the clock of the process, which owns the file, and has one writer: it
// needs no locks, and sees all transactions.
func (*sqlite) dialect() dialect {
	return dialect{
		now:          sqliteNow,
		transactions: `0, 0`,
		among:        func(string) string { return "true" },
	}
}

func (d *sqlite) insertRows(ctx context.Context, tx *tx, r *rows) error {
	into := "INSERT INTO " + r.table + " (" + strings.Join(r.columns, ", ") + ") "
	for some := range d.portions(r) {
		if _, err := tx.exec(ctx, into+placeholders(some), some.args...); err != nil {
			return err
		}
	}
	return nil
}

func (*sqlite) with(r *rows) (text string, args []any) {
	return "WITH c (" + strings.Join(r.columns, ", ") + ") AS (" + placeholders(r) + ") ", slices.Clip(r.args)
}

const sqliteNow = `CAST(round(unixepoch('subsec') * 1000000) AS integer)`

// placeholders are those of rows.
func placeholders(r *rows) string {
	row := "(?" + strings.Repeat(", ?", len(r.columns)-1) + ")"
	return "VALUES " + row + strings.Repeat(", "+row, len(r.args)/len(r.columns)-1)
}

// rowsAtOnce is the most rows of one statement. Fewer rows are split into powers of two,
// so that there are few different statements to prepare.
const rowsAtOnce = 64

func (*sqlite) portions(r *rows) iter.Seq[*rows] {
	return func(yield func(*rows) bool) {
		columns := len(r.columns)
		for args, size := r.args, rowsAtOnce; len(args) > 0; {
			if len(args) < size*columns {
				size /= 2
				continue
			}
			if !yield(&rows{columns: r.columns, args: args[:size*columns]}) {
				return
			}
			args = args[size*columns:]
		}
	}
}

func (*sqlite) oneOf(column string, values any) (condition string, list any) {
	text, _ := json.Marshal(values) //nolint:errchkjson // strings or numbers
	return column + " IN (SELECT value FROM json_each(?))", string(text)
}

// checkpoint copies what is committed from the write-ahead log into the database if the
// disk is full, so that the room of the log can be written again. SQLite itself does that
// after a commit, and nothing can be committed while the log cannot grow. It also saves
// the contents of a log that was deleted, because that file is still open.
func (d *sqlite) checkpoint(failure error) {
	e, ok := errors.AsType[*sqlitedriver.Error](failure)
	if full := ok && e.Code()&0xff == sqlitelib.SQLITE_FULL; !full && !errors.Is(failure, errMoved) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	_, _ = d.writer.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`) // the next transaction says whether it helped
}

func (d *sqlite) ping(ctx context.Context) error {
	if err := d.checkMoved(); err != nil {
		return err
	}
	return queryRow(ctx, d.reads, `SELECT 1`).Scan(new(int))
}

// badRow goes by the primary result codes (https://www.sqlite.org/rescode.html).
func (*sqlite) badRow(err error) bool {
	e, ok := errors.AsType[*sqlitedriver.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case sqlitelib.SQLITE_CONSTRAINT, sqlitelib.SQLITE_MISMATCH, sqlitelib.SQLITE_TOOBIG:
		return true
	}
	return false
}

// size counts the database's files, and the free bytes of their disk.
func (d *sqlite) size(context.Context) (used, free int64, err error) {
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(d.real + suffix)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return 0, 0, err
		default:
			used += info.Size()
		}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(d.real), &fs); err != nil {
		return 0, 0, err
	}
	free = int64(fs.Bavail) * int64(fs.Bsize) //nolint:gosec,unconvert // no disk has 8 EiB; the types differ between systems
	return used, free, nil
}
