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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The calls that a [Fault] can be about.
const (
	PathRun         = "run"  // RunJob and its v1 twin
	PathStop        = "stop" // all three
	PathList        = "list"
	PathRecordInfo  = "record-info"
	PathBuildInfo   = "build-info-record"
	PathBuildResult = "build-info"
	PathStatus      = "status"
	PathSteps       = "history-details"
	PathParameters  = "history-parameters"
	PathJobInfo     = "info"
	PathJobConfig   = "config"
	PathJobDisabled = "check-disable"
	PathToken       = "token" // IAM

	PathPipelineRun         = "pipeline-run" // RunPipeline
	PathPipelineList        = "pipeline-list"
	PathPipelineDetail      = "pipeline-detail"
	PathPipelineVariables   = "pipeline-variables" // of a run
	PathPipelineQueue       = "pipeline-queue"
	PathPipelineFailures    = "pipeline-failures"
	PathPipelineStop        = "pipeline-stop"
	PathPipelineCancel      = "pipeline-cancel" // of a run in the queue
	PathPipelineRetry       = "pipeline-retry"
	PathPipelineStatus      = "pipeline-status" // of several pipelines
	PathPipelineInfo        = "pipeline-info"
	PathPipelineRuntimeVars = "pipeline-runtime-vars"
)

var paths = []string{
	PathRun, PathStop, PathList, PathRecordInfo, PathBuildInfo, PathBuildResult, PathStatus, PathSteps, PathParameters,
	PathJobInfo, PathJobConfig, PathJobDisabled, PathToken,
	PathPipelineRun, PathPipelineList, PathPipelineDetail, PathPipelineVariables, PathPipelineQueue, PathPipelineFailures,
	PathPipelineStop, PathPipelineCancel, PathPipelineRetry, PathPipelineStatus, PathPipelineInfo, PathPipelineRuntimeVars,
}

// The ways to drop a connection.
const (
	DropBefore = "before" // before the work
	DropAfter  = "after"  // after the work: the build was started, and no answer comes
)

// Fault makes calls go wrong. These things happen to a call, in order: the work is done, if
// Done is set, Drop is "after", or there is only a Delay; then comes the Delay; then the
// connection is dropped, or the answer is written: Status with Body, or an error of Code and
// Message, or else the result of the work.
//
// Of the faults for a call, the first one that wins its Probability is applied.
type Fault struct {
	Path  string `json:"path,omitempty"`   // which call; "" means all
	JobID string `json:"job_id,omitempty"` // which job or pipeline; "" means all

	Status      int               `json:"status,omitempty"`       // 200 if there is a Body or Code and no Status
	Code        string            `json:"code,omitempty"`         // error_code
	Message     string            `json:"message,omitempty"`      // error_msg
	Body        string            `json:"body,omitempty"`         // instead of an error of Code and Message
	ContentType string            `json:"content_type,omitempty"` // application/json if not set
	Header      map[string]string `json:"header,omitempty"`       // such as Location
	RetryAfter  int               `json:"retry_after,omitempty"`  // seconds; 0 means no header

	Delay time.Duration `json:"-"`              // in JSON, a Go duration or a number of seconds
	Drop  string        `json:"drop,omitempty"` // "", "before" or "after"
	Done  bool          `json:"done,omitempty"` // do the work before answering with the fault

	Times       int     `json:"times,omitempty"`       // how often; 0 means until the fault is removed
	Probability float64 `json:"probability,omitempty"` // 0 means always, as 1 does
}

// plain is a Fault without its methods.
type plain Fault

// wireFault is a Fault in JSON.
type wireFault struct {
	*plain

	Delay any `json:"delay,omitempty"`
}

// UnmarshalJSON refuses unknown members: a misspelt one would be a fault that never comes.
func (f *Fault) UnmarshalJSON(b []byte) error {
	*f = Fault{}
	w := wireFault{plain: (*plain)(f)}
	if err := strict(b, &w); err != nil {
		return err
	}
	var err error
	if f.Delay, err = duration("delay", w.Delay); err != nil {
		return err
	}
	return f.check()
}

// strict decodes JSON without unknown members.
func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// duration reads a member that is a Go duration or a number of seconds; nil is 0.
func duration(name string, value any) (time.Duration, error) {
	switch v := value.(type) {
	case nil:
		return 0, nil
	case float64:
		return time.Duration(v * float64(time.Second)), nil
	case string:
		d, err := time.ParseDuration(v)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		return d, nil
	}
	return 0, fmt.Errorf("%s is neither a duration nor a number of seconds", name)
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
	if f.Path != "" && !slices.Contains(paths, f.Path) {
		return fmt.Errorf("path %q is none of %s", f.Path, strings.Join(paths, ", "))
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

// answers reports whether the fault has an answer of its own.
func (f *Fault) answers() bool {
	return f.Status != 0 || f.Body != "" || f.Code != "" || f.Message != "" || f.RetryAfter != 0
}

// apply gives the answer, or false if the connection is to be dropped.
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

// faults are read by every call, and rarely changed.
type faults struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*activeFault]
}

type activeFault struct {
	Fault
	left atomic.Int64 // calls that it is still for; negative means without end
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

// active gives the faults that have calls left.
func (f *faults) active() []*activeFault {
	var list []*activeFault
	if p := f.list.Load(); p != nil {
		for _, fault := range *p {
			if fault.left.Load() != 0 {
				list = append(list, fault)
			}
		}
	}
	return list
}

// pick gives the fault for a call, nil for none.
func (f *faults) pick(path string, r *http.Request, body []byte) *Fault {
	p := f.list.Load()
	if p == nil {
		return nil
	}
	jobID := r.PathValue("job")
	for _, fault := range *p {
		if fault.Path != "" && fault.Path != path {
			continue
		}
		if fault.JobID != "" {
			if jobID == "" {
				jobID = jobOf(body)
			}
			if fault.JobID != jobID {
				continue
			}
		}
		if fault.Probability > 0 && rand.Float64() >= fault.Probability { //nolint:gosec // not a secret
			continue
		}
		if fault.take() {
			return &fault.Fault
		}
	}
	return nil
}

// take reports whether the fault has a call left, and uses it.
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
	serveAdd(s, w, r, s.faults.add)
}

// serveAdd reads one T, or several in an array, and adds them.
func serveAdd[T any](s *Simulator, w http.ResponseWriter, r *http.Request, add func(...T)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.write(w, gatewayError(413, codeBadBody, err.Error()))
		return
	}
	var added []T
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' {
		err = json.Unmarshal(body, &added)
	} else {
		added = make([]T, 1)
		err = json.Unmarshal(body, &added[0])
	}
	if err != nil {
		s.write(w, gatewayError(400, codeBadBody, err.Error()))
		return
	}
	add(added...)
	s.write(w, jsonResponse(201, added))
}

// Faults gives the faults that there are. Times is the number of calls that are left, 0 also for
// a fault without a limit.
func (s *Simulator) Faults() []Fault {
	list := []Fault{}
	for _, fault := range s.faults.active() {
		f := fault.Fault
		f.Times = int(max(fault.left.Load(), 0))
		list = append(list, f)
	}
	return list
}

func (s *Simulator) serveFaults(w http.ResponseWriter, _ *http.Request) {
	s.write(w, jsonResponse(200, s.Faults()))
}

func (s *Simulator) serveClearFaults(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}
