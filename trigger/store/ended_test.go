package store_test

import (
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

// endsOf gives the builds of the rule cart that have ended.
func endsOf(t *testing.T, s *store.Store) (ids []string) {
	t.Helper()
	ends, err := s.Ended(t.Context(), "cart", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range ends {
		ids = append(ids, e.ID)
	}
	return ids
}

func summary(t *testing.T, s *store.Store, rule string, since time.Time) store.Summary {
	t.Helper()
	sum, err := s.Summary(t.Context(), rule, since)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func endsAreCounted(t *testing.T, open func() *store.Store) {
	s := open()
	now := time.Now().UTC().Truncate(time.Microsecond)
	if sum := summary(t, s, "cart", now); sum.Builds != 0 || sum.More || sum.Median != 0 || !sum.Since.Equal(now) {
		t.Errorf("of none: %+v", sum)
	}
	if last, err := s.LastEnded(t.Context(), nil); err != nil || len(last) != 0 {
		t.Errorf("of no rules: %v, %v", last, err)
	}
	results := []store.Result{store.Success, store.Failure, store.Aborted, store.Timeout, store.Lost, store.Success}
	var want []string
	for i, result := range results {
		b := running(t, s, fmt.Sprint(i), func(b *store.Build) { b.Ref = "refs/heads/" + string(result) + fmt.Sprint(i) })
		b.Result = result
		b.EndedAt = b.StartedAt.Add(time.Duration(i+1) * time.Minute)
		if result == store.Lost {
			b.EndedAt = b.StartedAt.Add(24 * time.Hour)
		}
		b.RunningAt = b.StartedAt.Add(time.Second)
		if err := s.SaveResult(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		want = append(want, b.ID)
	}
	want = []string{want[4], want[5], want[3], want[2], want[1], want[0]} // by their ends
	running(t, s, "9", func(b *store.Build) { b.Ref = "refs/heads/runs" })
	accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/waits" })
	other := running(t, s, "10", func(b *store.Build) { b.Rule, b.Ref = "other", "refs/heads/other" })
	end(t, s, other)

	if got := endsOf(t, s); !slices.Equal(got, want) {
		t.Errorf("ends %v, want %v", got, want)
	}
	sum := summary(t, s, "cart", now)
	if counted := map[store.Result]int{store.Success: 2, store.Failure: 1, store.Aborted: 1, store.Timeout: 1, store.Lost: 1}; !maps.Equal(sum.Results, counted) {
		t.Errorf("results %v, want %v", sum.Results, counted)
	}
	if sum.Builds != 6 || sum.More || sum.Median != 3*time.Minute || sum.P95 != 6*time.Minute {
		t.Errorf("got %+v", sum)
	}
	if rate, ok := sum.Rate(); !ok || rate != 0.5 {
		t.Errorf("rate %v %v", rate, ok)
	}
	sum = summary(t, s, "cart", now.Add(12*time.Hour)) // only the lost one
	if _, ok := sum.Rate(); ok || sum.Builds != 1 || sum.Median != 0 {
		t.Errorf("of the lost one: %+v", sum)
	}
	last, err := s.LastEnded(t.Context(), []string{"cart", "none", "other"})
	if err != nil || len(last) != 2 || last["cart"].ID != want[0] || last["other"].ID != other.ID {
		t.Errorf("last %+v, %v", last, err)
	}
	if lost := last["cart"]; lost.Took() != 0 || lost.Result != store.Lost || lost.RunningAt.Sub(lost.StartedAt) != time.Second || lost.BuildNumber != "4" {
		t.Errorf("got %+v", lost)
	}
}

// A late answer takes the number of a build that adopted it: what that one ended with was another's.
func endTakenBack(t *testing.T, open func() *store.Store) {
	s := open()
	lost := accept(t, s, func(b *store.Build) { b.Ref = "refs/heads/lost" })
	begin(t, s, lost, time.Now())
	save(t, s, lost, store.Unknown)
	answered := accept(t, s, nil)
	begin(t, s, answered, time.Now())
	lost.BuildNumber, lost.Adopted, lost.StartedAt, lost.Result = "7", true, time.Now().Add(time.Millisecond), store.Running
	save(t, s, lost, store.Started)
	end(t, s, lost)
	if got := endsOf(t, s); !slices.Equal(got, []string{lost.ID}) {
		t.Fatalf("got %v", got)
	}
	answered.BuildNumber, answered.StartedAt, answered.Result = "7", time.Now(), store.Running
	save(t, s, answered, store.Started)
	if got := endsOf(t, s); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	end(t, s, answered)
	if got := endsOf(t, s); !slices.Equal(got, []string{answered.ID}) {
		t.Errorf("got %v, want %s", got, answered.ID)
	}
}

// manyEnded fills a database with builds of one rule that have ended, a minute after each other, the last of them at
// about the given second of 1970.
func manyEnded(t testing.TB, database string, builds, last int) {
	t.Helper()
	run, words := runSQLite, strings.NewReplacer("printf('b%012d', i)", "printf('e%012d', i)")
	if _, isURL := store.Scheme(database); isURL {
		run, words = runPostgres, strings.NewReplacer("printf('b%012d', i)", "'e' || lpad(i::text, 12, '0')", "x'7b7d', 0", "'{}', false",
			"* 1000000", "* 1000000::bigint")
	}
	run(t, database, words.Replace(fmt.Sprintf(`INSERT INTO builds (id, delivery, rule, target, job_id, repository, ref, tag, commit_id, marker, body, newest,
		replay_of, state, due_at, reason, received_at, deadline, result, started_at, ended_at)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT printf('b%%012d', i), 'd', 'busy', 'north', 'job', 'acme/busy', 'refs/heads/main', '', '', '', x'7b7d', 0, '', 'started', 0, '', 0, 0,
		CASE i %% 10 WHEN 0 THEN 'failure' ELSE 'success' END, (%d - (%d - i) * 60 - i %% 100) * 1000000, (%d - (%d - i) * 60) * 1000000 FROM n`,
		builds, last, builds, last, builds)))
}

// Of more ends than are counted the newest are.
func TestSummaryOfMany(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(t *testing.T) string{
		"SQLite":   func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "test.db") },
		"Postgres": func(t *testing.T) string { t.Helper(); return server.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := database(t)
			s := opener(t, at)()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			last := time.Unix(1_700_000_000, 0)
			manyEnded(t, at, 6000, int(last.Unix()))
			s = opener(t, at)()
			sum := summary(t, s, "busy", last.Add(-7*24*time.Hour))
			oldest := last.Add(-(store.MaxSummary - 1) * time.Minute)
			if !sum.More || sum.Builds != store.MaxSummary || sum.Results[store.Failure] != 500 || !sum.Since.Equal(oldest) {
				t.Errorf("got %+v, want %d since %v", sum, store.MaxSummary, oldest)
			}
			if sum.Median != 50*time.Second || sum.P95 != 95*time.Second {
				t.Errorf("got %v and %v", sum.Median, sum.P95)
			}
			if sum = summary(t, s, "busy", last.Add(-59*time.Minute)); sum.More || sum.Builds != 60 {
				t.Errorf("of an hour: %+v", sum)
			}
		})
	}
}

var endedInBench = flag.Int("ended", 100_000, "builds of one rule that have ended, in BenchmarkEnded") //nolint:gochecknoglobals // a flag

// BenchmarkEnded reads the newest ends of a rule and their summary, next to many others.
func BenchmarkEnded(b *testing.B) {
	for name, database := range map[string]string{"sqlite": filepath.Join(b.TempDir(), "bench.db"), "postgres": ""} {
		b.Run(name, func(b *testing.B) {
			if database == "" {
				database = server.Database(b)
			}
			s := benchStoreIn(b, database, *rowsInBench, store.Started)
			last := time.Now()
			manyEnded(b, database, *endedInBench, int(last.Unix()))
			rules := []string{"busy"}
			for i := range 99 {
				rules = append(rules, fmt.Sprint("rule", i))
			}
			for name, read := range map[string]func() error{
				"newest 60":         func() error { return second(s.Ended(b.Context(), "busy", 60)) },
				"newest of none":    func() error { return second(s.Ended(b.Context(), "none", 60)) },
				"summary of 5000":   func() error { return second(s.Summary(b.Context(), "busy", last.Add(-7*24*time.Hour))) },
				"summary of none":   func() error { return second(s.Summary(b.Context(), "busy", last.Add(time.Hour))) },
				"last of 100 rules": func() error { return second(s.LastEnded(b.Context(), rules)) },
			} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						if err := read(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
