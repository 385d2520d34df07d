package codearts

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"strconv"

	"buildbridge/trigger/internal/quoted"
)

// RunPipelineRequest is the body of RunPipeline,
// POST /v5/{project_id}/api/pipelines/{pipeline_id}/run.
type RunPipelineRequest struct {
	Sources      []PipelineSource `json:"sources,omitempty"`
	Description  string           `json:"description,omitempty"` // at most 1024 characters
	Variables    []Parameter      `json:"variables,omitempty"`
	ChooseStages []string         `json:"choose_stages,omitempty"` // identifiers, not names
}

// PipelineSource is a code source of a run.
type PipelineSource struct {
	Type   string               `json:"type"` // code
	Params PipelineSourceParams `json:"params"`
}

// PipelineSourceParams say what is built of a code source.
type PipelineSourceParams struct {
	GitType       string         `json:"git_type,omitempty"`
	GitURL        string         `json:"git_url,omitempty"`
	CodehubID     string         `json:"codehub_id,omitempty"`
	EndpointID    string         `json:"endpoint_id,omitempty"`
	Alias         string         `json:"alias,omitempty"`
	DefaultBranch string         `json:"default_branch,omitempty"`
	Build         PipelineCommit `json:"build_params"`
}

// PipelineCommit is what is built: a branch at its head, or at CommitID, or a tag.
type PipelineCommit struct {
	BuildType    string `json:"build_type"` // branch or tag
	EventType    string `json:"event_type"` // Manual
	TargetBranch string `json:"target_branch,omitempty"`
	Tag          string `json:"tag,omitempty"`
	CommitID     string `json:"commit_id,omitempty"` // in no edition of the reference; the console sends it
}

// RunStart is the answer of RunPipeline.
type RunStart struct {
	RunID   string // 32 hexadecimal digits
	QueueID string // the run's entry in the queue of the pipeline; "" if it was not queued
}

// RunPipeline starts a run of a pipeline. body is the JSON of a [RunPipelineRequest], and is
// sent as it is; nil is an empty one. A run that waits in the queue of its pipeline or of the
// tenant is started.
//
// The error is an [*Error]. After FateUnknown the run may have been started: search for it
// before calling again. The service has no idempotency key. FateRetry after an answer means that
// too many runs are on their way, of this pipeline or of the tenant.
func (c *Client) RunPipeline(ctx context.Context, p Pipeline, body []byte) (RunStart, error) {
	const op = "run pipeline"
	path, err := p.path(op, "run")
	if err != nil {
		return RunStart{}, err
	}
	if body == nil {
		body = []byte("{}")
	}
	r, err := c.exchange(ctx, call{op: op, method: http.MethodPost, path: path, body: body})
	if err != nil {
		return RunStart{}, adviseOnPipeline(err)
	}
	if r.run.RunID == "" {
		e := r.error(op)
		if r.ok() && (!r.refused() || r.object == nil) {
			e.what = "no run id in the answer"
		}
		return RunStart{}, adviseOnPipeline(e)
	}
	unclear := &Error{Op: op, Fate: FateUnknown, Status: r.status, Code: r.code, Message: r.message, RequestID: r.requestID()}
	queued := r.code == codeQueued || r.code == codeQueuedByTenant
	switch id := r.run.RunID; {
	// What has the form of an id is no echo of a secret, and may look like a piece of a signature.
	case !hexIDs.MatchString(id) && (!pathIDs.MatchString(id) || quoted.Repeats(id, r.secrets)):
		unclear.what, unclear.Message = "no proper run id in the answer", strconv.Quote(quoted.Line(quoted.Hide(id, r.secrets), 64))
	case !queued && (!r.ok() || r.refused()):
		unclear.what = "an error and a run id in one answer"
	default:
		return r.run, nil
	}
	return RunStart{}, unclear
}

var hexIDs = regexp.MustCompile(`^[0-9a-f]{32}$`)

// parseRunStart reads the ids of a run that was started, which are beside the code of an error or
// within it if the run is queued. A queue id that cannot be one is left out: the queue has it.
func parseRunStart(object map[string]any) RunStart {
	inner, _ := object["error"].(map[string]any)
	first := func(name string) string { return cmp.Or(text(object, name), text(inner, name)) }
	start := RunStart{RunID: first("pipeline_run_id"), QueueID: first("queue_id")}
	if !pathIDs.MatchString(start.QueueID) {
		start.QueueID = ""
	}
	return start
}
