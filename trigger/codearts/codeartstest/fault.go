package codeartstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The calls that a [Fault] can be about.
const (
	PathRun        = "run" // RunJob and its v1 twin
	PathStop       = "stop"
	PathList       = "list"
	PathRecordInfo = "record-info"
	PathBuildInfo  = "build-info-record"
	PathParameters = "history-parameters"
	PathToken      = "token" // IAM
)

// The ways to drop a connection.
const (
	DropBefore = "before" // nothing was done
	DropAfter  = "after"  // the build was started, nobody is told
)

// Fault makes calls go wrong. What happens to a call that it is about, in order:
// the work, if Done, if Drop is "after", or if there is only a Delay; the Delay; then the
// connection is dropped, or the answer is Status with Body, else with an error of
// Code and Message, else what the work gave.
//
// The first fault about a call that wins its Probability is applied, others are
// not.
type Fault struct {
	Path  string // which call; "" means all
	JobID string // which job; "" means all

	Status      int               // 200 if there is a Body or Code and no Status
	Code        string            // error_code
	Message     string            // error_msg
	Body        string            // instead of an error made of Code and Message
	ContentType string            // application/json if not set
	Header      map[string]string // such as Location
	RetryAfter  int               // seconds; 0 means no header

	Delay time.Duration
	Drop  string // "", "before" or "after"
	Done  bool   // do the work before answering with the fault

	Times       int     // how often; 0 means until it is removed
	Probability float64 // 0 means always, as 1 does
}

// wireFault is a Fault in JSON. delay is a Go duration or a number of seconds,
// retry_after a number.
type wireFault struct {
	Path        string            `json:"path,omitempty"`
	JobID       string            `json:"job_id,omitempty"`
	Status      int               `json:"status,omitempty"`
	Code        string            `json:"code,omitempty"`
	Message     string            `json:"message,omitempty"`
	Body        string            `json:"body,omitempty"`
	ContentType string            `json:"content_type,omitempty"`
	Header      map[string]string `json:"header,omitempty"`
	RetryAfter  int               `json:"retry_after,omitempty"`
	Delay       any               `json:"delay,omitempty"`
	Drop        string            `json:"drop,omitempty"`
	Done        bool              `json:"done,omitempty"`
	Times       int               `json:"times,omitempty"`
	Probability float64           `json:"probability,omitempty"`
}

// UnmarshalJSON refuses unknown members: a misspelt one would be a fault that
// never comes.
func (f *Fault) UnmarshalJSON(b []byte) error {
	var w wireFault
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return err
	}
	*f = Fault{
		Path: w.Path, JobID: w.JobID, Status: w.Status, Code: w.Code, Message: w.Message, Body: w.Body,
		ContentType: w.ContentType, Header: w.Header, RetryAfter: w.RetryAfter, Drop: w.Drop, Done: w.Done,
		Times: w.Times, Probability: w.Probability,
	}
	switch v := w.Delay.(type) {
	case nil:
	case float64:
		f.Delay = time.Duration(v * float64(time.Second))
	case string:
		delay, err := time.ParseDuration(v)
		if err != nil {
			return fmt.Errorf("delay: %w", err)
		}
		f.Delay = delay
	default:
		return errors.New("delay is neither a duration nor a number of seconds")
	}
	return f.check()
}

// MarshalJSON writes what UnmarshalJSON reads.
func (f Fault) MarshalJSON() ([]byte, error) {
	w := wireFault{
		Path: f.Path, JobID: f.JobID, Status: f.Status, Code: f.Code, Message: f.Message, Body: f.Body,
		ContentType: f.ContentType, Header: f.Header, RetryAfter: f.RetryAfter, Drop: f.Drop, Done: f.Done,
		Times: f.Times, Probability: f.Probability,
	}
	if f.Delay != 0 {
		w.Delay = f.Delay.String()
	}
	return json.Marshal(w)
}

func (f Fault) check() error {
	switch f.Path {
	case "", PathRun, PathStop, PathList, PathRecordInfo, PathBuildInfo, PathParameters, PathToken:
	default:
		return fmt.Errorf("path %q is not run, stop, list, record-info, build-info-record, history-parameters or token", f.Path)
	}
	switch {
	case f.Drop != "" && f.Drop != DropBefore && f.Drop != DropAfter:
		return fmt.Errorf("drop %q is not before or after", f.Drop)
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	case f.Delay < 0, f.Times < 0, f.RetryAfter < 0, f.Probability < 0, f.Probability > 1:
		return errors.New("delay, times and retry_after are at least 0, probability is between 0 and 1")
	case !f.answers() && f.Drop == "" && f.Delay == 0:
		return errors.New("a fault needs at least one of status, code, message, body, retry_after, delay and drop")
	}
	return nil
}

// answers tells whether the fault has an answer of its own.
func (f *Fault) answers() bool {
	return f.Status != 0 || f.Body != "" || f.Code != "" || f.Message != "" || f.RetryAfter != 0
}

// apply gives the answer, or false where the connection is to be dropped.
func (f *Fault) apply(ctx context.Context, do func() response) (response, bool) {
	var answer response
	if f.Done || f.Drop == DropAfter || f.Drop == "" && !f.answers() {
		answer = do()
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return response{}, false
		}
	}
	switch {
	case f.Drop != "":
		return response{}, false
	case f.answers():
		return f.answer(), true
	}
	return answer, true
}

func (f *Fault) answer() response {
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	answer := response{status: status, body: []byte(f.Body)}
	if f.Body == "" && (f.Code != "" || f.Message != "") {
		answer = gatewayError(status, f.Code, f.Message)
	}
	answer.header = make(map[string]string)
	maps.Copy(answer.header, f.Header)
	if f.ContentType != "" {
		answer.header["Content-Type"] = f.ContentType
	}
	if f.RetryAfter > 0 {
		answer.header["Retry-After"] = strconv.Itoa(f.RetryAfter)
	}
	return answer
}

// faults are read by every call and changed rarely.
type faults struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*activeFault]
}

type activeFault struct {
	Fault
	left atomic.Int64 // calls still to spoil; negative means without end
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
	s.faults.list.Store(nil)
}

func (f *faults) add(added ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.active()
	for _, a := range added {
		active := &activeFault{Fault: a}
		active.left.Store(int64(a.Times))
		if a.Times == 0 {
			active.left.Store(-1)
		}
		list = append(list, active)
	}
	f.list.Store(&list)
}

// active copies the faults that have calls left.
func (f *faults) active() []*activeFault {
	var list []*activeFault
	if p := f.list.Load(); p != nil {
		for _, each := range *p {
			if each.left.Load() != 0 {
				list = append(list, each)
			}
		}
	}
	return list
}

// pick gives the fault for a call, nil if it goes well.
func (f *faults) pick(path string, r *http.Request, body []byte) *Fault {
	p := f.list.Load()
	if p == nil {
		return nil
	}
	jobID := r.PathValue("job")
	for _, each := range *p {
		if each.Path != "" && each.Path != path {
			continue
		}
		if each.JobID != "" {
			if jobID == "" {
				jobID = jobOf(body)
			}
			if each.JobID != jobID {
				continue
			}
		}
		if each.Probability > 0 && rand.Float64() >= each.Probability { //nolint:gosec // Not a secret.
			continue
		}
		if each.take() {
			return &each.Fault
		}
	}
	return nil
}

// take uses up one of the calls left.
func (a *activeFault) take() bool {
	for {
		left := a.left.Load()
		if left <= 0 {
			return left < 0
		}
		if a.left.CompareAndSwap(left, left-1) {
			return true
		}
	}
}

func jobOf(body []byte) string {
	var b struct {
		JobID string `json:"job_id"`
	}
	_ = json.Unmarshal(body, &b)
	return b.JobID
}

func (s *Simulator) serveAddFaults(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.write(w, gatewayError(413, codeBadBody, err.Error()))
		return
	}
	var added []Fault
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' {
		err = json.Unmarshal(body, &added)
	} else {
		added = make([]Fault, 1)
		err = json.Unmarshal(body, &added[0])
	}
	if err != nil {
		s.write(w, gatewayError(400, codeBadBody, err.Error()))
		return
	}
	s.faults.add(added...)
	s.write(w, jsonResponse(201, added))
}

// serveFaults lists the faults with how often each will still come.
func (s *Simulator) serveFaults(w http.ResponseWriter, _ *http.Request) {
	list := []Fault{}
	for _, each := range s.faults.active() {
		f := each.Fault
		f.Times = int(max(each.left.Load(), 0))
		list = append(list, f)
	}
	s.write(w, jsonResponse(200, list))
}

func (s *Simulator) serveClearFaults(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}
