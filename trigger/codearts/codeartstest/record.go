package codeartstest

import (
	"crypto/sha1" //nolint:gosec // a commit id, not a secret
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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
	running, state, trigger        string
	finished                       time.Time // zero while it runs
}

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
	head := sha1.Sum([]byte(r.jobID + strconv.Itoa(r.no))) //nolint:gosec // as above
	v.commit = hex.EncodeToString(head[:])
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
	v.running = "Running"
	switch end := r.at.Add(s.o.BuildTime); {
	case !stopped.IsZero():
		v.running, v.state, v.finished = "Finished", "ABORTED", stopped
	case !now.Before(end):
		v.running, v.state, v.finished = "Finished", "SUCCESS", end
	}
	return v
}

func (v view) status() string {
	if v.state != "" {
		return v.state
	}
	return v.running
}

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
		"build_time":         s.o.BuildTime.Milliseconds(),
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
		if !r.at.Before(from) && r.at.Before(to) && s.visible(r, now) {
			found = append(found, r)
		}
	}
	states := []any{}
	for _, r := range found[min(page*size, len(found)):min((page+1)*size, len(found))] {
		s.mu.RLock()
		stopped := r.stopped
		s.mu.RUnlock()
		states = append(states, s.record(r, s.view(r, stopped, now)))
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

func (s *Simulator) visible(r *run, now time.Time) bool {
	return r.manual || !now.Before(r.at.Add(s.o.RecordLag))
}

func (s *Simulator) recordInfo(r *http.Request, _ []byte) response {
	found, v, bad := s.find(r)
	if bad != nil {
		return *bad
	}
	return serviceResult(map[string]any{
		"codeci_job_id":   found.jobID,
		"build_no":        found.no,
		"daily_build_num": found.daily,
		"branch":          v.branch,
		"tag":             v.tag,
		"commit":          v.commit,
		"trigger_type":    v.trigger,
		"build_type":      v.buildType,
		"status":          v.status(),
		"create_time":     s.wall(found.at),
		"start_time":      s.wall(found.at),
		"finish_time":     s.wall(v.finished),
		"err_msg":         "",
	})
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
	jobID := r.PathValue("job")
	if bad := s.checkJob(jobID); bad != nil {
		return nil, view{}, bad
	}
	now := s.o.Now()
	s.mu.RLock()
	found := s.lookup(jobID, r.PathValue("no"))
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

func (s *Simulator) stop(r *http.Request, body []byte) response {
	var b struct {
		JobID   string `json:"job_id"`
		BuildNo string `json:"build_no"`
	}
	if !isJSON(r) || json.Unmarshal(body, &b) != nil || !jobIDs.MatchString(b.JobID) {
		return gatewayError(400, codeBadBody, "job_id and build_no are needed, both strings")
	}
	if !s.exists(b.JobID) {
		return gatewayError(404, codeNoJob, "the job does not exist")
	}
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.lookup(b.JobID, b.BuildNo)
	if found == nil {
		return gatewayError(400, codeBadNumber, "the build does not exist")
	}
	if s.view(found, found.stopped, now).state != "" {
		return gatewayError(400, codeEnded, "the build has ended")
	}
	found.stopped = now
	return jsonResponse(200, map[string]bool{"result": true})
}
