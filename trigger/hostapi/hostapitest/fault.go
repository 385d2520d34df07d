package hostapitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The ways to drop a connection.
const (
	DropBefore = "before" // before the work
	DropAfter  = "after"  // after the work: the status was set, and no answer comes
)

// Fault makes calls go wrong: after Delay the connection is dropped, or Status is answered with
// Message in the form of the host, or with Page. Without any of these the call is slow only. Of the
// faults for a call, the first one that wins its Probability is applied.
type Fault struct {
	Provider string `json:"provider,omitempty"` // which host; "" means all
	Method   string `json:"method,omitempty"`   // of which requests; "" means all

	Status     int               `json:"status,omitempty"`
	Message    string            `json:"message,omitempty"`
	Page       string            `json:"page,omitempty"` // HTML, in place of JSON
	Header     map[string]string `json:"header,omitempty"`
	RetryAfter int               `json:"retry_after,omitempty"` // seconds; 0 means no header

	Delay time.Duration `json:"-"`              // in JSON a Go duration
	Drop  string        `json:"drop,omitempty"` // "", "before" or "after"

	Times       int     `json:"times,omitempty"`       // how often; 0 means until the fault is removed
	Probability float64 `json:"probability,omitempty"` // 0 means always, as 1 does
}

type plain Fault

// wireFault is a Fault in JSON.
type wireFault struct {
	*plain

	Delay string `json:"delay,omitempty"`
}

// UnmarshalJSON refuses unknown members: a misspelt one would be a fault that never comes.
func (f *Fault) UnmarshalJSON(b []byte) error {
	*f = Fault{}
	w := wireFault{plain: (*plain)(f)}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return err
	}
	if w.Delay != "" {
		delay, err := time.ParseDuration(w.Delay)
		if err != nil {
			return fmt.Errorf("delay: %w", err)
		}
		f.Delay = delay
	}
	return f.check()
}

// MarshalJSON writes what UnmarshalJSON reads.
func (f Fault) MarshalJSON() ([]byte, error) {
	w := wireFault{plain: (*plain)(&f)}
	if f.Delay != 0 {
		w.Delay = f.Delay.String()
	}
	return json.Marshal(w)
}

func (f Fault) check() error {
	switch {
	case f.Provider != "" && !slices.Contains(providers, f.Provider):
		return fmt.Errorf("provider %q is not one of %s", f.Provider, strings.Join(providers, ", "))
	case f.Drop != "" && f.Drop != DropBefore && f.Drop != DropAfter:
		return fmt.Errorf("drop %q is not before or after", f.Drop)
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	case f.Delay < 0, f.Times < 0, f.RetryAfter < 0, f.Probability < 0, f.Probability > 1:
		return errors.New("delay, times and retry_after are at least 0, probability is between 0 and 1")
	case f.Status == 0 && f.Drop == "" && f.Delay == 0:
		return errors.New("a fault needs at least one of status, delay and drop")
	}
	return nil
}

// apply gives the answer, or false if the connection is to be dropped.
func (f *Fault) apply(c *call, do func() response) (response, bool) {
	var answer response
	if f.Drop == DropAfter || f.Drop == "" && f.Status == 0 {
		answer = do()
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.r.Context().Done():
			return response{}, false
		}
	}
	if f.Drop != "" {
		return response{}, false
	}
	if f.Status == 0 {
		return answer, true
	}
	if f.Page == "" {
		answer = c.fail(f.Status, f.Message)
	} else {
		answer = response{status: f.Status, page: f.Page}
	}
	answer.header = map[string]string{}
	maps.Copy(answer.header, f.Header)
	if f.RetryAfter > 0 {
		answer.header["Retry-After"] = strconv.Itoa(f.RetryAfter)
	}
	return answer, true
}

// faults are in the order in which they were added.
type faults struct {
	mu   sync.Mutex
	list []*Fault // of those with Times, how often they still come
}

// AddFault makes calls go wrong from now on.
func (s *Simulator) AddFault(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	s.faults.add(f)
	return nil
}

// ClearFaults removes every fault.
func (s *Simulator) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = nil
}

func (f *faults) add(added ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range added {
		f.list = append(f.list, &fault)
	}
}

func (f *faults) left() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := []Fault{}
	for _, fault := range f.list {
		left = append(left, *fault)
	}
	return left
}

// pick gives the fault for a call, nil for none.
func (f *faults) pick(provider, method string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.list {
		if fault.Provider != "" && fault.Provider != provider || fault.Method != "" && fault.Method != method ||
			fault.Probability > 0 && rand.Float64() >= fault.Probability { //nolint:gosec // not a secret
			continue
		}
		picked := *fault
		if fault.Times == 1 {
			f.list = append(f.list[:i:i], f.list[i+1:]...)
		} else if fault.Times > 1 {
			fault.Times--
		}
		return &picked
	}
	return nil
}

func (s *Simulator) serveAddFaults(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var added []Fault
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' {
		err = errors.Join(err, json.Unmarshal(body, &added))
	} else {
		added = make([]Fault, 1)
		err = errors.Join(err, json.Unmarshal(body, &added[0]))
	}
	if err != nil {
		write(w, response{status: 400, body: map[string]any{"message": err.Error()}})
		return
	}
	s.faults.add(added...)
	write(w, response{status: 201, body: added})
}
