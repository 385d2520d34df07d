package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// wakeUp is a River job: a wake-up for one row of builds.
type wakeUp struct {
	Build string `json:"build"`
}

// Kind names the job in River's tables.
func (wakeUp) Kind() string { return "build" }

// outOfReach is River's limit on attempts, which must never end a build: its
// deadline does.
const outOfReach = math.MaxInt16

// Work handles one wake-up. It returns when to wake the build again, or 0 when
// there is nothing more to do, or something else will wake it. An error wakes it
// again soon.
type Work func(ctx context.Context, build string) (again time.Duration, err error)

// Workers is the working half of a queue: it hands wake-ups to Work.
type Workers struct {
	client workers
	slots  int

	mu     sync.Mutex
	queues map[string]bool // that are worked
}

// Timings of the workers.
const (
	// pollInterval finds builds whose wait is over; new ones ring a bell.
	pollInterval = 250 * time.Millisecond
	// workTimeout is far above the longest call: a target's timeout and the wait
	// for its rate limit.
	workTimeout = 10 * time.Minute
	// finishedFor is how long finished wake-ups stay in River's table.
	finishedFor = time.Minute
)

// StartWorkers begins to work the queues of the targets that are added, with that
// many slots each: a target that is slow or down takes the slots of no other.
func (s *Store) StartWorkers(ctx context.Context, slots int, work Work) (*Workers, error) {
	bundle := river.NewWorkers()
	if err := river.AddWorkerSafely(bundle, &worker{work: work}); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	// River works only if it has a queue; this one stays empty.
	queues := map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1, FetchPollInterval: time.Minute}}
	client, err := s.db.workers(&river.Config{
		ID:                          s.caller,
		Logger:                      riverLogger(s.log),
		Workers:                     bundle,
		Queues:                      queues,
		FetchCooldown:               time.Millisecond,
		FetchPollInterval:           pollInterval,
		JobTimeout:                  workTimeout,
		RescueStuckJobsAfter:        workTimeout + time.Minute,
		RetryPolicy:                 soon{},
		ErrorHandler:                poison{s},
		CompletedJobRetentionPeriod: finishedFor,
		CancelledJobRetentionPeriod: finishedFor,
		DiscardedJobRetentionPeriod: finishedFor,
	})
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	// Stopping is Workers.Stop's affair: the end of ctx must not cut off calls.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("store: start the workers: %w", err)
	}
	return &Workers{client: client, slots: slots, queues: map[string]bool{}}, nil
}

// Add works the queue of a target, if it is not worked already.
func (w *Workers) Add(ctx context.Context, target string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue := queueName(target)
	if w.queues[queue] {
		return nil
	}
	if err := w.client.Queues().Add(queue, river.QueueConfig{MaxWorkers: w.slots}); err != nil {
		// River knows the queue by now, though it does not work it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return errors.Join(fmt.Errorf("target %s: start its queue: %w", target, err), w.client.Queues().Remove(ctx, queue))
	}
	w.queues[queue] = true
	return nil
}

// Stop takes no more wake-ups and waits for those being worked until ctx ends;
// then it cancels them.
func (w *Workers) Stop(ctx context.Context) error {
	if err := w.client.Stop(ctx); err == nil {
		return nil
	}
	// The grace period is over: what still runs is cancelled and, being on the
	// wire, looked for after the next start.
	cancelled, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if err := w.client.StopAndCancel(cancelled); err != nil {
		return fmt.Errorf("stop the workers: %w", err)
	}
	return nil
}

type worker struct {
	river.WorkerDefaults[wakeUp]
	work Work
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, job *river.Job[wakeUp]) error {
	again, err := w.work(ctx, job.Args.Build)
	switch {
	case err != nil:
		return err
	case again > 0:
		return river.JobSnooze(again)
	}
	return nil
}

// soon is River's retry policy for wake-ups that failed because the database
// did: growing from half a second to ten.
type soon struct{}

// NextRetry implements river.ClientRetryPolicy.
func (soon) NextRetry(job *rivertype.JobRow) time.Time {
	wait := min(10*time.Second, 500*time.Millisecond<<min(len(job.Errors), 5))
	return time.Now().Add(wait)
}

var queueNames = regexp.MustCompile(`^[a-z0-9]+([_-][a-z0-9]+)*$`)

// queueName is the River queue of a target. A name that River does not take is
// replaced by its digest.
func queueName(target string) string {
	if len(target) <= 60 && queueNames.MatchString(target) {
		return "t-" + target
	}
	sum := sha256.Sum256([]byte(target))
	return "x-" + hex.EncodeToString(sum[:16])
}

// TakeOver wakes what dead processes were working. It is for who leads.
func (s *Store) TakeOver(ctx context.Context) error {
	return s.write(ctx, nil, func(ctx context.Context, tx *tx) error {
		if err := s.db.takeOver(ctx, tx, s.caller); err != nil {
			return fmt.Errorf("take over wake-ups: %w", err)
		}
		return nil
	})
}

const (
	// rearmBatch is how many builds get their wake-up back in one transaction.
	rearmBatch = 1000
	// rearmLook is how many without one are looked for at once: that takes the same
	// for one and for many.
	rearmLook = 20 * rearmBatch
)

// Rearm gives unresolved builds that have no wake-up one, and reports how many
// had none. It is for who leads. A build that gets one meanwhile has two, which
// does no harm. When ctx ends before all were looked at, n of them are done and
// the error says so: the next call goes on.
func (s *Store) Rearm(ctx context.Context) (n int, err error) {
	if err := s.dropUnreadable(ctx); err != nil {
		return 0, err
	}
	for after := int64(0); ; {
		found, err := s.db.orphans(ctx, after, rearmLook)
		if err != nil {
			return n, fmt.Errorf("look for builds without a wake-up: %w", err)
		}
		for some := range slices.Chunk(found, rearmBatch) {
			err := s.write(ctx, nil, func(_ context.Context, tx *tx) error {
				for _, b := range some {
					tx.wake(b.target, b.id)
				}
				return nil
			})
			if err != nil {
				return n, err
			}
			n += len(some)
			after = some[len(some)-1].seq
		}
		if len(found) < rearmLook {
			return n, nil
		}
	}
}

// dropUnreadable deletes wake-ups that nobody can read: River would take up none
// of the others.
func (s *Store) dropUnreadable(ctx context.Context) error {
	query := s.db.unreadable()
	if query == "" {
		return nil
	}
	rows, err := s.db.reader().query(ctx, query, rearmBatch)
	if err != nil {
		return fmt.Errorf("look for wake-ups that cannot be read: %w", err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return errors.Join(err, rows.Close())
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(ids) == 0 {
		return err
	}
	s.log.Error("wake-ups that cannot be read are dropped; their builds get new ones", "wake_ups", len(ids))
	return s.write(ctx, nil, func(ctx context.Context, tx *tx) error {
		for _, id := range ids {
			if _, err := tx.exec(ctx, `DELETE FROM river_job WHERE id = ?`, id); err != nil {
				return fmt.Errorf("drop wake-up %d: %w", id, err)
			}
		}
		return nil
	})
}

// poison ends wake-ups that cannot be worked, now or later. Whose they were is not
// known, so that every build without a wake-up gets one.
type poison struct{ store *Store }

// HandleError implements river.ErrorHandler.
func (p poison) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	var (
		kind   *rivertype.UnknownJobKindError
		syntax *json.SyntaxError
		shape  *json.UnmarshalTypeError
	)
	if !errors.As(err, &kind) && !errors.As(err, &syntax) && !errors.As(err, &shape) {
		return nil
	}
	p.store.log.Error("a wake-up that cannot be read is dropped; its build gets a new one", "wake_up", job.ID, "error", err)
	if _, err := p.store.Rearm(ctx); err != nil {
		p.store.log.Warn("builds without a wake-up were not looked for", "error", err)
		return nil // it comes round again
	}
	return &river.ErrorHandlerResult{SetCancelled: true}
}

// HandlePanic implements river.ErrorHandler.
func (poison) HandlePanic(context.Context, *rivertype.JobRow, any, string) *river.ErrorHandlerResult {
	return nil
}

// Attend says that this process lives. Say it every few seconds: who is not
// heard of for DeadAfter is taken for dead.
func (s *Store) Attend(ctx context.Context) error { return s.db.attend(ctx, s.caller) }

// DeadAfter is how long a process may be silent.
const DeadAfter = 20 * time.Second

// Lead reports whether this process leads for the next LeadFor. One of all that
// share the database does.
func (s *Store) Lead(ctx context.Context) (bool, error) { return s.db.lead(ctx, s.caller) }

// LeadFor is how long a lead holds if it is not renewed.
const LeadFor = 15 * time.Second

// Alive tells whether the process that called a build lives, and may still save
// what the service answered.
func (s *Store) Alive(ctx context.Context, caller string) (bool, error) {
	return s.db.alive(ctx, caller)
}

// Turns reserves n turns of the rate limit of a target, gap apart, and says when
// the first of them is, from now; before that if it is negative, by the burst at
// the most. It reserves none, and free is false, if the first is further away than
// most. shared is false if no other process uses this database: the limit is the
// caller's own affair then.
func (s *Store) Turns(ctx context.Context, target string, gap time.Duration, burst, n int, most time.Duration) (first time.Duration, free, shared bool, err error) {
	if first, free, shared, err = s.db.turns(ctx, target, gap, burst, n, most); err != nil {
		return 0, false, shared, fmt.Errorf("rate limit of target %s: %w", target, err)
	}
	return first, free, shared, nil
}

// Sweep wakes builds whose hold has lasted long enough. It returns how many.
func (s *Store) Sweep(ctx context.Context, now time.Time) (all int, err error) {
	for {
		var n int // not a result: it may be written yet when ctx ends
		err := s.write(ctx, nil, func(ctx context.Context, tx *tx) (err error) {
			n, err = rearm(ctx, tx, `seq IN (SELECT seq FROM builds WHERE parked_until > 0 AND parked_until <= ? LIMIT ?)`, micros(now), rearmBatch)
			return err
		})
		if err != nil {
			return all, err
		}
		if all += n; n < rearmBatch {
			return all, nil
		}
	}
}

// idle is a build that has no wake-up.
type idle struct {
	seq        int64
	id, target string
}

// collect reads rows of seq, id, target.
func collect(rows cursor) (all []idle, err error) {
	for rows.Next() {
		var b idle
		if err := rows.Scan(&b.seq, &b.id, &b.target); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		all = append(all, b)
	}
	return all, errors.Join(rows.Err(), rows.Close())
}

// riverLogger passes on what River reports, from warnings upwards: its own
// chatter is not the user's affair.
func riverLogger(log *slog.Logger) *slog.Logger {
	return slog.New(atLeast{Handler: log.Handler(), level: slog.LevelWarn}).With("component", "queue")
}

type atLeast struct {
	slog.Handler
	level slog.Level
}

// Enabled implements slog.Handler.
func (h atLeast) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

// WithAttrs implements slog.Handler.
func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{Handler: h.Handler.WithAttrs(attrs), level: h.level}
}

// WithGroup implements slog.Handler.
func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{Handler: h.Handler.WithGroup(name), level: h.level}
}
