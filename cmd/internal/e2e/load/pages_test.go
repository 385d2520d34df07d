package load

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

// aims of pages.
const (
	pageWithin = 50 * time.Millisecond // the median of the time to the first byte
	pageSize   = 100_000               // bytes
)

// Every page beside a history of a million builds: the time to the first byte, and the size.
func TestPages(t *testing.T) {
	databases(t, func(t *testing.T, name, database string) {
		n, samples := *history, 40
		if !*full {
			n, samples = 2000, 2
		}
		t.Setenv("BUILDBRIDGE_KEEP_BODIES", "0") // the bodies of the history are not pruned meanwhile
		run := fill(t, &database, n)
		shut := newGate(t)
		b := serve(t, database, rules(shut.URL, "", 100))
		send(t, b.address, newTemplate(push(t, "", bodySize)), 4, http.StatusAccepted, times(100))
		send(t, b.address, newTemplate(push(t, "wip/", bodySize)), 4, http.StatusOK, times(20))
		eventually(t, "the blocks of lists are written", func() bool { // but for the newest rows, which have none yet
			return run(`SELECT coalesce(max(last_seq), 0) FROM builds_blocks`) > int64(n)-1000 &&
				run(`SELECT coalesce(max(last_seq), 0) FROM deliveries_blocks`) > int64(n)-1000
		})
		rare := b.Admin + "/builds?ref=no-such-branch"
		before, _ := b.resident(t)
		_, took := get(t, rare, http.StatusOK)
		figures.note(fmt.Sprintf("the first list by a rare value, %d builds, %s", n, name), "first byte "+ms(took))
		for _, list := range []string{rare, b.Admin + "/deliveries?ref=no-such-branch"} {
			eventually(t, "blocks are in memory", func() bool {
				_, took := get(t, list, http.StatusOK)
				return took <= pageWithin
			})
		}
		paths, said := pagePaths(t, b.Admin, n)
		nothing := &result{} // what the machine takes for a page that reads nothing, at the same time
		for _, path := range paths {
			measurePage(t, fmt.Sprintf("%s, %d builds, %s", said.Replace(path.path), n, name), b.Admin, path, samples, nothing)
		}
		after, _ := b.resident(t)
		figures.note("resident memory before and after, "+name, fmt.Sprintf("%.0f, %.0f MiB", before, after))
		slices.Sort(nothing.waits)
		figures.note("/static/style.css, "+name, fmt.Sprintf("first byte %s, p95 %s", ms(nothing.within(0.5)), ms(nothing.within(0.95))))
	})
}

// pagePath is a path that is measured, and the status of its answer.
type pagePath struct {
	path   string
	status int
}

// pagePaths are the paths that are measured: every page, filters, and searches. said puts words in place of ids.
func pagePaths(t *testing.T, root string, n int) (paths []pagePath, said *strings.Replacer) {
	t.Helper()
	var builds admin.BuildPage
	var deliveries admin.DeliveryPage
	ask := func(path string, to any) {
		t.Helper()
		text, _ := get(t, root+admin.Prefix+path, http.StatusOK)
		if err := json.Unmarshal(text, to); err != nil {
			t.Fatal(err)
		}
	}
	ask("/builds?rule=cart&limit=1", &builds)
	ask("/deliveries?outcome=ignored&limit=1", &deliveries)
	newest, ignored := builds.Builds[0], deliveries.Deliveries[0]
	ask("/builds?repository=acme/other-77&limit=1", &builds)
	old := builds.Builds[0]
	since := time.Now().Add(-7 * 24 * time.Hour).UTC().Format(time.RFC3339)
	for _, path := range []string{
		"/", "/builds", "/builds?state=dead", "/builds?state=waiting", "/builds?result=failure", "/builds?result=success&rule=other-7",
		"/builds?rule=other-0&state=dead", "/builds?rule=none", "/builds?repository=acme/other-77", "/builds?repository=acme/none",
		"/builds?target=north&ref=main", "/builds?ref=none", "/builds?commit=" + old.Commit[:7], "/builds?since=" + since, "/builds?until=" + since,
		fmt.Sprintf("/builds?after=%d", n/2), "/builds?after=20", "/builds/" + newest.ID, "/builds/" + old.ID, "/builds/" + old.ID[:18],
		"/deliveries", "/deliveries?outcome=ignored", "/deliveries?source=github&repository=acme/other-77", "/deliveries?ref=none",
		"/deliveries?outcome=rejected", fmt.Sprintf("/deliveries?after=%d", n/2),
		"/deliveries/" + newest.Delivery, "/deliveries/" + old.Delivery, "/deliveries/" + ignored.ID,
		"/rules", "/rules/cart", "/rules/other-7", "/repositories/acme/shop", "/repositories/acme/other-77",
		"/targets", "/missed", "/missed?repository=none",
		"/search?q=" + newest.ID[:8], "/search?q=0123456789", "/search?q=main", "/search?q=no-such-branch", "/search?q=other",
		"/search?q=7", "/search?q=" + fmt.Sprint(n/200), "/search?q=99999999", "/search?q=deadbee",
	} {
		paths = append(paths, pagePath{path, http.StatusOK})
	}
	for _, one := range []string{newest.ID, old.Commit, old.Commit[:7], "acme/other-77", "cart", "north"} {
		paths = append(paths, pagePath{"/search?q=" + one, http.StatusSeeOther})
	}
	paths = append(paths, pagePath{"/repositories/acme/none", http.StatusNotFound})
	return paths, strings.NewReplacer(newest.ID, "NEW", old.ID, "OLD", newest.Delivery, "NEW", old.Delivery, "OLD", ignored.ID, "IGNORED",
		newest.ID[:8], "N", old.ID[:18], "O", old.Commit, "COMMIT", old.Commit[:7], "COMM", since, "A WEEK AGO")
}

// get gives what an address answers, and the time to its first byte.
func get(t *testing.T, address string, status int) (body []byte, took time.Duration) {
	t.Helper()
	var began, first time.Time
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { began = time.Now() },
		GotFirstResponseByte: func() { first = time.Now() },
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != status {
		t.Errorf("%s gives %d, want %d: %.2000s", address, answer.StatusCode, status, body)
	}
	return body, first.Sub(began)
}

func measurePage(t *testing.T, what, root string, path pagePath, samples int, nothing *result) {
	t.Helper()
	r, size := &result{}, 0
	for i := range samples + 1 {
		_, took := get(t, root+"/static/style.css", http.StatusOK)
		nothing.waits = append(nothing.waits, took)
		body, took := get(t, root+path.path, path.status)
		if size = max(size, len(body)); i > 0 { // the first one prepares statements
			r.waits = append(r.waits, took)
		}
	}
	slices.Sort(r.waits)
	median, p95 := r.within(0.5), r.within(0.95)
	figures.add(what, fmt.Sprintf("first byte %s, p95 %s; %.1f kB", ms(median), ms(p95), float64(size)/1000), "50 ms, 100 kB",
		median <= pageWithin && size <= pageSize)
}

// fill makes a database with a history of n builds of 25 days, and gives what asks it for a number. database is the
// URL of an empty one, or "" for a SQLite file, whose path it becomes.
func fill(t *testing.T, database *string, n int) (ask func(query string) int64) {
	t.Helper()
	isURL := *database != ""
	if !isURL {
		*database = filepath.Join(t.TempDir(), "history.db")
	}
	s, err := store.Open(t.Context(), store.Options{Database: *database, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// An id is a UUIDv7 of the time at which the row was received, at in microseconds.
	id := func(kind string) string {
		return `printf('%08x-%04x-` + kind + `-8000-%012x', at/1000/65536, at/1000%65536, i)`
	}
	words := strings.NewReplacer()
	if isURL {
		id = func(kind string) string {
			return `lpad(to_hex(at/1000/65536), 8, '0') || '-' || lpad(to_hex(at/1000%65536), 4, '0') || '-` + kind +
				`-8000-' || lpad(to_hex(i), 12, '0')`
		}
		words = strings.NewReplacer("x'00'", `'\x00'`, "x'7b7d'", `'{}'`, "printf('%012x', i * 7919)", "lpad(to_hex(i::bigint * 7919), 12, '0')", ", 1 FROM", ", true FROM",
			", 0, '',", ", false, '',", "printf('%08x', i * 2654435761 % 4294967296)", "lpad(to_hex(i::bigint * 2654435761 % 4294967296), 8, '0')")
	}
	const days = 25
	rows := fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d),
		m AS (SELECT i, %d - (%d - CAST(i AS bigint)) * %d AS at FROM n)`, n, time.Now().Add(-time.Hour).UnixMicro(), n, days*24*time.Hour.Microseconds()/int64(n))
	sha := `printf('%08x', i * 2654435761 % 4294967296) || '00000000000000000000000000000000'`
	statements := []string{
		`INSERT INTO deliveries (id, source, provider, host_id, event, repository, ref, commit_id, received_at, outcome, reason, duplicate_key,
				verdicts, header, body, replay_of, pusher, title) ` + rows + `
			SELECT ` + id("7000") + `, 'github', 'github', i, 'push', 'acme/other-' || (i % 20000), 'refs/heads/' || CASE i % 3 WHEN 0 THEN 'topic-' || i ELSE 'main' END,
				` + sha + `, at, 'accepted', '', 'id:' || i, '', '{}', x'00', '', 'octocat', 'Mend the cart, once more: ' || i FROM m`,
		// One of ten failed, one of a hundred is dead.
		`INSERT INTO builds (id, delivery, rule, target, job_id, repository, ref, tag, commit_id, marker, body, newest, replay_of, state, due_at, reason,
				received_at, deadline, attempts, service, called_at, build_no, seen_no, started_at, running_at, ended_at, result, message, pusher, title, claimed) ` + rows + `
			SELECT ` + id("7001") + `, ` + id("7000") + `, 'other-' || (i % 100), 'north', 'job' || (i % 100), 'acme/other-' || (i % 20000),
				'refs/heads/' || CASE i % 3 WHEN 0 THEN 'topic-' || i ELSE 'main' END, '', ` + sha + `, '', x'7b7d', 0, '',
				CASE i % 100 WHEN 0 THEN 'dead' ELSE 'started' END, 0, CASE i % 100 WHEN 0 THEN 'run job: no permission (403 CB.0, request ' || i || '00000000)' ELSE '' END,
				at, at, 1, 'https://service.example', at, CAST(i / 100 AS text), i / 100, CASE i % 100 WHEN 0 THEN 0 ELSE at + 1000000 END,
				CASE i % 100 WHEN 0 THEN 0 ELSE at + 2000000 END, CASE i % 100 WHEN 0 THEN 0 ELSE at + 60000000 + i % 90 * 1000000 END,
				CASE WHEN i % 100 = 0 THEN '' WHEN i % 10 = 0 THEN 'failure' ELSE 'success' END,
				'', 'octocat', 'Mend the cart, once more: ' || i, 1 FROM m`,
	}
	if !isURL {
		db, err := sql.Open("sqlite", "file:"+*database) // a driver of the store
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		for _, statement := range statements {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		return func(query string) (got int64) {
			if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil {
				t.Fatal(err)
			}
			return got
		}
	}
	conn, err := pgx.Connect(t.Context(), *database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	for _, statement := range append(statements, `ANALYZE builds, deliveries`) { // as the leader and the server do
		if _, err := conn.Exec(t.Context(), words.Replace(statement)); err != nil {
			t.Fatal(err)
		}
	}
	return func(query string) (got int64) {
		if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
			t.Fatal(err)
		}
		return got
	}
}
