package codearts

import (
	"context"
	"time"
)

// Pipeline names a pipeline of CodeArts Pipeline.
type Pipeline struct {
	ProjectID string // of the CodeArts project, 32 hexadecimal digits: not that of the IAM project
	ID        string // 32 hexadecimal digits
}

// RunPipelineRequest is the body of RunPipeline,
// POST /v5/{project_id}/api/pipelines/{pipeline_id}/run.
type RunPipelineRequest struct {
	Sources      []PipelineSource `json:"sources,omitempty"`
	Description  string           `json:"description,omitempty"` // at most 1024 characters
	Variables    []Parameter      `json:"variables,omitempty"`
	ChooseStages []string         `json:"choose_stages,omitempty"`
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
// sent as it is.
//
// The error is an [*Error]. After FateUnknown the run may have been started: search for it
// before calling again. The service has no idempotency key.
func (c *Client) RunPipeline(ctx context.Context, p Pipeline, body []byte) (RunStart, error) {
	panic("not built yet")
}

// PipelineRun is one run of a pipeline.
type PipelineRun struct {
	ID          string
	Number      string // run_number, a counter
	Status      string // COMPLETED, FAILED, CANCELED, IGNORED, RUNNING, PAUSED, SUSPEND, INIT, QUEUED
	TriggerType string // Manual, …
	Executor    string // executor_id, else executor_name
	Start, End  time.Time

	Branch, Tag, Commit string // what it builds, of its first code source

	// These only [Client.PipelineRun] gives.
	Description string
	Stage, Step string // the stage that is paused or failed, and the step that failed; "" if none is
	Address     string // detail_url; "" unless it is an http or https address
}

// QueuedRun is a run that waits in the queue of its pipeline.
type QueuedRun struct {
	ID       string // of the entry: the queue id
	RunID    string
	Status   string // QUEUED, QUEUED_TIME_OUT
	Enqueued time.Time
}

// PipelineRuns lists the runs of a pipeline that were started between from and to, each once. An
// empty list proves nothing unless [Client.PipelineInfo] succeeds: who is no member of the
// project sees none.
func (c *Client) PipelineRuns(ctx context.Context, p Pipeline, from, to time.Time) ([]PipelineRun, error) {
	panic("not built yet")
}

// QueuedRuns lists the runs in the queue of a pipeline.
func (c *Client) QueuedRuns(ctx context.Context, p Pipeline) ([]QueuedRun, error) {
	panic("not built yet")
}

// PipelineRun reads one run. The error is NoSuchBuild if the pipeline has none with this id.
func (c *Client) PipelineRun(ctx context.Context, p Pipeline, runID string) (PipelineRun, error) {
	panic("not built yet")
}

// RunVariables reads the custom variables of one run. Secret ones may be masked.
func (c *Client) RunVariables(ctx context.Context, p Pipeline, runID string) ([]Parameter, error) {
	panic("not built yet")
}

// StopRun stops a run. It succeeds if the run has ended already.
func (c *Client) StopRun(ctx context.Context, p Pipeline, runID string) error {
	panic("not built yet")
}

// CancelQueuedRun takes a run out of the queue of its pipeline.
func (c *Client) CancelQueuedRun(ctx context.Context, p Pipeline, runID, queueID string) error {
	panic("not built yet")
}

// PipelineInfo is how a pipeline is set up. Whatever the service does not say is zero.
type PipelineInfo struct {
	Name   string
	Banned bool // it cannot be started
	// Variables are those that it declares; nil if the service does not say.
	Variables []PipelineVariable
	Aliases   []string // of its code sources
	Sources   int      // how many code sources it has
}

// PipelineVariable is one that a pipeline declares.
type PipelineVariable struct {
	Name    string
	Runtime bool // it can be set at run time
	Secret  bool
}

// PipelineInfo reads how a pipeline is set up.
func (c *Client) PipelineInfo(ctx context.Context, p Pipeline) (PipelineInfo, error) {
	panic("not built yet")
}

// JobDisabled says that a job was disabled, and by whom.
type JobDisabled struct {
	By, Reason string
	At         time.Time
}

// JobDisabled asks whether a job is disabled: nil if it is not.
func (c *Client) JobDisabled(ctx context.Context, jobID string) (*JobDisabled, error) {
	panic("not built yet")
}
