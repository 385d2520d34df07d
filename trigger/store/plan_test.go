package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"buildbridge/trigger/store"
)

// bounded are the indexes that find few rows, however long the history is: by this column, or by any if it
// is "".
var bounded = map[string]string{ //nolint:gochecknoglobals // a table
	"builds_pkey": "seq", "INTEGER PRIMARY KEY": "rowid",
	"builds_id_key": "id", "sqlite_autoindex_builds_1": "id",
	"deliveries_blocks_pkey": "last_seq", "deliveries_pkey": "seq", "deliveries_id_key": "id", "sqlite_autoindex_deliveries_1": "id",
	"builds_number":        "build_no",
	"builds_delivery":      "delivery",
	"builds_replays":       "replay_of",
	"deliveries_duplicate": "duplicate_key",
	"builds_once":          "commit_id",
	"builds_ended":         "rule", // and the statements have a limit
	"deliveries_replays":   "replay_of",
	// These have unresolved builds only,
	"builds_ref": "", "builds_commit": "", "builds_held": "", "builds_held_commit": "", "builds_due": "", "builds_paused": "",
	// these have those that run,
	"builds_open": "", "builds_running": "",
	// this one the jobs that are followed, a row for each,
	"follows_due": "", "follows_pkey": "seq", "follows_target_job_id_key": "job_id", "sqlite_autoindex_follows_1": "job_id",
	// this one what no code host sent,
	"deliveries_origin": "origin", "builds_origin": "origin",
	// this one the pauses that people asked for,
	"pauses_kind_name_key": "",
	// and this one the 20,000 deliveries of the ignored log.
	"deliveries_aside": "",
}

// pages are parts of statements that may read the whole history, in the order of an index.
var pages = []string{ //nolint:gochecknoglobals // a table
	"count(*) OVER ()", // what is to be replayed
	"coalesce(max(seq), 0)",
	"min(seq)",
	"seen_no DESC LIMIT 1",                                                             // the highest number of a job
	"ORDER BY service, job_id LIMIT 1", "ORDER BY other.service, other.job_id LIMIT 1", // from a job to the next
	"SET seen_no = 0",                                            // of a job that counts from one again
	"SELECT (SELECT count(*)", "deliveries_blocks WHERE emptied", // tests ask that
}

// twoEnds finds a condition on a run of rows: lists and pruning read the rows that blocks leave, and ids are looked for by
// their beginnings.
var twoEnds = regexp.MustCompile(`(rowid|\w*seq) ?>=? ?[^<]*AND \(?(rowid|\w*seq) ?<|\bid ?>=? ?[^<]*AND \(?id ?<`)

// step is how a plan reads one of the tables.
type step struct{ index, by string }

// fault says what is wrong with it, "" for nothing.
func (p step) fault(statement string) string {
	column, ok := bounded[p.index]
	if twoEnds.MatchString(p.by) || ok && (column == "" || regexp.MustCompile(`\b`+column+` ?=`).MatchString(p.by)) {
		return ""
	}
	plain := strings.Join(strings.Fields(regexp.MustCompile(`\$\d+`).ReplaceAllString(statement, "?")), " ")
	for _, page := range pages {
		if p.index != "" && strings.Contains(plain, page) {
			return ""
		}
	}
	return fmt.Sprintf("it reads ever more rows, by %q (%s)", p.index, p.by)
}

// exercised calls every method of a store, so that its statements are known. A new method needs an entry.
func exercised() map[string]func(t *testing.T, s *store.Store) {
	fail := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	none := func(*testing.T, *store.Store) {}
	called := func(t *testing.T, s *store.Store) *store.Build {
		t.Helper()
		b := accept(t, s, nil)
		begin(t, s, b, time.Now())
		return b
	}
	return map[string]func(t *testing.T, s *store.Store){
		"Accept": func(t *testing.T, s *store.Store) {
			t.Helper()
			for _, key := range []string{newID(), ""} {
				d := delivery(key)
				b := build(d)
				b.Newest, b.Once = true, true
				fail(t, second(s.Accept(t.Context(), d, []*store.Build{b})))
			}
			missed(t, s)
		},
		"AddReplay": func(t *testing.T, s *store.Store) {
			t.Helper()
			b := accept(t, s, nil)
			b.ReplayOf, b.ID = b.ID, newID()
			fail(t, s.AddReplay(t.Context(), b, ""))
		},
		"LastReplay": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.LastReplay(t.Context(), &store.Build{})))
		},
		"BeginCall": func(t *testing.T, s *store.Store) {
			t.Helper()
			called(t, s)
			begin(t, s, accept(t, s, nil), time.Now())
		},
		"Hold": func(t *testing.T, s *store.Store) {
			t.Helper()
			accept(t, s, nil)
			fail(t, second(s.Hold(t.Context(), accept(t, s, nil), time.Now())))
		},
		"Save": func(t *testing.T, s *store.Store) {
			t.Helper()
			for _, adopted := range []bool{false, true} {
				b := called(t, s)
				b.BuildNumber, b.Adopted, b.State = "1", adopted, store.Started
				if err := s.Save(t.Context(), b); (err != nil) != adopted {
					t.Fatal(err)
				}
			}
		},
		"Answered": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.Answered(t.Context(), "north", "north", "job")))
		},
		"Claimed": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.Claimed(t.Context(), "north", "job", []string{"1", "2"})))
		},
		"Numbered":          func(t *testing.T, s *store.Store) { t.Helper(); fail(t, second(s.Numbered(t.Context(), "7", 10))) },
		"WaitingForPersons": func(t *testing.T, s *store.Store) { t.Helper(); fail(t, second(s.WaitingForPersons(t.Context()))) },
		"Unknown": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.Unknown(t.Context(), time.Now())))
		},
		"Runs": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.Runs(t.Context(), "7f3a", 10)))
		},
		"Build":    func(t *testing.T, s *store.Store) { t.Helper(); accept(t, s, nil) },
		"BuildsOf": func(t *testing.T, s *store.Store) { t.Helper(); fail(t, second(s.BuildsOf(t.Context(), "d"))) },
		"Delivery": func(t *testing.T, s *store.Store) { t.Helper(); _, _ = s.Delivery(t.Context(), "d") },
		"BuildIDs": func(t *testing.T, s *store.Store) {
			t.Helper()
			_, _, err := s.BuildIDs(t.Context(), "0")
			fail(t, err)
		},
		"DeliveryIDs": func(t *testing.T, s *store.Store) {
			t.Helper()
			_, _, err := s.DeliveryIDs(t.Context(), "0")
			fail(t, err)
		},
		"Builds": func(t *testing.T, s *store.Store) {
			t.Helper()
			for _, f := range buildFilters() {
				_, _, err := s.Builds(t.Context(), f)
				fail(t, err)
			}
		},
		"ToReplay": func(t *testing.T, s *store.Store) {
			t.Helper()
			for _, f := range buildFilters() {
				f.After = ""
				_, _, _, err := s.ToReplay(t.Context(), f)
				fail(t, err)
			}
		},
		"Deliveries": func(t *testing.T, s *store.Store) {
			t.Helper()
			now := time.Now()
			for _, f := range []store.DeliveryFilter{
				{},
				{Source: "s"},
				{Origin: "catch_up"},
				{Origin: "webhook"},
				{Origin: "manual", Since: now, Repository: "r", Outcome: "accepted"},
				{Outcome: "ignored"},
				{Outcome: "ignored", NotReplayed: true, Until: now},
				{Outcome: "accepted"},
				{Outcome: "accepted", NotReplayed: true, Since: now},
				{Reason: "r"},
				{Repository: "r"},
				{Commit: "6dcb09b"},
				{Commit: "6dcb09b", Outcome: "ignored"},
				{Since: now},
				{Until: now},
				{After: "1"},
				{Source: "s", Outcome: "ignored"},
				{Source: "s", Repository: "r"},
				{Repository: "r", Reason: "r"},
				{Since: now, Until: now, Source: "s"},
			} {
				_, _, err := s.Deliveries(t.Context(), f)
				fail(t, err)
				f.After = ""
				_, _, err = s.DeliveriesOldestFirst(t.Context(), f)
				fail(t, err)
			}
		},
		"DeliveriesOldestFirst": none, // as Deliveries does
		"Prune": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.Prune(t.Context(), store.Retention{Bodies: time.Hour, Deliveries: time.Hour, Builds: time.Hour}, time.Now())))
		},
		"LogIgnored": func(t *testing.T, s *store.Store) {
			t.Helper()
			d := delivery("ignored")
			d.Outcome = store.Ignored
			s.LogIgnored(d)
			await(t, "it is written", func() bool { return second(s.Delivery(t.Context(), d.ID)) == nil })
		},
		"Pauses": func(t *testing.T, s *store.Store) { t.Helper(); fail(t, second(s.Pauses(t.Context()))) },
		"Pause": func(t *testing.T, s *store.Store) {
			t.Helper()
			pauseOf(t, s, store.PauseRule, "another")
		},
		"EndPause": func(t *testing.T, s *store.Store) {
			t.Helper()
			_, _ = s.EndPause(t.Context(), store.PauseRule, "none")
		},
		"EndPauses": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.EndPauses(t.Context())))
		},
		"EndHolds": func(t *testing.T, s *store.Store) {
			t.Helper()
			b := accept(t, s, nil)
			b.Paused = "frozen"
			if hold := begin(t, s, b, time.Now()); hold != store.HoldPause {
				t.Fatal(hold)
			}
			fail(t, second(s.EndHolds(t.Context(), func(string) string { return "" })))
		},
		"Cancel": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.Cancel(t.Context(), accept(t, s, nil).ID, "ops", "")))
		},
		"ToCancel": func(t *testing.T, s *store.Store) {
			t.Helper()
			for _, f := range buildFilters() {
				if f.After = ""; f.Result != "" {
					continue
				}
				_, _, _, err := s.ToCancel(t.Context(), f)
				fail(t, err)
			}
		},
		"Queue": func(t *testing.T, s *store.Store) { t.Helper(); fail(t, second(s.Queue(t.Context()))) },
		"Due":   func(t *testing.T, s *store.Store) { t.Helper(); fail(t, second(s.Due(t.Context(), "north", 10))) },
		"Renew": func(t *testing.T, s *store.Store) { t.Helper(); fail(t, s.Renew(t.Context(), []int64{1, 2})) },
		"Release": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, s.Release(t.Context(), []int64{1, 2}, time.Second))
		},
		"Recall": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.Recall(t.Context(), "north")))
			fail(t, second(s.Recall(t.Context(), store.FollowQueue("north"))))
			fail(t, second(s.Recall(t.Context(), store.ReportQueue("github"))))
			fail(t, second(s.Recall(t.Context(), store.CatchUpQueue("github"))))
		},
		"DueFollows": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.DueFollows(t.Context(), "north", 10)))
		},
		"SaveFollow": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, s.SaveFollow(t.Context(), &store.Follow{}, time.Second))
		},
		"OpenBuilds": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.OpenBuilds(t.Context(), "north", "job")))
		},
		"Running": func(t *testing.T, s *store.Store) { t.Helper(); fail(t, second(s.Running(t.Context()))) },
		"Ended":   func(t *testing.T, s *store.Store) { t.Helper(); fail(t, second(s.Ended(t.Context(), "cart", 10))) },
		"LastEnded": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.LastEnded(t.Context(), []string{"cart", "web"})))
		},
		"Summary": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.Summary(t.Context(), "cart", time.Now())))
		},
		"SaveResult": func(t *testing.T, s *store.Store) {
			t.Helper()
			end(t, s, running(t, s, newID(), func(b *store.Build) { b.ReplaceRunning, b.JobID = true, newID() }))
		},
		"Stop": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.Stop(t.Context(), running(t, s, newID(), func(b *store.Build) { b.JobID = newID() }).ID, "")))
		},
		"DueStatuses": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.DueStatuses(t.Context(), "github", 10)))
		},
		"SaveStatus": func(t *testing.T, s *store.Store) {
			t.Helper()
			for _, state := range []store.State{store.Waiting, store.Dead, store.Superseded} {
				b := accept(t, s, func(b *store.Build) { b.Context = newID() })
				b.State = state
				fail(t, s.Save(t.Context(), b))
			}
			taken, err := s.DueStatuses(t.Context(), "github", 10)
			if fail(t, err); len(taken) == 0 {
				t.Fatal("none is due")
			}
			fail(t, s.BeginStatus(t.Context(), taken[0], taken[0].Build))
			fail(t, s.SaveStatus(t.Context(), taken[0], time.Second))
			if err := s.SaveStatus(t.Context(), taken[0], time.Second); !errors.Is(err, store.ErrStale) {
				t.Fatal(err)
			}
		},
		"BeginStatus":     none, // as SaveStatus does
		"StatusOf":        func(t *testing.T, s *store.Store) { t.Helper(); _, _ = s.StatusOf(t.Context(), &store.Build{}) },
		"WaitingStatuses": func(t *testing.T, s *store.Store) { t.Helper(); fail(t, second(s.WaitingStatuses(t.Context()))) },

		"Backup": func(t *testing.T, s *store.Store) {
			t.Helper()
			if err := s.Backup(t.Context(), func(int64) io.Writer { return io.Discard }); err != nil && !errors.Is(err, store.ErrNoBackup) {
				t.Fatal(err)
			}
		},
		"Delivered": func(t *testing.T, s *store.Store) {
			t.Helper()
			accept(t, s, nil)
			_, _, err := s.Delivered(t.Context(), -1, 10)
			fail(t, err)
		},
		"NamedSince": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, s.NamedSince(t.Context(), "github", "acme/shop", time.Now(), func(uint64) {}))
		},
		"IgnoredSince": func(t *testing.T, s *store.Store) {
			t.Helper()
			_, err := s.IgnoredSince(t.Context())
			fail(t, err)
		},

		// These read no builds and no deliveries.
		"RepositoriesLike": func(t *testing.T, s *store.Store) {
			t.Helper()
			fail(t, second(s.RepositoriesLike(t.Context(), "shop", 10)))
		},
		"Repositories": none, "SetRepositories": none, "DueRepositories": none, "SaveLook": none,
		"Readable": none, "Missed": none, "MissedOf": none, "CountMissed": none,
		"Analyze": none, "Caller": none, "Close": none, "Lead": none, "Replicas": none, "Notified": none, "Ping": none, "Size": none, "LeaseCalls": none,
	}
}

// buildFilters are all filters, and all pairs of them.
func buildFilters() []store.BuildFilter {
	set := []func(f *store.BuildFilter){
		func(*store.BuildFilter) {},
		func(f *store.BuildFilter) { f.State = "dead" },
		func(f *store.BuildFilter) { f.State = "started" },
		func(f *store.BuildFilter) { f.Result = "running" },
		func(f *store.BuildFilter) { f.Result = "success" },
		func(f *store.BuildFilter) { f.Result = "failure" },
		func(f *store.BuildFilter) { f.Origin = "webhook" },
		func(f *store.BuildFilter) { f.Origin = "manual" },
		func(f *store.BuildFilter) { f.Rule = "r" },
		func(f *store.BuildFilter) { f.Target = "t" },
		func(f *store.BuildFilter) { f.JobID = "j" },
		func(f *store.BuildFilter) { f.Repository = "r" },
		func(f *store.BuildFilter) { f.Ref = "r" },
		func(f *store.BuildFilter) { f.Commit = "6dcb09b" },
		func(f *store.BuildFilter) { f.Delivery = "d" },
		func(f *store.BuildFilter) { f.ReplayOf = "b" },
		func(f *store.BuildFilter) { f.Since = time.Now() },
		func(f *store.BuildFilter) { f.Until = time.Now() },
		func(f *store.BuildFilter) { f.After = "1" },
	}
	var all []store.BuildFilter
	for i, one := range set {
		for _, two := range set[i:] {
			var f store.BuildFilter
			one(&f)
			two(&f)
			all = append(all, f)
		}
	}
	return all
}

// Every statement uses an index that finds few rows, however long the history is, except for those in
// pages.
func TestPlansOfSQLite(t *testing.T) {
	t.Parallel()
	methods := exercised()
	for m := range reflect.TypeFor[*store.Store]().Methods() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			do := methods[m.Name]
			if do == nil {
				t.Fatal("a new method: add what it does to exercised")
			}
			path := filepath.Join(t.TempDir(), "test.db")
			s, err := store.Open(t.Context(), store.Options{Database: path, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			do(t, s)
			statements := store.Statements(s)
			if len(statements) >= 256 {
				t.Fatal("more statements than a store remembers")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", "file:"+path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, statement := range statements {
				for _, p := range sqlitePlan(t, db, statement) {
					if fault := p.fault(statement); fault != "" {
						t.Errorf("%s\n%s", fault, statement)
					}
				}
			}
		})
	}
}

var (
	sqliteStep  = regexp.MustCompile(`^(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?INDEX (\w+)| USING (INTEGER PRIMARY KEY))?(?: \((.*)\))?`)
	sqliteTable = regexp.MustCompile(`\b(builds|deliveries|follows)(?: AS)? (\w+)\b`)
)

func sqlitePlan(t *testing.T, db *sql.DB, statement string) (steps []step) {
	t.Helper()
	ours := map[string]bool{"builds": true, "deliveries": true, "follows": true}
	for _, alias := range sqliteTable.FindAllStringSubmatch(statement, -1) {
		ours[alias[2]] = true
	}
	args := make([]any, strings.Count(statement, "?"))
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			id, parent, unused int
			text               string
		)
		if err := rows.Scan(&id, &parent, &unused, &text); err != nil {
			t.Fatal(err)
		}
		m := sqliteStep.FindStringSubmatch(text)
		if m == nil || !ours[m[2]] {
			continue
		}
		p := step{index: m[3] + m[4], by: m[5]}
		if p.index == "" {
			p.index = "INTEGER PRIMARY KEY" // the table itself, in its order
		}
		steps = append(steps, p)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// The same on PostgreSQL, with the plans that are made once for all arguments. The table has a history, and
// a short queue.
func TestPlansOfPostgres(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	s := opener(t, database)()
	for _, do := range exercised() {
		do(t, s)
	}
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if err := store.SetSession(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	for _, fill := range []string{
		`INSERT INTO deliveries (id, source, provider, host_id, event, repository, ref, commit_id, received_at, outcome, reason, duplicate_key, verdicts, header, body, replay_of)
			SELECT 'd' || i, 'github', 'github', i, 'push', 'acme/shop' || i % 20, 'refs/heads/main', i, i, 'accepted', '', 'id:' || i, '', '{}', '\x00', '' FROM generate_series(1, 20000) i`,
		`INSERT INTO builds (id, delivery, rule, target, job_id, repository, ref, tag, commit_id, marker, body, newest, replay_of, state, due_at, reason, received_at, deadline, service, build_no, claimed)
			SELECT 'b' || i, 'd' || i, 'rule' || i % 10, 'north', 'job', 'acme/shop' || i % 20, 'refs/heads/main', '', i, '', '\x00', false, '', 'started', 0, '', i, i, 'history', i, true FROM generate_series(1, 20000) i`,
		`ANALYZE builds, deliveries`,
	} {
		if _, err := conn.Exec(t.Context(), fill); err != nil {
			t.Fatal(err)
		}
	}
	for i, statement := range store.PostgresStatements() {
		if !regexp.MustCompile("builds|deliveries|follows").MatchString(statement) || strings.HasPrefix(statement, "ANALYZE") {
			continue
		}
		for _, p := range postgresPlan(t, conn, fmt.Sprint("plan", i), statement) {
			if fault := p.fault(statement); fault != "" {
				t.Errorf("%s\n%s", fault, statement)
			}
		}
	}
}

type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Index    string     `json:"Index Name"`
	Cond     string     `json:"Index Cond"`
	Plans    []planNode `json:"Plans"`
}

func postgresPlan(t *testing.T, conn *pgx.Conn, name, statement string) (steps []step) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "PREPARE "+name+" AS "+statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	execute := "EXPLAIN (FORMAT JSON) EXECUTE " + name
	n := 0
	for strings.Contains(statement, fmt.Sprintf("$%d", n+1)) {
		n++
	}
	if n > 0 {
		execute += "(NULL" + strings.Repeat(", NULL", n-1) + ")"
	}
	var text string
	if err := conn.QueryRow(t.Context(), execute, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	var walk func(planNode)
	walk = func(n planNode) {
		switch {
		case n.Type == "ModifyTable", n.Relation == "" && n.Type != "Bitmap Index Scan":
		case n.Type == "Bitmap Heap Scan": // its index is below it
		case n.Relation == "builds", n.Relation == "deliveries", n.Relation == "follows", n.Relation == "":
			steps = append(steps, step{index: n.Index, by: n.Cond})
		}
		for _, sub := range n.Plans {
			walk(sub)
		}
	}
	for _, p := range plans {
		walk(p.Plan)
	}
	return steps
}
