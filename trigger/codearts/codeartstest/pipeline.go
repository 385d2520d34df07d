package codeartstest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// What happens to a run over the limit of its pipeline: exceed_action.
const (
	ExceedQueue = "QUEUE" // it waits
	ExceedAbort = "ABORT" // it is not started
)

// What becomes of variables that a pipeline does not declare as set at run time: nobody has
// written down what the service does.
const (
	UndeclaredTaken   = "" // they are set all the same
	UndeclaredIgnored = "ignored"
	UndeclaredRefused = "refused"
)

// Pipeline is how a pipeline is set up. One that nobody has set up is in every project, has no
// limit, and declares every variable.
type Pipeline struct {
	PipelineID  string `json:"pipeline_id"`
	ProjectID   string `json:"project_id,omitempty"` // the only CodeArts project that has it; "" means all
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`

	Banned   bool `json:"banned,omitempty"`    // it cannot be started
	NoMember bool `json:"no_member,omitempty"` // the caller is no member of the project

	Concurrency PipelineConcurrency `json:"concurrency,omitzero"`
	// QueueTimeout is after how long a queued run is dropped; 24 h if not set. In JSON it is a Go
	// duration or a number of seconds.
	QueueTimeout time.Duration `json:"-"`

	// Variables are those that it declares; nil leaves them out of the answers, and takes all.
	Variables  []PipelineVariable `json:"variables,omitempty"`
	Undeclared string             `json:"undeclared,omitempty"` // "", ignored or refused
	Sources    []PipelineSource   `json:"sources,omitempty"`    // one without a name if not set

	// HideDescription gives the pipeline's own description in the detail of a run.
	HideDescription bool `json:"hide_description,omitempty"`
	// HonourCommit builds the commit_id of build_params, which no edition of the reference has.
	HonourCommit bool `json:"honour_commit,omitempty"`
	// Heads are the commits that branches are on, by their short names; see [Options].Head.
	Heads map[string]string `json:"heads,omitempty"`
}

// PipelineConcurrency is how many runs of a pipeline there are at a time.
type PipelineConcurrency struct {
	Limit        int    `json:"limit"`                   // 0 means no limit
	ExceedAction string `json:"exceed_action,omitempty"` // QUEUE if not set
	Tenant       bool   `json:"tenant,omitempty"`        // answers say that it is the limit of the tenant
}

// PipelineVariable is one that a pipeline declares.
type PipelineVariable struct {
	Name    string `json:"name"`
	Value   string `json:"value"`      // its default
	Runtime bool   `json:"is_runtime"` // it can be set at run time
	Secret  bool   `json:"is_secret"`  // its value is masked
}

// PipelineSource is a code source of a pipeline.
type PipelineSource struct {
	Alias         string `json:"alias,omitempty"`
	GitType       string `json:"git_type,omitempty"`
	GitURL        string `json:"git_url,omitempty"`
	DefaultBranch string `json:"default_branch,omitempty"` // master if not set
}

// pipeline is one pipeline. Its runs are those of the job with its id.
type pipeline struct {
	Pipeline

	set      bool   // by SetPipeline
	live     []*run // that have begun, and had not ended when it was last looked at
	queue    []*run // that wait, and those that were dropped, in the order in which they came
	seen     time.Time
	failures []failure
}

// failure is a run that was not started.
type failure struct {
	at time.Time
	by string
}

type plainPipeline Pipeline

// wirePipeline is a Pipeline in JSON.
type wirePipeline struct {
	*plainPipeline

	QueueTimeout any `json:"queue_timeout,omitempty"`
}

// UnmarshalJSON refuses unknown members, as that of [Fault].
func (p *Pipeline) UnmarshalJSON(b []byte) error {
	*p = Pipeline{}
	w := wirePipeline{plainPipeline: (*plainPipeline)(p)}
	if err := strict(b, &w); err != nil {
		return err
	}
	var err error
	if p.QueueTimeout, err = duration("queue_timeout", w.QueueTimeout); err != nil {
		return err
	}
	return p.check()
}

// MarshalJSON writes what UnmarshalJSON reads.
func (p Pipeline) MarshalJSON() ([]byte, error) {
	w := wirePipeline{plainPipeline: (*plainPipeline)(&p)}
	if p.QueueTimeout != 0 {
		w.QueueTimeout = p.QueueTimeout.String()
	}
	return json.Marshal(w)
}

func (p *Pipeline) check() error {
	switch {
	case !jobIDs.MatchString(p.PipelineID):
		return errors.New("pipeline_id is not 32 characters 0-9 and a-z")
	case p.ProjectID != "" && !jobIDs.MatchString(p.ProjectID):
		return errors.New("project_id is not 32 characters 0-9 and a-z")
	case utf8.RuneCountInString(p.Description) > maxDescription:
		return fmt.Errorf("description has at most %d characters", maxDescription)
	case p.Concurrency.Limit < 0, p.QueueTimeout < 0:
		return errors.New("limit and queue_timeout are at least 0")
	case !slices.Contains([]string{"", ExceedQueue, ExceedAbort}, p.Concurrency.ExceedAction):
		return fmt.Errorf("exceed_action %.40q is not %s or %s", p.Concurrency.ExceedAction, ExceedQueue, ExceedAbort)
	case !slices.Contains([]string{UndeclaredTaken, UndeclaredIgnored, UndeclaredRefused}, p.Undeclared):
		return fmt.Errorf("undeclared %.40q is not %s or %s", p.Undeclared, UndeclaredIgnored, UndeclaredRefused)
	case len(p.Variables) > maxVariables:
		return fmt.Errorf("there are at most %d variables", maxVariables)
	}
	for _, v := range p.Variables {
		if !parameterNames.MatchString(v.Name) {
			return fmt.Errorf("variable %.40q is not 1 to 128 letters, digits and _", v.Name)
		}
	}
	return nil
}

// SetPipeline sets a pipeline up. Its id is that of no job from then on. Its runs stay.
func (s *Simulator) SetPipeline(p Pipeline) error {
	if err := p.check(); err != nil {
		return err
	}
	s.setPipelines(p)
	return nil
}

func (s *Simulator) setPipelines(set ...Pipeline) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	for _, p := range set {
		p.Heads = maps.Clone(p.Heads)
		flow := s.pipeline(p.PipelineID)
		s.advance(flow, now) // by what it was set to until now
		flow.Pipeline, flow.set = p, true
		s.advance(flow, now)
	}
}

// SetHead says which commit a branch is on: runs of the pipeline that begin from now on build it.
func (s *Simulator) SetHead(pipelineID, branch, commit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pipeline(pipelineID)
	s.advance(p, s.o.Now())
	if p.Heads == nil {
		p.Heads = make(map[string]string)
	}
	p.Heads[branch] = commit
}

// Resume lets the runs of a pipeline that wait for a person go on: one of them, or all if runID
// is "". It gives how many did.
func (s *Simulator) Resume(pipelineID, runID string) int {
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	p, n := s.pipeline(pipelineID), 0
	s.advance(p, now)
	for _, r := range p.live {
		if (runID == "" || r.flow.id == runID) && s.waits(r, now) {
			r.flow.resumed = now
			n++
		}
	}
	return n
}

// pipeline must be called with the lock.
func (s *Simulator) pipeline(id string) *pipeline {
	p := s.pipelines[id]
	if p == nil {
		p = &pipeline{Pipeline: Pipeline{PipelineID: id}}
		s.pipelines[id] = p
	}
	return p
}

func (s *Simulator) serveSetPipelines(w http.ResponseWriter, r *http.Request) {
	serveAdd(s, w, r, s.setPipelines)
}

func (s *Simulator) serveSetHeads(w http.ResponseWriter, r *http.Request) {
	var heads map[string]string
	if err := decode(w, r, &heads); err != nil {
		s.write(w, gatewayError(400, codeBadRun, err.Error()))
		return
	}
	for branch, commit := range heads {
		s.SetHead(r.PathValue("job"), branch, commit)
	}
	s.write(w, jsonResponse(201, heads))
}

func (s *Simulator) serveResume(w http.ResponseWriter, r *http.Request) {
	s.write(w, jsonResponse(200, map[string]int{"resumed": s.Resume(r.PathValue("job"), r.URL.Query().Get("run_id"))}))
}

// pipelineInfo is GET /v5/{project_id}/api/pipelines/{pipeline_id}.
func (s *Simulator) pipelineInfo(c *pipelineCall) response {
	p := c.pipeline
	sources := []any{}
	for _, source := range p.codeSources() {
		sources = append(sources, map[string]any{"type": "code", "params": source})
	}
	info := map[string]any{
		"id": p.PipelineID, "name": p.name(), "description": p.Description, "manifest_version": "3.0", "banned": p.Banned,
		"project_id": c.project, "region": Region, "is_publish": false, "sources": sources,
		"concurrency_control": map[string]any{
			"enable": p.Concurrency.Limit > 0, "concurrency_number": p.Concurrency.Limit,
			"exceed_action": cmp.Or(p.Concurrency.ExceedAction, ExceedQueue),
		},
	}
	if p.Variables != nil {
		info["variables"] = variablesOf(p.Variables)
	}
	return jsonResponse(200, info)
}

// runtimeVariables is GET …/{pipeline_id}/list-runtime-vars.
func (s *Simulator) runtimeVariables(c *pipelineCall) response {
	fixed := func(v PipelineVariable) bool { return !v.Runtime }
	return jsonResponse(200, variablesOf(slices.DeleteFunc(slices.Clone(c.pipeline.Variables), fixed)))
}

func (p *pipeline) name() string { return cmp.Or(p.Name, "pipeline-"+p.PipelineID[:8]) }

func (p *pipeline) codeSources() []PipelineSource {
	if len(p.Sources) == 0 {
		return []PipelineSource{{GitType: "codehub", GitURL: "https://example.com/repository.git", DefaultBranch: defaultBranch}}
	}
	return p.Sources
}

// masked stands for the value of a secret variable.
const masked = "******"

// variablesOf gives variables as the service does.
func variablesOf(variables []PipelineVariable) []any {
	out := []any{}
	for i, v := range variables {
		value := v.Value
		if v.Secret {
			value = masked
		}
		out = append(out, map[string]any{
			"name": v.Name, "sequence": i + 1, "type": "string", "value": value, "is_secret": v.Secret, "is_runtime": v.Runtime, "description": "",
		})
	}
	return out
}
