// Package admin is the API for those who run a bridge: what came in, what became of it,
// starts, replays, and stops.
//
// The flow of a request under [Prefix]: find out by its bearer token who asks and what they
// may do ([Access]), check every parameter, ask the [Store], answer JSON. An
// answer of 400 and above is {"error": "…"}: it says what the caller can fix, and
// nothing that belongs into the log only.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// Prefix is the path above everything here.
const Prefix = "/api/v1"

// timeout bounds the work for one request. The listener has more time for an answer.
const timeout = 45 * time.Second

// Store has the deliveries and builds; *store.Store is one.
type Store interface {
	Delivery(ctx context.Context, id string) (*store.Delivery, error)
	Deliveries(ctx context.Context, f store.DeliveryFilter) (deliveries []*store.Delivery, next string, err error)
	DeliveriesOldestFirst(ctx context.Context, f store.DeliveryFilter) (deliveries []*store.Delivery, next string, err error)
	Build(ctx context.Context, id string) (*store.Build, error)
	Builds(ctx context.Context, f store.BuildFilter) (builds []*store.Build, next string, err error)
	BuildIDs(ctx context.Context, beginning string) (ids []string, ok bool, err error)
	DeliveryIDs(ctx context.Context, beginning string) (ids []string, ok bool, err error)
	BuildsOf(ctx context.Context, delivery string) ([]*store.Build, error)
	LastReplay(ctx context.Context, b *store.Build) (id string, err error)
	StatusOf(ctx context.Context, b *store.Build) (*store.Status, error)
	Ended(ctx context.Context, rule string, n int) ([]store.Ended, error)
	LastEnded(ctx context.Context, rules []string) (map[string]store.Ended, error)
	Summary(ctx context.Context, rule string, since time.Time) (store.Summary, error)
	RepositoriesLike(ctx context.Context, part string, n int) ([]string, error)
	Missed(ctx context.Context, f store.MissedFilter) (missed []*store.MissedRef, next string, err error)
	Numbered(ctx context.Context, number string, n int) ([]*store.Build, error)
	Runs(ctx context.Context, beginning string, n int) ([]*store.Build, error)
	MissedOf(ctx context.Context, source, repository string) ([]*store.MissedRef, error)
	Backup(ctx context.Context, begin func(size int64) io.Writer) error
	ToReplay(ctx context.Context, f store.BuildFilter) (builds []store.Replayable, left int64, next string, err error)
	ToCancel(ctx context.Context, f store.BuildFilter) (ids []string, left int64, next string, err error)
}

// Builds replays, stops and cancels builds; *trigger.Trigger is one. ReplayListed is for builds that
// ToReplay gave.
type Builds interface {
	Replay(ctx context.Context, id string, by mapping.By) (*store.Build, error)
	ReplayListed(ctx context.Context, r store.Replayable, by mapping.By) (*store.Build, error)
	StopBuild(ctx context.Context, id string, by mapping.By) (*store.Build, error)
	Cancel(ctx context.Context, id string, by mapping.By) (*store.Build, error)
}

// Deliveries starts and replays deliveries, and says what a replay would do;
// *handlers.Server is one.
type Deliveries interface {
	Start(ctx context.Context, start handlers.Start) handlers.Started
	Decide(d mapping.Delivery) handlers.Decision
	Explain(d mapping.Delivery, most int) handlers.Decision // Decide with the events, and clause by clause for so many rules
	// ExplainThen is Explain, also by the rules of when the delivery came; then is nil if they are not known.
	ExplainThen(d mapping.Delivery, most int) (now handlers.Decision, then *handlers.Decision)
	EventOf(d mapping.Delivery, ref string) *mapping.Event // nil if it has none
	Record(d mapping.Delivery) mapping.Recorded
	Rejected() []handlers.Rejected // the newest first
	Replay(ctx context.Context, d mapping.Delivery, by mapping.By) handlers.Answer
}

// Options of the API. Store, Builds and Deliveries are required.
type Options struct {
	Store      Store
	Builds     Builds
	Deliveries Deliveries
	Pauses     Pauses // nil means that nothing can be paused
	// Status gives what an operator looks at first, as it is sent; nil means that there is none.
	Status   func(ctx context.Context) (Overview, error)
	Access   Access
	Logger   *slog.Logger         // nil means no log
	LogLevel *slog.LevelVar       // of Logger; nil means that it cannot be changed
	Rules    func() *RulesInForce // nil means that they are not shown
}

// API answers everything under [Prefix]. Its methods give the same to the pages. All are safe for
// concurrent use, and their errors are a [handlers.Refusal].
type API struct {
	Options
	http.Handler

	bulk sync.Mutex // held while many builds are replayed

	origins origins
}

// New gives the API.
func New(o Options) (*API, error) {
	switch {
	case o.Store == nil:
		return nil, errors.New("admin: Options.Store is missing")
	case o.Builds == nil:
		return nil, errors.New("admin: Options.Builds is missing")
	case o.Deliveries == nil:
		return nil, errors.New("admin: Options.Deliveries is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{Options: o}
	e := handlers.NewAdminRouter(o.Logger)
	e.Use(a.logged, a.authorized, bounded, a.fullIDs)
	g := e.Group(Prefix)
	g.GET("/deliveries", a.listDeliveries)
	g.GET("/deliveries/export", a.exportDeliveries)
	g.GET("/deliveries/:id", a.showDelivery)
	g.GET("/deliveries/:id/explain", a.explainDelivery)
	g.POST("/deliveries/:id/replay", a.replayDelivery)
	g.POST("/deliveries/replay", a.replayDeliveries)
	g.GET("/deliveries/replay", a.countDeliveries)
	g.GET("/builds", a.listBuilds)
	g.POST("/builds", a.startBuilds)
	g.GET("/builds/:id", a.showBuild)
	g.POST("/builds/:id/replay", a.replayBuild)
	g.POST("/builds/:id/stop", a.stopBuild)
	g.POST("/builds/replay", a.replayBuilds)
	g.GET("/builds/replay", a.countReplays)
	g.POST("/builds/:id/cancel", a.cancelBuild)
	g.POST("/builds/cancel", a.cancelBuilds)
	g.GET("/builds/cancel", a.countCancels)
	if o.Pauses != nil {
		g.GET("/pauses", a.listPauses)
		g.POST("/pauses", a.pause)
		g.DELETE("/pauses", a.resume)
	}
	if o.Status != nil {
		g.GET("/status", a.showStatus)
	}
	g.GET("/backup", a.backup)
	g.GET("/missed", a.listMissed)
	if o.Rules != nil {
		g.GET("/rules", a.listRules)
	}
	if o.LogLevel != nil {
		g.GET("/log-level", a.showLogLevel)
		g.PUT("/log-level", a.setLogLevel)
	}
	a.Handler = e
	return a, nil
}

// fail is an error with the answer to the caller.
func fail(status int, format string, args ...any) *handlers.Refusal {
	return &handlers.Refusal{Answer: handlers.Answer{Status: status, Detail: fmt.Sprintf(format, args...)}}
}

// seeing adds to a refusal where it leads.
func seeing(refusal *handlers.Refusal, kind string, ids ...string) *handlers.Refusal {
	for _, id := range ids {
		refusal.See = append(refusal.See, handlers.See{Kind: kind, ID: id})
	}
	return refusal
}

// unavailable is an error for which the caller is told less than the log.
func unavailable(err error, format string, args ...any) *handlers.Refusal {
	refusal := fail(http.StatusServiceUnavailable, format, args...)
	refusal.Err = err
	return refusal
}

// storeError gives an error of the store its answer. kind and id name what was asked
// for.
func storeError(kind, id string, err error) *handlers.Refusal {
	switch {
	case errors.Is(err, store.ErrNotResolved), errors.Is(err, store.ErrNoBody), errors.Is(err, store.ErrReplayed),
		errors.Is(err, store.ErrNotRunning), errors.Is(err, store.ErrNotWaiting):
		return fail(http.StatusConflict, "%s", err)
	case errors.Is(err, store.ErrNotFound):
		return fail(http.StatusNotFound, "no %s has the id %s; those older than the retention are deleted", kind, id)
	case errors.Is(err, store.ErrFilter):
		return fail(http.StatusBadRequest, "after: this is not the next of an earlier page with the same filters")
	case errors.Is(err, context.DeadlineExceeded):
		return unavailable(err, "the database took too long: ask for less, or later")
	}
	return unavailable(err, "the database does not answer: the log of buildbridge says why")
}

// logged logs each request at debug, without its query.
func (a *API) logged(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		a.Logger.LogAttrs(c.Request().Context(), slog.LevelDebug, "admin request",
			slog.String("method", c.Request().Method), slog.String("path", c.Path()),
			slog.Int("status", c.Response().Status), slog.String("client", c.Request().RemoteAddr),
			slog.Float64("duration_ms", float64(time.Since(began).Microseconds())/1000))
		return nil
	}
}

// bounded cancels the work for a request that takes too long.
func bounded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Path() == backupPath || c.Path() == exportPath {
			return next(c)
		}
		ctx, cancel := context.WithTimeout(c.Request().Context(), timeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// list answers with what the query selects.
func list[P any](c echo.Context, read func(ctx context.Context, query url.Values) (P, error)) error {
	given, err := query(c.Request())
	if err != nil {
		return err
	}
	page, err := read(c.Request().Context(), given)
	if err != nil {
		return err
	}
	return handlers.SendJSON(c, http.StatusOK, page)
}

// show answers with what has the id in the path. It refuses parameters.
func show[V any](c echo.Context, read func(ctx context.Context, id string) (V, error)) error {
	if _, err := (parameters{}).read(c.Request()); err != nil {
		return err
	}
	view, err := read(c.Request().Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return handlers.SendJSON(c, http.StatusOK, view)
}
