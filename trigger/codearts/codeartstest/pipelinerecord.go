package codeartstest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// flowVisible reports whether the list and the detail have a run.
func (s *Simulator) flowVisible(r *run, now time.Time) bool {
	return s.visible(r, now) && !r.flow.dropped && (!s.o.QueuedUnlisted || !r.flow.began.IsZero())
}

// flows gives the runs of a pipeline that are to be seen, the newest first.
func (s *Simulator) flows(c *pipelineCall) []*run {
	var seen []*run
	if j := s.jobs[c.pipeline.PipelineID]; j != nil {
		for _, r := range slices.Backward(j.runs) {
			if s.flowVisible(r, c.now) {
				seen = append(seen, r)
			}
		}
	}
	return seen
}

// findFlow gives the run that a path names, be it to be seen or not.
func (s *Simulator) findFlow(c *pipelineCall) (*run, *response) {
	if j := s.jobs[c.pipeline.PipelineID]; j != nil {
		for _, r := range j.runs {
			if r.flow.id == c.r.PathValue("run") && !r.flow.dropped {
				return r, nil
			}
		}
	}
	bad := noRun()
	return nil, &bad
}

func noRun() response { return gatewayError(404, codeNoRun, "the run does not exist") }

// pipelineRuns is POST …/pipeline-runs/list.
func (s *Simulator) pipelineRuns(c *pipelineCall) response {
	q := struct {
		Status  []string `json:"status"`
		Start   string   `json:"start_time"`
		End     string   `json:"end_time"`
		Offset  int      `json:"offset"`
		Limit   int      `json:"limit"`
		SortKey string   `json:"sort_key"`
		SortDir string   `json:"sort_dir"`
	}{Limit: 10, SortKey: "start_time", SortDir: "desc"}
	if err := json.Unmarshal(c.body, &q); err != nil {
		return gatewayError(400, codeBadRun, fmt.Sprintf("not the JSON expected: %v", err))
	}
	from, err1 := s.moment(q.Start, time.Time{})
	to, err2 := s.moment(q.End, never())
	switch {
	case err1 != nil || err2 != nil:
		return gatewayError(400, codeBadRun, "start_time and end_time are milliseconds since 1970, or have the form yyyy-MM-dd HH:mm:ss")
	case q.Offset < 0 || q.Limit < 1 || q.Limit > maxPage:
		return gatewayError(400, codeBadRun, "offset is at least 0, limit is 1 to 100")
	case q.SortKey != "start_time" && q.SortKey != "update_time" || q.SortDir != "asc" && q.SortDir != "desc":
		return gatewayError(400, codeBadRun, "sort_key is start_time or update_time, sort_dir is asc or desc")
	}
	found := slices.DeleteFunc(s.flows(c), func(r *run) bool {
		at := r.at.Truncate(time.Millisecond)
		return at.Before(from) || at.After(to) || len(q.Status) > 0 && !slices.Contains(q.Status, s.flowStatus(r, c.now))
	})
	if q.SortDir == "asc" {
		slices.Reverse(found)
	}
	runs := []any{}
	for _, r := range found[min(q.Offset, len(found)):min(q.Offset+q.Limit, len(found))] {
		runs = append(runs, s.flowRecord(c.pipeline, r, c.now))
	}
	return jsonResponse(200, map[string]any{"offset": q.Offset, "limit": q.Limit, "total": len(found), "pipeline_runs": runs})
}

var milliseconds = regexp.MustCompile(`^\d{1,15}$`)

func (s *Simulator) moment(text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	if milliseconds.MatchString(text) {
		ms, err := strconv.ParseInt(text, 10, 64)
		return time.UnixMilli(ms), err
	}
	return time.ParseInLocation(wallClock, text, s.o.Location)
}

// flowRecord is a run in the list: it has neither the description nor the variables.
func (s *Simulator) flowRecord(p *pipeline, r *run, now time.Time) map[string]any {
	record := s.flowCore(r, now)
	record["pipeline_id"], record["pipeline_run_id"] = p.PipelineID, r.flow.id
	record["build_params"], record["artifact_params"] = s.buildParams(r, 0, now), map[string]any{}
	stages := []any{}
	for i, stage := range s.stages(r, now) {
		stages = append(stages, map[string]any{"name": stage.name, "sequence": i, "status": stage.status, "id": stage.id})
	}
	record["stage_status_list"] = stages
	return record
}

// flowCore is what the list and the detail both have.
func (s *Simulator) flowCore(r *run, now time.Time) map[string]any {
	core := map[string]any{
		"run_number": r.no, "status": s.flowStatus(r, now), "trigger_type": "Manual",
		"executor_id": executorID(r.by), "executor_name": r.by, "start_time": r.at.UnixMilli(),
		"detail_url": fmt.Sprintf("https://devcloud.%s.huaweicloud.com/cicd/project/%s/pipeline/detail/%s/%s?v=1",
			Region, r.flow.project, r.jobID, r.flow.id),
	}
	if p := s.progress(r, r.stopped, now); p.ended() {
		core["end_time"] = p.finished.UnixMilli()
	}
	return core
}

func executorID(by string) string { return hexID("executor", by)[:32] }

// buildParams is what is built of a source.
func (s *Simulator) buildParams(r *run, i int, now time.Time) map[string]any {
	source := r.flow.sources[i]
	params := map[string]any{"build_type": source.buildType, "event_type": "Manual", "codehub_id": "", "git_url": source.GitURL}
	if source.branch != "" {
		params["target_branch"] = source.branch
	}
	if source.tag != "" {
		params["tag"] = source.tag
	}
	if i == 0 && r.flow.commit != "" && !now.Before(r.flow.began.Add(s.o.CommitLag)) {
		params["commit_id"], params["message"] = r.flow.commit, "simulated"
	}
	return params
}

// stage is one of the two that every run has. A run waits before the second, and fails in the first.
type stage struct{ id, name, status, step, message string }

func (s *Simulator) stages(r *run, now time.Time) []stage {
	first := stage{name: "Build", status: s.flowStatus(r, now), step: cmp.Or(r.outcome.Step, "Build")}
	second := stage{name: "Release", status: "INIT", step: "Release"}
	switch first.status {
	case "PAUSED", "SUSPEND":
		first.status, second.status = resultCompleted, first.status
	case resultCompleted:
		second.status = resultCompleted
	case resultFailed:
		first.message = r.outcome.Message
	case "QUEUED":
		first.status = "INIT"
	}
	first.id, second.id = hexID(r.flow.id, first.name)[:32], hexID(r.flow.id, second.name)[:32]
	return []stage{first, second}
}

// runDetail is GET …/pipeline-runs/detail. Without a run id, or with one that it does not know, it
// is that of the newest run.
func (s *Simulator) runDetail(c *pipelineCall) response {
	runs := s.flows(c)
	if len(runs) == 0 {
		return noRun()
	}
	r, id := runs[0], c.r.URL.Query().Get("pipeline_run_id")
	if i := slices.IndexFunc(runs, func(r *run) bool { return r.flow.id == id }); i >= 0 {
		r = runs[i]
	}
	detail := s.flowCore(r, c.now)
	detail["id"], detail["subject_id"], detail["pipeline_id"], detail["project_id"] = r.flow.id, r.flow.id, r.jobID, r.flow.project
	detail["name"], detail["manifest_version"], detail["region"], detail["is_publish"] = c.pipeline.name(), "3.0", Region, false
	detail["description"], detail["current_system_time"] = r.flow.description, c.now.UnixMilli()
	if c.pipeline.HideDescription {
		detail["description"] = c.pipeline.Description
	}
	sources := []any{}
	for i, source := range r.flow.sources {
		params := map[string]any{"build_params": s.buildParams(r, i, c.now)}
		for name, value := range map[string]string{
			"git_type": source.GitType, "git_url": source.GitURL, "alias": source.Alias, "default_branch": source.DefaultBranch,
		} {
			if value != "" {
				params[name] = value
			}
		}
		sources = append(sources, map[string]any{"type": "code", "params": params})
	}
	detail["sources"] = sources
	stages := []any{}
	for i, stage := range s.stages(r, c.now) {
		step := map[string]any{"name": stage.step, "sequence": 0, "status": stage.status, "message": stage.message, "id": stage.id}
		job := map[string]any{
			"id": stage.id, "name": stage.name, "identifier": "JOB_" + stage.name, "sequence": 0, "status": stage.status, "message": stage.message,
			"steps": []any{step},
		}
		stages = append(stages, map[string]any{
			"id": stage.id, "name": stage.name, "identifier": stage.name, "sequence": i, "status": stage.status, "is_select": true,
			"jobs": []any{job},
		})
	}
	detail["stages"] = stages
	return jsonResponse(200, detail)
}

// runVariables is GET …/pipeline-runs/{run_id}/run-variables?mode=, a bare array.
func (s *Simulator) runVariables(c *pipelineCall) response {
	r, bad := s.findFlow(c)
	switch {
	case bad != nil:
		return *bad
	case !s.flowVisible(r, c.now):
		return noRun()
	}
	switch c.r.URL.Query().Get("mode") {
	case "", "0":
		return jsonResponse(200, variablesOf(r.flow.variables))
	case "1":
		return jsonResponse(200, variablesOf([]PipelineVariable{
			{Name: "PIPELINE_ID", Value: r.jobID}, {Name: "PIPELINE_RUN_ID", Value: r.flow.id}, {Name: "COMMIT_ID", Value: r.flow.commit},
		}))
	case "2":
		return jsonResponse(200, []any{})
	}
	return gatewayError(400, codeBadRun, "mode is 0, 1 or 2")
}

// queuedPipelines is GET …/queued-pipeline.
func (s *Simulator) queuedPipelines(c *pipelineCall) response {
	entries := []any{}
	for _, r := range c.pipeline.queue {
		if !s.visible(r, c.now) {
			continue
		}
		status := "QUEUED"
		if r.flow.dropped {
			status = "QUEUED_TIME_OUT"
		}
		entries = append(entries, map[string]any{
			"id": r.flow.queueID, "pipeline_id": r.jobID, "pipeline_run_id": r.flow.id, "enqueue_time": r.flow.asked.UnixMilli(),
			"trigger_type": "Manual", "creator_id": executorID(r.by), "creator_name": r.by, "status": status,
		})
	}
	return page(c.r, "queuedPipelines", entries)
}

// triggerFailures is GET …/trigger-failed-record.
func (s *Simulator) triggerFailures(c *pipelineCall) response {
	records := []any{}
	for _, f := range slices.Backward(c.pipeline.failures) {
		records = append(records, map[string]any{
			"trigger_time": f.at.UnixMilli(), "trigger_type": "Manual", "executor_id": executorID(f.by), "executor_name": f.by,
			"reason": "too many concurrent runs",
		})
	}
	return page(c.r, "triggerFailedRecordVOS", records)
}

// page gives the part of a list that a query asks for by offset and limit.
func page(r *http.Request, name string, all []any) response {
	offset, err1 := number(r.URL.Query().Get("offset"), 0)
	limit, err2 := number(r.URL.Query().Get("limit"), 10)
	if err1 != nil || err2 != nil || offset < 0 || limit < 1 || limit > maxPage {
		return gatewayError(400, codeBadRun, "offset is at least 0, limit is 1 to 100")
	}
	return jsonResponse(200, map[string]any{"total": len(all), name: all[min(offset, len(all)):min(offset+limit, len(all))]})
}

// pipelinesStatus is POST /v5/{project_id}/api/pipelines/status: the newest run of each.
func (s *Simulator) pipelinesStatus(r *http.Request, body []byte) response {
	if bad := s.gateway(r, body, PathPipelineStatus); bad != nil {
		return *bad
	}
	var ids []string
	if err := json.Unmarshal(body, &ids); err != nil {
		return gatewayError(400, codeBadRun, fmt.Sprintf("not the JSON expected: %v", err))
	}
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	states := []any{}
	for _, id := range ids {
		p := s.pipelines[id]
		if p == nil || p.NoMember || p.ProjectID != "" && p.ProjectID != r.PathValue("project") {
			continue
		}
		s.advance(p, now)
		if runs := s.flows(&pipelineCall{pipeline: p, now: now}); len(runs) > 0 {
			states = append(states, s.flowRecord(p, runs[0], now))
		}
	}
	return jsonResponse(200, states)
}
