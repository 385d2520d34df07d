package codeartstest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
)

// stopTheJob is the current call, POST /v1/job/{job_id}/stop. The references do not agree on
// whether the number is in the query, or in the body as a number or a text: all are taken, if
// they agree. Without a number it stops the newest build of the job.
func (s *Simulator) stopTheJob(r *http.Request, body []byte) response {
	var b struct {
		BuildNo any `json:"build_no"`
	}
	if len(body) > 0 && (!isJSON(r) || json.Unmarshal(body, &b) != nil) {
		return serviceError(400, codeBadBody, "the body is not the JSON expected")
	}
	jobID, inQuery, inBody := r.PathValue("job"), r.URL.Query().Get("build_no"), textOf(b.BuildNo)
	if inQuery != "" && inBody != "" && inQuery != inBody {
		return serviceError(400, codeBadBody, "the query and the body name different builds")
	}
	if code, message := s.stop(jobID, cmp.Or(inQuery, inBody, s.newest(jobID))); code != "" {
		return serviceError(statusOf(code), code, message)
	}
	return jsonResponse(200, map[string]string{"status": "success"})
}

func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// stopJob is POST /v3/jobs/stop, which is "out of date".
func (s *Simulator) stopJob(r *http.Request, body []byte) response {
	var b struct {
		JobID   string `json:"job_id"`
		BuildNo string `json:"build_no"`
	}
	if !isJSON(r) || json.Unmarshal(body, &b) != nil {
		return gatewayError(400, codeBadBody, "job_id and build_no are needed, both strings")
	}
	if code, message := s.stop(b.JobID, b.BuildNo); code != "" {
		return gatewayError(statusOf(code), code, message)
	}
	return jsonResponse(200, map[string]bool{"result": true})
}

// stopBuildJob is POST /v3/jobs/{job_id}/{build_no}/stop, likewise.
func (s *Simulator) stopBuildJob(r *http.Request, _ []byte) response {
	if code, message := s.stop(r.PathValue("job"), r.PathValue("no")); code != "" {
		return gatewayError(statusOf(code), code, message)
	}
	return jsonResponse(200, map[string]any{"success": true, "result": "success"})
}

// stop gives the code and the message of an error, or "" and "".
func (s *Simulator) stop(jobID, no string) (code, message string) {
	switch {
	case !jobIDs.MatchString(jobID):
		return codeBadBody, "job_id is not 32 characters 0-9 and a-z"
	case !s.exists(jobID):
		return codeNoJob, "the job does not exist"
	}
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.lookup(jobID, no)
	switch {
	case found == nil:
		return codeBadNumber, "the build does not exist"
	case s.progress(found, found.stopped, now).ended():
		return codeEnded, "the build has ended"
	case found.stopped.IsZero():
		found.stopped = now
	}
	return "", ""
}
