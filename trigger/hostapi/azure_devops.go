package hostapi

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var azureDevOps = host{
	// The URL has the organisation, or the collection of a server: all paths begin there.
	api:    (*url.URL).String,
	header: basic(""),
	scope:  "the token needs the scope vso.code_status (Code: status), and access to the project",
	post:   postAzureDevOps,
	clone:  azureDevOpsClone,
	login:  basic(""), // any user
	reads:  "the token needs the scope vso.code (Code: read), and access to the project",
}

func azureDevOpsClone(repository string) (string, error) {
	project, name, err := split(repository)
	if err != nil {
		return "", err
	}
	return at(project, "_git", name), nil
}

var azureDevOpsWords = map[State]string{
	Pending: "pending", Running: "pending", Success: "succeeded", Failure: "failed", Error: "error", Canceled: "notApplicable",
}

type azureDevOpsStatus struct {
	State       string             `json:"state"`
	Description string             `json:"description"`
	TargetURL   string             `json:"targetUrl,omitempty"`
	Context     azureDevOpsContext `json:"context"`
}

type azureDevOpsContext struct {
	Genre string `json:"genre,omitempty"`
	Name  string `json:"name"`
}

// azureDevOpsVersion of the API is that of the service and of servers since 2022.1.
const azureDevOpsVersion = "7.1"

// azureDevOpsSupports is in the message of an older server.
var azureDevOpsSupports = regexp.MustCompile(`latest REST API version this server supports is (\d+\.\d+)`)

// postAzureDevOps: https://learn.microsoft.com/rest/api/azure/devops/git/statuses/create. The
// newest status of a genre and name counts.
func postAzureDevOps(ctx context.Context, c *Client, s Status) (string, error) {
	project, name, err := split(s.Repository)
	if err != nil {
		return "", err
	}
	status := azureDevOpsStatus{
		State: azureDevOpsWords[s.State], Description: oneLine(s.Description, maxDescription), TargetURL: link(s.TargetURL, 2048),
	}
	genre, rest, ok := strings.Cut(s.Context, "/")
	if !ok {
		genre, rest = "", s.Context
	}
	status.Context = azureDevOpsContext{Genre: shorten(genre, 100), Name: shorten(rest, 100)}
	path := at(project, "_apis", "git", "repositories", name, "commits", s.Commit, "statuses") + "?api-version="
	r := request{call: CallStatus, method: http.MethodPost, path: path + azureDevOpsVersion, json: status}
	a, err := c.send(ctx, r)
	if err == nil && a.status == http.StatusBadRequest {
		if m := azureDevOpsSupports.FindStringSubmatch(a.said); m != nil {
			r.path = path + m[1]
			a, err = c.send(ctx, r)
		}
	}
	switch {
	case err != nil:
		return "", err
	case a.is(http.StatusCreated, http.StatusOK):
		return "", nil
	case a.status/100 == 2: // 203, with a page
		return "", a.refuse(FateSource, "the code host refuses the token, and answers with a sign-in page", "give a valid one to api.token")
	case a.status == http.StatusNotFound && !a.isJSON():
		return "", a.refuse(FateSource, "there is no API of the code host at "+c.base, "api.url has to have the organisation or the collection")
	}
	return "", c.refusal(a)
}
