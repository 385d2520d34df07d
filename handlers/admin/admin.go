// Package admin is the API for whoever runs a bridge: what came in, what became of
// it, and how to run it again.
//
// The flow of a request under [Prefix]: find out by its bearer token whether it may
// read or write ([Access]), check every parameter, ask the [Store], answer JSON.
// An answer of 400 and above is {"error": "…"}: it says what the caller can mend,
// and never what the log alone should have.
package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// Prefix is the path above everything here.
const Prefix = "/api/v1"

// timeout bounds the work for one request: less than the listener's time for an
// answer.
const timeout = 45 * time.Second

// Store is where deliveries and builds are; *store.Store is one.
type Store interface {
	Delivery(ctx context.Context, id string) (*store.Delivery, error)
	Deliveries(ctx context.Context, f store.DeliveryFilter) (deliveries []*store.Delivery, next string, err error)
	Build(ctx context.Context, id string) (*store.Build, error)
	Builds(ctx context.Context, f store.BuildFilter) (builds []*store.Build, next string, err error)
	BuildsOf(ctx context.Context, delivery string) ([]*store.Build, error)
	ToReplay(ctx context.Context, f store.BuildFilter) (builds []store.Replayable, left int64, next string, err error)
}

// Builds sends the body of a build again; *trigger.Trigger does. ReplayListed is for
// those that ToReplay gave.
type Builds interface {
	Replay(ctx context.Context, id string) (*store.Build, error)
	ReplayListed(ctx context.Context, r store.Replayable) (*store.Build, error)
}

// Deliveries decides a stored delivery anew; *handlers.Server does.
type Deliveries interface {
	Replay(ctx context.Context, d mapping.Delivery) handlers.Replayed
}

// Options of the API. Store, Builds and Deliveries are required.
type Options struct {
	Store      Store
	Builds     Builds
	Deliveries Deliveries
	Access     Access
	Logger     *slog.Logger   // nil means no log
	LogLevel   *slog.LevelVar // of Logger; nil means that it cannot be changed
}

type api struct {
	o    Options
	log  *slog.Logger
	bulk sync.Mutex // held by the one replay of many builds
}

// New gives the handler of everything under Prefix. It is safe for concurrent use.
func New(o Options) (http.Handler, error) {
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
	a := &api{o: o, log: o.Logger}
	e := echo.New()
	e.HTTPErrorHandler = a.answerError
	e.Use(a.logged, a.authorized, bounded)
	g := e.Group(Prefix)
	g.GET("/deliveries", a.listDeliveries)
	g.GET("/deliveries/:id", a.showDelivery)
	g.POST("/deliveries/:id/replay", a.replayDelivery)
	g.GET("/builds", a.listBuilds)
	g.GET("/builds/:id", a.showBuild)
	g.POST("/builds/:id/replay", a.replayBuild)
	g.POST("/builds/replay", a.replayBuilds)
	g.GET("/builds/replay", a.countReplays)
	if o.LogLevel != nil {
		g.GET("/log-level", a.showLogLevel)
		g.PUT("/log-level", a.setLogLevel)
	}
	return e, nil
}

// failure is an error that knows its answer.
type failure struct {
	status int
	text   string
	err    error // for the log alone; may be nil
}

// Error implements error.
func (f *failure) Error() string {
	if f.err != nil {
		return f.err.Error()
	}
	return f.text
}

// Unwrap gives the internal error.
func (f *failure) Unwrap() error { return f.err }

func fail(status int, format string, args ...any) *failure {
	return &failure{status: status, text: fmt.Sprintf(format, args...)}
}

// stored turns an error of the store into one with an answer. what and id name
// what was asked for.
func stored(what, id string, err error) *failure {
	switch {
	case errors.Is(err, store.ErrNotResolved), errors.Is(err, store.ErrNoBody), errors.Is(err, store.ErrReplayed):
		return fail(http.StatusConflict, "%s", err)
	case errors.Is(err, store.ErrNotFound):
		return fail(http.StatusNotFound, "no %s has the id %s; what is older than the retention is forgotten", what, id)
	case errors.Is(err, store.ErrFilter):
		return fail(http.StatusBadRequest, "after: not the next of a page before, with the same filters")
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{status: http.StatusServiceUnavailable, text: "the database took too long: ask for less, or later", err: err}
	}
	return &failure{status: http.StatusServiceUnavailable, text: "the database does not answer: the log of buildbridge says why", err: err}
}

// answerError is the only place that turns an error into an answer.
func (a *api) answerError(err error, c echo.Context) {
	status, text := http.StatusInternalServerError, "an error inside buildbridge: its log says which"
	if f, ok := errors.AsType[*failure](err); ok {
		status, text = f.status, f.text
	} else if routing, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch status = routing.Code; status {
		case http.StatusNotFound:
			text = "there is no " + c.Request().URL.Path + " here"
		case http.StatusMethodNotAllowed:
			text = c.Request().Method + " is not for this path"
		default:
			text = http.StatusText(status)
		}
	}
	if status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		a.log.ErrorContext(c.Request().Context(), "admin request failed", "path", c.Path(), "error", err)
	}
	if !c.Response().Committed {
		_ = send(c, status, errorBody{Error: text}) // a caller that is gone needs no answer
	}
}

// errorBody is every answer of 400 and above.
type errorBody struct {
	Error string `json:"error"`
}

// send answers JSON in which <, > and & are as they are: all of it, or an error.
func send(c echo.Context, status int, body any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.Blob(status, echo.MIMEApplicationJSON, text.Bytes())
}

// logged tells of each request, without its query, at debug.
func (a *api) logged(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		a.log.DebugContext(c.Request().Context(), "admin request", "method", c.Request().Method, "path", c.Path(),
			"status", c.Response().Status, "client", c.Request().RemoteAddr,
			"duration_ms", float64(time.Since(began).Microseconds())/1000)
		return nil
	}
}

// bounded ends the work for a request that takes too long.
func bounded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), timeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// id is the id in the path of what. Whatever is no UUID names nothing.
func id(c echo.Context, what string) (string, error) {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		return "", fail(http.StatusNotFound, "no %s has the id %q: an id is a UUID", what, c.Param("id"))
	}
	return id.String(), nil
}
