package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
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
	vital *pgxpool.Pool // for the lead and for notifications, whatever the other pool waits for
}

// migrateLock is the advisory lock under which one replica creates the tables while the
// others wait.
const migrateLock = 0x6275696c64627264 // "buildbrd"

// minConns are enough for those that write and those that read.
const minConns = 10

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
	config.MaxConns = max(config.MaxConns, minConns)
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

func (d *postgres) migrate(ctx context.Context) (err error) {
	pooled, err := d.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", onceEach{err})
	}
	conn := pooled.Hijack() // closing it releases the lock, and takes the change of lock_timeout with it
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, `SET lock_timeout = 0`); err != nil {
		return fmt.Errorf("create the tables: %w", err)
	}
	// A statement that waited for the lock would hold up CREATE INDEX CONCURRENTLY, which waits for statements.
	for locked := false; !locked; {
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(migrateLock)).Scan(&locked); err != nil {
			return fmt.Errorf("wait for another replica that creates the tables: %w", err)
		}
		if !locked {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
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
	var foreign bool
	if err := conn.QueryRow(ctx, `SELECT CASE WHEN $1 = 0 THEN to_regclass('builds') IS NOT NULL
		ELSE NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('builds') AND attname = 'due_at') END`,
		version).Scan(&foreign); err != nil {
		return fmt.Errorf("its tables: %w", err)
	}
	words := strings.NewReplacer("{seq}", "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
		"{bytes}", "bytea", "{bool}", "boolean", "{false}", "false", "{strict}", "")
	if foreign {
		return errForeign
	}
	statements, err := postgresSteps(version, words)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("create the tables: %w", err)
		}
	}
	return nil
}

// postgresSteps gives what brings tables of a version up to date, none if they are: even a statement that changes
// nothing would wait for the locks of a replica that writes. Each step is a transaction, or one statement that must
// not be in any. A start that was cut off leaves the version of the last step.
func postgresSteps(version int64, words *strings.Replacer) (steps []string, err error) {
	const becomes, index = "INSERT INTO schema_version (version) VALUES (%d);", "builds_ended"
	if version == 0 {
		text, err := schemaAfter(0, words, "", "_postgres")
		return []string{text + fmt.Sprintf(becomes, schemaVersion)}, err
	}
	for n := version + 1; n <= schemaVersion; n++ {
		text, err := schemaOf(n, words, "", "_postgres")
		if err != nil {
			return nil, err
		}
		if _, on, found := strings.Cut(text, "CREATE INDEX "+index); found {
			// Of builds that there are: in a transaction it would lock out replicas that take deliveries.
			steps = append(steps, "DROP INDEX CONCURRENTLY IF EXISTS "+index, "CREATE INDEX CONCURRENTLY "+index+on)
			text = ""
		}
		steps = append(steps, text+fmt.Sprintf(becomes, n))
	}
	return steps, nil
}

// onceEach is an error in which no line comes twice: a server that does not answer is called with TLS and then
// without.
type onceEach struct{ error }

func (e onceEach) Error() string {
	var lines []string
	for line := range strings.Lines(e.error.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n\t")
}

func (e onceEach) Unwrap() error { return e.error }

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

// dialPostgres makes connections that notice when the other end has disappeared without
// closing them, as after a failover.
func dialPostgres(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 2}}
	if runtime.GOOS == "linux" && strings.HasPrefix(network, "tcp") {
		// TCP_USER_TIMEOUT (RFC 5482, tcp(7)) is for data that was sent and is not
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

// sessionSettings are set in each session, unless the URL sets them. They are not sent when
// a connection is opened, because a pooler would refuse that.
var sessionSettings = map[string]string{
	// A process that stands still or lost its network must not keep its locks. The server
	// ends its session; until then, those who wait for its locks give up, so that others
	// can go on.
	"idle_in_transaction_session_timeout": "10s",
	"lock_timeout":                        "2s",
	// There is an index for every statement, and each statement is planned once. A plan
	// made while a table was small would read the whole table for ever.
	"enable_seqscan":  "off",
	"plan_cache_mode": "force_generic_plan",
	"jit":             "off",
	// The planner does not know the value of a LIMIT then, and assumes a tenth of all rows.
	// To fetch one of a million builds, a join would read the whole table.
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
}

// setSession gives a connection the settings of this program. The promises of this package
// rest on two of them, whatever the server, the database, the role or the URL says: a
// statement sees what was committed before it, and a commit is on disk.
func setSession(ctx context.Context, c *pgx.Conn, given map[string]string) error {
	if _, err := c.Exec(ctx, `SELECT set_config('default_transaction_isolation', 'read committed', false),
		set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)`); err != nil {
		return fmt.Errorf("set isolation and synchronous commits: %w", err)
	}
	for name, value := range sessionSettings {
		if _, set := given[name]; set {
			continue
		}
		if _, err := c.Exec(ctx, `SELECT set_config($1, $2, false)`, name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

func (d *postgres) reader() querier { return pgxQuerier{d.pool} }

func (*postgres) dialect() dialect {
	return dialect{
		// The time at which the transaction began, which is short, by the server's clock: the
		// clocks of replicas may differ.
		now:          postgresNow,
		skipLocked:   ` FOR UPDATE SKIP LOCKED`,
		transactions: `pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint`,
		// The table may have been small when the statement was planned: the plan would then
		// compare all of its rows with c.
		among: func(column string) string { return column + " = ANY($1)" },
	}
}

const postgresNow = `(extract(epoch FROM now()) * 1000000)::bigint`

func (*postgres) oneOf(column string, values any) (condition string, list any) {
	return column + " = ANY(?)", values
}

// allLock stands for all keys. A transaction takes it before any key: shared, if it locks
// some of them; exclusive, if it needs more than locksMost.
const allLock = 0x6275696c64616c6c // "buildall"

// locksMost bounds the advisory locks of a transaction. All transactions of a server
// together have room for about max_locks_per_transaction * max_connections locks, 6,400
// by default. A full batch of deliveries with one build each takes 3 * maxBatch.
const locksMost = 1000

// allLockWithin is how long to wait for a transaction that has allLock exclusively. It may
// commit thousands of builds, so that this is longer than the wait for one key.
const allLockWithin = 8 * time.Second

func (*postgres) lock(tx *tx, keys []int64) {
	if len(keys) == 0 {
		return
	}
	alone := len(keys) > locksMost
	if alone {
		keys = []int64{}
	}
	sendLater(tx, `WITH before AS MATERIALIZED (SELECT current_setting('lock_timeout') AS lock_timeout)
		SELECT CASE n
			WHEN 1 THEN set_config('lock_timeout', ?, true)
			WHEN 2 THEN (CASE WHEN ? THEN pg_advisory_xact_lock(k) ELSE pg_advisory_xact_lock_shared(k) END)::text
			WHEN 3 THEN set_config('lock_timeout', lock_timeout, true)
			ELSE pg_advisory_xact_lock(k)::text END
		FROM before, unnest(array[0, ?::bigint, 0] || ?::bigint[]) WITH ORDINALITY AS l (k, n) ORDER BY n`,
		strconv.FormatInt(allLockWithin.Milliseconds(), 10), alone, int64(allLock), keys)
}

func (*postgres) insertRows(_ context.Context, tx *tx, r *rows) error {
	names := strings.Join(r.columns, ", ")
	arrays, args := unnest(r)
	values := names
	if slices.Contains(r.columns, "due_at") { // by this replica's clock, which may differ from the server's: the wait counts
		values = strings.Replace(names, "due_at", "CASE WHEN due_at > 0 THEN due_at - ?::bigint + "+postgresNow+" ELSE 0 END", 1)
		args = slices.Insert(args, 0, any(time.Now().UnixMicro()))
	}
	sendLater(tx, "INSERT INTO "+r.table+" ("+names+") SELECT "+values+" FROM "+arrays+" AS r ("+names+")", args...)
	return nil
}

func (*postgres) with(r *rows) (text string, args []any) {
	arrays, args := unnest(r)
	return "WITH c (" + strings.Join(r.columns, ", ") + ") AS (SELECT * FROM " + arrays + ") ", args
}

func (*postgres) portions(r *rows) iter.Seq[*rows] {
	return func(yield func(*rows) bool) {
		if len(r.args) > 0 {
			yield(r)
		}
	}
}

// unnest sends columns as arrays: one statement for any number of rows, which the server
// plans once.
func unnest(r *rows) (text string, columns []any) {
	columns = make([]any, len(r.columns))
	arrays := make([]string, len(r.columns))
	for i := range r.columns {
		switch r.args[i].(type) {
		case string:
			columns[i], arrays[i] = values[string](r, i), "?::text[]"
		case int64:
			columns[i], arrays[i] = values[int64](r, i), "?::bigint[]"
		case bool:
			columns[i], arrays[i] = values[bool](r, i), "?::boolean[]"
		case []byte:
			columns[i], arrays[i] = values[[]byte](r, i), "?::bytea[]"
		}
	}
	return "unnest(" + strings.Join(arrays, ", ") + ")", columns
}

// values gives one column of all rows.
func values[T any](r *rows, i int) []T {
	all := make([]T, 0, len(r.args)/len(r.columns))
	for ; i < len(r.args); i += len(r.columns) {
		all = append(all, r.args[i].(T)) //nolint:forcetypeassert // as in the first row
	}
	return all
}

// notifyChannel is where replicas tell each other of targets that got work.
const notifyChannel = "buildbridge_due"

func (*postgres) publish(tx *tx, targets []string) {
	sendLater(tx, `SELECT pg_notify('`+notifyChannel+`', t) FROM unnest(?::text[]) t`, targets)
}

// listen listens on one connection, and on a new one when that is lost. While there is
// none, polling finds the builds.
func (d *postgres) listen(ctx context.Context, notified chan<- string) {
	for ctx.Err() == nil {
		if err := d.listenOnce(ctx, notified); ctx.Err() == nil {
			d.log.LogAttrs(ctx, slog.LevelWarn,
				"no notifications from the database: builds start up to a quarter of a second later until they come again",
				slog.String("error", err.Error()))
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
		case ctx.Err() == nil && wait.Err() != nil: // nothing came: is the server still there?
			if err := queryRow(ctx, pgxQuerier{conn}, `SELECT 1`).Scan(new(int)); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// lead also takes the lead from a process whose lead ends later than any lead can: the
// server's clock was set back since. The bound is twice LeadFor, because a statement that
// waited for another's has the earlier now().
func (d *postgres) lead(ctx context.Context, caller string) (bool, error) {
	n, err := pgxQuerier{d.vital}.exec(ctx,
		`INSERT INTO leads (name, holder, until) VALUES ('leader', ?, now() + ?::bigint * interval '1 microsecond')
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE leads.holder = excluded.holder OR leads.until NOT BETWEEN now() AND now() + 2 * ?::bigint * interval '1 microsecond'`,
		caller, LeadFor.Microseconds(), LeadFor.Microseconds())
	if err != nil {
		return false, err
	}
	_, err = pgxQuerier{d.vital}.exec(ctx, `WITH gone AS (DELETE FROM leads WHERE name <> 'leader' AND name <> ? AND until < now())
		INSERT INTO leads (name, holder, until) VALUES (?, ?, now() + ?::bigint * interval '1 microsecond')
		ON CONFLICT (name) DO UPDATE SET until = excluded.until`,
		replicaName+caller, replicaName+caller, caller, LeadFor.Microseconds())
	return n > 0, err
}

// replicaName is the name of a replica in leads, before its caller.
const replicaName = "replica "

func (d *postgres) replicas(ctx context.Context) (all []Replica, err error) {
	err = each(ctx, d.reader(), func(row scanner) error {
		var r Replica
		err := row.Scan(&r.Name, &r.Leads)
		all = append(all, r)
		return err
	}, `SELECT holder, bool_or(name = 'leader') FROM leads WHERE until > now() GROUP BY holder ORDER BY holder`)
	return all, err
}

// leaseCalls counts by the database's clock (GCRA): next_at is when the next call may be
// made, and may lie before now by the burst. If it is later than any lease can be, the
// server's clock was set back, and it starts anew. A statement waits for another's no
// longer than statementTimeout.
func (d *postgres) leaseCalls(ctx context.Context, r CallRate, n int, within time.Duration) (first time.Duration, granted bool, err error) {
	leased := (time.Duration(n) * r.Gap).Microseconds()
	latest := (within + statementTimeout).Microseconds() + leased
	var end int64 // of the leased calls, from now
	err = queryRow(ctx, d.reader(), `INSERT INTO turns AS t (target, next_at) VALUES (?, now() + ?::bigint * interval '1 microsecond')
		ON CONFLICT (target) DO UPDATE SET next_at = CASE WHEN t.next_at > now() + ?::bigint * interval '1 microsecond' THEN excluded.next_at
			ELSE greatest(t.next_at, now() - ?::bigint * interval '1 microsecond') + ?::bigint * interval '1 microsecond' END
		WHERE t.next_at NOT BETWEEN now() + ?::bigint * interval '1 microsecond' AND now() + ?::bigint * interval '1 microsecond'
		RETURNING (extract(epoch FROM t.next_at - now()) * 1000000)::bigint`,
		r.Target, leased, latest, (time.Duration(r.Burst-1) * r.Gap).Microseconds(), leased, within.Microseconds(), latest).Scan(&end)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return time.Duration(end-leased) * time.Microsecond, err == nil, err
}

// analyze does what the server does once a minute. A queue grows faster than that, and
// until then statements are planned for a small one.
func (d *postgres) analyze(ctx context.Context) error {
	tables, err := column[string](ctx, d.reader(), `SELECT relid::regclass::text FROM pg_stat_user_tables
		WHERE relid IN (to_regclass('builds'), to_regclass('deliveries')) AND n_mod_since_analyze > 1000 + n_live_tup`)
	if err != nil || len(tables) == 0 {
		return err
	}
	_, err = d.reader().exec(ctx, "ANALYZE "+strings.Join(tables, ", "))
	return err
}

// checkpoint does nothing: the server looks after its own disk.
func (*postgres) checkpoint(error) {}

func (d *postgres) ping(ctx context.Context) error { return d.pool.Ping(ctx) }

// badRow goes by the classes of SQLSTATE: a bad value, a constraint, a limit of the size of
// a row or statement (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func (*postgres) badRow(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && len(e.Code) == 5 && slices.Contains([]string{"22", "23", "54"}, e.Code[:2])
}

// size cannot know what is free on the server's disk.
func (d *postgres) size(ctx context.Context) (used, free int64, err error) {
	err = d.pool.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&used)
	return used, -1, err
}
