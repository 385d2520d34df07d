package hostapi

import (
	"context"
	"net/http"
	"net/url"
)

// gitea is Forgejo too.
var gitea = host{
	api:    func(root *url.URL) string { return root.JoinPath("api", "v1").String() },
	header: func(_, token string) (name, value string) { return "Authorization", "token " + token },
	scope:  "the token needs the scope write:repository, and its user write access to the repository's code",
	post:   postGitea,
	clone:  twoParts,
	login:  basic("oauth2"),
	reads:  "the token needs the scope read:repository, and its user access to the repository",
}

// postGitea: https://docs.gitea.com/api (repoCreateStatus).
func postGitea(ctx context.Context, c *Client, s Status) (string, error) {
	owner, name, err := split(s.Repository)
	if err != nil {
		return "", err
	}
	a, err := c.send(ctx, request{
		call: CallStatus, method: http.MethodPost, path: at("repos", owner, name, "statuses", s.Commit), json: newGitHubStatus(s),
	})
	switch {
	case err != nil:
		return "", err
	case a.is(http.StatusCreated):
		return "", nil
	case a.status == http.StatusInternalServerError && a.says("object does not exist"):
		return "", a.refuse(FateFinal, "the repository has no such commit", "it was pushed away")
	// Forgejo under load, of users that do exist. With 401 it is the token's.
	case a.status != http.StatusUnauthorized && a.says("user does not exist"):
		return "", a.refuse(FateAgain, "the code host cannot set the status now", "it is tried again")
	}
	return "", c.refusal(a)
}
