package hostapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

var bitbucket = host{
	public: "https://bitbucket.org",
	api:    bitbucketAPI,
	header: basicOrBearer,
	scope:  "the token needs the scope repository:write, and access to the repository",
	post:   postBitbucket,
	clone:  twoParts,
	login:  bitbucketLogin,
	reads:  "the token needs the scope repository, and access to the repository",
}

func bitbucketAPI(root *url.URL) string {
	switch strings.ToLower(root.Hostname()) {
	case "bitbucket.org", "www.bitbucket.org", "api.bitbucket.org":
		return "https://api.bitbucket.org/2.0"
	}
	return root.JoinPath("2.0").String()
}

// basicOrBearer is Basic where there is a user: an API token goes with an email address, an
// access token of a repository, project or workspace goes alone.
func basicOrBearer(username, token string) (name, value string) {
	if username == "" {
		return bearer("", token)
	}
	return basic("")(username, token)
}

// bitbucketLogin: https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/ for a person,
// whose address the API wants and Git does not take, and .../using-access-tokens/ for the others.
func bitbucketLogin(username, token string) (name, value string) {
	if strings.Contains(username, "@") {
		username = "x-bitbucket-api-token-auth"
	}
	return basic("x-token-auth")(username, token)
}

// bitbucketWords are those of Data Center, except for one that was stopped.
var bitbucketWords = map[State]string{
	Pending: "INPROGRESS", Running: "INPROGRESS", Success: "SUCCESSFUL", Failure: "FAILED", Error: "FAILED", Canceled: "STOPPED",
}

type bitbucketStatus struct {
	Key         string `json:"key"`
	State       string `json:"state"`
	URL         string `json:"url"`
	Name        string `json:"name"`
	Description string `json:"description"`
	RefName     string `json:"refname,omitempty"` // of branches only
}

// postBitbucket: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/.
// A status with the same key replaces the one before.
func postBitbucket(ctx context.Context, c *Client, s Status) (string, error) {
	owner, name, err := split(s.Repository)
	if err != nil {
		return "", err
	}
	status := bitbucketStatus{
		Key: shorten(s.Context, 40), State: bitbucketWords[s.State], Name: shorten(s.Context, 255),
		// Bitbucket fills in what stands in braces.
		URL:         link(strings.NewReplacer("{", "%7B", "}", "%7D").Replace(s.TargetURL), 450),
		Description: oneLine(s.Description, maxDescription),
	}
	if status.URL == "" { // it is required
		status.URL = strings.Replace(c.root, "://api.bitbucket.org", "://bitbucket.org", 1) + at(owner, name, "commits", s.Commit)
	}
	if branch, ok := strings.CutPrefix(s.Ref, "refs/heads/"); ok {
		status.RefName = branch
	}
	a, err := c.send(ctx, request{
		call: CallStatus, method: http.MethodPost, json: status,
		path: at("repositories", owner, name, "commit", s.Commit, "statuses", "build"),
	})
	switch {
	case err != nil:
		return "", err
	case a.is(http.StatusCreated, http.StatusOK):
		return "", nil
	}
	return "", c.refusal(a)
}
