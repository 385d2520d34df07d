package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// MaxSummary is how many ends a [Summary] counts at most: it takes some milliseconds to read them.
const MaxSummary = 5000

// Ended is the end of a build, as far as anybody will know.
type Ended struct {
	ID, Rule, Ref, BuildNumber string

	Result    Result
	StartedAt time.Time
	RunningAt time.Time // zero if nobody saw it run
	EndedAt   time.Time
}

// Took is how long the build took from its start, the queue of the service included; 0 if that
// is not known. The metric buildbridge_build_duration_seconds has the same.
func (e *Ended) Took() time.Duration { return took(e.Result, micros(e.StartedAt), micros(e.EndedAt)) }

func took(r Result, started, ended int64) time.Duration {
	if r == Lost || started == 0 { // the end of a lost one is when it was given up
		return 0
	}
	return time.Duration(max(0, ended-started)) * time.Microsecond
}

// endedColumns are in the order in which scanEnded reads them.
const endedColumns = `id, builds.rule, ref, build_no, result, started_at, running_at, ended_at`

func scanEnded(row scanner) (Ended, error) {
	var (
		e                       Ended
		started, running, ended int64
	)
	err := row.Scan(&e.ID, &e.Rule, &e.Ref, &e.BuildNumber, &e.Result, &started, &running, &ended)
	e.StartedAt, e.RunningAt, e.EndedAt = fromMicros(started), fromMicros(running), fromMicros(ended)
	return e, err
}

// hasEnded is the condition of an index. It is written with <>: by a > SQLite would look for the rows,
// and not by the time that is asked for.
const hasEnded = `ended_at <> 0`

// Ended gives the newest ends of a rule's builds, n at most, the newest first.
func (s *Store) Ended(ctx context.Context, rule string, n int) (ends []Ended, err error) {
	err = each(ctx, s.db.reader(), func(row scanner) error {
		e, err := scanEnded(row)
		ends = append(ends, e)
		return err
	}, `SELECT `+endedColumns+` FROM builds WHERE rule = ? AND `+hasEnded+` ORDER BY ended_at DESC LIMIT ?`, rule, n)
	if err != nil {
		return nil, fmt.Errorf("ends of rule %s: %w", rule, err)
	}
	return ends, nil
}

// LastEnded gives the newest end of each of these rules, by rule, without those whose builds have
// none.
func (s *Store) LastEnded(ctx context.Context, rules []string) (map[string]Ended, error) {
	last, c := map[string]Ended{}, &rows{columns: []string{"rule"}}
	for _, rule := range rules {
		c.add(rule)
	}
	for some := range s.db.portions(c) {
		with, values := s.db.with(some)
		if err := each(ctx, s.db.reader(), func(row scanner) error {
			e, err := scanEnded(row)
			last[e.Rule] = e
			return err
		}, with+`SELECT `+endedColumns+` FROM c JOIN builds ON builds.seq = (
			SELECT e.seq FROM builds e WHERE e.rule = c.rule AND e.`+hasEnded+` ORDER BY e.ended_at DESC LIMIT 1)`, values...); err != nil {
			return nil, fmt.Errorf("last ends of rules: %w", err)
		}
	}
	return last, nil
}

// Summary says what the builds of a rule came to that ended since a time.
type Summary struct {
	Builds  int  // all that are counted
	More    bool // there are more, older ones: MaxSummary are counted
	Results map[Result]int
	Since   time.Time // the oldest end that is counted, or the time that was asked for

	// Median and P95 are how long half of the builds took at most, and 95 of 100; see [Ended.Took].
	Median, P95 time.Duration
}

// Rate is which part of the builds succeeded: from 0 to 1, of those that succeeded, failed or took too
// long. A build that was stopped or lost says nothing about its commit. ok is false if there is none.
func (s *Summary) Rate() (rate float64, ok bool) {
	said := s.Results[Success] + s.Results[Failure] + s.Results[Timeout]
	if said == 0 {
		return 0, false
	}
	return float64(s.Results[Success]) / float64(said), true
}

// Summary counts the builds of a rule that ended since a time: the newest MaxSummary. It reads an index
// of ended builds alone.
func (s *Store) Summary(ctx context.Context, rule string, since time.Time) (Summary, error) {
	sum := Summary{Results: map[Result]int{}, Since: since}
	var durations []time.Duration
	var oldest int64
	err := each(ctx, s.db.reader(), func(row scanner) error {
		var (
			result         Result
			started, ended int64
		)
		if err := row.Scan(&result, &started, &ended); err != nil {
			return err
		}
		if sum.Builds == MaxSummary {
			sum.More = true
			return nil
		}
		sum.Builds++
		sum.Results[result]++
		oldest = ended
		if d := took(result, started, ended); d > 0 {
			durations = append(durations, d)
		}
		return nil
	}, `SELECT result, started_at, ended_at FROM builds WHERE rule = ? AND ended_at >= ? AND `+hasEnded+`
		ORDER BY ended_at DESC LIMIT ?`, rule, micros(since), MaxSummary+1)
	if err != nil {
		return sum, fmt.Errorf("summary of rule %s: %w", rule, err)
	}
	if sum.More {
		sum.Since = fromMicros(oldest)
	}
	slices.Sort(durations)
	if n := len(durations); n > 0 {
		sum.Median, sum.P95 = durations[(n-1)/2], durations[(n*95+99)/100-1]
	}
	return sum, nil
}
