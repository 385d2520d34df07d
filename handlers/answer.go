package handlers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// The outcomes of a delivery, in its answer and as a label of deliveries_total.
const (
	accepted    = "accepted"
	ignored     = "ignored"
	duplicate   = "duplicate"
	rejected    = "rejected"
	unavailable = "unavailable"
)

// The reasons why a delivery was rejected or is unavailable, or what is wrong with an
// accepted one, in its answer and as a label of deliveries_total. The reasons of an
// ignored one are in mapping.
const (
	deadOnArrival   = "dead_on_arrival"   // 202: none of its builds will be started
	builtOnce       = "built_once"        // 202: its rules build a commit once, and all of its builds came before
	builtByCatchUp  = "built_by_catch_up" // 202: catch-up made all of its builds before it came
	malformed       = "malformed"         // 400
	unauthenticated = "not_authenticated" // 401
	address         = "address"           // 403
	noSource        = "no_source"         // 404
	method          = "method"            // 405
	tooLarge        = "too_large"         // 413
	encoding        = "encoding"          // 415
	rateLimit       = "rate_limit"        // 429
	internal        = "internal"          // 503: a fault of buildbridge
	notStored       = "not_stored"        // 503
	queueFull       = "queue_full"        // 503
	busy            = "busy"              // 503
)

// RejectedReasons are the reasons why a delivery can be rejected.
func RejectedReasons() []string {
	return []string{unauthenticated, malformed, address, noSource, method, tooLarge, encoding, rateLimit}
}

const (
	// whatIsThere says what the public listener has.
	whatIsThere = "a webhook is POST " + webhooks + "{source}, with the name of a source of the rules; there is nothing else here"
	// internalError is all that a caller is told of a fault of buildbridge.
	internalError = "an error inside buildbridge: its log says which"
	// internalRetryAfter is when a sender should try again after such a fault, which
	// may have passed by then.
	internalRetryAfter = time.Minute
)

// Answer is the body of every answer of the public listener, and of the replay of a
// delivery. The outcome decides which fields it has.
type Answer struct {
	Delivery string `json:"delivery,omitempty"` // the id that buildbridge gave it; "" if it was not decoded
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"` // what the sender can fix

	Builds []mapping.BuildReceipt `json:"builds,omitempty"` // accepted
	Of     string                 `json:"of,omitempty"`     // duplicate: the delivery whose builds were committed
	Replay string                 `json:"replay,omitempty"` // duplicate: the command that replays that one

	// LeftOut is what else the delivery tells of, at most maxLeftOut: ignored and
	// accepted.
	LeftOut     []codehost.LeftOut `json:"left_out,omitempty"`
	MoreLeftOut int                `json:"more_left_out,omitempty"` // how many more there are

	Rules        []mapping.Verdict `json:"rules,omitempty"`          // ignored, no_match: at most maxVerdicts
	RulesLeftOut int               `json:"rules_left_out,omitempty"` // how many more there are

	ReplayOf string `json:"replay_of,omitempty"` // the delivery that was replayed

	Status     int           `json:"-"` // of HTTP
	RetryAfter time.Duration `json:"-"` // 0 for none
	See        []See         `json:"-"` // where a refusal leads, for those who see it as a page
}

// See is a build or a delivery that a refusal tells of.
type See struct {
	Kind string // build or delivery
	ID   string
}

// Refusal is an error that has an answer.
type Refusal struct {
	Answer
	Err error // for the log only; nil means that the log gets the detail
}

func (r *Refusal) Error() string {
	if r.Err == nil {
		return cmp.Or(r.Detail, r.Reason)
	}
	return r.Err.Error()
}

func (r *Refusal) Unwrap() error { return r.Err }

// refuse gives the refusal of a delivery. Its outcome is rejected.
func refuse(status int, reason, detail string, err error) *Refusal {
	return &Refusal{Answer: Answer{Status: status, Outcome: rejected, Reason: reason, Detail: detail}, Err: err}
}

// answerTo turns an error into the answer of the public listener. It tells nothing of
// an error that is not a [Refusal].
func answerTo(err error) Answer {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Answer
	}
	if routing, ok := errors.AsType[*echo.HTTPError](err); ok && routing.Code == http.StatusNotFound {
		return Answer{Status: routing.Code, Outcome: rejected, Reason: noSource, Detail: whatIsThere}
	}
	// Not a 500: Azure DevOps, for one, sends nothing again after that.
	return Answer{
		Status: http.StatusServiceUnavailable, Outcome: unavailable, Reason: internal, Detail: internalError, RetryAfter: internalRetryAfter,
	}
}

// newRouter gives an Echo that answers errors, panics included. It logs those that are
// faults of buildbridge.
func newRouter(logger *slog.Logger, answer func(error, *http.Request) Answer, send func(echo.Context, Answer) error) *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		a, ctx := answer(err, c.Request()), c.Request().Context()
		if a.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
			logger.LogAttrs(ctx, slog.LevelError, "request failed", append(errorAttrs(err), slog.String("path", c.Path()))...)
		}
		if c.Response().Committed {
			return
		}
		if err := send(c, a); err != nil {
			logger.LogAttrs(ctx, slog.LevelDebug, "answer not sent", slog.String("error", err.Error()))
		}
	}
	e.Use(recovered)
	return e
}

// NewPagesRouter gives an Echo whose errors send shows: Status, Detail and See of the answer.
func NewPagesRouter(logger *slog.Logger, send func(echo.Context, Answer) error) *echo.Echo {
	return newRouter(logger, adminAnswer, send)
}

// adminAnswer turns an error into an answer of the admin listener. A path or a method that is not
// there has no detail.
func adminAnswer(err error, _ *http.Request) Answer {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Answer
	}
	if routing, ok := errors.AsType[*echo.HTTPError](err); ok {
		return Answer{Status: routing.Code}
	}
	return Answer{Status: http.StatusInternalServerError, Detail: internalError}
}

// NewAdminRouter gives an Echo for the admin listener or for what is mounted there. It
// answers errors with {"error": "…"}, and for a path that it does not have it names those
// that it has. Its answers are not to be cached.
func NewAdminRouter(logger *slog.Logger) *echo.Echo {
	var e *echo.Echo
	e = newRouter(logger, func(err error, r *http.Request) Answer {
		a := adminAnswer(err, r)
		if a.Detail != "" {
			return a
		}
		switch a.Status {
		case http.StatusNotFound:
			a.Detail = fmt.Sprintf("there is nothing at %s; here are %s", ShownPath(r.URL.Path), paths(e))
		case http.StatusMethodNotAllowed:
			a.Detail = r.Method + " is not for this path"
		default:
			a.Detail = http.StatusText(a.Status)
		}
		return a
	}, func(c echo.Context, a Answer) error {
		return SendJSON(c, a.Status, map[string]string{"error": a.Detail})
	})
	e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
			return next(c)
		}
	})
	return e
}

// ShownPath is the path of a request as it may be shown: of a webhook's it has no more than the source, for
// a secret may follow.
func ShownPath(path string) string {
	if strings.HasPrefix(path, webhooks) {
		return webhooks + newCall(path).name
	}
	return path
}

func paths(e *echo.Echo) string {
	var list []string
	for _, route := range e.Routes() {
		list = append(list, strings.Replace(route.Path, "*", "…", 1))
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}

func sendAnswer(c echo.Context, a Answer) error {
	if a.RetryAfter > 0 {
		seconds := int(math.Ceil(a.RetryAfter.Seconds()))
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(seconds))
	}
	return SendJSON(c, a.Status, a)
}

// SendJSON writes a whole answer, with its length: a client that is still sending knows
// where it ends. It leaves <, > and & as they are.
func SendJSON(c echo.Context, status int, body any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(text.Len()))
	return c.JSONBlob(status, text.Bytes())
}

type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// recoverInto turns a panic into the error of the function that defers it.
func recoverInto(err *error) {
	if value := recover(); value != nil {
		*err = &panicError{value: value, stack: debug.Stack()}
	}
}

func recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer recoverInto(&err)
		return next(c)
	}
}

// errorAttrs are the attributes of an error, with the stack of a panic.
func errorAttrs(err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("error", err.Error())}
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	return attrs
}
