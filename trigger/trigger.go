package trigger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

// DefaultSlots is how many calls of one target run at the same time.
const DefaultSlots = 50

// Options of a trigger.
type Options struct {
	Settings

	Store      *store.Store          // required
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required
	Slots      int                   // calls at the same time, a target; DefaultSlots if not set

	TracerProvider trace.TracerProvider // nil for no traces
}

// Trigger is safe for concurrent use.
type Trigger struct {
	store   *store.Store
	log     *slog.Logger
	metrics *metrics
	tracer  trace.Tracer // nil for none
	slots   int

	settings Settings
	waiting  atomic.Int64 // unresolved builds: counted every watchInterval, and what was accepted since

	mu      sync.RWMutex
	targets map[string]*target
	queues  map[string]*queue // by the names of targets; nil while nothing is worked

	hands    hands
	stopping context.Context //nolint:containedctx // the life of the workers, not of a request
	stop     context.CancelFunc
	cut      context.Context    //nolint:containedctx // as above: the end of calls that run
	cutOff   context.CancelFunc //
	loops    sync.WaitGroup
	works    sync.WaitGroup
	renewing sync.WaitGroup // as long as anything is worked
}

// New makes a trigger that accepts at once and calls nothing before Start.
func New(o Options) (*Trigger, error) {
	switch {
	case o.Store == nil:
		return nil, errors.New("trigger: Options.Store is missing")
	case o.Registerer == nil:
		return nil, errors.New("trigger: Options.Registerer is missing")
	case o.Logger == nil:
		return nil, errors.New("trigger: Options.Logger is missing")
	}
	t := &Trigger{
		store:   o.Store,
		log:     o.Logger,
		metrics: newMetrics(o.Registerer),
		slots:   o.Slots,

		settings: o.Settings,
		targets:  map[string]*target{},
	}
	if o.TracerProvider != nil {
		t.tracer = o.TracerProvider.Tracer(tracerName)
	}
	if t.slots <= 0 {
		t.slots = DefaultSlots
	}
	t.stopping, t.stop = context.WithCancel(context.Background())
	t.cut, t.cutOff = context.WithCancel(context.Background())
	return t, nil
}

// SetRules takes the targets and the names of the rules after they were loaded.
// Builds of a target that is gone wait for it, visibly, until their deadline.
func (t *Trigger) SetRules(targets []Target, rules []mapping.Job) {
	t.mu.Lock()
	now := make(map[string]*target, len(targets))
	for _, c := range targets {
		now[c.Name] = newTarget(c, t.targets[c.Name], t.store)
	}
	t.targets = now
	t.mu.Unlock()
	t.metrics.know(slices.Collect(maps.Keys(now)), rules)
	t.startQueues(nil)
}

func (t *Trigger) target(name string) *target {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.targets[name]
}

// Start begins to work the builds, those that a run before left behind included.
//
// With DryRun it refuses a database in which builds wait that may be meant: a
// dry run would end them.
func (t *Trigger) Start(ctx context.Context) error {
	stats, err := t.store.Queue(ctx)
	if err != nil {
		return err
	}
	if n := t.count(stats); t.settings.DryRun && n > 0 {
		return fmt.Errorf("the database has %d builds that wait, and a dry run would end them: give it a database of its own", n)
	}
	t.mu.Lock()
	t.queues = map[string]*queue{}
	t.mu.Unlock()
	t.startQueues(stats) //nolint:contextcheck // they live as long as the trigger
	t.loops.Go(t.forwardNotifications)
	t.renewing.Go(t.renew)
	t.look(ctx)
	t.loops.Go(t.watch)
	t.loops.Go(t.prune)
	return nil
}

// Stop takes up no more builds and lets calls that run finish until ctx ends.
func (t *Trigger) Stop(ctx context.Context) error {
	t.stop()
	defer t.renewing.Wait()
	defer t.cutOff()
	done := make(chan struct{})
	go func() {
		t.loops.Wait() // before: they begin to work what they have taken
		t.works.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	// The grace period is over: what still runs is cut off and, being on the wire,
	// looked for after the next start.
	t.cutOff()
	select {
	case <-done:
		return nil
	case <-time.After(cutWithin):
		return errors.New("calls did not end though they were cut off")
	}
}

// cutWithin is how long a call that is cut off may take to save that.
const cutWithin = 5 * time.Second

// Ready reports why builds cannot be accepted now, nil if they can.
func (t *Trigger) Ready(ctx context.Context) error {
	return errors.Join(t.full(), t.store.Ping(ctx))
}

func (t *Trigger) full() error {
	if n := t.waiting.Load(); t.settings.MaxWaiting > 0 && n >= t.settings.MaxWaiting {
		return fmt.Errorf("%w: %d of at most %d", mapping.ErrFull, n, t.settings.MaxWaiting)
	}
	return nil
}

// Accept keeps a delivery and its builds, and returns after they are on disk. An
// error means that the host must not be told of success.
func (t *Trigger) Accept(ctx context.Context, d mapping.Delivery, builds []mapping.Build) (receipt mapping.Receipt, err error) {
	if err := t.full(); err != nil {
		return mapping.Receipt{}, err
	}
	ctx, span := t.span(ctx, "commit", trace.SpanKindProducer)
	defer func() {
		committed(span, d, receipt)
		end(span, err)
	}()
	return t.accept(ctx, d, builds, store.Trace(ctx))
}

// accept is Accept. Builds keep the trace that they are accepted in.
func (t *Trigger) accept(ctx context.Context, d mapping.Delivery, builds []mapping.Build, trace string) (mapping.Receipt, error) {
	rows := make([]*store.Build, len(builds))
	receipt := mapping.Receipt{Builds: make([]mapping.BuildReceipt, len(builds))}
	for i, b := range builds {
		row, err := t.newBuild(d, b)
		if err != nil {
			return mapping.Receipt{}, err
		}
		row.Trace = trace
		rows[i] = row
		receipt.Builds[i] = mapping.BuildReceipt{ID: row.ID, Rule: b.Rule, JobID: b.JobID, Reason: b.Dead}
	}
	duplicateOf, err := t.store.Accept(ctx, newDelivery(d), rows)
	if err != nil {
		return mapping.Receipt{}, err
	}
	if duplicateOf != "" {
		return mapping.Receipt{DuplicateOf: duplicateOf}, nil
	}
	t.waiting.Add(int64(len(rows)))
	for _, row := range rows {
		if row.Superseded > 0 {
			t.metrics.builds.WithLabelValues(row.Rule, row.Target, string(store.Superseded)).Add(float64(row.Superseded))
			t.log.InfoContext(ctx, "build supersedes those that waited", append(buildAttrs(row), "superseded", row.Superseded)...)
		}
		if row.State == store.Dead {
			t.metrics.builds.WithLabelValues(row.Rule, row.Target, string(store.Dead)).Inc()
			t.log.ErrorContext(ctx, "build is dead on arrival", append(buildAttrs(row), "reason", row.Reason)...)
		}
	}
	return receipt, nil
}

// Ignore keeps a delivery that built nothing, for explaining. It never blocks,
// and what it keeps is not durable.
func (t *Trigger) Ignore(d mapping.Delivery, reason mapping.Reason, verdicts []mapping.Verdict) {
	row := newDelivery(d)
	row.Outcome, row.Reason = store.Ignored, string(reason)
	if len(verdicts) > 0 {
		row.Verdicts, _ = json.Marshal(verdicts) //nolint:errchkjson // strings and a bool
	}
	t.store.LogIgnored(row)
}

// newDelivery takes no text as it is that came from outside: a header may hold
// what is none.
func newDelivery(d mapping.Delivery) *store.Delivery {
	row := &store.Delivery{
		ID:              d.ID,
		Source:          d.Source,
		Provider:        d.Provider,
		HostID:          d.HostID,
		Event:           d.Event,
		ReceivedAt:      d.ReceivedAt,
		DuplicateKey:    d.DuplicateKey,
		DuplicateWindow: d.DuplicateWindow,
		Header:          d.Header,
		Body:            d.Body,
		ReplayOf:        d.ReplayOf,
	}
	if len(d.Events) > 0 {
		first := &d.Events[0]
		row.Repository, row.Ref, row.Commit = first.Repository, first.Ref, first.Commit
	}
	return row
}

func (t *Trigger) newBuild(d mapping.Delivery, b mapping.Build) (*store.Build, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("id of a build: %w", err)
	}
	body, err := encode(Request(b, id.String()))
	if err != nil {
		return nil, fmt.Errorf("rule %q: RunJob body: %w", b.Rule, err)
	}
	row := &store.Build{
		ID:         id.String(),
		Delivery:   d.ID,
		Rule:       b.Rule,
		Target:     b.Target,
		JobID:      b.JobID,
		Repository: b.Repository,
		Ref:        b.Ref,
		Tag:        b.Tag,
		Commit:     b.Commit,
		Marker:     b.Marker,
		Body:       body,
		Newest:     b.Newest,
		ByHand:     d.ReplayOf != "",
		State:      store.Waiting,
		ReceivedAt: d.ReceivedAt,
		Deadline:   d.ReceivedAt.Add(t.retryFor(b.Target)),
	}
	if b.Dead != "" { // without parameters, so there is nothing that may be sent
		row.State, row.Reason, row.Body = store.Dead, b.Dead, []byte{}
	}
	return row, nil
}

// Request is the RunJob body of a build: exactly one of tag and commit, and the
// id of the build where the job has a parameter for it.
func Request(b mapping.Build, id string) codearts.RunJobRequest {
	r := codearts.RunJobRequest{JobID: b.JobID, Parameters: b.Parameters}
	if b.Marker != "" {
		r.Parameters = append(slices.Clip(slices.Clone(b.Parameters)), mapping.Parameter{Name: b.Marker, Value: id})
	}
	switch {
	case b.Tag != "":
		r.SCM = &codearts.SCM{BuildTag: b.Tag}
		if b.BuildType {
			r.SCM.BuildType = codearts.BuildTypeTag
		}
	case b.Commit != "":
		r.SCM = &codearts.SCM{BuildCommitID: b.Commit}
		if b.BuildType {
			r.SCM.BuildType = codearts.BuildTypeCommit
		}
	}
	return r
}

// encode writes JSON without escaping <, > and &, so that a branch reads in the
// database and in logs as it is.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// buildAttrs are what every log line about a build carries.
func buildAttrs(b *store.Build) []any {
	return []any{
		"build", b.ID, "delivery", b.Delivery, "rule", b.Rule, "target", b.Target, "job_id", b.JobID,
		"repository", b.Repository, "ref", b.Ref, "commit", b.Commit,
	}
}
