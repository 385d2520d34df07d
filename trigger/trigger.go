package trigger

import (
	"bytes"
	"cmp"
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
	"buildbridge/mapping/observe"
	"buildbridge/trigger/store"
)

// Options of a trigger.
type Options struct {
	Settings

	Store          *store.Store          // required
	Registerer     prometheus.Registerer // required
	Logger         *slog.Logger          // required
	TracerProvider trace.TracerProvider  // nil for no traces

	// BuildURL and DeliveryURL give the addresses of the pages about a build and a delivery, for people who
	// read a status or the log; nil, or "", if the pages have no address.
	BuildURL, DeliveryURL func(id string) string

	// FollowEvery says how long to wait before the service is asked again for a build that was
	// started this long ago; nil means what docs/delivery-guarantee.md says.
	FollowEvery func(age time.Duration) time.Duration
}

// Trigger is safe for concurrent use.
type Trigger struct {
	settings Settings
	store    *store.Store
	log      *slog.Logger
	metrics  *metrics
	tracer   trace.Tracer // nil for none
	waiting  atomic.Int64 // unresolved builds: counted every watchInterval, plus those accepted since

	followEvery func(age time.Duration) time.Duration // as in Options

	buildURL, deliveryURL func(id string) string // as in Options; never nil

	mu      sync.RWMutex
	rules   *mapping.Ruleset // in force; never nil
	targets map[string]*target
	hosts   map[string]*host  // by the names of sources
	queues  map[string]*queue // by their keys; nil before Start

	pauses pausesSeen
	onHold atomic.Bool // nothing is asked or told; what waits is held by the pause of everything

	// stopping ends when no more builds are taken, calls when the calls that run are cut
	// off.
	stopping, calls   context.Context //nolint:containedctx // of the trigger, not of a request
	stop, cancelCalls context.CancelFunc

	working workedBuilds
	loops   sync.WaitGroup
	works   sync.WaitGroup
	renewal sync.WaitGroup // runs as long as anything is worked
}

// New makes a trigger that accepts at once, and calls nothing before Start.
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
		settings: o.Settings,
		store:    o.Store,
		log:      o.Logger,
		metrics:  newMetrics(o.Registerer),
		rules:    new(mapping.Ruleset),
		targets:  map[string]*target{},
	}
	if t.followEvery = o.FollowEvery; t.followEvery == nil {
		t.followEvery = followStep
	}
	noURL := func(string) string { return "" }
	if t.buildURL = o.BuildURL; t.buildURL == nil {
		t.buildURL = noURL
	}
	if t.deliveryURL = o.DeliveryURL; t.deliveryURL == nil {
		t.deliveryURL = noURL
	}
	if o.TracerProvider != nil {
		t.tracer = o.TracerProvider.Tracer(tracerName)
	}
	t.stopping, t.stop = context.WithCancel(context.Background())
	t.calls, t.cancelCalls = context.WithCancel(context.Background())
	return t, nil
}

// SetRules takes the rules after they were loaded, with what was made of their targets and
// sources. nil stands for no rules. Builds of a target that is no longer there wait for it until their deadline, and
// statuses of a source that is no longer there wait for it too.
func (t *Trigger) SetRules(targets []Target, hosts []Host, rules *mapping.Ruleset) {
	rules = cmp.Or(rules, new(mapping.Ruleset))
	t.mu.Lock()
	t.rules = rules
	now := make(map[string]*target, len(targets))
	for _, c := range targets {
		now[c.Name] = newTarget(c, t.targets[c.Name], t.store)
	}
	t.targets = now
	before := t.hosts
	t.hosts = make(map[string]*host, len(hosts))
	for _, h := range hosts {
		t.hosts[h.Source] = newHost(h, before[h.Source], t.store)
	}
	sources := t.reporting()
	t.mu.Unlock()
	t.metrics.addSources(sources)
	t.metrics.addSeries(slices.Collect(maps.Keys(now)), slices.Collect(rules.Jobs()))
	t.startQueues(nil)
	t.startReports(nil)
	t.startLooks()
}

func (t *Trigger) target(name string) *target {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.targets[name]
}

// Start begins to work the builds that are due, those of an earlier process included.
//
// With DryRun it refuses a database in which builds wait: a dry run would end them.
func (t *Trigger) Start(ctx context.Context) error {
	stats, err := t.store.Queue(ctx)
	if err != nil {
		return err
	}
	if n := t.count(stats); t.settings.DryRun && n > 0 {
		return fmt.Errorf("builds wait in the database (%d), and a dry run would end them: give it a database of its own", n)
	}
	if t.settings.Hold {
		if err := t.holdAll(ctx); err != nil {
			return err
		}
	}
	t.mu.Lock()
	t.queues = map[string]*queue{}
	t.mu.Unlock()
	t.loops.Go(t.forwardNotifications)
	t.renewal.Go(t.renewLeases)
	t.look(ctx)    // it starts the queues
	t.startLooks() //nolint:contextcheck // as in look
	t.loops.Go(t.watch)
	t.loops.Go(t.prune)
	return nil
}

// Stop takes no more builds, and waits for the calls that run until ctx ends. It then cuts
// them off: their builds are searched for after the next start.
func (t *Trigger) Stop(ctx context.Context) error {
	t.stop()
	defer t.renewal.Wait()
	defer t.cancelCalls()
	done := make(chan struct{})
	go func() {
		t.loops.Wait() // first: the loops begin to work the builds that they have taken
		t.works.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	t.cancelCalls()
	select {
	case <-done:
		return nil
	case <-time.After(saveWithin):
		return errors.New("calls did not end though they were cut off")
	}
}

// saveWithin is how long a call that is cut off may take to save its state.
const saveWithin = 5 * time.Second

// Ready returns an error if builds cannot be accepted now.
func (t *Trigger) Ready(ctx context.Context) error {
	return errors.Join(t.full(), t.store.Ping(ctx))
}

func (t *Trigger) full() error {
	if n := t.waiting.Load(); t.settings.MaxWaiting > 0 && n >= t.settings.MaxWaiting {
		return fmt.Errorf("%w: %d of at most %d", mapping.ErrFull, n, t.settings.MaxWaiting)
	}
	return nil
}

// Accept stores a delivery and its builds, and returns after they are on disk. After an
// error, the host must not be told that it succeeded.
func (t *Trigger) Accept(ctx context.Context, d mapping.Delivery, builds []mapping.Build) (receipt mapping.Receipt, err error) {
	return t.accept(ctx, d, builds, nil)
}

// accept is Accept, also of a push that was missed. The error is store.ErrStale then if that is
// not missed any more.
func (t *Trigger) accept(
	ctx context.Context, d mapping.Delivery, builds []mapping.Build, missed *store.MissedRef,
) (receipt mapping.Receipt, err error) {
	if err := t.full(); err != nil {
		return mapping.Receipt{}, err
	}
	ctx, span := t.span(ctx, "commit", trace.SpanKindProducer)
	defer func() {
		setCommit(span, d, receipt)
		endSpan(span, err)
	}()
	rows := make([]*store.Build, len(builds))
	receipt.Builds = make([]mapping.BuildReceipt, len(builds))
	for i, b := range builds {
		if rows[i], err = t.newBuild(ctx, d, b); err != nil {
			return mapping.Receipt{}, err
		}
		receipt.Builds[i] = mapping.BuildReceipt{ID: rows[i].ID, Rule: b.Rule, Action: b.Action, JobID: b.JobID, Reason: b.Dead}
	}
	row := newDelivery(d)
	if row.Missed = missed; missed == nil {
		t.catchUpRefs(row, d.Events)
	}
	duplicateOf, err := t.store.Accept(ctx, row, rows)
	if err != nil {
		return mapping.Receipt{}, err
	}
	if duplicateOf != "" {
		return mapping.Receipt{DuplicateOf: duplicateOf}, nil
	}
	t.waiting.Add(int64(len(rows)))
	for i, b := range rows {
		if b.SupersededBy != "" {
			receipt.Builds[i].Reason, receipt.Builds[i].SupersededBy = b.Reason, b.SupersededBy
			t.metrics.builds.WithLabelValues(b.Rule, b.Target, string(store.Superseded)).Inc()
			attrs := t.buildAttrs(b, slog.String("superseded_by", b.SupersededBy))
			if receipt.Builds[i].Once = b.SupersededOnce(); receipt.Builds[i].Once {
				t.log.LogAttrs(ctx, slog.LevelInfo, "build is superseded: its commit is built once", attrs...)
			} else {
				t.log.LogAttrs(ctx, slog.LevelInfo, "delivery came late: catch-up has built it", attrs...)
			}
		}
		if b.Superseded > 0 {
			t.metrics.builds.WithLabelValues(b.Rule, b.Target, string(store.Superseded)).Add(float64(b.Superseded))
			t.log.LogAttrs(ctx, slog.LevelInfo, "build supersedes those that waited", t.buildAttrs(b, slog.Int64("superseded", b.Superseded))...)
		}
		if b.State == store.Dead {
			t.metrics.builds.WithLabelValues(b.Rule, b.Target, string(store.Dead)).Inc()
			t.log.LogAttrs(ctx, slog.LevelError, "build is dead on arrival", t.buildAttrs(b, slog.String("reason", b.Reason))...)
		}
	}
	return receipt, nil
}

// Ignore keeps a delivery that built nothing in the ignored log. It never blocks, and what
// it keeps may be lost.
func (t *Trigger) Ignore(d mapping.Delivery, reason mapping.Reason, verdicts []mapping.Verdict) {
	row := newDelivery(d)
	row.Outcome, row.Reason = store.Ignored, string(reason)
	t.catchUpRefs(row, d.Events)
	if len(verdicts) > 0 {
		row.Verdicts, _ = json.Marshal(verdicts) //nolint:errchkjson // strings and a bool
	}
	t.store.LogIgnored(row)
}

func newDelivery(d mapping.Delivery) *store.Delivery {
	row := &store.Delivery{Delivery: d}
	row.Events = nil // they may be large, and are not stored
	if len(d.Events) > 0 {
		first := &d.Events[0]
		row.Repository, row.Ref, row.Commit = first.Repository, first.Ref, first.Commit
		row.Pusher, row.Title = first.Pusher, first.Title()
	}
	return row
}

func (t *Trigger) newBuild(ctx context.Context, d mapping.Delivery, b mapping.Build) (*store.Build, error) {
	id := newID()
	body, err := encode(Request(b, id))
	if err != nil {
		return nil, fmt.Errorf("rule %q: the body of its call: %w", b.Rule, err)
	}
	row := &store.Build{
		ID:         id,
		Delivery:   d.ID,
		Rule:       b.Rule,
		Target:     b.Target,
		Action:     b.Action,
		JobID:      b.JobID,
		ProjectID:  b.ProjectID,
		Repository: b.Repository,
		Ref:        b.Ref,
		Tag:        b.Tag,
		Commit:     b.Commit,
		Marker:     b.Marker,
		Body:       body,
		TagCommit:  b.TagCommit,
		Context:    b.Context,
		Newest:     b.Concurrency.Replace != mapping.ReplaceNone,
		Once:       b.Once,
		MaxRunning: b.Concurrency.MaxRunning,
		Settle:     b.Concurrency.Settle,
		ByHand:     d.ReplayOf != "" || d.Origin == mapping.OriginManual,
		Origin:     d.Origin,
		By:         d.By,
		Pusher:     b.Pusher,
		Title:      b.Title,
		State:      store.Waiting,
		ReceivedAt: d.ReceivedAt,
		Deadline:   d.ReceivedAt.Add(t.retryFor(b.Target)),
		Trace:      observe.Traceparent(ctx),

		ReplaceRunning: b.Concurrency.Replace == mapping.ReplaceRunning,
	}
	if row.ByHand { // a person waits for nothing newer
		row.Settle = 0
	}
	if b.Dead != "" { // its parameters are missing, so nothing may be sent
		row.State, row.Reason, row.Body = store.Dead, b.Dead, []byte{}
	}
	return row, nil
}

// newID gives an id for a build. It cannot fail, because the random source of Go does not.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// encode writes JSON without escaping <, > and &, so that a branch can be read in the
// database and in logs.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// buildAttrs are what every log line about a build has, and more.
func (t *Trigger) buildAttrs(b *store.Build, more ...slog.Attr) []slog.Attr {
	return append(urlAttr([]slog.Attr{
		slog.String("build", b.ID), slog.String("delivery", b.Delivery), slog.String("rule", b.Rule), slog.String("target", b.Target),
		slog.String("job_id", b.JobID), slog.String("repository", b.Repository), slog.String("ref", b.Ref), slog.String("commit", b.Commit),
	}, t.buildURL(b.ID)), more...)
}

// urlAttr adds the address of the page about what the attributes say, if there is one.
func urlAttr(attrs []slog.Attr, url string) []slog.Attr {
	if url == "" {
		return attrs
	}
	return append(attrs, slog.String("url", url))
}

func errorAttr(err error) slog.Attr { return slog.String("error", err.Error()) }
