package codeartstest

import (
	"cmp"
	"net/http"
	"strings"
)

// buildResult is "Querying the Details of a Build": the least that there is of one build.
func (s *Simulator) buildResult(r *http.Request, _ []byte) response {
	found, v, bad := s.find(r)
	if bad != nil {
		return *bad
	}
	result := v.state
	if v.asPlanned {
		result = found.outcome.buildResult()
	}
	return serviceResult(map[string]any{"building": !v.ended(), "build_result": result, "region": Region})
}

// status is that of one build, or of the newest of the job. It is in lower case.
func (s *Simulator) status(r *http.Request, _ []byte) response {
	jobID := r.PathValue("job")
	_, v, bad := s.findNumber(jobID, cmp.Or(r.URL.Query().Get("build_no"), s.newest(jobID)))
	if bad != nil {
		return *bad
	}
	result := map[string]string{"status": strings.ToLower(v.status()), "abort_status": "", "label": "default-x86-2u8g"}
	if v.ended() && !v.asPlanned {
		result["abort_status"] = "aborted"
	}
	return serviceResult(result)
}

// steps has the form of the v3 calls, but for its errors. A build has a step before and one after the one that an
// [Outcome] names.
func (s *Simulator) steps(r *http.Request, _ []byte) response {
	found, v, bad := s.find(r)
	if bad != nil {
		return *bad
	}
	parameters := make(map[string]string, len(v.parameters))
	for _, p := range v.parameters {
		parameters[p.Name] = p.Value
	}
	// By the API reference: running, success, error, or "" before it runs.
	statuses := [3]string{}
	switch {
	case v.running == "InQueue", v.ended() && v.began.IsZero():
	case !v.ended():
		statuses = [3]string{"success", "running", ""}
	case !v.asPlanned:
		statuses = [3]string{"success", "", ""}
	case found.outcome.Step != "":
		statuses = [3]string{"success", "error", ""}
	default:
		statuses = [3]string{"success", "success", "success"}
	}
	steps := make([]map[string]any, len(statuses))
	for i, name := range [3]string{"Code checkout", cmp.Or(found.outcome.Step, "Build"), "Upload"} {
		steps[i] = map[string]any{"name": name, "status": statuses[i], "build_time": 0}
	}
	return jsonResponse(200, map[string]any{
		"job_name": "job-" + found.jobID[:8], "build_number": found.no, "project_id": ProjectID, "project_name": "simulated",
		"parameters": parameters, "build_steps": steps,
	})
}
