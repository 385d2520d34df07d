package hostapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"buildbridge/mapping"
)

var gitHub = host{
	public: "https://github.com",
	api:    gitHubAPI,
	header: bearer,
	scope:  "the token needs write on Commit statuses (fine-grained) or the scope repo:status (classic), and access to the repository",
	// 500 requests that make content are taken in an hour, with room for what else uses the token.
	limit: mapping.RateLimit{PerSecond: 400. / 3600, Burst: 60},
	post:  postGitHub,
	clone: twoParts,
	login: basic("x-access-token"),
	reads: "the token needs read on Contents (fine-grained) or the scope repo (classic), and access to the repository",
}

// gitHubAPI: the public service, one with a subdomain of ghe.com, or a server.
func gitHubAPI(root *url.URL) string {
	name := strings.ToLower(root.Hostname())
	switch {
	case name == "github.com", name == "www.github.com", name == "api.github.com":
		return "https://api.github.com"
	case strings.HasSuffix(name, ".ghe.com"):
		return "https://api." + strings.TrimPrefix(name, "api.")
	}
	return root.JoinPath("api", "v3").String()
}

func bearer(_, token string) (name, value string) { return "Authorization", "Bearer " + token }

// gitHubWords have none for a build that runs, and none for one that was stopped.
var gitHubWords = map[State]string{
	Pending: "pending", Running: "pending", Success: "success", Failure: "failure", Error: "error", Canceled: "error",
}

// gitHubStatus is the body of a status, for Gitea and Forgejo too.
type gitHubStatus struct {
	State       string `json:"state"`
	TargetURL   string `json:"target_url,omitempty"`
	Description string `json:"description"`
	Context     string `json:"context"`
}

func newGitHubStatus(s Status) gitHubStatus {
	return gitHubStatus{
		State:       gitHubWords[s.State],
		TargetURL:   link(s.TargetURL, 2048),
		Description: oneLine(s.Description, maxDescription),
		Context:     shorten(s.Context, 255),
	}
}

// postGitHub: https://docs.github.com/rest/commits/statuses. A host that hides what the token
// may not see says 404.
func postGitHub(ctx context.Context, c *Client, s Status) (string, error) {
	owner, name, err := split(s.Repository)
	if err != nil {
		return "", err
	}
	a, err := c.send(ctx, request{
		call: CallStatus, method: http.MethodPost, path: at("repos", owner, name, "statuses", s.Commit), json: newGitHubStatus(s),
		header: http.Header{"X-Github-Api-Version": {"2022-11-28"}},
	})
	switch {
	case err != nil:
		return "", err
	case a.is(http.StatusCreated):
		return "", nil
	case a.status == http.StatusUnprocessableEntity && a.says("No commit found"):
		return "", a.refuse(FateFinal, "the repository has no such commit", "it was pushed away, or it is the id of a tag")
	case a.status == http.StatusUnprocessableEntity && a.says("maximum number of statuses"):
		return "", a.refuse(FateFinal, "the commit takes no more statuses with this context, after 1000",
			"a new commit, or another report.context, does")
	case a.status == http.StatusUnprocessableEntity && a.says("context is too long"):
		return "", a.refuse(FateFinal, "the context of the status is too long", "give a shorter one to report.context")
	case a.status == http.StatusUnprocessableEntity && a.says("description is too long"):
		return "", a.refuse(FateFinal, "the description of the status is too long", "the host takes less than GitHub's 140 characters")
	case a.status == http.StatusNotFound && a.isJSON():
		return "", a.refuse(FateFinal, "the repository is not there, or the token may not set statuses in it", c.host.scope)
	}
	return "", c.refusal(a)
}
