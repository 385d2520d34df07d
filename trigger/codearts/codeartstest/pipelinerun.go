package codeartstest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The codes of CodeArts Pipeline. The last four are made up: no list of its codes is published.
const (
	codeQueued       = "DEVPIPE.00011169" // by the limit of the pipeline
	codeQueuedTenant = "DEVPIPE.00011170"
	codeTooMany      = "DEVPIPE.00011104"
	codeNoPipeline   = "DEVPIPE.00011401"
	codeOtherProject = "DEVPIPE.00011136" // what RunPipeline says instead
	codeNoMember     = "DEVPIPE.00011412"
	codeBadRun       = "DEVPIPE.00010001"
	codeNoRun        = "DEVPIPE.00010002"
	codeRunState     = "DEVPIPE.00010003" // the run is not in a state for the call
	codeBanned       = "DEVPIPE.00010004"
)

const (
	maxDescription = 1024
	maxVariables   = 100
	maxQueue       = 100 // entries of a pipeline
	queueTimeout   = 24 * time.Hour
	defaultBranch  = "master"
)

// flow is what a run of a pipeline has beyond a build of a job. It changes under the simulator's
// lock.
type flow struct {
	id, project string
	description string
	variables   []PipelineVariable
	sources     []flowSource

	queueID string    // "" if it was never queued
	asked   time.Time // when it, or its retry, was asked for
	began   time.Time // zero as long as it is queued
	dropped bool      // its time in the queue ran out
	resumed time.Time // when a person let it go on; zero if none did
	commit  string    // of the first source, once it began
}

// flowSource is what is built of one code source.
type flowSource struct {
	PipelineSource

	buildType, branch, tag, commit string
}

// never is when a run ends that waits for something else than time.
func never() time.Time { return time.Unix(1<<40, 0) }

// plan is when a run begins and ends, if nobody stops it.
func (r *run) plan() (began, finished time.Time) {
	if r.flow == nil {
		began = r.at.Add(r.outcome.Queued)
		return began, began.Add(r.outcome.After)
	}
	f := r.flow
	switch {
	case f.began.IsZero():
		return never(), never()
	case r.outcome.Paused == 0:
		return f.began, f.began.Add(r.outcome.After)
	case f.resumed.IsZero():
		return f.began, never()
	}
	return f.began, f.resumed.Add(max(0, r.outcome.After-r.outcome.Paused))
}

// waits reports whether the run waits for a person.
func (s *Simulator) waits(r *run, now time.Time) bool {
	p := s.progress(r, r.stopped, now)
	return p.running == "Running" && r.outcome.Paused > 0 && r.flow.resumed.IsZero() && !now.Before(r.flow.began.Add(r.outcome.Paused))
}

// flowStatus is the status of a run of a pipeline.
func (s *Simulator) flowStatus(r *run, now time.Time) string {
	p := s.progress(r, r.stopped, now)
	switch {
	case p.ended():
		return p.state
	case p.running == "InQueue":
		return "QUEUED"
	case !s.waits(r, now):
		return "RUNNING"
	case r.outcome.Suspend:
		return "SUSPEND"
	}
	return "PAUSED"
}

// pipelineRunBody is the body of RunPipeline. Its pointers tell null from "".
type pipelineRunBody struct {
	Sources []struct {
		Type   string `json:"type"`
		Params *struct {
			GitType       string `json:"git_type"`
			GitURL        string `json:"git_url"`
			CodehubID     string `json:"codehub_id"`
			EndpointID    string `json:"endpoint_id"`
			Alias         string `json:"alias"`
			DefaultBranch string `json:"default_branch"`
			Build         *struct {
				BuildType string  `json:"build_type"`
				EventType string  `json:"event_type"`
				Branch    *string `json:"target_branch"`
				Tag       *string `json:"tag"`
				Commit    *string `json:"commit_id"`
			} `json:"build_params"`
		} `json:"params"`
	} `json:"sources"`
	Description  string         `json:"description"`
	Variables    []runParameter `json:"variables"`
	ChooseJobs   []string       `json:"choose_jobs"`
	ChooseStages []string       `json:"choose_stages"`
}

// parse reads a body of RunPipeline, within the limits of the API reference, and gives the run
// that it asks for.
func (p *pipeline) parse(body []byte) (*flow, error) {
	var b pipelineRunBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("not the JSON expected: %w", err)
	}
	if n := utf8.RuneCountInString(b.Description); n > maxDescription {
		return nil, fmt.Errorf("description has %d characters, at most %d", n, maxDescription)
	}
	if slices.Contains(b.ChooseJobs, "") || slices.Contains(b.ChooseStages, "") {
		return nil, fmt.Errorf("choose_jobs and choose_stages hold identifiers, not empty texts")
	}
	f := &flow{description: b.Description}
	var err error
	if f.sources, err = p.parseSources(b); err != nil {
		return nil, err
	}
	f.variables, err = p.parseVariables(b.Variables, f.sources)
	return f, err
}

func (p *pipeline) parseSources(b pipelineRunBody) ([]flowSource, error) {
	var sources []flowSource
	for _, source := range p.codeSources() {
		sources = append(sources, flowSource{PipelineSource: source, buildType: "branch", branch: cmp.Or(source.DefaultBranch, defaultBranch)})
	}
	for i, source := range b.Sources {
		params := source.Params
		switch {
		case !slices.Contains([]string{"code", "artifact"}, source.Type):
			return nil, fmt.Errorf("sources[%d].type %.40q is not code or artifact", i, source.Type)
		case source.Type == "artifact":
			continue
		case params == nil || params.Build == nil:
			return nil, fmt.Errorf("sources[%d].params.build_params is missing", i)
		case !slices.Contains([]string{"", "codehub", "gitee", "github", "gitcode", "gitlab"}, params.GitType):
			return nil, fmt.Errorf("sources[%d].params.git_type %.40q is none of codehub, gitee, github, gitcode, gitlab", i, params.GitType)
		case (params.GitType == "") != (params.GitURL == ""):
			return nil, fmt.Errorf("sources[%d].params has only one of git_type and git_url", i)
		case !eventTypes.MatchString(params.Build.EventType):
			return nil, fmt.Errorf("sources[%d].params.build_params.event_type %.40q is unknown", i, params.Build.EventType)
		}
		built := flowSource{
			PipelineSource: PipelineSource{Alias: params.Alias, GitType: params.GitType, GitURL: params.GitURL, DefaultBranch: params.DefaultBranch},
			buildType:      params.Build.BuildType,
		}
		set := func(text *string) bool { return text != nil && *text != "" }
		switch branch, tag := params.Build.Branch, params.Build.Tag; built.buildType {
		case "branch":
			if !set(branch) || set(tag) {
				return nil, fmt.Errorf("sources[%d].params.build_params of type branch needs target_branch, and no tag", i)
			}
			built.branch = *branch
		case "tag":
			if !set(tag) || set(branch) {
				return nil, fmt.Errorf("sources[%d].params.build_params of type tag needs tag, and no target_branch", i)
			}
			built.tag = *tag
		default:
			return nil, fmt.Errorf("sources[%d].params.build_params.build_type %.40q is not branch or tag", i, built.buildType)
		}
		if set(params.Build.Commit) {
			built.commit = *params.Build.Commit
		}
		if i < len(sources) {
			if built.GitURL == "" { // the pipeline knows it
				built.PipelineSource = sources[i].PipelineSource
			}
			sources[i] = built
		} else {
			sources = append(sources, built)
		}
	}
	return sources, nil
}

var eventTypes = regexp.MustCompile(`^(Manual|Scheduler|MR|Push|CreateTag|Issue|Note)?$`)

// reservedVariables are those that the service sets itself, without those by the alias of a source.
var reservedVariables = regexp.MustCompile(`^(PROJECT_ID|COMPONENT_ID|PIPELINE_ID|PIPELINE_NUMBER|COMMIT_ID|COMMIT_ID_SHORT|TIMESTAMP|` +
	`PIPELINE_TRIGGER_TYPE|PIPELINE_NAME|REPO_URL|EXECUTE_USER.*|PASS_CONDITIONS_LINK|PIPELINE_RUN_ID|MERGE_ID|WEBHOOK_PAYLOAD)$`)

var aliasVariables = regexp.MustCompile(`^_(REPOSITORY_NAME|SOURCE_BRANCH|TARGET_BRANCH|TAG|COMMIT_ID|COMMIT_ID_SHORT|REPO_URL)$`)

func (p *pipeline) parseVariables(sent []runParameter, sources []flowSource) ([]PipelineVariable, error) {
	variables := slices.Clone(p.Variables)
	if len(sent) > maxVariables {
		return nil, fmt.Errorf("%d variables, at most %d", len(sent), maxVariables)
	}
	for i, v := range sent {
		switch {
		case v.Name == nil || v.Value == nil:
			return nil, fmt.Errorf("variables[%d] needs a name and a value, both strings", i)
		case !parameterNames.MatchString(*v.Name):
			return nil, fmt.Errorf("variables[%d].name %.40q is not 1 to 128 letters, digits and _", i, *v.Name)
		case reservedVariables.MatchString(*v.Name), slices.ContainsFunc(sources, func(s flowSource) bool {
			rest, ok := strings.CutPrefix(*v.Name, s.Alias)
			return ok && s.Alias != "" && aliasVariables.MatchString(rest)
		}):
			return nil, fmt.Errorf("variables[%d].name %s must not be set", i, *v.Name)
		case utf8.RuneCountInString(*v.Value) > maxValue:
			return nil, fmt.Errorf("variables[%d].value is longer than %d characters", i, maxValue)
		}
		at := slices.IndexFunc(variables, func(known PipelineVariable) bool { return known.Name == *v.Name })
		switch {
		case at >= 0 && variables[at].Runtime:
			variables[at].Value = *v.Value
		case p.Variables != nil && p.Undeclared == UndeclaredRefused:
			return nil, fmt.Errorf("variables[%d].name %s is not declared as set at run time", i, *v.Name)
		case p.Variables != nil && p.Undeclared == UndeclaredIgnored:
		case at >= 0:
			variables[at].Value = *v.Value
		default:
			variables = append(variables, PipelineVariable{Name: *v.Name, Value: *v.Value, Runtime: true})
		}
	}
	return variables, nil
}

// runPipeline is POST /v5/{project_id}/api/pipelines/{pipeline_id}/run.
func (s *Simulator) runPipeline(c *pipelineCall) response {
	p := c.pipeline
	if p.Banned {
		return gatewayError(400, codeBanned, "the pipeline is banned")
	}
	f, err := p.parse(c.body)
	if err != nil {
		return gatewayError(400, codeBadRun, err.Error())
	}
	if p.refuses() {
		p.failures = append(p.failures, failure{at: c.now, by: c.by})
		return gatewayError(200, codeTooMany, "too many concurrent runs")
	}
	f.project = c.project
	c.started = s.startFlow(p, f, c.body, c.by, false, c.now)
	return c.started.flowAnswer(p)
}

// startFlow must be called with the lock.
func (s *Simulator) startFlow(p *pipeline, f *flow, body []byte, by string, manual bool, now time.Time) *run {
	started := s.add(p.PipelineID, body, by, manual, now)
	f.id = hexID(p.PipelineID, "run", strconv.Itoa(started.no))[:32]
	started.flow = f
	s.enter(p, started, now)
	return started
}

// enter lets a run begin, or puts it in the queue. It must be called with the lock.
func (s *Simulator) enter(p *pipeline, r *run, now time.Time) {
	r.flow.asked = now
	if r.outcome.Queued == 0 && !p.full() {
		s.begin(p, r, now)
		return
	}
	r.flow.queueID = hexID(r.flow.id, "queue", now.String())[:32]
	p.queue = append(p.queue, r)
}

// begin must be called with the lock.
func (s *Simulator) begin(p *pipeline, r *run, at time.Time) {
	r.flow.began = at
	p.live = append(p.live, r)
	if r.manual && r.flow.commit != "" {
		return
	}
	switch source := r.flow.sources[0]; {
	case source.commit != "" && p.HonourCommit:
		r.flow.commit = source.commit
	case source.tag != "" && s.o.TagCommit != nil:
		r.flow.commit = s.o.TagCommit(source.tag)
	case source.tag != "":
		r.flow.commit = hexID(p.PipelineID, "tag", source.tag)
	default:
		if r.flow.commit = p.Heads[source.branch]; r.flow.commit == "" && s.o.Head != nil {
			r.flow.commit = s.o.Head(p.PipelineID, source.branch)
		}
		r.flow.commit = cmp.Or(r.flow.commit, hexID(p.PipelineID, "branch", source.branch)) // made up, and the same each time
	}
}

// advance lets queued runs begin, and drops them, as it was due until now. It must be called with
// the lock.
func (s *Simulator) advance(p *pipeline, now time.Time) {
	for at := p.seen; ; {
		if p.waiting() == 0 {
			at = now
		}
		next := never()
		sooner := func(t time.Time) {
			if t.After(at) && t.Before(next) {
				next = t
			}
		}
		p.live = slices.DeleteFunc(p.live, func(r *run) bool { return s.progress(r, r.stopped, at).ended() })
		p.queue = slices.DeleteFunc(p.queue, func(r *run) bool {
			ready, end := r.flow.asked.Add(r.outcome.Queued), r.flow.asked.Add(cmp.Or(p.QueueTimeout, queueTimeout))
			switch {
			case r.flow.dropped: // it stays listed
			case !r.stopped.IsZero():
				return true
			case !at.Before(end):
				r.flow.dropped = true
			case !at.Before(ready) && !p.full():
				s.begin(p, r, at)
				return true
			default:
				sooner(ready)
				sooner(end)
			}
			return false
		})
		for _, r := range p.live {
			_, finished := r.plan()
			if !r.stopped.IsZero() {
				finished = r.stopped.Add(s.o.StopLag)
			}
			sooner(finished)
		}
		if next.After(now) {
			p.seen = now
			return
		}
		at = next
	}
}

func (p *pipeline) full() bool {
	return p.Concurrency.Limit > 0 && len(p.live) >= p.Concurrency.Limit
}

// refuses reports whether a run would neither begin nor be queued.
func (p *pipeline) refuses() bool {
	return p.full() && (p.Concurrency.ExceedAction == ExceedAbort || p.waiting() >= maxQueue)
}

// waiting is how many runs are in the queue.
func (p *pipeline) waiting() int {
	n := 0
	for _, r := range p.queue {
		if !r.flow.dropped {
			n++
		}
	}
	return n
}

func (r *run) flowAnswer(p *pipeline) response {
	if r.flow.queueID == "" {
		return jsonResponse(200, map[string]string{"pipeline_run_id": r.flow.id})
	}
	code, message := codeQueued, "the pipeline has as many runs as it may have: the run is queued"
	if p.Concurrency.Tenant {
		code, message = codeQueuedTenant, "the tenant has as many runs as it may have: the run is queued"
	}
	return jsonResponse(200, map[string]any{
		"error_code": code, "error_msg": message, "error": map[string]string{"pipeline_run_id": r.flow.id, "queue_id": r.flow.queueID},
	})
}

// stopRun is POST …/pipeline-runs/{run_id}/stop.
func (s *Simulator) stopRun(c *pipelineCall) response {
	r, bad := s.findFlow(c)
	switch {
	case bad != nil:
		return *bad
	case r.flow.began.IsZero():
		return gatewayError(400, codeRunState, "the run is queued: cancel that")
	case s.progress(r, r.stopped, c.now).ended():
		return gatewayError(400, codeRunState, "the run has ended")
	case r.stopped.IsZero():
		r.stopped = c.now
	}
	return jsonResponse(200, map[string]bool{"success": true})
}

// cancelQueuing is POST …/{run_id}/cancel-queuing/{queue_id}.
func (s *Simulator) cancelQueuing(c *pipelineCall) response {
	if c.r.PathValue("verb") != "cancel-queuing" {
		return notPublished()
	}
	i := slices.IndexFunc(c.pipeline.queue, func(r *run) bool {
		return r.flow.id == c.r.PathValue("run") && r.flow.queueID == c.r.PathValue("queue") && !r.flow.dropped
	})
	if i < 0 {
		return gatewayError(400, codeRunState, "the run is not queued")
	}
	c.pipeline.queue[i].stopped = c.now
	s.advance(c.pipeline, c.now)
	return jsonResponse(200, map[string]bool{"success": true})
}

// retryRun is PUT …/pipeline-runs/{run_id}/retry: the run goes on, with its id.
func (s *Simulator) retryRun(c *pipelineCall) response {
	r, bad := s.findFlow(c)
	if bad != nil {
		return *bad
	}
	p := c.pipeline
	if status := s.flowStatus(r, c.now); status != resultFailed && status != resultCanceled {
		return gatewayError(400, codeRunState, "the run is "+status)
	}
	if p.refuses() {
		return gatewayError(200, codeTooMany, "too many concurrent runs")
	}
	r.outcome, r.stopped = s.nextOutcome(p.PipelineID), time.Time{}
	r.flow.queueID, r.flow.began, r.flow.resumed = "", time.Time{}, time.Time{}
	s.enter(p, r, c.now)
	if r.flow.queueID != "" {
		return r.flowAnswer(p)
	}
	return jsonResponse(200, map[string]bool{"success": true})
}

// pipelineCall is a call about a pipeline. It has the simulator's lock.
type pipelineCall struct {
	r       *http.Request
	body    []byte
	project string
	by      string
	now     time.Time

	pipeline *pipeline
	started  *run // by the call; nil if it started none
}

// pipelineCall registers a call about a pipeline.
func (s *Simulator) pipelineCall(pattern, path string, work func(*pipelineCall) response) {
	s.call(pattern, path, func(r *http.Request, body []byte) response {
		if bad := s.gateway(r, body, path); bad != nil {
			return *bad
		}
		c := &pipelineCall{r: r, body: body, project: r.PathValue("project"), by: s.executor(r), now: s.o.Now()}
		answer := s.aboutPipeline(c, path, work)
		if c.started != nil && s.o.Started != nil {
			s.o.Started(c.started.run())
		}
		return answer
	})
}

func (s *Simulator) aboutPipeline(c *pipelineCall, path string, work func(*pipelineCall) response) response {
	id := c.r.PathValue("job")
	s.mu.Lock()
	defer s.mu.Unlock()
	if !jobIDs.MatchString(id) || s.deleted[id] || s.isJob(id) {
		return gatewayError(400, codeNoPipeline, "the pipeline does not exist")
	}
	p := s.pipeline(id)
	s.advance(p, c.now)
	switch c.pipeline = p; {
	case p.ProjectID != "" && p.ProjectID != c.project && path == PathPipelineRun:
		return gatewayError(200, codeOtherProject, "the pipeline is not in the project")
	case p.ProjectID != "" && p.ProjectID != c.project:
		return gatewayError(400, codeNoPipeline, "the pipeline does not exist")
	case !p.NoMember:
		return work(c)
	}
	switch path {
	case PathPipelineList:
		return jsonResponse(200, map[string]any{"offset": 0, "limit": maxPage, "total": 0, "pipeline_runs": []any{}})
	case PathPipelineQueue:
		return page(c.r, "queuedPipelines", []any{})
	case PathPipelineFailures:
		return page(c.r, "triggerFailedRecordVOS", []any{})
	}
	return gatewayError(400, codeNoMember, "the project does not exist, or the user is no member of it")
}

// isJob reports whether an id is known to be that of a job. It must be called with the lock.
func (s *Simulator) isJob(id string) bool {
	_, set := s.settings[id]
	j := s.jobs[id]
	return set || j != nil && j.runs[0].flow == nil
}

// isPipeline reports whether an id is known to be that of a pipeline. It must be called with the
// lock.
func (s *Simulator) isPipeline(id string) bool {
	p, j := s.pipelines[id], s.jobs[id]
	return p != nil && p.set || j != nil && j.runs[0].flow != nil
}

// startRun starts a run of a pipeline by hand, and gives its id.
func (s *Simulator) startRun(b Build) (string, error) {
	build := map[string]string{"build_type": "branch", "event_type": "Manual", "target_branch": cmp.Or(b.Branch, defaultBranch)}
	if b.Tag != "" {
		build = map[string]string{"build_type": "tag", "event_type": "Manual", "tag": b.Tag}
	}
	body, err := json.Marshal(map[string]any{
		"sources":     []any{map[string]any{"type": "code", "params": map[string]any{"build_params": build}}},
		"description": b.Description, "variables": b.Parameters,
	})
	if err != nil {
		return "", err
	}
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.JobID != "" || !jobIDs.MatchString(b.PipelineID) || s.deleted[b.PipelineID] || s.isJob(b.PipelineID) {
		return "", fmt.Errorf("the pipeline does not exist")
	}
	p := s.pipeline(b.PipelineID)
	s.advance(p, now)
	f, err := p.parse(body)
	if err != nil {
		return "", err
	}
	f.project, f.commit = cmp.Or(b.ProjectID, p.ProjectID, ProjectID), b.Commit
	return s.startFlow(p, f, body, cmp.Or(b.Executor, "person"), true, now).flow.id, nil
}

// gateway gives what the gateway in front of the calls about pipelines refuses, or nil.
func (s *Simulator) gateway(r *http.Request, body []byte, path string) *response {
	var bad response
	project := r.PathValue("project")
	bodiless := r.Method == http.MethodGet || len(body) == 0 && (path == PathPipelineStop || path == PathPipelineRetry)
	switch kind := r.Header.Get("Content-Type"); {
	// The official SDK's own spelling is taken. The one that most clients write was seen to be refused.
	case !bodiless && kind != "application/json" && kind != "application/json;charset=UTF-8":
		bad = gatewayError(400, "APIGW.0106", "The request content type is not supported")
	case !bodiless && (len(bytes.TrimSpace(body)) == 0 || !json.Valid(body)):
		bad = gatewayError(400, "PARSE_REQUEST_DATA_EXCEPTION", "the body is not JSON")
	case project == s.o.IAMProject && project != "", project == r.Header.Get("X-Project-Id") && s.o.IAMProject == "":
		bad = gatewayError(401, "APIGW.0301", "Incorrect IAM authentication information: get token error,status:400")
	case !jobIDs.MatchString(project):
		bad = gatewayError(400, codeNoMember, "project_id is not 32 characters 0-9 and a-z")
	default:
		return nil
	}
	return &bad
}
