package codeartstest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
)

// Job is how a job is set up. It says what the calls about the job answer, and changes nothing
// of what RunJob does. A job that nobody has set up has a made-up name, is not disabled, and
// does not say which parameters it declares.
type Job struct {
	JobID    string `json:"job_id"`
	Name     string `json:"name,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
	// DisabledReason is why.
	DisabledReason string `json:"disabled_reason,omitempty"`
	NoRun          bool   `json:"no_run,omitempty"` // the caller has not the permission to start it
	// Parameters are those that it declares; nil leaves them out of the answers.
	Parameters []JobParameter `json:"parameters,omitempty"`
	BuildType  string         `json:"build_type,omitempty"` // of its repository: branch, tag, commitId
}

// JobParameter is one that a job declares.
type JobParameter struct {
	Name     string `json:"name"`
	Default  string `json:"default,omitempty"`
	Required bool   `json:"required,omitempty"`
}

// UnmarshalJSON refuses unknown members, as that of [Fault].
func (j *Job) UnmarshalJSON(b []byte) error {
	type plainJob Job
	*j = Job{}
	if err := strict(b, (*plainJob)(j)); err != nil {
		return err
	}
	return j.check()
}

func (j *Job) check() error {
	if !jobIDs.MatchString(j.JobID) {
		return errors.New("job_id is not 32 characters 0-9 and a-z")
	}
	for _, p := range j.Parameters {
		if !parameterNames.MatchString(p.Name) {
			return fmt.Errorf("parameter %.40q is not 1 to 128 letters, digits and _", p.Name)
		}
	}
	return nil
}

// SetJob sets a job up.
func (s *Simulator) SetJob(j Job) error {
	if err := j.check(); err != nil {
		return err
	}
	s.setJobs(j)
	return nil
}

func (s *Simulator) setJobs(jobs ...Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range jobs {
		s.settings[j.JobID] = j
	}
}

func (s *Simulator) serveSetJobs(w http.ResponseWriter, r *http.Request) {
	serveAdd(s, w, r, s.setJobs)
}

// setUp gives how a job is set up.
func (s *Simulator) setUp(r *http.Request) (Job, *response) {
	jobID := r.PathValue("job")
	if bad := s.checkJob(jobID); bad != nil {
		return Job{}, bad
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	j := s.settings[jobID]
	j.JobID, j.Name = jobID, cmp.Or(j.Name, "job-"+jobID[:8])
	return j, nil
}

// jobInfo is "Obtaining Build Task Information", GET /v1/job/{job_id}/info.
func (s *Simulator) jobInfo(r *http.Request, _ []byte) response {
	j, bad := s.setUp(r)
	if bad != nil {
		return *bad
	}
	return serviceResult(map[string]any{
		"id": j.JobID, "job_name": j.Name, "disabled": j.Disabled, "is_view": true, "is_execute": !j.NoRun,
	})
}

// jobDisabled is GET /v1/job/{job_id}/check/disable. Its result is null if the job is enabled.
func (s *Simulator) jobDisabled(r *http.Request, _ []byte) response {
	j, bad := s.setUp(r)
	if bad != nil {
		return *bad
	}
	if !j.Disabled {
		return serviceResult(nil)
	}
	return serviceResult(map[string]any{
		"disabled": 1, "forbiddener": "person", "reson": j.DisabledReason, "forbidden_time": s.wall(s.o.Now()), "job_name": j.Name,
	})
}

// jobConfig is "Obtaining Build Task Details", GET /v1/job/{job_id}/config.
func (s *Simulator) jobConfig(r *http.Request, _ []byte) response {
	j, bad := s.setUp(r)
	if bad != nil {
		return *bad
	}
	config := map[string]any{
		"arch": "x86-64", "project_id": ProjectID, "job_name": j.Name, "steps": []any{},
		"scms": []any{map[string]any{
			"url": "https://example.com/repository.git", "scm_type": "codehub", "build_type": cmp.Or(j.BuildType, "branch"),
		}},
	}
	if j.Parameters != nil {
		parameters := []any{}
		for _, p := range j.Parameters {
			fields := []any{}
			for _, f := range [][2]string{
				{"name", p.Name}, {"type", "normalparam"}, {"defaultValue", p.Default}, {"required", fmt.Sprint(p.Required)},
			} {
				fields = append(fields, map[string]string{"name": f[0], "value": f[1]})
			}
			parameters = append(parameters, map[string]any{"name": "hudson.model.StringParameterDefinition", "params": fields})
		}
		config["parameters"] = parameters
	}
	return serviceResult(config)
}
