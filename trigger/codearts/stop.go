package codearts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Stop asks the service to stop a build. It succeeds if the build has ended already. It does not
// wait: the record shows what becomes of the build, which may still end in any way.
//
// Where the number goes is told in three ways: the API reference of 2025-12 and the Terraform
// provider have it in the body, the SDK v0.1.207 in the query. It is sent in both, and always:
// without it the service may stop the newest build of the job. Where the call does not exist,
// its predecessor is made.
//
// The fate of an error is not FateUnknown: stopping twice does no harm.
func (c *Client) Stop(ctx context.Context, jobID, buildNumber string) error {
	const op = "stop build"
	if err := checkBuild(op, jobID, buildNumber); err != nil {
		return err
	}
	err := c.stop(ctx, call{
		op: op, method: http.MethodPost, path: "/v1/job/" + jobID + "/stop",
		query: url.Values{"build_no": {buildNumber}}, body: fmt.Appendf(nil, `{"build_no": %s}`, buildNumber),
	})
	if e, ok := errors.AsType[*Error](err); ok && (e.kind == noSuchPath || e.Status == http.StatusNotFound && e.Code == "") {
		err = c.stop(ctx, call{
			op: op, method: http.MethodPost, path: "/v3/jobs/stop",
			body: fmt.Appendf(nil, `{"job_id": %q, "build_no": %q}`, jobID, buildNumber),
		})
	}
	return err
}

func (c *Client) stop(ctx context.Context, k call) error {
	r, err := c.do(ctx, k)
	if err == nil && r.failed() {
		err = r.error(k.op)
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code == codeEnded {
		return nil
	}
	if err != nil {
		return harmless(err)
	}
	return r.done(k.op)
}

// done returns an error if the answer to a stop says that nothing was stopped.
func (r reply) done(op string) error {
	for _, name := range []string{"result", "success"} {
		if done, ok := r.object[name].(bool); ok && !done {
			return &Error{Op: op, Fate: FateRetry, Status: r.status, RequestID: r.requestID(), what: "the service did not stop the build"}
		}
	}
	return nil
}
