package codeartstest

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // for ids, not secrets
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"buildbridge/mapping"
)

const (
	wallClock = "2006-01-02 15:04:05"
	maxWindow = 31 * 24 * time.Hour
	maxPage   = 100
)

// view is a run as its records show it at one time.
type view struct {
	commit, tag, branch, buildType string
	parameters                     []mapping.Parameter
	trigger                        string
	progress
}

// progress is how far a run is.
type progress struct {
	running, state  string
	began, finished time.Time // zero before that
	asPlanned       bool      // it ended, and not because of a stop
}

func (s *Simulator) progress(r *run, stopped, now time.Time) progress {
	p, aborted := progress{running: "Finished", state: r.outcome.state(), asPlanned: true}, ResultAborted
	if r.flow != nil {
		p.state, aborted = r.outcome.status(), resultCanceled
	}
	p.began, p.finished = r.plan()
	began := p.began
	if end := stopped.Add(s.o.StopLag); !stopped.IsZero() && end.Before(p.finished) {
		p.state, p.finished, p.asPlanned = aborted, end, false
		if end.Before(p.began) {
			p.began = time.Time{}
		}
	}
	switch {
	case !now.Before(p.finished):
		return p
	case now.Before(began):
		return progress{running: "InQueue"}
	}
	return progress{running: "Running", began: p.began}
}

func (p progress) ended() bool { return !p.finished.IsZero() }

func (s *Simulator) view(r *run, stopped, now time.Time) view {
	v := view{branch: "master", buildType: "branch", trigger: "OpenAPI", parameters: []mapping.Parameter{}}
	if r.manual {
		v.trigger = "MANUAL"
	}
	var b runBody
	if err := json.Unmarshal(r.body, &b); err != nil {
		return v // it was checked when it came
	}
	for _, d := range s.o.Defaults {
		if !slices.ContainsFunc(b.Parameters, func(p runParameter) bool { return *p.Name == d.Name }) {
			v.parameters = append(v.parameters, d)
		}
	}
	for _, p := range b.Parameters {
		v.parameters = append(v.parameters, mapping.Parameter{Name: *p.Name, Value: *p.Value})
		if *p.Name == "codeBranch" {
			v.branch = *p.Value
		}
	}
	// The head of a branch or of a tag is made up, and the same each time.
	v.commit = hexID(r.jobID, strconv.Itoa(r.no))
	if b.SCM != nil {
		switch {
		case b.SCM.Commit != nil:
			v.commit, v.buildType = *b.SCM.Commit, "commitId"
		case b.SCM.Tag != nil:
			v.tag, v.buildType = *b.SCM.Tag, "tag"
			if s.o.TagCommit != nil {
				v.commit = s.o.TagCommit(v.tag)
			}
		}
		if b.SCM.Branch != nil {
			v.branch = *b.SCM.Branch
		}
	}
	if now.Before(r.at.Add(s.o.CommitLag)) {
		v.commit, v.tag = "", ""
	}
	v.progress = s.progress(r, stopped, now)
	return v
}

func (p progress) status() string { return cmp.Or(p.state, p.running) }

func (s *Simulator) wall(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(s.o.Location).Format(wallClock)
}

// record is an element of job_build_states, with the SDK's types.
func (s *Simulator) record(r *run, v view) map[string]any {
	out := map[string]any{
		"number":             r.no,
		"daily_build_number": r.daily,
		"start_time":         r.at.UnixMilli(),
		"build_time":         r.outcome.After.Milliseconds(),
		"job_running_status": v.running,
		"state":              v.state,
		"trigger_type":       v.trigger,
		"executor":           r.by,
		"build_type":         v.buildType,
		"code_branch":        v.branch,
	}
	if s.o.TextTimes {
		out["start_time"] = s.wall(r.at)
	}
	if s.o.QueuedNoStart && v.running == "InQueue" {
		delete(out, "start_time")
	}
	if v.commit != "" {
		out["commit_id"] = v.commit
		out["commit_info"] = map[string]string{"commit_id": v.commit}
	}
	return out
}

func (s *Simulator) list(r *http.Request, _ []byte) response {
	jobID := r.PathValue("job")
	if bad := s.checkJob(jobID); bad != nil {
		return *bad
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return serviceError(400, codeBadBody, "the query cannot be read")
	}
	from, err1 := time.ParseInLocation(wallClock, q.Get("start_time"), s.o.Location)
	to, err2 := time.ParseInLocation(wallClock, q.Get("end_time"), s.o.Location)
	page, err3 := number(q.Get("page_index"), 0)
	size, err4 := number(q.Get("page_size"), 10)
	switch {
	case err1 != nil || err2 != nil:
		return serviceError(400, codeBadBody, "start_time and end_time have the form yyyy-MM-dd HH:mm:ss")
	case to.Before(from) || to.Sub(from) > maxWindow:
		return serviceError(400, codeBadBody, "the window is at most 31 days")
	case err3 != nil || page < 0:
		return serviceError(400, codeBadBody, "page_index is at least 0")
	case err4 != nil || size < 1 || size > maxPage:
		return serviceError(400, codeBadBody, "page_size is 1 to 100")
	}

	now := s.o.Now()
	to = to.Add(time.Second) // the whole last second counts
	s.mu.RLock()
	var runs []*run
	if j := s.jobs[jobID]; j != nil {
		runs = slices.Clip(j.runs) // later runs are appended to it
	}
	s.mu.RUnlock()
	if len(runs) == 0 {
		return serviceError(403, codeNoHistory, "the job has no history")
	}
	var found []*run
	for _, r := range slices.Backward(runs) {
		if r.at.Before(from) || !r.at.Before(to) || !s.visible(r, now) {
			continue
		}
		if s.o.QueuedUnlisted && s.progress(r, s.stopped(r), now).running == "InQueue" {
			continue
		}
		found = append(found, r)
	}
	states := []any{}
	for _, r := range found[min(page*size, len(found)):min((page+1)*size, len(found))] {
		states = append(states, s.record(r, s.view(r, s.stopped(r), now)))
	}
	return serviceResult(map[string]any{
		"health_score":     "100",
		"page_index":       strconv.Itoa(page),
		"total_page":       strconv.Itoa((len(found) + size - 1) / size),
		"total_record":     strconv.Itoa(len(found)),
		"job_build_states": states,
	})
}

// number reads the number or size of a page, of at most 32 bits.
func number(s string, otherwise int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return int(n), err
}

// stopped is when a stop of the run was asked for.
func (s *Simulator) stopped(r *run) time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return r.stopped
}

func (s *Simulator) visible(r *run, now time.Time) bool {
	return r.manual || !now.Before(r.at.Add(s.o.RecordLag))
}

func (s *Simulator) recordInfo(r *http.Request, _ []byte) response {
	found, v, bad := s.find(r)
	if bad != nil {
		return *bad
	}
	info := map[string]any{
		"codeci_job_id":       found.jobID,
		"build_no":            found.no,
		"build_record_id":     hexID(found.jobID, strconv.Itoa(found.no), "record")[:32],
		"build_project_id":    hexID(found.jobID, "build project")[:32],
		"devcloud_project_id": ProjectID,
		"region":              Region,
		"daily_build_num":     found.daily,
		"branch":              v.branch,
		"tag":                 v.tag,
		"commit":              v.commit,
		"trigger_type":        v.trigger,
		"build_type":          v.buildType,
		"status":              v.status(),
		"record_status":       v.status(),
		"create_time":         s.wall(found.at),
		"start_time":          s.wall(found.at),
		"runnable_time":       s.wall(v.began),
		"finish_time":         s.wall(v.finished),
		"err_msg":             "",
	}
	if v.ended() {
		info["duration"] = v.finished.Sub(found.at).Milliseconds()
	}
	if v.asPlanned {
		info["err_msg"] = found.outcome.Message
	}
	return serviceResult(info)
}

// What record-info says of every build.
const (
	ProjectID = "41b2a8e65b0c4b2fa0f6a3d1c9e87d52" // devcloud_project_id
	Region    = "cn-north-4"
)

// hexID makes up an id of 40 hexadecimal digits, the same each time.
func hexID(of ...string) string {
	sum := sha1.Sum([]byte(strings.Join(of, ""))) //nolint:gosec // an id, not a secret
	return hex.EncodeToString(sum[:])
}

func (s *Simulator) buildInfo(r *http.Request, _ []byte) response {
	found, v, bad := s.find(r)
	if bad != nil {
		return *bad
	}
	return serviceResult(s.record(found, v))
}

func (s *Simulator) parameters(r *http.Request, _ []byte) response {
	_, v, bad := s.find(r)
	if bad != nil {
		return *bad
	}
	return serviceResult(v.parameters)
}

// find gives the build that a path names.
func (s *Simulator) find(r *http.Request) (*run, view, *response) {
	return s.findNumber(r.PathValue("job"), r.PathValue("no"))
}

func (s *Simulator) findNumber(jobID, no string) (*run, view, *response) {
	if bad := s.checkJob(jobID); bad != nil {
		return nil, view{}, bad
	}
	now := s.o.Now()
	s.mu.RLock()
	found := s.lookup(jobID, no)
	var stopped time.Time
	if found != nil {
		stopped = found.stopped
	}
	s.mu.RUnlock()
	if found == nil || !s.visible(found, now) {
		bad := serviceError(400, codeBadNumber, "the build does not exist")
		return nil, view{}, &bad
	}
	return found, s.view(found, stopped, now), nil
}

// lookup must be called with the lock.
func (s *Simulator) lookup(jobID, no string) *run {
	n, err := strconv.Atoi(no)
	if j := s.jobs[jobID]; err == nil && j != nil && n >= 1 && n <= len(j.runs) {
		return j.runs[n-1]
	}
	return nil
}

// newest is the number of the newest build of a job, "0" if it has none.
func (s *Simulator) newest(jobID string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if j := s.jobs[jobID]; j != nil {
		return strconv.Itoa(len(j.runs))
	}
	return "0"
}

func (s *Simulator) checkJob(jobID string) *response {
	var bad response
	switch {
	case !jobIDs.MatchString(jobID):
		bad = serviceError(400, codeBadNumber, "job_id is not 32 characters 0-9 and a-z")
	case !s.exists(jobID):
		bad = serviceError(422, "DEV"+codeNoJob, "the job does not exist")
	default:
		return nil
	}
	return &bad
}
