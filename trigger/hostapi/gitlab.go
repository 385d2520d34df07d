package hostapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
)

var gitLab = host{
	public:  "https://gitlab.com",
	api:     func(root *url.URL) string { return root.JoinPath("api", "v4").String() },
	header:  func(_, token string) (name, value string) { return "PRIVATE-TOKEN", token },
	scope:   "the token needs the scope api and the role Developer, on a protected branch or tag one that may push there (Maintainer)",
	running: true,
	post:    postGitLab,
	clone:   anyParts,
	login:   basic("oauth2"),
	reads:   "the token needs the scope read_repository, and the role Reporter",
}

var gitLabWords = map[State]string{
	Pending: "pending", Running: "running", Success: "success", Failure: "failed", Error: "failed", Canceled: "canceled",
}

type gitLabStatus struct {
	State string `json:"state"`
	Name  string `json:"name"`
	// Without the ref GitLab takes any pipeline of the commit, and knows no commit that only a
	// tag has.
	Ref         string `json:"ref,omitempty"`
	TargetURL   string `json:"target_url,omitempty"`
	Description string `json:"description"`
	// Without it a newer pipeline, such as that of a merge request, would get the end of what
	// began in an older one.
	PipelineID int64 `json:"pipeline_id,omitempty"`
}

// postGitLab: https://docs.gitlab.com/api/commits/#set-commit-pipeline-status, and
// create_commit_status_service.rb. What it returns is the id of the pipeline.
func postGitLab(ctx context.Context, c *Client, s Status) (string, error) {
	status := gitLabStatus{
		State: gitLabWords[s.State], Name: shorten(s.Context, 255), Ref: short(s.Ref),
		TargetURL: link(s.TargetURL, 255), Description: oneLine(s.Description, maxDescription),
	}
	status.PipelineID, _ = strconv.ParseInt(s.Previous, 10, 64)
	r := request{
		call: CallStatus, method: http.MethodPost, path: at("projects", s.Repository, "statuses", s.Commit), json: status,
	}
	a, err := c.send(ctx, r)
	if err == nil && a.status == http.StatusNotFound && a.says("404 Pipeline") { // it was deleted
		status.PipelineID = 0
		r.json = status
		a, err = c.send(ctx, r)
	}
	switch {
	case err != nil:
		return "", err
	case a.is(http.StatusCreated):
		var set struct {
			PipelineID int64 `json:"pipeline_id"`
		}
		if err := json.Unmarshal(a.body, &set); err != nil {
			return "", a.unreadable(err)
		}
		if set.PipelineID == 0 {
			return s.Previous, nil
		}
		return strconv.FormatInt(set.PipelineID, 10), nil
	case a.status == http.StatusBadRequest && gitLabShows(status.State, a.said):
		return s.Previous, nil
	case a.status == http.StatusBadRequest && a.says("taken"):
		return "", a.refuse(FateFinal, "a job of the commit's pipeline has the name of this context", "give another one to report.context")
	case a.status == http.StatusUnprocessableEntity:
		return "", a.refuse(FateFinal, "the commit's pipeline takes no more jobs", "a new commit does")
	case a.status == http.StatusNotFound && a.says("404 References"):
		return "", a.refuse(FateFinal, "no branch or tag has the commit", "it was pushed away")
	case a.status == http.StatusNotFound && a.says("404 Commit"):
		return "", a.refuse(FateFinal, "the repository has no such commit", "it was pushed away, or it is the id of a tag")
	case a.status == http.StatusNotFound && a.says("404 Project"):
		return "", a.refuse(FateFinal, "the token may not see the repository, or it is not there", c.host.scope)
	}
	return "", c.refusal(a)
}

// gitLabTransition is in the message for a status that has that state already, or is past it.
var gitLabTransition = regexp.MustCompile(`Cannot transition status via :(\w+) from :(\w+)`)

// gitLabShows reports whether a message says that the status is as it should be. A pending
// status that runs is not set back.
func gitLabShows(state, said string) bool {
	m := gitLabTransition.FindStringSubmatch(said)
	return m != nil && (m[2] == state || m[1] == "enqueue" && m[2] == "running")
}
