package hostapi

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
)

var bitbucketServer = host{
	api:    func(root *url.URL) string { return root.JoinPath("rest").String() },
	header: basicOrBearer,
	scope:  "the token needs the permission to read the repository",
	post:   postBitbucketServer,
	clone:  func(repository string) (string, error) { return under("/scm", repository) },
	login:  basicOrBearer,
	reads:  "the token needs the permission to read the repository",
}

type bitbucketServerStatus struct {
	Key         string `json:"key"`
	State       string `json:"state"`
	URL         string `json:"url"`
	Name        string `json:"name"`
	Description string `json:"description"`

	// Versions before 7.4 do not have these.
	Parent   string `json:"parent,omitempty"`   // what required builds match
	Ref      string `json:"ref,omitempty"`      // full, of branches only
	Duration int64  `json:"duration,omitempty"` // in milliseconds
}

// postBitbucketServer: https://developer.atlassian.com/server/bitbucket/rest/, "Builds", since
// 7.4. A status with the same key replaces the one before. Older versions have only
// https://developer.atlassian.com/server/bitbucket/how-tos/updating-build-status-for-commits/.
func postBitbucketServer(ctx context.Context, c *Client, s Status) (string, error) {
	project, slug, err := split(s.Repository)
	if err != nil {
		return "", err
	}
	key := shorten(s.Context, 255)
	status := bitbucketServerStatus{
		Key: key, Name: key, Parent: key, State: bitbucketWords[s.State],
		URL: link(s.TargetURL, 450), Description: oneLine(s.Description, maxDescription),
	}
	if s.State == Canceled {
		status.State = "CANCELLED"
	}
	if status.URL == "" { // it is required
		status.URL = c.root + at("projects", project, "repos", slug, "commits", s.Commit)
	}
	if strings.HasPrefix(s.Ref, "refs/heads/") {
		status.Ref = s.Ref
	}
	if !s.Begun.IsZero() && s.Ended.After(s.Begun) {
		status.Duration = s.Ended.Sub(s.Begun).Milliseconds()
	}
	r := request{
		call: CallStatus, method: http.MethodPost, json: status,
		path: at("api", "latest", "projects", project, "repos", slug, "commits", s.Commit, "builds"),
	}
	a, err := c.send(ctx, r)
	if err == nil && a.status == http.StatusBadRequest && status.Ref != "" && a.says("branch") { // it was deleted
		status.Ref = ""
		r.json = status
		a, err = c.send(ctx, r)
	}
	// An older version does not have the path; it would name an exception if it had.
	if err == nil && a.status == http.StatusNotFound && !bytes.Contains(a.body, []byte("exceptionName")) {
		status.Ref, status.Parent, status.Duration = "", "", 0
		if s.State == Canceled {
			status.State = bitbucketWords[Failure]
		}
		r.json, r.path = status, at("build-status", "1.0", "commits", s.Commit)
		a, err = c.send(ctx, r)
	}
	switch {
	case err != nil:
		return "", err
	case a.is(http.StatusNoContent):
		return "", nil
	case a.status == http.StatusBadRequest && a.says("commit hash"):
		return "", a.refuse(FateFinal, "the repository has no such commit", "it was pushed away")
	case a.status == http.StatusUnauthorized && a.says("permission", "permitted"): // the token itself is good
		return "", a.refuse(FateFinal, "the token may not see the repository", c.host.scope)
	}
	return "", c.refusal(a)
}
