// Package bridge joins the packages into a running bridge: the store, the trigger, which
// works on the builds in it, the handlers, which add to it, and its listeners.
//
// [Start] loads the rules, opens the database, listens and starts the workers.
// [Bridge.Reload] replaces the rules. [Bridge.Stop] stops everything, what was started last
// first. A start that fails undoes what it did.
package bridge

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/cmd/internal/certificate"
	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/store"
)

// Options of a bridge.
type Options struct {
	Settings

	// Rules reads the rules, at the start and for each reload. Required.
	Rules func() (*mapping.Ruleset, []mapping.Fault, error)
	// Source resolves the secrets of a source; nil means ResolveSource.
	Source func(*mapping.Source) (*handlers.Source, error)
	// Target makes the clients of a target; nil means NewClients.
	Target func(*mapping.Target) (trigger.Target, error)
	// Host makes the client of the API of a source's code host; nil means NewHost.
	Host func(*mapping.Source) (trigger.HostAPI, error)
	// FollowEvery is that of trigger.Options.
	FollowEvery func(age time.Duration) time.Duration

	Logger         *slog.Logger         // required
	LogLevel       *slog.LevelVar       // of Logger, for the admin API; nil if it cannot be changed
	LogDropped     func() int64         // lines that Logger has lost; nil if it loses none
	TracerProvider trace.TracerProvider // nil for no traces

	Version, Revision string // for build_info
}

// Bridge is a running bridge.
type Bridge struct {
	o   Options
	log *slog.Logger

	trigger  *trigger.Trigger
	handlers *handlers.Server

	hostRequests *prometheus.CounterVec

	reload  sync.Mutex
	serving *loaded                            // in use; nil before the first rules; guarded by reload
	inForce atomic.Pointer[admin.RulesInForce] // for the admin API, which must not wait for a reload

	started time.Time

	phase  atomic.Int32 // starting, running or stopping
	failed chan error
	stop   []func(context.Context) error // the steps of Stop, last one first
	loops  sync.WaitGroup

	public, admin *listener
	pages         *listener // nil for none

	life context.Context // of the pages that renew themselves: until Stop begins
	die  context.CancelFunc
}

const (
	starting int32 = iota
	running
	stopping
)

// Start starts a bridge. It returns when the listeners answer and the workers run. ctx is
// for the start alone. The error says what is wrong with the rules, the secrets, the
// database or the addresses.
func Start(ctx context.Context, o Options) (_ *Bridge, err error) {
	switch {
	case o.Rules == nil:
		return nil, errors.New("bridge: Options.Rules is missing")
	case o.Logger == nil:
		return nil, errors.New("bridge: Options.Logger is missing")
	}
	if o.Source == nil {
		o.Source = ResolveSource
	}
	if o.LogDropped == nil {
		o.LogDropped = func() int64 { return 0 }
	}
	if o.Target == nil {
		o.Target = func(t *mapping.Target) (trigger.Target, error) {
			clients, doubts, err := NewClients(t, o.Logger)
			warn(ctx, o.Logger, "target", t.Name, doubts)
			return clients.Target(t), err
		}
	}
	registry := prometheus.NewRegistry()
	b := &Bridge{o: o, log: o.Logger, started: time.Now(), failed: make(chan error, 3), hostRequests: hostRequests(registry)}
	b.life, b.die = context.WithCancel(context.WithoutCancel(ctx))
	if b.o.Host == nil {
		b.o.Host = func(s *mapping.Source) (trigger.HostAPI, error) {
			client, doubts, err := NewHost(s, o.Logger, b.countRequests(s))
			warn(ctx, o.Logger, "source", s.Name, doubts)
			return client, err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Stop(ctx, startGrace))
		}
	}()

	next, err := b.load(ctx)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, store.Options{Database: o.Database, Logger: b.log, KeepIgnored: o.KeepIgnored})
	if err != nil {
		return nil, err
	}
	b.later(func(context.Context) error { return db.Close() })

	promauto.With(registry).NewCounterFunc(prometheus.CounterOpts{
		Name: "buildbridge_log_lines_dropped_total",
		Help: "Log lines that were not written, because nobody read the log fast enough.",
	}, func() float64 { return float64(o.LogDropped()) })
	b.trigger, err = trigger.New(trigger.Options{
		Settings:       o.Trigger,
		Store:          db,
		Registerer:     registry,
		Logger:         b.log,
		TracerProvider: o.TracerProvider,
		BuildURL:       o.links().Build,
		DeliveryURL:    o.links().Delivery,
		FollowEvery:    o.FollowEvery,
	})
	if err != nil {
		return nil, err
	}
	b.handlers, err = handlers.New(handlers.Options{ //nolint:contextcheck // each request has its own
		Settings:       o.Handlers,
		Acceptor:       b.trigger,
		Registry:       registry,
		Logger:         b.log,
		Ready:          b.ready,
		Head:           b.trigger.Head,
		DeliveryURL:    o.links().Delivery,
		Version:        o.Version,
		Revision:       o.Revision,
		TracerProvider: o.TracerProvider,
	})
	if err != nil {
		return nil, err
	}
	b.reload.Lock()
	b.apply(next) //nolint:contextcheck // the queues it starts live as long as the bridge
	b.reload.Unlock()

	if b.admin, err = b.listen(ctx, "admin", "--admin-listen", o.AdminListen, o.AdminTLS); err != nil {
		return nil, err
	}
	if b.public, err = b.listen(ctx, "public", "--listen", o.Listen, o.TLS); err != nil {
		return nil, err
	}
	if o.PagesListen != "" {
		if b.pages, err = b.listen(ctx, "pages", "--pages-listen", o.PagesListen, o.PagesTLS); err != nil {
			return nil, err
		}
	}
	forReading, err := b.mountAdmin(ctx, db)
	if err != nil {
		return nil, err
	}
	b.later(b.serve(b.admin, b.handlers.Admin()))
	if b.pages != nil {
		b.later(b.serve(b.pages, forReading))
	}

	// The workers live until Stop, longer than ctx.
	if err := b.trigger.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	shutPublic := b.serve(b.public, b.handlers.Public())
	b.later(func(ctx context.Context) error {
		// Both at the same time: deliveries that are still arriving take no time from calls.
		shut := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(ctx, bodyGrace)
			defer cancel()
			shut <- shutPublic(ctx)
		}()
		err := b.stopTrigger(ctx)
		return errors.Join(<-shut, err)
	})
	b.watchSecrets(ctx)
	b.phase.Store(running)

	attrs := append([]slog.Attr{
		slog.String("listen", b.public.Addr().String()),
		slog.String("admin_listen", b.admin.Addr().String()),
		slog.String("database", databaseName(o.Database)),
		slog.Bool("tls", o.TLS != (certificate.Files{})),
		slog.Bool("admin_tls", o.AdminTLS != (certificate.Files{})),
		slog.Bool("traces", o.TracerProvider != nil),
		slog.Int64("waiting", b.trigger.Waiting()),
		slog.Bool("dry_run", o.Trigger.DryRun),
		slog.String("version", o.Version),
		slog.String("worker", db.Caller()),
	}, next.attrs()...)
	if b.pages != nil {
		attrs = append(attrs, slog.String("pages_listen", b.pages.Addr().String()), slog.Bool("pages_tls", o.PagesTLS != (certificate.Files{})))
	}
	b.log.LogAttrs(ctx, slog.LevelInfo, "serving", attrs...)
	return b, nil
}

// databaseName is the database for the log. Of a URL, which may contain a password, it has the
// scheme, the host and the name.
func databaseName(database string) string {
	scheme, isURL := store.Scheme(database)
	if !isURL {
		return database
	}
	u, err := url.Parse(database)
	if err != nil {
		return scheme + "://…"
	}
	return scheme + "://" + u.Host + u.EscapedPath()
}

// bodyGrace is how long deliveries under way may take during a stop. That is enough for
// those whose body has arrived; the others are cut off.
const bodyGrace = 5 * time.Second

// startGrace is how long it may take to undo a start that failed.
const startGrace = 5 * time.Second

// Failed receives an error if a listener stops by itself.
func (b *Bridge) Failed() <-chan error { return b.failed }

// Stop stops the bridge within the grace period. The bridge is not ready any more, takes no
// deliveries and begins no calls. Deliveries under way may take bodyGrace, and calls the
// whole period. Calls that do not end in time are cut, and reconciled after the next start.
// At the end the database is closed. Stop uses the values of ctx, not its deadline.
func (b *Bridge) Stop(ctx context.Context, grace time.Duration) error {
	b.phase.Store(stopping)
	b.die()
	// The last fifth is for cutting calls.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace*4/5)
	defer cancel()
	var errs []error
	for _, step := range slices.Backward(b.stop) {
		errs = append(errs, step(ctx))
	}
	b.stop = nil
	b.loops.Wait()
	b.reload.Lock()
	defer b.reload.Unlock()
	if b.serving != nil {
		for _, t := range b.serving.targets {
			closeIdle(t.Service, t.Pipelines)
		}
		for _, h := range b.serving.hosts {
			closeIdle(h.API)
		}
	}
	return errors.Join(errs...)
}

// later adds a step to Stop.
func (b *Bridge) later(step func(context.Context) error) { b.stop = append(b.stop, step) }

func (b *Bridge) stopTrigger(ctx context.Context) error {
	err := b.trigger.Stop(ctx)
	if ctx.Err() != nil {
		b.log.LogAttrs(ctx, slog.LevelWarn, "calls were cut at the end of the grace period, and are reconciled after the next start")
	}
	return err
}

// ready returns why the bridge should get no deliveries, or nil.
func (b *Bridge) ready(ctx context.Context) error {
	switch b.phase.Load() {
	case starting:
		return errors.New("starting")
	case stopping:
		return errors.New("stopping")
	}
	return b.trigger.Ready(ctx)
}
