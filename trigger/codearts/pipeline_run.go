package codearts

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"buildbridge/trigger/internal/quoted"
)

// PipelineRun is one run of a pipeline. Whatever the service does not say is zero.
type PipelineRun struct {
	ID          string
	Status      string // COMPLETED, FAILED, CANCELED, IGNORED, RUNNING, PAUSED, SUSPEND, INIT, QUEUED
	TriggerType string // Manual, …
	Executor    string // executor_id, else executor_name
	Start, End  time.Time

	Built   []Built // by its code sources. The list says it of one of them
	Address string  // detail_url; "" unless it is an http or https address

	// These only [Client.PipelineRun] gives.
	Description string // for its marker, not for people: it may repeat anything
	Stage, Step string // the stage that is paused or failed, and the step that failed; "" if none is
}

// Built is what a run builds of a code source.
type Built struct{ Branch, Tag, Commit string }

// Outcome is how the run ended. A run whose status is missing or unknown has not ended. One that is
// ignored, because its pipeline takes no more runs, is aborted.
func (r PipelineRun) Outcome() Outcome {
	return map[string]Outcome{
		"COMPLETED": OutcomeSucceeded, "FAILED": OutcomeFailed, "CANCELED": OutcomeAborted, statusIgnored: OutcomeAborted,
	}[strings.ToUpper(r.Status)]
}

// Ignored reports whether the service ignored the run, because its pipeline takes no more.
func (r PipelineRun) Ignored() bool { return strings.EqualFold(r.Status, statusIgnored) }

// Queued reports whether the run waits for others.
func (r PipelineRun) Queued() bool { return strings.EqualFold(r.Status, statusQueued) }

// WaitsForPerson reports whether the run goes on only if a person acts.
func (r PipelineRun) WaitsForPerson() bool {
	return slices.Contains(waiting, strings.ToUpper(r.Status))
}

const (
	statusIgnored = "IGNORED"
	statusQueued  = "QUEUED"
)

// Statuses of runs, stages, jobs and steps.
var (
	waiting = []string{"PAUSED", "SUSPEND"}
	failed  = []string{"FAILED", "ASYNC_FAILED"}
)

// PipelineRuns lists the runs of a pipeline that were started between from and to, each once, the
// newest first. An empty list proves nothing unless [Client.PipelineInfo] succeeds: who is no
// member of the project sees none. Whether the list has runs that are queued is not documented.
// More than 10,000 runs are an error. The fate of an error is not FateUnknown.
func (c *Client) PipelineRuns(ctx context.Context, p Pipeline, from, to time.Time) ([]PipelineRun, error) {
	const op = "list runs"
	path, err := p.path(op, "pipeline-runs", "list")
	if err != nil {
		return nil, err
	}
	var secrets []string
	parse := func(object map[string]any) (PipelineRun, string) {
		r := parseRun(object)
		r.Address = address(text(object, "detail_url"), secrets)
		return r, r.ID
	}
	return everyPage(op, "pipeline_runs", parse, func(offset int) (reply, error) {
		body, err := json.Marshal(map[string]any{
			"status": []string{}, "sort_key": "start_time", "sort_dir": "desc", "offset": offset, "limit": pageSize,
			"start_time": milliseconds(from), "end_time": milliseconds(to.Add(time.Millisecond - 1)),
		})
		if err != nil {
			return reply{}, misused(op, err.Error(), "")
		}
		r, err := c.askPipeline(ctx, op, http.MethodPost, path, nil, body)
		secrets = r.secrets
		return r, err
	})
}

// milliseconds writes a time as the service takes it, without the question of a zone.
func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// PipelineRun reads one run. The error is NoSuchBuild if the pipeline has none with this id. The
// fate of an error is not FateUnknown.
func (c *Client) PipelineRun(ctx context.Context, p Pipeline, runID string) (PipelineRun, error) {
	const op = "read run"
	run, r, err := c.readRun(ctx, op, p, url.Values{"pipeline_run_id": {runID}})
	if err == nil && run.ID != runID { // of an id that it does not know, it gives the latest run
		return PipelineRun{}, &Error{Op: op, Fate: FateDead, Status: r.status, RequestID: r.requestID(), kind: noSuchBuild, what: "no such run"}
	}
	return run, err
}

// LatestRun reads the run of a pipeline that was started last, by whomever. The error is NoSuchBuild
// if the pipeline never ran. The fate of an error is not FateUnknown.
func (c *Client) LatestRun(ctx context.Context, p Pipeline) (PipelineRun, error) {
	run, _, err := c.readRun(ctx, "read latest run", p, nil)
	return run, err
}

func (c *Client) readRun(ctx context.Context, op string, p Pipeline, query url.Values) (PipelineRun, reply, error) {
	path, err := p.path(op, "pipeline-runs", "detail")
	if err != nil {
		return PipelineRun{}, reply{}, err
	}
	r, err := c.askPipeline(ctx, op, http.MethodGet, path, query, nil)
	if e, ok := errors.AsType[*Error](err); ok && e.NoSuchBuild() {
		e.what, e.todo = "no such run", ""
	}
	if err != nil {
		return PipelineRun{}, r, err
	}
	run := parseRun(r.object)
	if run.ID == "" {
		return PipelineRun{}, r, unreadable(op)
	}
	run.Address = address(text(r.object, "detail_url"), r.secrets)
	return run, r, nil
}

// parseRun reads a run of the list, or of the detail, which names some members otherwise.
func parseRun(object map[string]any) PipelineRun {
	r := PipelineRun{
		ID:          text(object, "pipeline_run_id", "id"),
		Status:      quoted.Line(text(object, "status"), 64),
		TriggerType: quoted.Line(text(object, "trigger_type"), 64),
		Executor:    quoted.Line(text(object, "executor_id", "executor_name"), 255),
		Start:       timeOf(object, "start_time"),
		End:         timeOf(object, "end_time"),
		Description: quoted.Line(text(object, "description"), 4096),
	}
	params := []map[string]any{object}
	for source := range objectsIn(object, "sources") {
		p, _ := source["params"].(map[string]any)
		params = append(params, p)
	}
	for _, p := range params {
		if built, ok := p["build_params"].(map[string]any); ok {
			r.Built = append(r.Built, Built{
				Branch: quoted.Line(text(built, "target_branch"), 255),
				Tag:    quoted.Line(text(built, "tag"), 255),
				Commit: quoted.Line(text(built, "commit_id"), 64),
			})
		}
	}
	switch {
	case r.WaitsForPerson():
		r.Stage, _ = stageIn(object, waiting)
	case r.Outcome() == OutcomeFailed:
		r.Stage, r.Step = stageIn(object, failed)
	}
	return r
}

// stageIn gives the names of the first stage of a run that is in one of these statuses, or has a
// job or step that is, and of its first such step, else job.
func stageIn(run map[string]any, statuses []string) (stage, step string) {
	is := func(object map[string]any) bool {
		return slices.Contains(statuses, strings.ToUpper(text(object, "status")))
	}
	name := func(object map[string]any) string { return quoted.Line(text(object, "name", "identifier"), 255) }
	for s := range objectsIn(run, "stages") {
		found, step := is(s), ""
		for _, part := range []string{"pre", "jobs", "post"} {
			for job := range objectsIn(s, part) { // those of pre and post are steps
				if step != "" || !is(job) {
					continue
				}
				found, step = true, name(job)
				for inner := range objectsIn(job, "steps") {
					if is(inner) {
						step = name(inner)
						break
					}
				}
			}
		}
		if found {
			return name(s), step
		}
	}
	return "", ""
}

// timeOf reads a time, which the calls about pipelines give in milliseconds since 1970.
func timeOf(object map[string]any, name string) time.Time {
	t, _ := parseTime(text(object, name), time.UTC)
	return t
}

// address gives an http or https address for a link, "" for anything else, and for one that repeats
// a secret.
func address(text string, secrets []string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	if len(text) > 2048 || quoted.Repeats(text, secrets) {
		return ""
	}
	return u.String()
}

// RunVariables reads the custom variables of one run. Secret ones may be masked. The fate of an
// error is not FateUnknown.
func (c *Client) RunVariables(ctx context.Context, p Pipeline, runID string) ([]Parameter, error) {
	const op = "read variables"
	path, err := p.path(op, "pipeline-runs", runID, "run-variables")
	if err != nil {
		return nil, err
	}
	r, err := c.do(ctx, call{op: op, method: http.MethodGet, path: path, query: url.Values{"mode": {"0"}}})
	switch {
	case err != nil:
		return nil, adviseOnPipeline(harmless(err))
	case r.list == nil && r.refused():
		return nil, adviseOnPipeline(harmless(r.error(op)))
	case r.list == nil:
		return nil, unreadable(op)
	}
	return parseParameters(op, r.list)
}
