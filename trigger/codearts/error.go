package codearts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is a failed call. Its text is for people, its fields are for the program.
type Error struct {
	Op   string // "run job", "list records", …
	Fate Fate

	Status    int    // HTTP status; 0 if there was no answer
	Code      string // the service's code, "" if it gave none
	Message   string // the service's message, one line of at most 500 characters
	RequestID string // X-Request-Id, for the service's support

	// RetryAfter is how long to wait at least: what the service asked for, or what is known of
	// its code; 0 for neither.
	RetryAfter time.Duration
	Timeout    bool  // a deadline passed before the answer was complete
	Err        error // the cause, where there was no answer

	kind       kind
	what, todo string
}

// Error says what went wrong, the service's own words, and what to do:
// "run job: credentials refused (401 APIGW.0301): …; check …".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	b.WriteString(": ")
	b.WriteString(e.what)
	var in []string
	switch status := strconv.Itoa(e.Status); {
	case e.Status == 0:
	case e.Code == status || e.Code == "": // IAM's codes are statuses
		in = append(in, status)
	default:
		in = append(in, status+" "+e.Code)
	}
	if e.RequestID != "" {
		in = append(in, "request "+e.RequestID)
	}
	if len(in) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(in, ", "))
	}
	if e.Message != "" {
		b.WriteString(": " + strings.TrimSuffix(e.Message, "."))
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Fate == FateUnknown {
		b.WriteString("; the build may have been started")
	}
	if e.todo != "" {
		b.WriteString("; " + e.todo)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Label is the value of the code label of a metric: the HTTP status; "not_sent" if no request
// was sent; "timeout" if one was and no complete answer came, be it because of a deadline, a
// reset or a closed connection.
func (e *Error) Label() string {
	switch {
	case e.Status != 0 && e.Err == nil:
		return strconv.Itoa(e.Status)
	case e.Fate == FateUnknown || e.kind == noAnswer:
		return "timeout"
	}
	return "not_sent"
}

// The reasons of failed calls.
const (
	ReasonCredentials = "credentials" // there are none, or they are refused
	ReasonPermission  = "permission"  // they may not start this job or pipeline
	ReasonRejected    = "rejected"    // the job or pipeline, its parameters or the address are wrong
	ReasonThrottled   = "throttled"
	ReasonUnavailable = "unavailable" // not sent, no answer, or a fault of the service
)

// Reasons are all values of [Error.Reason].
var Reasons = []string{ReasonCredentials, ReasonPermission, ReasonRejected, ReasonThrottled, ReasonUnavailable}

// Reason is the value of the reason label of a metric. It says who has to do something, which
// the status does not: the service throttles with a 500 too, and a 200 can be a failure.
func (e *Error) Reason() string {
	if e.kind == noCredentials {
		if e.Timeout || errors.Is(e.Err, context.Canceled) {
			return ReasonUnavailable
		}
		if inner, ok := errors.AsType[*Error](e.Err); ok && inner.Fate != FateDead {
			return inner.Reason() // IAM cannot be reached, or throttles
		}
		return ReasonCredentials
	}
	switch {
	case e.Fate == FateThrottled || e.kind == tooManyRuns:
		return ReasonThrottled
	case e.Fate == FateRetry || e.Fate == FateUnknown:
		return ReasonUnavailable
	case e.kind == refusedCredentials || e.kind == wrongClock:
		return ReasonCredentials
	case e.kind == noPermission || e.kind == noAccess:
		return ReasonPermission
	}
	return ReasonRejected
}

// NoSuchJob reports whether the service says that the job or the pipeline does not exist: it was
// deleted, or is in another region or project.
func (e *Error) NoSuchJob() bool { return e.kind == noSuchJob }

// NoSuchBuild reports whether the service says of a job that it has no build with this number, or
// of a pipeline that it has no run with this id. Soon after the start that is lag, later the record
// was deleted. It means nothing of RunJob and RunPipeline, whose errors have the same codes.
func (e *Error) NoSuchBuild() bool {
	return e.kind == noSuchBuild || e.Code == codeBadNumber || e.Status == http.StatusNotFound && e.kind == otherFailure
}

// misused makes the error of a call that cannot be made.
func misused(op, what, todo string) *Error {
	return &Error{Op: op, Fate: FateDead, what: what, todo: todo}
}

// harmless turns unknown into retry, for calls that start nothing, and advice about starting
// builds into one that fits.
func harmless(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	if e.Fate == FateUnknown {
		e.Fate = FateRetry
	}
	if e.kind == noPermission {
		e.todo = "give the user or agency the permission to see and to stop the builds of this job"
	}
	if e.kind == badRequest {
		e.todo = ""
	}
	return err
}
