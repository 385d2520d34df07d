package telemetry

import (
	"context"
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
	// faultInterval is the least time between two faults in the log.
	faultInterval = time.Minute
	// maxFault is how long the text of a fault may be, in bytes: a collector may answer with
	// a whole page.
	maxFault = 500
)

// faults receives what the SDK reports, as its error handler and as its logger. What it
// reports during the start is an error in the environment variables.
type faults struct {
	log    *slog.Logger
	hidden []string

	mu      sync.Mutex
	running bool
	before  []error   // reported during the start
	next    time.Time // when to log again
	left    int       // how many were not logged since
}

// started ends the start, and returns what was reported during it.
func (f *faults) started() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = true
	return errors.Join(f.before...)
}

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
	f.log.LogAttrs(context.Background(), slog.LevelWarn, "traces cannot be sent, some are lost",
		slog.String("error", f.plain(err).Error()), slog.Int("not_logged_before", f.left))
	f.next, f.left = now.Add(faultInterval), 0
}

// plain is an error in one line and without secrets.
func (f *faults) plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok && u.Op == "parse" {
		err = u.Err // without the URL, which may contain a password
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

func (*faults) Init(logr.RuntimeInfo) {}

// Enabled is false for everything but errors.
func (*faults) Enabled(int) bool { return false }

func (*faults) Info(int, string, ...any) {}

// Error leaves out the values, which may be secret.
func (f *faults) Error(err error, message string, _ ...any) {
	f.Handle(fmt.Errorf("%s: %w", message, f.plain(err)))
}

func (f *faults) WithValues(...any) logr.LogSink { return f }

func (f *faults) WithName(string) logr.LogSink { return f }
