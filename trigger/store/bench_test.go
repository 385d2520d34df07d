package store_test

import (
	"database/sql"
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
	path := filepath.Join(b.TempDir(), "bench.db")
	o := store.Options{Database: path, Logger: discard()}
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
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		b.Fatal(err)
	}
	dueAt := "i * 1000000"
	if state.Final() {
		dueAt = "0"
	}
	for _, fill := range []string{
		`INSERT INTO deliveries (id, source, provider, host_id, event, repository, ref, commit_id, received_at, outcome, reason, duplicate_key, verdicts, header, body, replay_of)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
			SELECT printf('d%012d', i), 'github', 'github', i, 'push', 'acme/shop' || (i % 20000), 'refs/heads/main', i, i * 1000000, 'accepted', '', 'id:' || i, '', '{}', x'00', '' FROM n`,
		`INSERT INTO builds (id, delivery, rule, target, job_id, repository, ref, tag, commit_id, marker, body, newest, replay_of, state, due_at, reason, received_at, deadline)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
			SELECT printf('b%012d', i), printf('d%012d', i), 'rule' || (i % 100), 'north', 'job', 'acme/shop' || (i % 20000), 'refs/heads/main', '', i, '', x'7b7d', 0, '',
				CASE i % 1000 WHEN 0 THEN 'dead' ELSE '` + string(state) + `' END, CASE WHEN i % 1000 = 0 THEN 0 ELSE ` + dueAt + ` END, '', i * 1000000, i * 1000000 FROM n`,
		`ANALYZE`,
	} {
		args := []any{rows}
		if !strings.Contains(fill, "$1") {
			args = nil
		}
		if _, err := db.ExecContext(b.Context(), fill, args...); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	if s, err = store.Open(b.Context(), o); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// BenchmarkList reads the first page by each filter. With -rows 1000000 it shows
// that none of them reads the table.
func BenchmarkList(b *testing.B) {
	s := benchStore(b, *rowsInBench, store.Started)
	for name, f := range map[string]store.BuildFilter{
		"all": {}, "dead": {State: "dead"}, "rule": {Rule: "rule7"}, "repository": {Repository: "acme/shop77"},
		"dead of a rule": {State: "dead", Rule: "rule0"}, "none": {Repository: "acme/none"}, "state that is rare": {State: "unknown"},
		"since": {Since: time.Unix(int64(*rowsInBench-10), 0)}, "last page": {After: "20"},
	} {
		b.Run("builds/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.Builds(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, f := range map[string]store.DeliveryFilter{
		"all": {}, "source": {Source: "github"}, "repository": {Repository: "acme/shop77"}, "outcome": {Outcome: "ignored"}, "until": {Until: time.Unix(10, 0)},
	} {
		b.Run("deliveries/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.Deliveries(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
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
					if _, err := s.Accept(b.Context(), d, []*store.Build{build}); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64((processorTime(b)-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what this process has used: what a disk that syncs takes is
// not in it.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
