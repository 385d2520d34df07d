// Package bridge joins the packages into a running bridge: the store, the trigger
// that works its builds, the handlers that fill it, and two listeners.
//
// The flow: [Start] loads the rules, opens the database, listens and begins to
// work; [Bridge.Reload] replaces the rules; [Bridge.Stop] ends it all, newest
// first. A start that fails half-way undoes what it did.
package bridge

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/trace"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/store"
)

// Options of a bridge.
type Options struct {
	Settings

	// Rules reads the rules as they are now, at the start and for each reload.
	// Required.
	Rules func() (*mapping.Ruleset, []mapping.Fault, error)
	// Source resolves the secrets of a source; nil means ResolveSource.
	Source func(*mapping.Source) (*handlers.Source, error)
	// Service makes the client of a target; nil means NewClient.
	Service func(*mapping.Target) (trigger.Service, error)

	Logger         *slog.Logger         // required
	LogLevel       *slog.LevelVar       // of Logger, for the admin API to change; nil if it cannot be
	LogDropped     func() int64         // lines that Logger lost; nil for none
	TracerProvider trace.TracerProvider // nil for no traces

	Version, Revision string // for build_info
}

// Bridge runs until Stop.
type Bridge struct {
	o   Options
	log *slog.Logger

	trigger  *trigger.Trigger
	handlers *handlers.Server

	reload  sync.Mutex
	serving *loaded // nil until the first rules; under reload

	phase  atomic.Int32 // starting, running or stopping
	failed chan error
	stop   []func(context.Context) error // newest last
	loops  sync.WaitGroup

	public, admin *listener
}

const (
	starting int32 = iota
	running
	stopping
)

// Start starts a bridge. It returns when both listeners answer and builds are
// worked; the context bounds the start alone. What is wrong with the rules, the
// secrets, the database or the addresses is its error.
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
	if o.Service == nil {
		o.Service = func(t *mapping.Target) (trigger.Service, error) {
			client, doubts, err := NewClient(t, o.Logger)
			warn(ctx, o.Logger, "target", t.Name, doubts)
			return client, err
		}
	}
	b := &Bridge{o: o, log: o.Logger, failed: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Stop(ctx, startGrace))
		}
	}()

	next, err := b.load(ctx)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, store.Options{Database: o.Database, Logger: b.log})
	if err != nil {
		return nil, err
	}
	b.later(func(context.Context) error { return db.Close() })

	registry := prometheus.NewRegistry()
	promauto.With(registry).NewCounterFunc(prometheus.CounterOpts{
		Name: "buildbridge_log_lines_dropped_total",
		Help: "Lines of the log that were not written, because whoever reads it stood still or was gone.",
	}, func() float64 { return float64(o.LogDropped()) })
	b.trigger, err = trigger.New(trigger.Options{
		Settings:       o.Trigger,
		Store:          db,
		Registerer:     registry,
		Logger:         b.log,
		TracerProvider: o.TracerProvider,
	})
	if err != nil {
		return nil, err
	}
	b.handlers, err = handlers.New(handlers.Options{
		Settings:       o.Handlers,
		Acceptor:       b.trigger,
		Registry:       registry,
		Logger:         b.log,
		Ready:          b.ready,
		Version:        o.Version,
		Revision:       o.Revision,
		TracerProvider: o.TracerProvider,
	})
	if err != nil {
		return nil, err
	}
	b.reload.Lock()
	b.apply(next) //nolint:contextcheck // what it starts to work lives as long as the bridge
	b.reload.Unlock()

	if b.admin, err = b.listen(ctx, "admin", "--admin-listen", o.AdminListen, o.AdminTLS); err != nil {
		return nil, err
	}
	if b.public, err = b.listen(ctx, "public", "--listen", o.Listen, o.TLS); err != nil {
		return nil, err
	}
	if err := b.mountAdmin(ctx, db); err != nil {
		return nil, err
	}
	b.later(b.serve(b.admin, b.handlers.Admin()))

	// The workers live until Stop, not until the start is over.
	if err := b.trigger.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	shutPublic := b.serve(b.public, b.handlers.Public())
	b.later(func(ctx context.Context) error {
		// At once: what strangers still send takes no time from calls of RunJob.
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
		slog.Bool("dry_run", o.Trigger.DryRun),
		slog.String("version", o.Version),
		slog.String("worker", db.Caller()),
	}, next.attrs()...)
	b.log.LogAttrs(ctx, slog.LevelInfo, "serving", attrs...)
	return b, nil
}

// databaseName is a database as logs may show it: its URL may hold a password.
func databaseName(database string) string {
	if scheme, isURL := store.Scheme(database); isURL {
		return scheme + "://…"
	}
	return database
}

// bodyGrace is how long deliveries under way may take at a stop: as long as one is to
// take whose body is all there. Bodies that arrive for longer are cut off.
const bodyGrace = 5 * time.Second

// startGrace bounds the undoing of a start that failed.
const startGrace = 5 * time.Second

// Failed gets an error when a listener ends by itself.
func (b *Bridge) Failed() <-chan error { return b.failed }

// Stop ends the bridge within the grace period: it reports not to be ready, takes
// no more deliveries and begins no more calls, lets those under way finish, and
// closes the database. Deliveries have bodyGrace of it, calls all of it. Calls that
// do not finish in time are cut; what became of them is looked for at the next
// start. ctx is for its values alone.
func (b *Bridge) Stop(ctx context.Context, grace time.Duration) error {
	b.phase.Store(stopping)
	// The last fifth is for cutting what did not finish.
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
			closeIdle(t.Service)
		}
	}
	return errors.Join(errs...)
}

// later adds a step to what Stop does.
func (b *Bridge) later(step func(context.Context) error) { b.stop = append(b.stop, step) }

func (b *Bridge) stopTrigger(ctx context.Context) error {
	err := b.trigger.Stop(ctx)
	if ctx.Err() != nil {
		b.log.LogAttrs(ctx, slog.LevelWarn, "calls were cut at the end of the grace period, and will be looked for at the next start")
	}
	return err
}

// ready says why deliveries should go elsewhere, nil if they need not.
func (b *Bridge) ready(ctx context.Context) error {
	switch b.phase.Load() {
	case starting:
		return errors.New("starting")
	case stopping:
		return errors.New("stopping")
	}
	return b.trigger.Ready(ctx)
}
