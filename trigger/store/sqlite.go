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
	"time"

	sqlitedriver "modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// sqlite is the embedded database: one connection that writes, and a pool of its own
// that only reads.
type sqlite struct {
	path   string                 // as the user has it
	real   string                 // without symbolic links: what the lock and SQLite's other files are named after
	file   *os.File               // locked
	opened map[string]os.FileInfo // the files that were opened, by what follows their path
	writer *sql.DB
	read   *sql.DB
}

// readers bounds the connections that only read.
const readers = 4

func openSQLite(ctx context.Context, path string, log *slog.Logger) (_ database, err error) {
	d := &sqlite{path: path}
	var made bool
	defer func() {
		if err != nil {
			if made { // and still locked
				_ = os.Remove(d.file.Name())
			}
			err = errors.Join(err, d.close())
		}
	}()
	if d.real, err = resolve(path); err != nil {
		return nil, err
	}
	if d.file, made, err = lockFile(d.real + ".lock"); err != nil {
		return nil, err
	}
	if err := checkFile(d.real); err != nil { // before anything in it is changed
		return nil, err
	}
	// It holds bodies of private repositories: nobody else reads it. SQLite gives
	// its other files the mode of this one.
	file, err := os.OpenFile(d.real, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	for _, suffix := range append(suffixes(), ".lock") { // a backup that was put back may be open to all
		if info, err := os.Stat(d.real + suffix); err == nil && info.Mode().Perm()&0o077 != 0 {
			if err := os.Chmod(d.real+suffix, 0o600); err != nil {
				log.WarnContext(ctx, "others can read the database", "file", d.real+suffix, "error", err)
			} else {
				log.WarnContext(ctx, "others could read the database: its file is yours alone now", "file", d.real+suffix)
			}
		}
	}
	// What SQLite does where it is built for Linux: the time of a file's last change
	// need not be on disk. Where there is no such call it stays as it is.
	_, _ = sqlitedriver.Fdatasync(true)
	// An acknowledged delivery must survive a power cut: synchronous=FULL.
	writer := url.Values{
		"mode":    {"rw"}, // a file that is gone is not made anew
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "temp_store(MEMORY)", "cache_size(-2048)"},
	}
	if d.writer, err = openConns("file:" + uriPath(d.real) + "?" + writer.Encode()); err != nil {
		return nil, err
	}
	d.writer.SetMaxOpenConns(1)
	if err := d.writer.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	reader := url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(5000)", "query_only(ON)", "cache_size(-512)"}}
	if d.read, err = openConns("file:" + uriPath(d.real) + "?" + reader.Encode()); err != nil {
		return nil, err
	}
	d.read.SetMaxOpenConns(readers)

	var version int64
	if err := d.writer.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return nil, fmt.Errorf("version of the tables: %w", err)
	}
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	var others bool
	if err := d.writer.QueryRowContext(ctx, `SELECT CASE ? WHEN 0 THEN EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table')
		ELSE NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'builds' AND sql LIKE '%due_at%') END`, version).Scan(&others); err != nil {
		return nil, fmt.Errorf("its tables: %w", err)
	}
	if others {
		return nil, errOtherTables
	}
	words := strings.NewReplacer("bigint", "integer", "{seq}", "integer PRIMARY KEY", "{bytes}", "blob", "{bool}", "integer", "{false}", "0", "{strict}", "STRICT")
	text, err := schemaAfter(version, words, "")
	if err != nil {
		return nil, err
	}
	if text != "" { // all of the tables or none
		number := fmt.Sprintf("PRAGMA user_version = %d;", schemaVersion)
		if _, err := d.writer.ExecContext(ctx, "BEGIN IMMEDIATE;"+text+number+"COMMIT;"); err != nil {
			return nil, fmt.Errorf("make the tables: %w", err)
		}
	}
	// The process that held them is gone: this one owns the file.
	freed := `UPDATE builds SET worker = '', due_at = ` + d.now() + ` WHERE due_at > 0 AND due_at > ` + d.now() + ` AND worker <> ''` //nolint:gosec // no text of others
	if _, err := d.writer.ExecContext(ctx, freed); err != nil {
		return nil, fmt.Errorf("take over the queue: %w", err)
	}
	d.opened = map[string]os.FileInfo{}
	for _, suffix := range suffixes() { // SQLite has made them by now
		if d.opened[suffix], err = os.Stat(d.real + suffix); err != nil {
			return nil, err
		}
	}
	return d, nil
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
		return nil //nolint:nilerr // SQLite says what it is
	}
	return checkVersion(int64(binary.BigEndian.Uint32(header[60:])))
}

// suffixes are what the names of a database's files have behind its path: the
// database, the log of what was committed last, and an index of that.
func suffixes() []string { return []string{"", "-wal", "-shm"} }

// uriPath escapes what has a meaning in SQLite's URI file names
// (https://www.sqlite.org/uri.html).
func uriPath(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(path))
}

// resolve gives the file that a path leads to, or the one that would be made there.
// Two paths of one file share a lock.
func resolve(path string) (string, error) {
	file, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	if to, err := os.Readlink(path); err == nil { // a link to a file that is not there yet
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		return resolve(to)
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("the folder %s is not there: %w", filepath.Dir(path), err)
	}
	return filepath.Join(folder, filepath.Base(path)), err
}

// lockFile takes a file for this process, and says whether it was made for that.
// The lock goes with the process, however it ends.
func lockFile(path string) (_ *os.File, made bool, err error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // the path is the user's own setting
		made := err == nil
		if errors.Is(err, fs.ErrExist) {
			f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // as above
		}
		if err != nil {
			return nil, false, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return nil, false, errors.Join(fmt.Errorf("%s: in use by another process (%w): stop that one, or give this one a database of its own", path, err), f.Close())
		}
		locked, err := f.Stat()
		if err != nil {
			return nil, false, errors.Join(err, f.Close())
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(locked, now) {
			return f, made, nil
		}
		// Meanwhile who had it removed it, and a lock on what is gone keeps nobody out.
		if err := f.Close(); err != nil {
			return nil, false, err
		}
	}
}

func (d *sqlite) close() error {
	var errs []error
	if d.read != nil {
		errs = append(errs, d.read.Close())
	}
	if d.writer != nil {
		errs = append(errs, d.writer.Close())
	}
	if d.file != nil {
		errs = append(errs, d.file.Close())
	}
	return errors.Join(errs...)
}

// errNotThere means that a file of the database is not where it was opened.
var errNotThere = errors.New("the database is not what was opened")

// there reports a file that was moved away, deleted or replaced: SQLite goes on
// to write what nobody will find after a restart.
func (d *sqlite) there() error {
	for _, suffix := range suffixes() {
		path, otherwise := d.path, ""
		if suffix != "" {
			path, otherwise = d.real+suffix, ", or restart: what it had is saved"
		}
		now, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("%w: a file is gone; put it back%s: %w", errNotThere, otherwise, err)
		}
		if !os.SameFile(d.opened[suffix], now) {
			return fmt.Errorf("%w: a file was replaced by another; put the first one back, or restart: %s", errNotThere, path)
		}
	}
	return nil
}

func (d *sqlite) begin(ctx context.Context) (*tx, error) {
	if err := d.there(); err != nil {
		return nil, err
	}
	t, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	return &tx{
		querier: sqlQuerier{unhurried{t}},
		db:      d,
		end:     func(context.Context) error { return t.Commit() },
		undo:    t.Rollback,
	}, nil
}

// unhurried is a transaction whose statements are not cut short: it has the lock
// that it could wait for, and to watch a context costs the driver a goroutine a
// statement. Between two of them, and at its end, the context counts.
type unhurried struct{ *sql.Tx }

// ExecContext runs a statement.
func (t unhurried) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.Tx.ExecContext(context.WithoutCancel(ctx), query, args...)
}

// QueryContext runs a query.
func (t unhurried) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.Tx.QueryContext(context.WithoutCancel(ctx), query, args...)
}

// QueryRowContext runs a query for one row.
func (t unhurried) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.Tx.QueryRowContext(context.WithoutCancel(ctx), query, args...)
}

func (d *sqlite) reader() querier { return sqlQuerier{d.read} }

// lock has nothing to do: there is one writer.
func (*sqlite) lock(context.Context, *tx, []int64) error { return nil }

func (d *sqlite) insertRows(ctx context.Context, tx *tx, r *rows) error {
	into := "INSERT INTO " + r.table + " (" + strings.Join(r.columns, ", ") + ") "
	for some := range d.portions(r) {
		if _, err := tx.exec(ctx, into+values(some), some.args...); err != nil {
			return err
		}
	}
	return nil
}

func (*sqlite) with(r *rows) (text string, args []any) {
	return "WITH c (" + strings.Join(r.columns, ", ") + ") AS (" + values(r) + ") ", slices.Clip(r.args)
}

func (*sqlite) among(string) string { return "true" }

// values are placeholders for rows.
func values(r *rows) string {
	row := "(?" + strings.Repeat(", ?", len(r.columns)-1) + ")"
	return "VALUES " + row + strings.Repeat(", "+row, len(r.args)/len(r.columns)-1)
}

// rowsAtOnce is how many rows one statement has at the most. Fewer are parted by
// powers of two, so that few statements are prepared.
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

// now is the process's own clock: it owns the file.
func (*sqlite) now() string { return `CAST(round(unixepoch('subsec') * 1000000) AS integer)` }

func (*sqlite) skipLocked() string { return "" }

func (*sqlite) listen(context.Context, chan<- string) {}

func (*sqlite) publish(context.Context, *tx, []string) error { return nil }

func (*sqlite) lead(context.Context, string) (bool, error) { return true, nil }

func (*sqlite) turns(context.Context, string, time.Duration, int, int, time.Duration) (time.Duration, bool, bool, error) {
	return 0, false, false, nil
}

func (*sqlite) writers() int { return 1 }

func (*sqlite) oneOf(column string, values any) (condition string, list any) {
	text, _ := json.Marshal(values) //nolint:errchkjson // strings or numbers
	return column + " IN (SELECT value FROM json_each(?))", string(text)
}

// checkpoint moves what is committed out of the log, whose room can be written again
// then. By itself SQLite does so after a commit, and there is none while the log
// cannot grow. The same saves what a log has that was deleted: it is still open.
func (d *sqlite) checkpoint(err error) {
	e, ok := errors.AsType[*sqlitedriver.Error](err)
	if full := ok && e.Code()&0xff == sqlitelib.SQLITE_FULL; !full && !errors.Is(err, errNotThere) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	_, _ = d.writer.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`) // the next transaction says whether it helped
}

func (*sqlite) reason(err error) error { return err }

func (*sqlite) analyze(context.Context) error { return nil }

func (d *sqlite) ping(ctx context.Context) error {
	if err := d.there(); err != nil {
		return err
	}
	return d.read.PingContext(ctx)
}

// refused goes by the primary result codes (https://www.sqlite.org/rescode.html).
func (*sqlite) refused(err error) bool {
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

// size counts the database's files, and what is free on the disk they are on.
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
	return used, int64(fs.Bavail) * int64(fs.Bsize), nil //nolint:gosec,unconvert // a disk of 8 EiB is out of reach; the types differ between systems
}

// sqlQuerier is a querier over database/sql.
type sqlQuerier struct {
	conn interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
}

func (q sqlQuerier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := q.conn.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (q sqlQuerier) query(ctx context.Context, query string, args ...any) (cursor, error) {
	return q.conn.QueryContext(ctx, query, args...) //nolint:rowserrcheck // the caller's affair
}

func (q sqlQuerier) queryRow(ctx context.Context, query string, args ...any) scanner {
	return q.conn.QueryRowContext(ctx, query, args...)
}
