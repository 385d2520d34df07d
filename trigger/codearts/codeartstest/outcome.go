package codeartstest

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The results of builds that the service documents. Any other can be had too. A run of a pipeline
// ends as COMPLETED, FAILED, CANCELED or IGNORED, which the words of builds mean as well.
const (
	ResultSuccess = "SUCCESS"
	ResultFailure = "FAILURE"
	ResultAborted = "ABORTED"
	ResultTimeout = "timeout"
	// ResultNone is that of a build that is finished, and whose state is empty.
	ResultNone = "-"

	resultCompleted = "COMPLETED"
	resultFailed    = "FAILED"
	resultCanceled  = "CANCELED"
)

// Outcome says how builds to come do, runs of pipelines included. Of the outcomes for a job, those
// with Times come before the one without, and those of the job before those of all jobs.
type Outcome struct {
	JobID string `json:"job_id,omitempty"` // which job or pipeline; "" means all

	// Result is what the record says at the end: SUCCESS if not set, or any text of at most 64
	// printable characters.
	Result string `json:"result,omitempty"`
	// BuildResult is what build-info says at the end; as Result if not set.
	BuildResult string `json:"build_result,omitempty"`

	// In JSON these are Go durations or numbers of seconds.
	Queued time.Duration `json:"-"` // InQueue, before it runs; a run of a pipeline can be cancelled there
	After  time.Duration `json:"-"` // how long it runs then; Options.BuildTime if not set
	// Paused is after how much of that time a run of a pipeline waits for a person, until
	// [Simulator.Resume]; 0 means never.
	Paused  time.Duration `json:"-"`
	Suspend bool          `json:"suspend,omitempty"` // the status is SUSPEND meanwhile, not PAUSED

	Step    string `json:"step,omitempty"`    // the step that fails; none if not set
	Message string `json:"message,omitempty"` // err_msg at the end

	// Times is for how many builds; 0 means for all, until another one without Times for the
	// same JobID takes its place.
	Times int `json:"times,omitempty"`
}

type plainOutcome Outcome

// wireOutcome is an Outcome in JSON.
type wireOutcome struct {
	*plainOutcome

	Queued any `json:"queued,omitempty"`
	After  any `json:"after,omitempty"`
	Paused any `json:"paused,omitempty"`
}

// UnmarshalJSON refuses unknown members, as that of [Fault].
func (o *Outcome) UnmarshalJSON(b []byte) error {
	*o = Outcome{}
	w := wireOutcome{plainOutcome: (*plainOutcome)(o)}
	if err := strict(b, &w); err != nil {
		return err
	}
	var err error
	if o.Queued, err = duration("queued", w.Queued); err != nil {
		return err
	}
	if o.After, err = duration("after", w.After); err != nil {
		return err
	}
	if o.Paused, err = duration("paused", w.Paused); err != nil {
		return err
	}
	if w.After != nil && o.After == 0 {
		return errors.New("after is more than 0, or left out")
	}
	return o.check()
}

// MarshalJSON writes what UnmarshalJSON reads.
func (o Outcome) MarshalJSON() ([]byte, error) {
	w := wireOutcome{plainOutcome: (*plainOutcome)(&o)}
	if o.Queued != 0 {
		w.Queued = o.Queued.String()
	}
	if o.After != 0 {
		w.After = o.After.String()
	}
	if o.Paused != 0 {
		w.Paused = o.Paused.String()
	}
	return json.Marshal(w)
}

func (o Outcome) check() error {
	printable := func(text string, most int) bool {
		return utf8.RuneCountInString(text) <= most && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
	}
	switch {
	case o.JobID != "" && !jobIDs.MatchString(o.JobID):
		return errors.New("job_id is not 32 characters 0-9 and a-z")
	case !printable(o.Result, 64), !printable(o.BuildResult, 64):
		return errors.New("result and build_result have at most 64 printable characters")
	case !printable(o.Step, 255):
		return errors.New("step has at most 255 printable characters")
	case len(o.Message) > 4096:
		return errors.New("message has at most 4096 bytes")
	case o.Queued < 0, o.After < 0, o.Paused < 0, o.Times < 0:
		return errors.New("queued, after, paused and times are at least 0")
	case o.Suspend && o.Paused == 0:
		return errors.New("suspend needs paused")
	}
	return nil
}

// state is the state at the end.
func (o Outcome) state() string {
	switch o.Result {
	case "":
		return ResultSuccess
	case ResultNone:
		return ""
	}
	return o.Result
}

// status is the status of a run of a pipeline at the end.
func (o Outcome) status() string {
	switch state := o.state(); state {
	case ResultSuccess:
		return resultCompleted
	case ResultFailure, ResultTimeout:
		return resultFailed
	case ResultAborted:
		return resultCanceled
	default:
		return state
	}
}

// buildResult is the build_result at the end.
func (o Outcome) buildResult() string {
	switch o.BuildResult {
	case "":
		return o.state()
	case ResultNone:
		return ""
	}
	return o.BuildResult
}

// AddOutcome says how builds do that are started from now on.
func (s *Simulator) AddOutcome(o Outcome) error {
	if err := o.check(); err != nil {
		return err
	}
	s.addOutcomes(o)
	return nil
}

// ClearOutcomes makes builds to come succeed after [Options].BuildTime.
func (s *Simulator) ClearOutcomes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes = nil
}

func (s *Simulator) addOutcomes(added ...Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range added {
		if o.Times == 0 {
			s.outcomes = slices.DeleteFunc(s.outcomes, func(old Outcome) bool { return old.Times == 0 && old.JobID == o.JobID })
		}
		s.outcomes = append(s.outcomes, o)
	}
}

// nextOutcome takes the outcome of a build that starts. It must be called with the lock.
func (s *Simulator) nextOutcome(jobID string) Outcome {
	var next Outcome
	for _, wanted := range []struct {
		jobID   string
		limited bool
	}{{jobID, true}, {jobID, false}, {"", true}, {"", false}} {
		i := slices.IndexFunc(s.outcomes, func(o Outcome) bool { return o.JobID == wanted.jobID && (o.Times > 0) == wanted.limited })
		if i < 0 {
			continue
		}
		next = s.outcomes[i]
		if s.outcomes[i].Times--; next.Times == 1 {
			s.outcomes = slices.Delete(s.outcomes, i, i+1)
		} else if next.Times == 0 {
			s.outcomes[i].Times = 0
		}
		break
	}
	if next.After == 0 {
		next.After = s.o.BuildTime
	}
	return next
}

func (s *Simulator) serveAddOutcomes(w http.ResponseWriter, r *http.Request) {
	serveAdd(s, w, r, s.addOutcomes)
}

// serveOutcomes lists the outcomes of builds to come, each with the number of builds left.
func (s *Simulator) serveOutcomes(w http.ResponseWriter, _ *http.Request) {
	s.mu.RLock()
	list := append([]Outcome{}, s.outcomes...)
	s.mu.RUnlock()
	s.write(w, jsonResponse(200, list))
}

func (s *Simulator) serveClearOutcomes(w http.ResponseWriter, _ *http.Request) {
	s.ClearOutcomes()
	w.WriteHeader(http.StatusNoContent)
}
