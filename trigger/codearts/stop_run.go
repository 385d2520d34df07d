package codearts

import (
	"context"
	"net/http"
)

// StopRun asks the service to stop a run. It succeeds if the run has ended already. It does not
// wait: the run shows what becomes of it. The fate of an error is not FateUnknown: stopping twice
// does no harm.
func (c *Client) StopRun(ctx context.Context, p Pipeline, runID string) error {
	const op = "stop run"
	path, err := p.path(op, "pipeline-runs", runID, "stop")
	if err != nil {
		return err
	}
	r, err := c.askPipeline(ctx, op, http.MethodPost, path, nil, nil)
	if err == nil {
		err = r.done(op)
	}
	if err == nil {
		return nil
	}
	// How the service refuses to stop a run that has ended is not documented.
	if run, readErr := c.PipelineRun(ctx, p, runID); readErr == nil && run.Outcome() != OutcomeNone {
		return nil
	}
	return err
}
