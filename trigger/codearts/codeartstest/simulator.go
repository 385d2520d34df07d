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
	// BuildTime is how long a build runs; a minute if not set.
	BuildTime time.Duration
	// RecordLag is how long a build is missing from the records after RunJob answered.
	RecordLag time.Duration
	// CommitLag is how long a record lacks its commit and tag.
	CommitLag time.Duration
	// TagCommit gives the commit that a tag is on; made up if not set.
	TagCommit func(tag string) string
	// Defaults are the parameters that every job declares: a build has them unless it sets
	// them itself.
	Defaults []mapping.Parameter
	// Location is the zone of the wall clock; +08:00 if not set.
	Location *time.Location
	// TextTimes writes start_time in the list of records as a wall clock. Otherwise it is
	// milliseconds since 1970: the reference says an integer, a timestamp.
	TextTimes bool

	Now func() time.Time // the service's clock, in records and the Date of answers; time.Now if not set

	// Started is called with each build that RunJob started, before the answer. It must be
	// safe for concurrent use.
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
	requests atomic.Uint64
	prefix   string // of request ids

	faults faults
	tokens tokens

	mu   sync.RWMutex
	jobs map[string]*job
	runs []*run // of all jobs, oldest first
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
		o:        o,
		secrets:  make(map[string]Key, len(o.Keys)),
		jobNames: make(map[string]bool, len(o.Jobs)),
		mux:      http.NewServeMux(),
		prefix:   strconv.FormatUint(rand.Uint64()|1<<63, 16), //nolint:gosec // an id, not a secret
		jobs:     make(map[string]*job),
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
	s.call("POST /v3/jobs/stop", PathStop, s.stop)
	s.call("GET /v1/record/{job}/list", PathList, s.list)
	s.call("GET /v1/record/{job}/{no}/record-info", PathRecordInfo, s.recordInfo)
	s.call("GET /v1/record/{job}/{no}/build-info-record", PathBuildInfo, s.buildInfo)
	s.call("GET /v1/job/{job}/{no}/history-parameters", PathParameters, s.parameters)
	s.call("POST /v3/auth/tokens", PathToken, s.login)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, gatewayError(404, "APIGW.0101", "The API does not exist or has not been published in the environment"))
	})

	s.mux.HandleFunc("GET /_runs", s.serveRuns)
	s.mux.HandleFunc("POST /_builds", s.serveStart)
	s.mux.HandleFunc("POST /_faults", s.serveAddFaults)
	s.mux.HandleFunc("GET /_faults", s.serveFaults)
	s.mux.HandleFunc("DELETE /_faults", s.serveClearFaults)
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

func (s *Simulator) write(w http.ResponseWriter, r response) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Date"] = []string{s.o.Now().UTC().Format(http.TimeFormat)}
	h["X-Request-Id"] = []string{s.prefix + strconv.FormatUint(s.requests.Add(1), 16)}
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
