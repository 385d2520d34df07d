// Package handlers decides whether to believe a delivery, and says what became
// of it.
//
// The flow of POST /webhooks/{source}: find the source, check the client's
// address and the rate, read the body once within its limit, authenticate the
// raw bytes, decode them into events, ask the current rules what to build, and
// hand delivery and builds to the [Acceptor]. A code host gets its 202 only after
// the Acceptor has committed them; whatever goes wrong before that is an answer
// other than 2xx, and nothing was acknowledged.
//
// No byte of a body reaches a decoder before it is authenticated.
package handlers

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// webhooks is the path above all sources.
const webhooks = "/webhooks/"

// Acceptor keeps deliveries. It is called from many goroutines at once. It copies what
// it keeps of a delivery's Body, whose memory is the next call's after it returned.
type Acceptor interface {
	// Accept returns after the delivery and its builds are committed, or after it
	// found that they were committed before. Any error means that nothing was
	// acknowledged: the code host gets a 503. One that is [mapping.ErrFull] is told apart.
	Accept(ctx context.Context, d mapping.Delivery, builds []mapping.Build) (mapping.Receipt, error)
	// Ignore keeps a delivery that built nothing, for explaining. It never blocks
	// and may drop: ignored deliveries are not durable.
	Ignore(d mapping.Delivery, reason mapping.Reason, verdicts []mapping.Verdict)
}

// Source is a source of the rules with its secrets resolved.
type Source struct {
	mapping.Source
	Keys codehost.Keys
	// Doubts are what is odd about its secrets, for the log of deliveries that no key
	// of its own authenticates. They hold no secret.
	Doubts []string
}

// State is what a reload replaces: the rules and the sources they name, by
// name. It must not change after it was given to [Server.Swap].
type State struct {
	Rules   *mapping.Ruleset
	Sources map[string]*Source
}

// Options of a [Server].
type Options struct {
	Settings

	Acceptor Acceptor // required

	// Registry takes this package's metrics and the Go and process collectors,
	// and is what /metrics serves. nil means a new one.
	Registry *prometheus.Registry
	Logger   *slog.Logger                // nil means no log
	Now      func() time.Time            // nil means time.Now
	Ready    func(context.Context) error // asked by /readyz; nil means always ready

	BodyTimeout time.Duration // to read one body; 0 means 15 s, the longest a known code host waits
	// StoreTimeout bounds one Accept; 0 means 4 s, below the 5 s after which Gitea
	// gives up. A call that had to wait for something else gets less.
	StoreTimeout time.Duration

	Version, Revision string // the labels of build_info

	TracerProvider trace.TracerProvider // nil for no traces
}

// Server answers the public and the admin listener. Until the first
// [Server.Swap] it knows no source and is not ready. All methods are safe for
// concurrent use.
type Server struct {
	options Options
	logger  *slog.Logger
	now     func() time.Time
	metrics *metrics
	tracer  trace.Tracer        // nil for none
	bodies  *semaphore.Weighted // bytes
	large   chan struct{}       // turns of large bodies
	small   sync.Pool           // *[smallBody]byte
	public  http.Handler
	admin   *echo.Echo

	adminPaths []string // for whoever asks for another one

	swap  sync.Mutex // one Swap at a time
	state atomic.Pointer[state]
}

// state is a State with what outlives a reload: the token buckets.
type state struct {
	State
	limiters map[string]*rate.Limiter // by source; none where there is no limit
}

// New builds a Server. It registers its metrics, so a registry serves one
// Server only.
func New(o Options) (*Server, error) {
	if o.Acceptor == nil {
		return nil, errors.New("handlers: Options.Acceptor is missing")
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BodyTimeout == 0 {
		o.BodyTimeout = 15 * time.Second
	}
	if o.StoreTimeout == 0 {
		o.StoreTimeout = 4 * time.Second
	}
	if o.MaxBodyMemory == 0 {
		o.MaxBodyMemory = math.MaxInt64
	}
	m, err := newMetrics(o.Registry, o.Version, o.Revision)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: o, logger: o.Logger, now: o.Now, metrics: m,
		bodies: semaphore.NewWeighted(o.MaxBodyMemory), large: make(chan struct{}, largeAtOnce),
	}
	s.state.Store(&state{State: State{Rules: &mapping.Ruleset{}}})
	if o.TracerProvider != nil {
		s.tracer = o.TracerProvider.Tracer(tracerName)
	}

	public := router(s.answerError)
	// RouteNotFound takes every other method: Echo would answer OPTIONS by itself.
	public.POST(webhooks+":source", s.webhook)
	public.RouteNotFound(webhooks+":source", s.webhook)
	public.RouteNotFound(webhooks+"*", s.webhook) // no source has a / in its name: counted as unknown
	s.public = lingering(public)

	s.admin = router(s.answerAdminError)
	s.admin.Pre(noStore)
	for path, handler := range map[string]echo.HandlerFunc{
		"/healthz": s.healthz,
		"/readyz":  s.readyz,
		"/metrics": echo.WrapHandler(m.handler(o.Registry, s.logger)),
	} {
		s.admin.Match([]string{http.MethodGet, http.MethodHead}, path, handler)
		s.adminPaths = append(s.adminPaths, path)
	}
	slices.Sort(s.adminPaths)
	return s, nil
}

// router is an Echo in which a panic is an error like others.
func router(onError echo.HTTPErrorHandler) *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = onError
	e.Use(recovered)
	return e
}

// Public is the handler of the public listener.
func (s *Server) Public() http.Handler { return s.public }

// Admin is the handler of the admin listener: /healthz, /readyz, /metrics, and
// what was mounted.
// Nothing of it may be cached.
func (s *Server) Admin() http.Handler { return s.admin }

// MountAdmin adds the paths under a prefix to the admin listener. It is not for
// after the listener was opened.
func (s *Server) MountAdmin(prefix string, h http.Handler) {
	s.admin.Any(prefix+"/*", echo.WrapHandler(h))
	s.adminPaths = append(s.adminPaths, prefix+"/…")
}

// Swap serves by st from now on, and reports a successful load of the rules.
// Requests that have begun end by the state they began with. A source whose
// rate limit did not change keeps its bucket.
func (s *Server) Swap(st *State) {
	s.swap.Lock()
	defer s.swap.Unlock()

	old := s.state.Load()
	next := &state{State: *st, limiters: make(map[string]*rate.Limiter)}
	for name, source := range st.Sources {
		limit := source.RateLimit
		if limit.PerSecond <= 0 {
			continue
		}
		fresh := rate.NewLimiter(rate.Limit(limit.PerSecond), max(limit.Burst, 1))
		if kept := old.limiters[name]; kept != nil && kept.Limit() == fresh.Limit() && kept.Burst() == fresh.Burst() {
			fresh = kept
		}
		next.limiters[name] = fresh
	}
	s.state.Store(next)
	s.metrics.loaded(&old.State, st, s.now())
}

// Rotate serves the same rules with these sources from now on: the ones there
// are, with other keys.
func (s *Server) Rotate(sources map[string]*Source) {
	s.swap.Lock()
	defer s.swap.Unlock()

	next := *s.state.Load()
	next.Sources = sources
	s.state.Store(&next)
}

// ReloadFailed reports that a load of the rules failed. What was served before
// is served on.
func (s *Server) ReloadFailed() { s.metrics.reloadSuccessful.Set(0) }

// sourceNames gives the names of the sources in order.
func (st *State) sourceNames() []string {
	return slices.Sorted(maps.Keys(st.Sources))
}
