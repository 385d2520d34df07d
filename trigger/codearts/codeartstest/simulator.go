package codeartstest

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"buildbridge/mapping"
)

// Options of a simulator. The zero value lets every caller in, and has every job.
type Options struct {
	Keys   []Key    // access keys that may sign
	Users  []User   // users that may log in for a token
	Tokens []string // user tokens that never expire
	// TokenTTL is how long a token from a login is valid; 24 h if not set.
	TokenTTL time.Duration

	// Jobs are the job ids that exist; empty means all that are well-formed.
	Jobs []string
	// BuildTime is how long a build runs, unless an [Outcome] says otherwise; a minute if not
	// set.
	BuildTime time.Duration
	// StopLag is how long a stop takes. A build that ends within that time ends as it would.
	StopLag time.Duration
	// OldStop leaves out POST /v1/job/{job_id}/stop, as if it was not published.
	OldStop bool
	// QueuedUnlisted leaves builds out of the list of records as long as they are queued. Runs of
	// pipelines have no detail then either.
	QueuedUnlisted bool
	// QueuedNoStart leaves start_time out of the records of builds that are queued.
	QueuedNoStart bool
	// RecordLag is how long a build is missing from the records after RunJob or RunPipeline
	// answered.
	RecordLag time.Duration
	// CommitLag is how long a record lacks its commit and tag.
	CommitLag time.Duration
	// TagCommit gives the commit that a tag is on; made up if not set.
	TagCommit func(tag string) string
	// Head gives the commit that a branch is on when a run of a pipeline begins; made up if not set
	// or "". What [Simulator.SetHead] said comes first.
	Head func(pipelineID, branch string) string
	// IAMProject is the project of IAM that tokens and signatures are for, which is that of no
	// pipeline; if not set, the one that the caller names in X-Project-Id.
	IAMProject string
	// Defaults are the parameters that every job declares: a build has them unless it sets
	// them itself.
	Defaults []mapping.Parameter
	// Location is the zone of the wall clock; +08:00 if not set.
	Location *time.Location
	// TextTimes writes start_time in the list of records as a wall clock. Otherwise it is
	// milliseconds since 1970: the reference says an integer, a timestamp.
	TextTimes bool

	Now func() time.Time // the service's clock, in records and the Date of answers; time.Now if not set

	// Started is called with each build that RunJob or RunPipeline started, before the answer. It
	// must be safe for concurrent use.
	Started func(Run)
}

// Key is an access key. With a SecurityToken it is a temporary key: each request has to have
// the token too.
type Key struct{ AccessKey, SecretKey, SecurityToken string }

// User is an IAM user.
type User struct{ Domain, Name, Password string }

// Simulator is the service as an http.Handler. It is safe for concurrent use.
type Simulator struct {
	o        Options
	secrets  map[string]Key
	jobNames map[string]bool
	mux      *http.ServeMux
	answers  atomic.Uint64
	prefix   string                   // of request ids
	requests map[string]*atomic.Int64 // by the paths of calls

	faults faults
	tokens tokens

	mu        sync.RWMutex
	jobs      map[string]*job // and pipelines
	deleted   map[string]bool // jobs and pipelines
	settings  map[string]Job
	pipelines map[string]*pipeline
	runs      []*run    // that RunJob and RunPipeline started, oldest first
	outcomes  []Outcome // of builds to come
}

// New makes a simulator.
func New(o Options) *Simulator {
	if o.TokenTTL == 0 {
		o.TokenTTL = 24 * time.Hour
	}
	if o.BuildTime == 0 {
		o.BuildTime = time.Minute
	}
	if o.Location == nil {
		o.Location = time.FixedZone("UTC+8", 8*60*60)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Simulator{
		o:         o,
		secrets:   make(map[string]Key, len(o.Keys)),
		jobNames:  make(map[string]bool, len(o.Jobs)),
		mux:       http.NewServeMux(),
		prefix:    strconv.FormatUint(rand.Uint64()|1<<63, 16), //nolint:gosec // an id, not a secret
		requests:  make(map[string]*atomic.Int64, len(paths)),
		jobs:      make(map[string]*job),
		deleted:   make(map[string]bool),
		settings:  make(map[string]Job),
		pipelines: make(map[string]*pipeline),
	}
	for _, path := range paths {
		s.requests[path] = new(atomic.Int64)
	}
	for _, key := range o.Keys {
		s.secrets[key.AccessKey] = key
	}
	for _, id := range o.Jobs {
		s.jobNames[id] = true
	}
	s.tokens.fixed = make(map[string]bool, len(o.Tokens))
	for _, token := range o.Tokens {
		s.tokens.fixed[token] = true
	}
	s.routes()
	return s
}

func (s *Simulator) routes() {
	s.call("POST /v3/jobs/build", PathRun, s.runJob)
	s.call("POST /v1/job/execute", PathRun, s.executeJob)
	s.call("POST /v3/jobs/stop", PathStop, s.stopJob)
	s.call("POST /v3/jobs/{job}/{no}/stop", PathStop, s.stopBuildJob)
	if !s.o.OldStop {
		s.call("POST /v1/job/{job}/stop", PathStop, s.stopTheJob)
	}
	s.call("GET /v1/record/{job}/list", PathList, s.list)
	s.call("GET /v1/record/{job}/{no}/record-info", PathRecordInfo, s.recordInfo)
	s.call("GET /v1/record/{job}/{no}/build-info-record", PathBuildInfo, s.buildInfo)
	s.call("GET /v1/job/{job}/{no}/history-parameters", PathParameters, s.parameters)
	s.call("GET /v1/job/{job}/{no}/build-info", PathBuildResult, s.buildResult)
	s.call("GET /v1/job/{job}/status", PathStatus, s.status)
	s.call("GET /v3/jobs/{job}/{no}/history-details", PathSteps, s.steps)
	s.call("GET /v1/job/{job}/info", PathJobInfo, s.jobInfo)
	s.call("GET /v1/job/{job}/config", PathJobConfig, s.jobConfig)
	s.call("GET /v1/job/{job}/check/disable", PathJobDisabled, s.jobDisabled)
	s.call("POST /v3/auth/tokens", PathToken, s.login)
	s.pipelineRoutes()
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, notPublished())
	})

	s.mux.HandleFunc("GET /_runs", s.serveRuns)
	s.mux.HandleFunc("GET /_builds", s.serveBuilds)
	s.mux.HandleFunc("POST /_builds", s.serveStart)
	s.mux.HandleFunc("POST /_outcomes", s.serveAddOutcomes)
	s.mux.HandleFunc("GET /_outcomes", s.serveOutcomes)
	s.mux.HandleFunc("DELETE /_outcomes", s.serveClearOutcomes)
	s.mux.HandleFunc("GET /_requests", s.serveRequests)
	s.mux.HandleFunc("POST /_jobs", s.serveSetJobs)
	s.mux.HandleFunc("DELETE /_jobs/{job}", s.serveDeleteJob)
	s.mux.HandleFunc("POST /_pipelines", s.serveSetPipelines)
	s.mux.HandleFunc("POST /_pipelines/{job}/heads", s.serveSetHeads)
	s.mux.HandleFunc("POST /_pipelines/{job}/resume", s.serveResume)
	s.mux.HandleFunc("DELETE /_pipelines/{job}", s.serveDeleteJob)
	s.mux.HandleFunc("POST /_faults", s.serveAddFaults)
	s.mux.HandleFunc("GET /_faults", s.serveFaults)
	s.mux.HandleFunc("DELETE /_faults", s.serveClearFaults)
}

func (s *Simulator) pipelineRoutes() {
	const base = " /v5/{project}/api/pipelines/"
	s.call("POST"+base+"status", PathPipelineStatus, s.pipelinesStatus)
	s.pipelineCall("GET"+base+"{job}", PathPipelineInfo, s.pipelineInfo)
	s.pipelineCall("GET"+base+"{job}/list-runtime-vars", PathPipelineRuntimeVars, s.runtimeVariables)
	s.pipelineCall("POST"+base+"{job}/run", PathPipelineRun, s.runPipeline)
	s.pipelineCall("POST"+base+"{job}/pipeline-runs/list", PathPipelineList, s.pipelineRuns)
	s.pipelineCall("GET"+base+"{job}/pipeline-runs/detail", PathPipelineDetail, s.runDetail)
	s.pipelineCall("GET"+base+"{job}/pipeline-runs/{run}/run-variables", PathPipelineVariables, s.runVariables)
	s.pipelineCall("POST"+base+"{job}/pipeline-runs/{run}/stop", PathPipelineStop, s.stopRun)
	s.pipelineCall("PUT"+base+"{job}/pipeline-runs/{run}/retry", PathPipelineRetry, s.retryRun)
	s.pipelineCall("GET"+base+"{job}/queued-pipeline", PathPipelineQueue, s.queuedPipelines)
	s.pipelineCall("GET"+base+"{job}/trigger-failed-record", PathPipelineFailures, s.triggerFailures)
	// It is cancel-queuing, which the mux would find to clash with the path of stop.
	s.pipelineCall("POST"+base+"{job}/{run}/{verb}/{queue}", PathPipelineCancel, s.cancelQueuing)
}

// ServeHTTP answers a call.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// maxBody is the largest body of a request, in bytes.
const maxBody = 1 << 20

// response is an answer that is not written yet: a fault may replace it.
type response struct {
	status int
	header map[string]string
	body   []byte
}

// call registers a call of the service: faults come first, then authentication, then the work.
func (s *Simulator) call(pattern, path string, work func(r *http.Request, body []byte) response) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.requests[path].Add(1)
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			s.write(w, gatewayError(413, "APIGW.0201", "Request entity too large"))
			return
		}
		do := func() response {
			if path != PathToken {
				if bad := s.authenticate(r, body); bad != nil {
					return *bad
				}
			}
			return work(r, body)
		}
		fault := s.faults.pick(path, r, body)
		if fault == nil {
			s.write(w, do())
			return
		}
		answer, ok := fault.apply(r.Context(), do)
		if !ok {
			panic(http.ErrAbortHandler) // it closes the connection without an answer
		}
		s.write(w, answer)
	})
}

// Requests is how many requests have come for a call, such as [PathList], those that a fault was
// applied to included; "" means all calls of the service.
func (s *Simulator) Requests(path string) int {
	n := 0
	for name, count := range s.requests {
		if path == "" || path == name {
			n += int(count.Load())
		}
	}
	return n
}

func (s *Simulator) serveRequests(w http.ResponseWriter, _ *http.Request) {
	counts := make(map[string]int64, len(paths))
	for _, path := range paths {
		counts[path] = s.requests[path].Load()
	}
	s.write(w, jsonResponse(200, counts))
}

func (s *Simulator) write(w http.ResponseWriter, r response) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Date"] = []string{s.o.Now().UTC().Format(http.TimeFormat)}
	h["X-Request-Id"] = []string{s.prefix + strconv.FormatUint(s.answers.Add(1), 16)}
	for name, value := range r.header {
		h.Set(name, value)
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body)
}

func jsonResponse(status int, body any) response {
	b, err := json.Marshal(body)
	if err != nil {
		return response{status: 500, body: []byte(err.Error())}
	}
	return response{status: status, body: b}
}

// gatewayError is an error in the form of the gateway and of the v3 calls.
func gatewayError(status int, code, message string) response {
	return jsonResponse(status, map[string]string{"error_code": code, "error_msg": message})
}

func notPublished() response {
	return gatewayError(404, "APIGW.0101", "The API does not exist or has not been published in the environment")
}

// serviceError is an error in the form of the v1 calls.
func serviceError(status int, code, message string) response {
	return jsonResponse(status, map[string]any{
		"error": map[string]string{"code": code, "message": message}, "result": nil, "status": "error",
	})
}

func serviceResult(result any) response {
	return jsonResponse(200, map[string]any{"error": nil, "result": result, "status": "success"})
}

// isJSON reports whether the header of a request says that the body is JSON.
func isJSON(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/json")
}
