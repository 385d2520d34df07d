package handlers

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// What became of a delivery. The values are the outcome of the answer and a
// label of deliveries_total.
const (
	accepted    = "accepted"
	ignored     = "ignored"
	duplicate   = "duplicate"
	rejected    = "rejected"
	unavailable = "unavailable"
)

// Why a delivery was rejected or is unavailable, or what is wrong with an accepted
// one; an ignored one has the reason that mapping names. The values are the reason of
// the answer and a label of deliveries_total.
const (
	deadOnArrival   = "dead_on_arrival"   // 202, and no build of it will be started
	malformed       = "malformed"         // 400
	unauthenticated = "not_authenticated" // 401
	address         = "address"           // 403
	noSource        = "no_source"         // 404
	method          = "method"            // 405
	tooLarge        = "too_large"         // 413
	encoding        = "encoding"          // 415
	rateLimit       = "rate_limit"        // 429
	internal        = "internal"          // 503, a fault of ours
	notStored       = "not_stored"        // 503
	queueFull       = "queue_full"        // 503
	busy            = "busy"              // 503
)

// whatIsThere is what the public listener has.
const whatIsThere = "a webhook is POST " + webhooks + "{source}, with the name of a source of the rules; there is nothing else here"

// internalRetryAfter is what a sender is told after a fault of ours: it may be one
// of a moment.
const internalRetryAfter = time.Minute

// answer is the body of every answer of the public listener. Which fields it
// has depends on the outcome.
type answer struct {
	Delivery string `json:"delivery,omitempty"` // our id, where the delivery was decoded
	Outcome  string `json:"outcome"`
	Reason   string `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"` // what the sender can mend

	Builds []mapping.BuildReceipt `json:"builds,omitempty"` // accepted
	Of     string                 `json:"of,omitempty"`     // duplicate: the delivery whose builds were committed
	Replay string                 `json:"replay,omitempty"` // duplicate: the command that runs it again

	// LeftOut is what else the delivery tells of, at most maxLeftOut: ignored and
	// accepted.
	LeftOut     []codehost.LeftOut `json:"left_out,omitempty"`
	MoreLeftOut int                `json:"more_left_out,omitempty"` // beyond these

	Rules        []mapping.Verdict `json:"rules,omitempty"`          // ignored, no_match: at most maxVerdicts
	RulesLeftOut int               `json:"rules_left_out,omitempty"` // beyond these

	ReplayOf string `json:"replay_of,omitempty"` // the delivery that was decided anew

	status     int
	retryAfter time.Duration // 0 for none
}

// refusal is an error that knows its answer. The wrapped error is for the log
// alone; without one the log has what the sender is told.
type refusal struct {
	answer
	err error // may be nil
}

// Error implements error.
func (r *refusal) Error() string {
	if r.err == nil {
		return cmp.Or(r.Detail, r.Reason)
	}
	return r.err.Error()
}

// Unwrap gives the internal error.
func (r *refusal) Unwrap() error { return r.err }

func refuse(status int, reason, detail string, err error) *refusal {
	return &refusal{answer: answer{status: status, Outcome: rejected, Reason: reason, Detail: detail}, err: err}
}

// answerTo turns an error into the answer for its sender. It is the only place
// that does, and tells nothing of an error that is not a refusal.
func answerTo(err error) answer {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.answer
	}
	if routing, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch routing.Code {
		case http.StatusNotFound:
			return answer{status: routing.Code, Outcome: rejected, Reason: noSource, Detail: whatIsThere}
		case http.StatusMethodNotAllowed:
			return answer{status: routing.Code, Outcome: rejected, Reason: method}
		}
	}
	// Not a 500: Azure DevOps, for one, sends nothing again after that.
	return answer{
		status: http.StatusServiceUnavailable, Outcome: unavailable, Reason: internal,
		Detail: "an error inside buildbridge: its log says which", retryAfter: internalRetryAfter,
	}
}

// send writes an answer.
func (s *Server) send(c echo.Context, a *answer) {
	if a.retryAfter > 0 {
		seconds := int(math.Ceil(a.retryAfter.Seconds()))
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(seconds))
	}
	s.sendJSON(c, a.status, a)
}

// sendJSON writes any answer, whole: with its length a client that is still sending
// knows where it ends. That a client did not wait for it is no fault.
func (s *Server) sendJSON(c echo.Context, status int, body any) {
	text, err := json.Marshal(body)
	if err == nil {
		c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(text)+1))
		err = c.JSONBlob(status, append(text, '\n'))
	}
	if err != nil {
		s.logger.LogAttrs(c.Request().Context(), slog.LevelDebug, "answer not sent", slog.String("error", err.Error()))
	}
}

// answerError is the public listener's error handler, for what no webhook
// answers: other paths.
func (s *Server) answerError(err error, c echo.Context) {
	a := answerTo(err)
	s.logFault(c, a.status, err)
	if !c.Response().Committed {
		s.send(c, &a)
	}
}

// answerAdminError is the admin listener's error handler.
func (s *Server) answerAdminError(err error, c echo.Context) {
	status, text := http.StatusInternalServerError, "an error inside buildbridge: its log says which"
	if routing, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch status = routing.Code; status {
		case http.StatusNotFound:
			text = fmt.Sprintf("there is nothing at %s; here are %s", c.Request().URL.Path, strings.Join(s.adminPaths, ", "))
		case http.StatusMethodNotAllowed:
			text = c.Request().Method + " is not for this path"
		default:
			text = http.StatusText(status)
		}
	}
	s.logFault(c, status, err)
	if !c.Response().Committed {
		s.sendJSON(c, status, map[string]string{"error": text})
	}
}

// logFault logs an error that is ours to mend.
func (s *Server) logFault(c echo.Context, status int, err error) {
	if status >= http.StatusInternalServerError {
		attrs := append(failure(err), slog.String("path", c.Path()))
		s.logger.LogAttrs(c.Request().Context(), slog.LevelError, "request failed", attrs...)
	}
}

// panicked is a panic as an error.
type panicked struct {
	value any
	stack []byte
}

// Error implements error.
func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// recovered turns a panic of the handler into an error.
func recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if value := recover(); value != nil {
				err = &panicked{value: value, stack: debug.Stack()}
			}
		}()
		return next(c)
	}
}

// failure gives the attributes of an error, with the stack of a panic.
func failure(err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("error", err.Error())}
	if p, ok := errors.AsType[*panicked](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	return attrs
}
