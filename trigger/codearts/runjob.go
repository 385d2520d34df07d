package codearts

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"buildbridge/mapping"
	"buildbridge/trigger/internal/quoted"
)

// Parameter is one build parameter.
type Parameter = mapping.Parameter

// RunJobRequest is the body of RunJob, POST /v3/jobs/build.
type RunJobRequest struct {
	JobID      string      `json:"job_id"` // 32 characters, 0-9 and a-z
	Parameters []Parameter `json:"parameter,omitempty"`
	SCM        *SCM        `json:"scm,omitempty"` // nil for what the job is configured to build
}

// SCM says what to check out: exactly one of BuildTag and BuildCommitID is set. The other is
// left out of the JSON.
type SCM struct {
	BuildTag      string `json:"build_tag,omitempty"`
	BuildCommitID string `json:"build_commit_id,omitempty"`
	// BuildType is BuildTypeTag, BuildTypeCommit or "". Editions of the API reference from
	// 2026 have it. Some jobs need it; whether others take it was not tried.
	BuildType string `json:"build_type,omitempty"`

	// These say of which of the job's code sources it is.
	Branch string `json:"branch,omitempty"`
	RepoID string `json:"repo_id,omitempty"`
	URL    string `json:"url,omitempty"`
}

// The values of SCM.BuildType.
const (
	BuildTypeTag    = "tag"
	BuildTypeCommit = "commitId"
)

// RunJob starts a build and gives its number, 1 to 64 printable characters. body is the JSON of
// a [RunJobRequest], and is sent as it is.
//
// The error is an [*Error]. After FateUnknown the build may have been started: search for it
// with [Client.Records] before calling again. The service has no idempotency key.
func (c *Client) RunJob(ctx context.Context, body []byte) (string, error) {
	const op = "run job"
	r, err := c.do(ctx, call{op: op, method: http.MethodPost, path: "/v3/jobs/build", body: body})
	if err != nil {
		return "", err
	}
	if r.buildNumber == "" {
		e := r.error(op)
		if !r.failed() || r.object == nil {
			e.what = "no build number in the answer"
		}
		return "", e
	}
	if !isNumber(r.buildNumber) || quoted.Repeats(r.buildNumber, r.secrets) {
		return "", &Error{
			Op: op, Fate: FateUnknown, Status: r.status, RequestID: r.requestID(), what: "no proper build number in the answer",
			Message: strconv.Quote(quoted.Line(quoted.Hide(r.buildNumber, r.secrets), 64)),
		}
	}
	return r.buildNumber, nil
}

// isNumber takes more than the digits that the service documents: no build is to be lost for
// other characters.
func isNumber(s string) bool {
	return utf8.RuneCountInString(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
