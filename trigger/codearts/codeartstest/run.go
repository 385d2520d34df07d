package codeartstest

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"buildbridge/mapping"
)

// job is one build job, with its builds.
type job struct {
	runs []*run // run i has build number i+1

	day   string // of the last build
	today int    // builds on that day
}

// run is one build of a job, or one run of a pipeline. Of a build only stopped changes, under the
// simulator's lock.
type run struct {
	jobID   string
	no      int
	daily   string
	at      time.Time
	outcome Outcome   // how it does, with all defaults filled in
	stopped time.Time // when a stop was asked for; zero if none was
	body    []byte    // as received; of a build started by hand, as it would have been
	manual  bool
	by      string // executor
	flow    *flow  // nil for a build
}

// runBody is the body of RunJob. Its pointers tell null from "".
type runBody struct {
	JobID      *string        `json:"job_id"`
	Parameters []runParameter `json:"parameter"`
	SCM        *struct {
		Tag       *string `json:"build_tag"`
		Commit    *string `json:"build_commit_id"`
		BuildType *string `json:"build_type"`
		Branch    *string `json:"branch"`
		RepoID    *string `json:"repo_id"`
		URL       *string `json:"url"`
	} `json:"scm"`
}

type runParameter struct {
	Name  *string `json:"name"`
	Value *string `json:"value"`
}

var (
	jobIDs         = regexp.MustCompile(`^[0-9a-z]{32}$`)
	parameterNames = regexp.MustCompile(`^[0-9A-Za-z_]{1,128}$`)
)

const maxValue = 8192 // characters of a parameter's value

// parseRun reads a body, within the limits of the API reference.
func parseRun(body []byte) (runBody, error) {
	var b runBody
	if err := json.Unmarshal(body, &b); err != nil {
		return b, fmt.Errorf("not the JSON expected: %w", err)
	}
	if b.JobID == nil || !jobIDs.MatchString(*b.JobID) {
		return b, fmt.Errorf("job_id is not 32 characters 0-9 and a-z")
	}
	for i, p := range b.Parameters {
		switch {
		case p.Name == nil || p.Value == nil:
			return b, fmt.Errorf("parameter[%d] needs a name and a value, both strings", i)
		case !parameterNames.MatchString(*p.Name):
			return b, fmt.Errorf("parameter[%d].name %.40q is not 1 to 128 letters, digits and _", i, *p.Name)
		case reserved(*p.Name):
			return b, fmt.Errorf("parameter[%d].name %s must not be set", i, *p.Name)
		case utf8.RuneCountInString(*p.Value) > maxValue:
			return b, fmt.Errorf("parameter[%d].value is longer than %d characters", i, maxValue)
		}
	}
	return b, b.checkSCM()
}

func (b runBody) checkSCM() error {
	if b.SCM == nil {
		return nil
	}
	for _, member := range []struct {
		name  string
		value *string
	}{{"build_tag", b.SCM.Tag}, {"build_commit_id", b.SCM.Commit}, {"build_type", b.SCM.BuildType}, {"branch", b.SCM.Branch}} {
		if member.value != nil && *member.value == "" {
			return fmt.Errorf("scm.%s is empty", member.name)
		}
	}
	if b.SCM.Tag != nil && b.SCM.Commit != nil {
		return fmt.Errorf("scm has both build_tag and build_commit_id")
	}
	if b.SCM.BuildType == nil {
		if b.SCM.Tag == nil && b.SCM.Commit == nil && b.SCM.Branch == nil {
			return fmt.Errorf("scm has neither build_tag nor build_commit_id")
		}
		return nil
	}
	needs := map[string]*string{"tag": b.SCM.Tag, "commitId": b.SCM.Commit, "branch": b.SCM.Branch}
	value, known := needs[*b.SCM.BuildType]
	switch {
	case !known:
		return fmt.Errorf("scm.build_type %.40q is not branch, tag or commitId", *b.SCM.BuildType)
	case value == nil:
		return fmt.Errorf("scm.build_type %s does not fit what scm names", *b.SCM.BuildType)
	}
	return nil
}

// reserved reports whether the service forbids or predefines a parameter.
func reserved(name string) bool {
	switch name {
	case "LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "path", "BASH_ENV", "GIT_SSH_COMMAND",
		"BUILDNUMBER", "TIMESTAMP", "INCREASENUM", "PROJECT_ID", "WORKSPACE", "GIT_TAG", "COMMIT_ID", "COMMIT_ID_SHORTER":
		return true
	}
	return false
}

func (s *Simulator) runJob(r *http.Request, body []byte) response {
	started, code, err := s.accept(r, body)
	if err != nil {
		return gatewayError(statusOf(code), code, err.Error())
	}
	return jsonResponse(200, started.answer())
}

func (s *Simulator) executeJob(r *http.Request, body []byte) response {
	started, code, err := s.accept(r, body)
	if err != nil {
		return serviceError(statusOf(code), code, err.Error())
	}
	return serviceResult(started.answer())
}

const (
	codeBadBody   = "CB.00060200"
	codeNoJob     = "CB.00031006"
	codeBadNumber = "DEV.CB.032011"
	codeEnded     = "DEV.CB.032302"
	codeNoHistory = "CB.00031059"
)

func statusOf(code string) int {
	if code == codeNoJob {
		return 404
	}
	return 400
}

func (s *Simulator) accept(r *http.Request, body []byte) (*run, string, error) {
	if !isJSON(r) {
		return nil, codeBadBody, fmt.Errorf("Content-Type is not application/json")
	}
	parsed, err := parseRun(body)
	if err != nil {
		return nil, codeBadBody, err
	}
	if !s.exists(*parsed.JobID) {
		return nil, codeNoJob, fmt.Errorf("the job does not exist")
	}
	started := s.start(*parsed.JobID, body, s.executor(r), false)
	if s.o.Started != nil {
		s.o.Started(started.run())
	}
	return started, "", nil
}

func (s *Simulator) exists(jobID string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return !s.deleted[jobID] && !s.isPipeline(jobID) && (len(s.jobNames) == 0 || s.jobNames[jobID])
}

// DeleteJob deletes a job or a pipeline, with its builds and their records. Its builds stay in
// [Simulator.Runs].
func (s *Simulator) DeleteJob(jobID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted[jobID] = true
	delete(s.jobs, jobID)
	delete(s.pipelines, jobID)
}

func (s *Simulator) serveDeleteJob(w http.ResponseWriter, r *http.Request) {
	s.DeleteJob(r.PathValue("job"))
	w.WriteHeader(http.StatusNoContent)
}

// start records a build and gives it the next number of its job.
func (s *Simulator) start(jobID string, body []byte, by string, manual bool) *run {
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(jobID, body, by, manual, now)
}

// add must be called with the lock.
func (s *Simulator) add(jobID string, body []byte, by string, manual bool, now time.Time) *run {
	day := now.In(s.o.Location).Format("20060102")
	j := s.jobs[jobID]
	if j == nil {
		j = new(job)
		s.jobs[jobID] = j
	}
	if j.day != day {
		j.day, j.today = day, 0
	}
	j.today++
	started := &run{
		jobID: jobID, no: len(j.runs) + 1, daily: day + "." + strconv.Itoa(j.today),
		at: now, outcome: s.nextOutcome(jobID), body: bytes.Clone(body), manual: manual, by: by,
	}
	j.runs = append(j.runs, started)
	if !manual {
		s.runs = append(s.runs, started)
	}
	return started
}

func (r *run) answer() map[string]string {
	return map[string]string{
		"octopus_job_name":    fmt.Sprintf("j_%.8s%d", r.jobID, r.no),
		"actual_build_number": strconv.Itoa(r.no),
		"daily_build_number":  r.daily,
	}
}

// Run is a build that RunJob started, or a run that RunPipeline did.
type Run struct {
	BuildNo    string          `json:"build_no"`              // of a pipeline the id of the run
	PipelineID string          `json:"pipeline_id,omitempty"` // "" for a build of a job
	Body       json.RawMessage `json:"body"`                  // as received
}

// Runs lists the builds and runs that RunJob and RunPipeline started, oldest first.
func (s *Simulator) Runs() []Run {
	s.mu.RLock()
	runs := slices.Clip(s.runs) // later runs are appended to it
	s.mu.RUnlock()
	out := make([]Run, len(runs))
	for i, r := range runs {
		out[i] = r.run()
	}
	return out
}

func (r *run) run() Run {
	if r.flow != nil {
		return Run{BuildNo: r.flow.id, PipelineID: r.jobID, Body: r.body}
	}
	return Run{BuildNo: strconv.Itoa(r.no), Body: r.body}
}

// RunCount is the number of builds and runs that RunJob and RunPipeline started.
func (s *Simulator) RunCount() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.runs)
}

func (s *Simulator) serveRuns(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(w, 64<<10)
	_ = out.WriteByte('[')
	for i, r := range s.Runs() {
		if i > 0 {
			_ = out.WriteByte(',')
		}
		_, _ = fmt.Fprintf(out, "\n"+`{"build_no":"%s",`, r.BuildNo)
		if r.PipelineID != "" {
			_, _ = fmt.Fprintf(out, `"pipeline_id":"%s",`, r.PipelineID)
		}
		_, _ = out.WriteString(`"body":`)
		_, _ = out.Write(r.Body)
		_ = out.WriteByte('}')
	}
	_, _ = out.WriteString("]\n")
	_ = out.Flush()
}

// Build is a build that a person starts by hand, or a run of a pipeline.
type Build struct {
	JobID       string              `json:"job_id"` // "" for a run of a pipeline
	PipelineID  string              `json:"pipeline_id"`
	ProjectID   string              `json:"project_id"`  // of the pipeline; [ProjectID] if not set
	Description string              `json:"description"` // of the run of the pipeline
	Commit      string              `json:"commit"`      // at most one of Commit and Tag
	Tag         string              `json:"tag"`
	Branch      string              `json:"branch"`
	Parameters  []mapping.Parameter `json:"parameter"`
	Executor    string              `json:"executor"` // who starts it; "person" if not set
}

// StartBuild starts a build by hand, and gives its number, or the id of the run. The build has a
// record, and is not among [Simulator.Runs].
func (s *Simulator) StartBuild(b Build) (string, error) {
	if b.PipelineID != "" {
		return s.startRun(b)
	}
	scm := map[string]string{}
	for name, value := range map[string]string{"build_commit_id": b.Commit, "build_tag": b.Tag, "branch": b.Branch} {
		if value != "" {
			scm[name] = value
		}
	}
	body := map[string]any{"job_id": b.JobID, "parameter": b.Parameters}
	if len(scm) > 0 {
		body["scm"] = scm
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	if _, err := parseRun(raw); err != nil {
		return "", err
	}
	if !s.exists(b.JobID) {
		return "", fmt.Errorf("the job does not exist")
	}
	return strconv.Itoa(s.start(b.JobID, raw, cmp.Or(b.Executor, "person"), true).no), nil
}

// BuildState is how a build does, as its record says once it has come.
type BuildState struct {
	JobID      string `json:"job_id,omitempty"`
	PipelineID string `json:"pipeline_id,omitempty"` // instead of JobID
	BuildNo    string `json:"build_no"`              // of a pipeline the id of the run
	Running    string `json:"job_running_status"`
	State      string `json:"state"`   // "" until the build ends; of a pipeline the status at any time
	Stopped    bool   `json:"stopped"` // a stop was asked for, be it too late
	ByHand     bool   `json:"by_hand"` // by StartBuild
}

// Builds lists the builds of all jobs and the runs of all pipelines that were not deleted, by job,
// the oldest first.
func (s *Simulator) Builds() []BuildState {
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pipelines {
		s.advance(p, now)
	}
	list := []BuildState{}
	for _, jobID := range slices.Sorted(maps.Keys(s.jobs)) {
		for _, r := range s.jobs[jobID].runs {
			p := s.progress(r, r.stopped, now)
			state := BuildState{
				JobID: jobID, BuildNo: strconv.Itoa(r.no), Running: p.running, State: p.state, Stopped: !r.stopped.IsZero(), ByHand: r.manual,
			}
			if r.flow != nil {
				state.JobID, state.PipelineID, state.BuildNo, state.State = "", jobID, r.flow.id, s.flowStatus(r, now)
			}
			list = append(list, state)
		}
	}
	return list
}

func (s *Simulator) serveBuilds(w http.ResponseWriter, _ *http.Request) {
	s.write(w, jsonResponse(200, s.Builds()))
}

func (s *Simulator) serveStart(w http.ResponseWriter, r *http.Request) {
	var b Build
	if err := decode(w, r, &b); err != nil {
		s.write(w, gatewayError(400, codeBadBody, err.Error()))
		return
	}
	no, err := s.StartBuild(b)
	if err != nil {
		s.write(w, gatewayError(400, codeBadBody, err.Error()))
		return
	}
	started := map[string]string{"job_id": b.JobID, "build_no": no}
	if b.PipelineID != "" {
		started = map[string]string{"pipeline_id": b.PipelineID, "build_no": no}
	}
	s.write(w, jsonResponse(201, started))
}

// decode reads the body of a request to the simulator itself.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	return strict(body, into)
}
