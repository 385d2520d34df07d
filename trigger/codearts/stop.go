package codearts

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// Stop stops a build. It succeeds if the build has ended already. The fate of an error is not
// FateUnknown: stopping twice does no harm.
func (c *Client) Stop(ctx context.Context, jobID, buildNumber string) error {
	const op = "stop build"
	if err := checkBuild(op, jobID, buildNumber); err != nil {
		return err
	}
	body, err := json.Marshal(struct {
		JobID   string `json:"job_id"`
		BuildNo string `json:"build_no"`
	}{jobID, buildNumber})
	if err != nil {
		return misused(op, err.Error(), "")
	}
	a, r, err := c.do(ctx, call{op: op, method: http.MethodPost, path: "/v3/jobs/stop", body: body})
	if err == nil && a.failed() {
		err = r.error(op, a)
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code == codeEnded {
		return nil
	}
	if err != nil {
		return harmless(err)
	}
	if done, ok := a.object["result"].(bool); ok && !done {
		return &Error{Op: op, Fate: FateRetry, Status: r.status, RequestID: r.requestID(), what: "the service did not stop the build"}
	}
	return nil
}
