package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgres is the database that replicas share.
type postgres struct {
	pool  *pgxpool.Pool
	log   *slog.Logger
	vital *pgxpool.Pool // for who leads and what is due, whatever the others wait for
}

// migrateLock is the advisory lock under which one replica makes the tables while
// the others wait.
const migrateLock = 0x6275696c64627264 // "buildbrd"

func openPostgres(ctx context.Context, url string, log *slog.Logger) (_ database, err error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("not a valid URL: postgres://user:password@host:5432/name?sslmode=verify-full") // err has the password
	}
	// A connection that is cut must not hold up a delivery for minutes.
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	config.ConnConfig.DialFunc = dialPostgres
	if _, set := config.ConnConfig.RuntimeParams["application_name"]; !set {
		config.ConnConfig.RuntimeParams["application_name"] = "buildbridge"
	}
	given := config.ConnConfig.RuntimeParams
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error { return setSession(ctx, c, given) }
	if err := checkSessions(ctx, &config.ConnConfig.Config); err != nil {
		return nil, err
	}
	if config.MaxConns < minConns {
		config.MaxConns = minConns
	}
	vital := config.Copy()
	vital.MaxConns, vital.MinConns = 3, 0
	d := &postgres{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	if d.vital, err = pgxpool.NewWithConfig(ctx, vital); err != nil {
		return nil, err
	}
	if err := d.migrate(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// minConns are enough for the writers and the readers.
const minConns = 10

func (d *postgres) migrate(ctx context.Context) (err error) {
	pooled, err := d.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	conn := pooled.Hijack() // its end is the end of the lock, and of how long it waits
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, `SET lock_timeout = 0`); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrateLock)); err != nil {
		return fmt.Errorf("wait for another replica that makes the tables: %w", err)
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL)`); err != nil {
		return fmt.Errorf("version of the tables: %w", err)
	}
	var version int64
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM schema_version`).Scan(&version); err != nil {
		return fmt.Errorf("version of the tables: %w", err)
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	var others bool
	if err := conn.QueryRow(ctx, `SELECT CASE WHEN $1 = 0 THEN to_regclass('builds') IS NOT NULL
		ELSE NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('builds') AND attname = 'due_at') END`, version).Scan(&others); err != nil {
		return fmt.Errorf("its tables: %w", err)
	}
	if others {
		return errOtherTables
	}
	words := strings.NewReplacer("{seq}", "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "{bytes}", "bytea", "{bool}", "boolean", "{false}", "false", "{strict}", "")
	text, err := schemaAfter(version, words, "", "_postgres")
	if err != nil || text == "" {
		return err // even what changes nothing would wait for whoever writes, and they for it
	}
	// One text is one transaction: all of the tables or none.
	if _, err := conn.Exec(ctx, text+fmt.Sprintf("INSERT INTO schema_version (version) VALUES (%d);", schemaVersion)); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	return nil
}

func (d *postgres) close() error {
	for _, pool := range []*pgxpool.Pool{d.pool, d.vital} {
		if pool != nil {
			pool.Close()
		}
	}
	return nil
}

// silentAfter is how long the other end of a connection may be silent.
const silentAfter = 15 * time.Second

// dialPostgres makes connections that notice when the other end is gone without a
// word, as after a failover.
func dialPostgres(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 2}}
	if runtime.GOOS == "linux" && strings.HasPrefix(network, "tcp") {
		// TCP_USER_TIMEOUT (RFC 5482, tcp(7)) is for what was sent and is not
		// acknowledged; keepalives are for a connection that only listens.
		const tcpUserTimeout = 18
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var set error
			err := raw.Control(func(fd uintptr) {
				set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(silentAfter.Milliseconds()))
			})
			return errors.Join(err, set)
		}
	}
	return d.DialContext(ctx, network, address)
}

// settings are those of each session; what the URL says is left alone. They are no
// part of the start of a connection, which a pooler between would refuse.
func settings() map[string]string {
	return map[string]string{
		// A process that stands still or lost its network must not keep its locks: the
		// server ends its session, and who waits for them meanwhile gives way to others.
		"idle_in_transaction_session_timeout": "10s",
		"lock_timeout":                        "2s",
		// There is an index for every statement, and each is planned once. Planned while
		// a table is small, they would read all of it for ever.
		"enable_seqscan":  "off",
		"plan_cache_mode": "force_generic_plan",
		"jit":             "off",
		// How many rows a LIMIT leaves is not known then, and taken for a tenth of all: to
		// fetch one of a million builds, a join would read the table.
		"enable_hashjoin":  "off",
		"enable_mergejoin": "off",
	}
}

// setSession gives a connection the settings of ours. Two of them are what the
// promises of this package rest on, whatever the server, the database, the role or
// the URL says: a statement sees what was committed before it, and a commit is on
// disk.
func setSession(ctx context.Context, c *pgx.Conn, given map[string]string) error {
	if _, err := c.Exec(ctx, `SELECT set_config('default_transaction_isolation', 'read committed', false),
		set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)`); err != nil {
		return fmt.Errorf("set isolation and synchronous commits: %w", err)
	}
	for name, value := range settings() {
		if _, set := given[name]; set {
			continue
		}
		if _, err := c.Exec(ctx, `SELECT set_config($1, $2, false)`, name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

func (d *postgres) begin(ctx context.Context) (*tx, error) {
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	p := &pipeline{conn: conn}
	p.waiting.Queue("begin")
	return &tx{querier: p, db: d, later: p.later, end: p.commit, undo: func() error { return p.rollback(ctx) }}, nil
}

// pipeline is a transaction whose statements are sent together up to the next one whose
// result is asked for: a round trip for each would take longer than most of them.
type pipeline struct {
	conn    *pgxpool.Conn
	waiting pgx.Batch
}

func (p *pipeline) later(_ context.Context, query string, args ...any) error {
	p.waiting.Queue(numbered(query), args...)
	return nil
}

// send sends a statement and what waits before it, and reads the results of that.
func (p *pipeline) send(ctx context.Context, query string, args ...any) (pgx.BatchResults, error) {
	batch := p.waiting
	p.waiting = pgx.Batch{}
	before := batch.Len()
	batch.Queue(numbered(query), args...)
	results := p.conn.SendBatch(ctx, &batch)
	for range before {
		if _, err := results.Exec(); err != nil {
			_ = results.Close() // the same again
			return nil, err
		}
	}
	return results, nil
}

func (p *pipeline) exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := p.run(ctx, query, args...)
	return tag.RowsAffected(), err
}

func (p *pipeline) run(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	results, err := p.send(ctx, query, args...)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	return tag, cmp.Or(err, results.Close())
}

func (p *pipeline) query(ctx context.Context, query string, args ...any) (cursor, error) {
	results, err := p.send(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		_ = results.Close() // the same again
		return nil, err
	}
	return pipelineCursor{rows, results}, nil
}

func (p *pipeline) queryRow(ctx context.Context, query string, args ...any) scanner {
	results, err := p.send(ctx, query, args...)
	return pipelineRow{results, err}
}

func (p *pipeline) commit(ctx context.Context) error {
	tag, err := p.run(ctx, "commit")
	switch {
	case err != nil:
		return err // and roll back
	case tag.String() != "COMMIT":
		return fmt.Errorf("the server answered %s", tag)
	}
	p.conn.Release()
	return nil
}

func (p *pipeline) rollback(ctx context.Context) error {
	defer p.conn.Release() // closes one that is not idle
	p.waiting = pgx.Batch{}
	if p.conn.Conn().IsClosed() || p.conn.Conn().PgConn().TxStatus() == 'I' {
		return nil
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, err := p.conn.Exec(undo, "rollback")
	return err
}

type pipelineCursor struct {
	pgx.Rows
	results pgx.BatchResults
}

// Close implements cursor.
func (c pipelineCursor) Close() error {
	c.Rows.Close()
	return c.results.Close()
}

type pipelineRow struct {
	results pgx.BatchResults
	err     error
}

// Scan implements scanner.
func (r pipelineRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	err := r.results.QueryRow().Scan(dest...)
	return cmp.Or(err, r.results.Close())
}

func (d *postgres) reader() querier { return timely{pgxQuerier{d.pool}} }

// allLock stands for all keys: shared by whoever locks some of them, and taken before
// these; alone by whoever needs more than locksMost.
const allLock = 0x6275696c64616c6c // "buildall"

// locksMost bounds the advisory locks of a transaction. Those of a server together have
// room for some max_locks_per_transaction * max_connections, 6,400 unless set. A full
// batch of deliveries with one build each takes 3 * maxBatch.
const locksMost = 1000

// allLockWithin is how long to wait for whoever has all keys alone, who may commit
// thousands of builds: longer than for one key, which holds up few.
const allLockWithin = 8 * time.Second

func (*postgres) lock(ctx context.Context, tx *tx, keys []int64) error {
	if len(keys) == 0 {
		return nil
	}
	alone := len(keys) > locksMost
	if alone {
		keys = []int64{}
	}
	return tx.later(ctx, `WITH before AS MATERIALIZED (SELECT current_setting('lock_timeout') AS lock_timeout)
		SELECT CASE n
			WHEN 1 THEN set_config('lock_timeout', ?, true)
			WHEN 2 THEN (CASE WHEN ? THEN pg_advisory_xact_lock(k) ELSE pg_advisory_xact_lock_shared(k) END)::text
			WHEN 3 THEN set_config('lock_timeout', lock_timeout, true)
			ELSE pg_advisory_xact_lock(k)::text END
		FROM before, unnest(array[0, ?::bigint, 0] || ?::bigint[]) WITH ORDINALITY AS l (k, n) ORDER BY n`,
		strconv.FormatInt(allLockWithin.Milliseconds(), 10), alone, int64(allLock), keys)
}

func (*postgres) insertRows(ctx context.Context, tx *tx, r *rows) error {
	names := strings.Join(r.columns, ", ")
	// The clock of a replica may be ahead of that which all go by.
	values := strings.Replace(names, "due_at", "least(due_at, "+(*postgres)(nil).now()+")", 1)
	arrays, args := unnest(r)
	return tx.later(ctx, "INSERT INTO "+r.table+" ("+names+") SELECT "+values+" FROM "+arrays+" AS r ("+names+")", args...)
}

func (*postgres) with(r *rows) (text string, args []any) {
	arrays, args := unnest(r)
	return "WITH c (" + strings.Join(r.columns, ", ") + ") AS (SELECT * FROM " + arrays + ") ", args
}

// among is there for a table that was small when the statement was planned: all of it
// would be compared with c.
func (*postgres) among(column string) string { return column + " = ANY($1)" }

func (*postgres) portions(r *rows) iter.Seq[*rows] {
	return func(yield func(*rows) bool) {
		if len(r.args) > 0 {
			yield(r)
		}
	}
}

// unnest sends columns as arrays: one statement of one shape for any number of rows,
// which the server plans once.
func unnest(r *rows) (text string, columns []any) {
	columns = make([]any, len(r.columns))
	arrays := make([]string, len(r.columns))
	for i := range r.columns {
		switch r.args[i].(type) {
		case string:
			columns[i], arrays[i] = column[string](r, i), "?::text[]"
		case int64:
			columns[i], arrays[i] = column[int64](r, i), "?::bigint[]"
		case bool:
			columns[i], arrays[i] = column[bool](r, i), "?::boolean[]"
		case []byte:
			columns[i], arrays[i] = column[[]byte](r, i), "?::bytea[]"
		}
	}
	return "unnest(" + strings.Join(arrays, ", ") + ")", columns
}

// column gives one column of all rows.
func column[T any](r *rows, i int) []T {
	values := make([]T, 0, len(r.args)/len(r.columns))
	for ; i < len(r.args); i += len(r.columns) {
		values = append(values, r.args[i].(T)) //nolint:forcetypeassert // as in the first row
	}
	return values
}

// now is the time of the transaction, which is short, by the server's clock: those of
// the replicas may differ.
func (*postgres) now() string { return `(extract(epoch FROM now()) * 1000000)::bigint` }

// skipLocked leaves rows that another replica takes at this moment to it.
func (*postgres) skipLocked() string { return " FOR UPDATE SKIP LOCKED" }

// notifyChannel is where replicas tell each other of targets that got work.
const notifyChannel = "buildbridge_due"

// listen keeps one connection for it. One that dies without a word is noticed when
// nothing was heard for a while; until then, and while there is none, queues are polled.
func (d *postgres) listen(ctx context.Context, notified chan<- string) {
	for ctx.Err() == nil {
		if err := d.listenOnce(ctx, notified); ctx.Err() == nil {
			d.log.WarnContext(ctx, "no notifications from the database: builds are picked up later by up to a quarter of a second, until they come again", "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (d *postgres) listenOnce(ctx context.Context, notified chan<- string) error {
	pooled, err := d.vital.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+notifyChannel); err != nil {
		return err
	}
	for {
		wait, cancel := context.WithTimeout(ctx, silentAfter)
		n, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case err == nil:
			notify(notified, n.Payload)
		case ctx.Err() == nil && wait.Err() != nil: // is it still there?
			if err := (timely{pgxQuerier{conn}}).queryRow(ctx, `SELECT 1`).Scan(new(int)); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

func (*postgres) publish(ctx context.Context, tx *tx, targets []string) error {
	return tx.later(ctx, `SELECT pg_notify('`+notifyChannel+`', t) FROM unnest(?::text[]) t`, targets)
}

// lead takes what ends further in the future than a lead can, for a lead of before the
// server's clock was set back. That is more than LeadFor: a statement that waited for
// another's has the earlier now().
func (d *postgres) lead(ctx context.Context, caller string) (bool, error) {
	n, err := timely{pgxQuerier{d.vital}}.exec(ctx, `INSERT INTO leads (name, holder, until) VALUES ('leader', ?, now() + ?::bigint * interval '1 microsecond')
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE leads.holder = excluded.holder OR leads.until NOT BETWEEN now() AND now() + 2 * ?::bigint * interval '1 microsecond'`,
		caller, LeadFor.Microseconds(), LeadFor.Microseconds())
	return n > 0, err
}

// turns counts by the database's clock (GCRA): next_at is when the next turn is
// due, and may lie behind now by the burst. Further in the future than turns are
// reserved, it is from before the server's clock was set back, and starts anew; a
// statement waits for another's no longer than statementTimeout.
func (d *postgres) turns(ctx context.Context, target string, gap time.Duration, burst, n int, most time.Duration) (first time.Duration, free, shared bool, err error) {
	all := (time.Duration(n) * gap).Microseconds()
	furthest := (most + statementTimeout).Microseconds() + all
	var end int64 // of the reserved turns, from now
	err = d.reader().queryRow(ctx, `INSERT INTO turns AS t (target, next_at) VALUES (?, now() + ?::bigint * interval '1 microsecond')
		ON CONFLICT (target) DO UPDATE SET next_at = CASE WHEN t.next_at > now() + ?::bigint * interval '1 microsecond' THEN excluded.next_at
			ELSE greatest(t.next_at, now() - ?::bigint * interval '1 microsecond') + ?::bigint * interval '1 microsecond' END
		WHERE t.next_at NOT BETWEEN now() + ?::bigint * interval '1 microsecond' AND now() + ?::bigint * interval '1 microsecond'
		RETURNING (extract(epoch FROM t.next_at - now()) * 1000000)::bigint`,
		target, all, furthest, (time.Duration(burst-1) * gap).Microseconds(), all, most.Microseconds(), furthest).Scan(&end)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, true, nil
	}
	return time.Duration(end-all) * time.Microsecond, err == nil, true, err
}

// writers leaves connections for reading.
func (*postgres) writers() int { return minConns / 2 }

func (*postgres) oneOf(column string, values any) (condition string, list any) {
	return column + " = ANY(?)", values
}

// analyze does what the server does once a minute: a queue grows faster, and until
// then statements are planned for a small one.
func (d *postgres) analyze(ctx context.Context) error {
	rows, err := d.reader().query(ctx, `SELECT relid::regclass::text FROM pg_stat_user_tables
		WHERE relid IN (to_regclass('builds'), to_regclass('deliveries')) AND n_mod_since_analyze > 1000 + n_live_tup`)
	if err != nil {
		return err
	}
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return errors.Join(err, rows.Close())
		}
		tables = append(tables, table)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(tables) == 0 {
		return err
	}
	_, err = d.reader().exec(ctx, "ANALYZE "+strings.Join(tables, ", "))
	return err
}

func (*postgres) checkpoint(error) {}

func (d *postgres) ping(ctx context.Context) error {
	if err := d.pool.Ping(ctx); err != nil {
		return d.reason(err)
	}
	return nil
}

// reason keeps user, name and address of the database to the log.
func (*postgres) reason(error) error {
	return errors.New("the database does not answer, or takes nothing; the log says why")
}

// refused goes by the classes of SQLSTATE: a datum, a constraint, a limit of what a
// row or statement can be
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func (*postgres) refused(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && len(e.Code) == 5 && slices.Contains([]string{"22", "23", "54"}, e.Code[:2])
}

// size cannot know what is free on the server's disk.
func (d *postgres) size(ctx context.Context) (used, free int64, err error) {
	err = d.pool.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&used)
	return used, -1, err
}

// pgxQuerier is a querier over pgx.
type pgxQuerier struct {
	conn interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
		QueryRow(ctx context.Context, query string, args ...any) pgx.Row
	}
}

func (q pgxQuerier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := q.conn.Exec(ctx, numbered(query), args...)
	return tag.RowsAffected(), err
}

func (q pgxQuerier) query(ctx context.Context, query string, args ...any) (cursor, error) {
	rows, err := q.conn.Query(ctx, numbered(query), args...)
	if err != nil {
		return nil, err
	}
	return pgxCursor{rows}, nil
}

func (q pgxQuerier) queryRow(ctx context.Context, query string, args ...any) scanner {
	return q.conn.QueryRow(ctx, numbered(query), args...)
}

// timely gives each statement a deadline of its own: what waits for a connection
// that is dead must not keep it until the work it is for is over.
type timely struct{ querier }

// statementTimeout is far more than any statement takes.
const statementTimeout = 10 * time.Second

func (q timely) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return q.querier.exec(ctx, query, args...)
}

func (q timely) query(ctx context.Context, query string, args ...any) (cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	rows, err := q.querier.query(ctx, query, args...)
	if err != nil {
		cancel()
		return nil, err
	}
	return timelyCursor{rows, cancel}, nil
}

func (q timely) queryRow(ctx context.Context, query string, args ...any) scanner {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	return timelyRow{q.querier.queryRow(ctx, query, args...), cancel}
}

type timelyCursor struct {
	cursor
	cancel context.CancelFunc
}

// Close implements cursor.
func (c timelyCursor) Close() error {
	defer c.cancel()
	return c.cursor.Close()
}

type timelyRow struct {
	scanner
	cancel context.CancelFunc
}

// Scan implements scanner.
func (r timelyRow) Scan(dest ...any) error {
	defer r.cancel()
	return r.scanner.Scan(dest...)
}

type pgxCursor struct{ pgx.Rows }

// Close implements cursor.
func (c pgxCursor) Close() error {
	c.Rows.Close()
	return nil
}

// numberedQueries remembers statements with ? replaced by $1, $2, …: there are
// as many as in this package's text, times the lengths of a few lists.
type numberedQueries struct{ sync.Map }

var queries numberedQueries //nolint:gochecknoglobals // a cache of pure results

func numbered(query string) string {
	if q, ok := queries.Load(query); ok {
		return q.(string) //nolint:forcetypeassert // stored below
	}
	var (
		b strings.Builder
		n int
	)
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	queries.Store(query, b.String())
	return b.String()
}
