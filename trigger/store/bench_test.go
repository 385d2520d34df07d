package store_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

// rowsInBench is how many builds the database of the benchmarks holds already.
var rowsInBench = flag.Int("rows", 10_000, "builds in the database of the benchmarks") //nolint:gochecknoglobals // a flag

// benchStore is a SQLite store with that many builds in this state, one in a
// thousand of them dead.
func benchStore(b *testing.B, rows int, state store.State) *store.Store {
	b.Helper()
	return benchStoreIn(b, filepath.Join(b.TempDir(), "bench.db"), rows, state)
}

func benchStoreIn(b *testing.B, database string, rows int, state store.State) *store.Store {
	b.Helper()
	o := store.Options{Database: database, Logger: discard()}
	s, err := store.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	if rows == 0 {
		b.Cleanup(func() { _ = s.Close() })
		return s
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	dueAt := "i * 1000000"
	if state.Final() {
		dueAt = "0"
	}
	run, words := runSQLite, strings.NewReplacer()
	_, isURL := store.Scheme(database)
	if isURL {
		run, words = runPostgres, strings.NewReplacer("printf('d%012d', i)", "'d' || lpad(i::text, 12, '0')", "printf('b%012d', i)", "'b' || lpad(i::text, 12, '0')",
			"x'00'", `'\x00'`, "x'7b7d'", `'{}'`, "'', x'7b7d', 0", "'', '{}', false", "i * 1000000", "i * 1000000::bigint")
	}
	n := fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)", rows)
	for _, fill := range []string{
		`INSERT INTO deliveries (id, source, provider, host_id, event, repository, ref, commit_id, received_at, outcome, reason, duplicate_key, verdicts, header, body, replay_of) ` + n + `
			SELECT printf('d%012d', i), 'github', 'github', i, 'push', 'acme/shop' || (i % 20000), 'refs/heads/main', i, i * 1000000, 'accepted', '', 'id:' || i, '', '{}', x'00', '' FROM n`,
		`INSERT INTO builds (id, delivery, rule, target, job_id, repository, ref, tag, commit_id, marker, body, newest, replay_of, state, due_at, reason, received_at, deadline) ` + n + `
			SELECT printf('b%012d', i), printf('d%012d', i), 'rule' || (i % 100), 'north', 'job', 'acme/shop' || (i % 20000), 'refs/heads/main', '', i, '', x'7b7d', 0, '',
				CASE i % 1000 WHEN 0 THEN 'dead' ELSE '` + string(state) + `' END, CASE WHEN i % 1000 = 0 THEN 0 ELSE ` + dueAt + ` END, '', i * 1000000, i * 1000000 FROM n`,
	} {
		run(b, database, words.Replace(fill))
	}
	if isURL {
		run(b, database, `ANALYZE builds, deliveries`) // as the leader and the server do
	}
	if s, err = store.Open(b.Context(), o); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	began, used := time.Now(), processorTime(b)
	if err := store.WriteBlocks(b.Context(), s, 0); err != nil {
		b.Fatal(err)
	}
	b.Logf("blocks of %d rows: %v, %v of the processor", rows, time.Since(began), processorTime(b)-used)
	return s
}

// BenchmarkList reads the first page by each filter, on both databases. With -rows 1000000
// it shows that none of them reads the table.
func BenchmarkList(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchList(b, benchStore(b, *rowsInBench, store.Started)) })
	b.Run("postgres", func(b *testing.B) { benchList(b, benchStoreIn(b, server.Database(b), *rowsInBench, store.Started)) })
}

func benchList(b *testing.B, s *store.Store) {
	b.Helper()
	for name, f := range map[string]store.BuildFilter{
		"all": {}, "dead": {State: "dead"}, "rule": {Rule: "rule7"}, "repository": {Repository: "acme/shop77"},
		"dead of a rule": {State: "dead", Rule: "rule0"}, "none": {Repository: "acme/none"}, "target": {Target: "north"},
		"no target": {Target: "none"}, "job_id": {JobID: "job"}, "ref": {Ref: "main"}, "no ref": {Ref: "none"}, "waiting": {State: "waiting"},
		"delivery": {Delivery: "d000000000077"}, "dead of a repository": {State: "dead", Repository: "acme/shop77"}, "state that is rare": {State: "unknown"},
		"since": {Since: time.Unix(int64(*rowsInBench-10), 0)}, "last page": {After: "20"},
	} {
		b.Run("builds/"+name, func(b *testing.B) {
			used := processorTime(b)
			for b.Loop() {
				if _, _, err := s.Builds(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b)-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
	for name, f := range map[string]store.DeliveryFilter{
		"all": {}, "source": {Source: "github"}, "repository": {Repository: "acme/shop77"}, "outcome": {Outcome: "ignored"}, "until": {Until: time.Unix(10, 0)},
		"source that is not": {Source: "none"}, "ref": {Ref: "main"}, "no ref": {Ref: "none"}, "ignored of a repository": {Outcome: "ignored", Repository: "acme/shop77"},
	} {
		b.Run("deliveries/"+name, func(b *testing.B) {
			used := processorTime(b)
			for b.Loop() {
				if _, _, err := s.Deliveries(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b)-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkAccept commits a delivery with one build, from 64 goroutines, next to
// builds that wait already.
func BenchmarkAccept(b *testing.B) {
	for _, waiting := range []int{0, *rowsInBench} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			s := benchStore(b, waiting, store.Waiting)
			b.SetParallelism(32)
			b.ResetTimer()
			used := processorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					d := delivery(newID())
					build := build(d)
					build.Ref = "refs/heads/" + build.ID
					d.Pusher, d.Title = "octocat", "Fix the cart"
					build.Pusher, build.Title = d.Pusher, d.Title
					if _, err := s.Accept(b.Context(), d, []*store.Build{build}); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64((processorTime(b)-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what this process has used. It has no time of a disk that syncs.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
