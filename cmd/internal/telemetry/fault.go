package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

const (
	// faultInterval is how often a fault is logged at the most.
	faultInterval = time.Minute
	// maxFault bounds its text, in bytes: a collector may answer with a page.
	maxFault = 500
)

// faults takes what the SDK reports: as its error handler and as its logger. What
// it finds wrong until it is started is wrong with the environment.
type faults struct {
	log    *slog.Logger
	hidden []string

	mu      sync.Mutex
	running bool
	before  []error   // running
	next    time.Time // when to log again
	left    int       // that were not logged since
}

// started gives what was wrong before.
func (f *faults) started() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = true
	return errors.Join(f.before...)
}

// Handle implements otel.ErrorHandler.
func (f *faults) Handle(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running {
		f.before = append(f.before, fmt.Errorf("OTEL_…: %w", f.plain(err)))
		return
	}
	now := time.Now()
	if now.Before(f.next) {
		f.left++
		return
	}
	f.log.Warn("traces cannot be sent, some are lost", "error", f.plain(err).Error(), "not_logged_before", f.left)
	f.next, f.left = now.Add(faultInterval), 0
}

// plain is an error as it may be shown: of one line, without what is secret.
func (f *faults) plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok && u.Op == "parse" {
		err = u.Err // the URL is a value
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, secret := range f.hidden {
		if len(secret) > 3 {
			text = strings.ReplaceAll(text, secret, "[hidden]")
		}
	}
	if len(text) > maxFault {
		text = strings.ToValidUTF8(text[:maxFault], "") + "…"
	}
	return errors.New(text)
}

// Init implements logr.LogSink.
func (*faults) Init(logr.RuntimeInfo) {}

// Enabled implements logr.LogSink: the SDK's chatter is not the user's affair.
func (*faults) Enabled(int) bool { return false }

// Info implements logr.LogSink.
func (*faults) Info(int, string, ...any) {}

// Error implements logr.LogSink. The values, which may be secret, are left out.
func (f *faults) Error(err error, message string, _ ...any) {
	f.Handle(fmt.Errorf("%s: %w", message, f.plain(err)))
}

// WithValues implements logr.LogSink.
func (f *faults) WithValues(...any) logr.LogSink { return f }

// WithName implements logr.LogSink.
func (f *faults) WithName(string) logr.LogSink { return f }
