package codearts

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"buildbridge/trigger/internal/quoted"
)

// QueuedRun is a run that waits in the queue of its pipeline.
type QueuedRun struct {
	ID          string // of the entry: the queue id
	RunID       string
	Status      string // QUEUED, QUEUED_TIME_OUT
	TriggerType string // Manual, …
	Enqueued    time.Time
}

// QueuedRuns lists the runs in the queue of a pipeline, of which there are at most 100. The fate of
// an error is not FateUnknown. The official SDK has no such call.
func (c *Client) QueuedRuns(ctx context.Context, p Pipeline) ([]QueuedRun, error) {
	const op = "list queued runs"
	path, err := p.path(op, "queued-pipeline")
	if err != nil {
		return nil, err
	}
	return everyPage(op, "queuedPipelines", parseQueuedRun, func(offset int) (reply, error) {
		return c.askPipeline(ctx, op, http.MethodGet, path,
			url.Values{"offset": {strconv.Itoa(offset)}, "limit": {strconv.Itoa(pageSize)}}, nil)
	})
}

// parseQueuedRun gives an entry of the queue, and the id of its run.
func parseQueuedRun(object map[string]any) (QueuedRun, string) {
	r := QueuedRun{
		ID:          text(object, "queue_id", "id"),
		RunID:       text(object, "pipeline_run_id"),
		Status:      quoted.Line(text(object, "status"), 64),
		TriggerType: quoted.Line(text(object, "trigger_type"), 64),
		Enqueued:    timeOf(object, "enqueue_time"),
	}
	return r, r.RunID
}

// CancelQueuedRun takes a run out of the queue of its pipeline. One that has left the queue is for
// StopRun. The fate of an error is not FateUnknown: cancelling twice does no harm. The official SDK
// has no such call.
func (c *Client) CancelQueuedRun(ctx context.Context, p Pipeline, runID, queueID string) error {
	const op = "cancel queued run"
	path, err := p.path(op, runID, "cancel-queuing", queueID)
	if err != nil {
		return err
	}
	r, err := c.askPipeline(ctx, op, http.MethodPost, path, nil, nil)
	if err != nil {
		return err
	}
	return r.done(op)
}
