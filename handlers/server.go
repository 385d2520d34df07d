// Package handlers takes deliveries of code hosts, and says what became of them.
//
// The flow of POST /webhooks/{source}: find the source, check the client's address and
// the rate, read the body once within its limit, authenticate the raw bytes, decode
// them into events, ask the current rules what to build, and hand delivery and builds
// to the [Acceptor]. A code host gets its 202 after the Acceptor has committed them.
// Whatever goes wrong before that has another answer than 2xx, and nothing was
// acknowledged.
//
// No byte of a body reaches a decoder before it is authenticated.
package handlers

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// webhooks is the path above all sources.
const webhooks = "/webhooks/"

// Acceptor keeps deliveries. Its methods are called from many goroutines at once. They
// copy what they keep of a delivery's Body: its memory is used again after they return.
type Acceptor interface {
	// Accept returns after the delivery and its builds are committed, or after it found
	// that they were committed before. An error means that nothing was acknowledged: the
	// code host gets a 503, with a reason of its own for [mapping.ErrFull].
	Accept(ctx context.Context, d mapping.Delivery, builds []mapping.Build) (mapping.Receipt, error)
	// Ignore adds a delivery that built nothing to the ignored log. It never blocks and
	// may drop the delivery.
	Ignore(d mapping.Delivery, reason mapping.Reason, verdicts []mapping.Verdict)
}

// Source is a source of the rules with its secrets resolved.
type Source struct {
	mapping.Source
	Keys codehost.Keys
	// Doubts say what is odd about its secrets, without showing them. They are logged
	// with each delivery that is not authenticated.
	Doubts []string
}

// secretInPath reports whether calls have a secret in their path, behind the name of the source.
func (s *Source) secretInPath() bool {
	return codehost.TakesPathSecret(s.Provider) && len(s.Keys.Secrets) > 0
}

// State is what a reload replaces: the rules, and the sources by name. It must not
// change after it was given to [Server.Swap].
type State struct {
	Rules   *mapping.Ruleset
	Sources map[string]*Source
}

// Settings are the options of a [Server] that the command line has as flags. Each field
// declares its default, its limit (min) and its help. The zero value trusts no proxy and
// sets no limit.
type Settings struct {
	TrustedProxies []netip.Prefix `placeholder:"CIDR" help:"Proxy whose X-Forwarded-For is trusted: an address or a CIDR; can be repeated."`

	MaxBodyMemory int64 `type:"size" default:"256MiB" min:"1MB" help:"Memory for all bodies at a time; a delivery beyond it gets a 503."`
}

// Options of a [Server].
type Options struct {
	Settings

	Acceptor Acceptor // required

	// Registry gets the metrics of this package and the Go and process collectors, and
	// is what /metrics serves. nil means a new one.
	Registry *prometheus.Registry
	Logger   *slog.Logger                // nil means no log
	Ready    func(context.Context) error // asked by /readyz; nil means always ready

	// Head asks the code host of a source for the commit of a ref, by its full name: of a tag
	// the commit that it is on. Its errors are shown to those who start builds by hand. nil
	// means that no code host can be asked.
	Head func(ctx context.Context, source, repository, ref string) (commit string, err error)

	// DeliveryURL gives the address of the page about a delivery, for the log; nil, or "", if the
	// pages have no address.
	DeliveryURL func(id string) string

	Version, Revision string // the labels of build_info

	TracerProvider trace.TracerProvider // nil for no traces
}

// Server answers the public and the admin listener. Until the first [Server.Swap] it has
// no source and is not ready. All methods are safe for concurrent use.
type Server struct {
	options Options
	logger  *slog.Logger
	metrics *metrics
	tracer  trace.Tracer // nil for none
	memory  bodyMemory
	slots   chan struct{} // for large bodies, which are decoded a few at a time

	rejected rejectedLog

	public http.Handler
	admin  *echo.Echo

	swap  sync.Mutex // one Swap at a time
	state atomic.Pointer[state]
}

// state is a State with the token buckets, which outlive a reload.
type state struct {
	State
	limiters map[string]*rate.Limiter // by source; none where there is no limit

	since  time.Time // when its rules came into force
	before []inForce // rules that were in force before, the newest first, at most rulesKept
}

// inForce is rules, and when they came into force.
type inForce struct {
	rules *mapping.Ruleset
	since time.Time
}

// rulesKept is how many sets of rules are kept that are not in force any more, for explaining.
const rulesKept = 3

// rulesAt gives the rules that were in force at a time; nil if this process does not know them.
func (st *state) rulesAt(at time.Time) *mapping.Ruleset {
	if !at.Before(st.since) {
		return st.Rules
	}
	for _, old := range st.before {
		if !at.Before(old.since) {
			return old.rules
		}
	}
	return nil
}

// New builds a Server. It registers its metrics: each Server needs a registry of its
// own.
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
	if o.MaxBodyMemory == 0 {
		o.MaxBodyMemory = math.MaxInt64
	}
	if o.DeliveryURL == nil {
		o.DeliveryURL = func(string) string { return "" }
	}
	m, err := newMetrics(o.Registry, o.Version, o.Revision)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: o, logger: o.Logger, metrics: m,
		memory: bodyMemory{bytes: semaphore.NewWeighted(o.MaxBodyMemory)}, slots: make(chan struct{}, largeAtOnce),
	}
	s.state.Store(&state{State: State{Rules: &mapping.Ruleset{}}})
	if o.TracerProvider != nil {
		s.tracer = o.TracerProvider.Tracer(tracerName)
	}

	public := newRouter(s.logger, func(err error, _ *http.Request) Answer { return answerTo(err) }, sendAnswer)
	// As a route for a method it would not get the others: Echo answers OPTIONS by
	// itself.
	public.RouteNotFound(webhooks+"*", s.webhook)
	s.public = lingering(public)

	metricsHandler := promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelError),
		EnableOpenMetrics: true, // the format in which histograms have exemplars
	})
	s.admin = NewAdminRouter(s.logger)
	for path, handler := range map[string]echo.HandlerFunc{
		"/healthz": s.healthz,
		"/readyz":  s.readyz,
		"/metrics": echo.WrapHandler(metricsHandler),
	} {
		s.admin.Any(path, reading(handler)) // not for some methods only: the others would be for what is mounted at ""
	}
	return s, nil
}

// reading refuses what is neither GET nor HEAD.
func reading(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if m := c.Request().Method; m != http.MethodGet && m != http.MethodHead {
			c.Response().Header().Set(echo.HeaderAllow, "GET, HEAD")
			return echo.ErrMethodNotAllowed
		}
		return next(c)
	}
}

// Public is the handler of the public listener.
func (s *Server) Public() http.Handler { return s.public }

// Admin is the handler of the admin listener: /healthz, /readyz, /metrics, and what was
// mounted.
func (s *Server) Admin() http.Handler { return s.admin }

// MountAdmin adds the paths under a prefix to the admin listener, "" for all that nothing else has. It
// has to be called before the listener is opened.
func (s *Server) MountAdmin(prefix string, h http.Handler) {
	s.admin.Any(prefix+"/*", echo.WrapHandler(h))
}

// Swap makes st the state of all requests that begin from now on, and reports a
// successful load of the rules. A source whose rate limit did not change keeps its
// token bucket.
func (s *Server) Swap(st *State) {
	s.swap.Lock()
	defer s.swap.Unlock()

	old := s.state.Load()
	next := &state{State: *st, limiters: make(map[string]*rate.Limiter), since: time.Now(), before: old.before}
	switch {
	case old.Sources == nil: // nothing was loaded before
	case old.Rules.Digest() == st.Rules.Digest():
		next.since = old.since
	default:
		next.before = append([]inForce{{old.Rules, old.since}}, old.before[:min(len(old.before), rulesKept-1)]...)
	}
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
	s.metrics.loaded(&old.State, st, time.Now())
}

// Rotate replaces the sources by the same ones with other keys.
func (s *Server) Rotate(sources map[string]*Source) {
	s.swap.Lock()
	defer s.swap.Unlock()

	next := *s.state.Load()
	next.Sources = sources
	s.state.Store(&next)
}

// ReloadFailed reports that a load of the rules failed. The state stays as it is.
func (s *Server) ReloadFailed() { s.metrics.reloadSuccessful.Set(0) }
