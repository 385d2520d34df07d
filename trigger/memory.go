package trigger

import (
	"context"
	"sync"
	"time"

	"buildbridge/trigger/codearts"
)

// record names a build or a run of the service. A number may come a second time, if a job was
// created anew.
type record struct {
	jobID, number string
	start         time.Time
}

// memory is what a target remembers of records: only what never changes. So a search among many
// records gets further each time, even if some cannot be read. The zero value is an empty memory;
// it may be used concurrently.
type memory[T any] struct {
	mu    sync.Mutex
	known map[record]T
}

// remembered is how many records a memory holds. One more empties it.
const remembered = 10_000

// get gives what is remembered of a record, else reads it. What was read is remembered if it lasts.
func (m *memory[T]) get(of record, read func() (got T, lasts bool, err error)) (T, error) {
	m.mu.Lock()
	got, known := m.known[of]
	m.mu.Unlock()
	if known {
		return got, nil
	}
	got, lasts, err := read()
	if err != nil || !lasts {
		return got, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) == remembered {
		m.known = map[record]T{}
	}
	m.known[of] = got
	return got, nil
}

// source reads what the build of a record builds. One that has ended has its tag by then, if it has one.
func (t *target) source(ctx context.Context, jobID string, r codearts.Record) (codearts.Source, error) {
	return t.sources.get(record{jobID, r.Number, r.Start.UTC()}, func() (codearts.Source, bool, error) {
		source, err := t.Service.Source(ctx, jobID, r.Number)
		return source, !r.Start.IsZero() && (source.Tag != "" || source.Commit != "" && finished(r)), err
	})
}

// begun reads when a build was started, and in whose name. Its record has nothing else. start tells the
// build from another of that number; it need not be the service's own time.
func (t *target) begun(ctx context.Context, jobID, number string, start time.Time) (codearts.Record, error) {
	return t.records.get(record{jobID, number, start.UTC()}, func() (codearts.Record, bool, error) {
		r, err := t.Service.Record(ctx, jobID, number, t.Reconcile.TimeZone)
		r = codearts.Record{Number: r.Number, Start: r.Start, StartAgain: r.StartAgain, Executor: r.Executor}
		// If the job was created anew, the service may first give the record of an earlier build.
		earlier := start.IsZero() || r.Start.IsZero() || startedBefore(r, start.Add(-clockMargin))
		return r, r.Executor != "" && !earlier, err
	})
}
