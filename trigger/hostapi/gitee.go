package hostapi

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

var gitee = host{
	public:  "https://gitee.com",
	api:     func(root *url.URL) string { return root.JoinPath("api", "v5").String() },
	header:  func(_, token string) (name, value string) { return "Authorization", "token " + token },
	scope:   "the token needs the scope projects, and its user has to be an administrator of the repository",
	running: true,
	post:    postGitee,
	clone:   twoParts,
	login:   basic("oauth2"),
	reads:   "the token needs the scope projects, and its user access to the repository",
}

// giteeWords are the status and the conclusion of a check run.
var giteeWords = map[State][2]string{
	Pending: {"queued"}, Running: {"in_progress"}, Success: {"completed", "success"}, Failure: {"completed", "failure"},
	Error: {"completed", "failure"}, Canceled: {"completed", "cancelled"},
}

type giteeCheckRun struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Status      string `json:"status"`
	Conclusion  string `json:"conclusion"`
	CompletedAt string `json:"completed_at"`
}

// postGitee: https://help.gitee.com/base/pullrequest/ci-check. Gitee has no statuses; a check run
// is the nearest. It cannot change once it is completed, so each build needs one of its own.
// What it returns is the id of the check run.
func postGitee(ctx context.Context, c *Client, s Status) (string, error) {
	owner, name, err := split(s.Repository)
	if err != nil {
		return "", err
	}
	form := giteeForm(s)
	id := s.Previous
	if id == "" {
		// The answer to a request before may have been lost.
		run, done, err := giteeFind(ctx, c, s, form, owner, name)
		if err != nil || done {
			return run, err
		}
		id = run
	}
	if id != "" {
		a, err := c.send(ctx, request{
			call: CallStatus, method: http.MethodPatch, path: at("repos", owner, name, "check-runs", id), form: form,
		})
		switch {
		case err != nil:
			return "", err
		case a.is(http.StatusOK):
			return id, nil
		case a.status != http.StatusBadRequest && a.status != http.StatusNotFound && a.status != http.StatusUnprocessableEntity:
			return "", c.refusal(a)
		}
		// It is completed, or gone; the text that says so is not documented.
		if run, done, err := giteeFind(ctx, c, s, form, owner, name); err != nil || done {
			return run, err
		}
	}
	form.Set("head_sha", s.Commit)
	a, err := c.send(ctx, request{call: CallStatus, method: http.MethodPost, path: at("repos", owner, name, "check-runs"), form: form})
	if err != nil {
		return "", err
	}
	if !a.is(http.StatusCreated, http.StatusOK) {
		return "", c.refusal(a)
	}
	var run giteeCheckRun
	if err := json.Unmarshal(a.body, &run); err != nil {
		return "", a.unreadable(err)
	}
	return strconv.FormatInt(run.ID, 10), nil
}

// giteeForm is what creates and changes a check run alike.
func giteeForm(s Status) url.Values {
	words := giteeWords[s.State]
	description := cmp.Or(oneLine(s.Description, maxDescription), oneLine(s.Context, maxDescription)) // both outputs are required
	form := url.Values{
		"name": {shorten(s.Context, 100)}, "status": {words[0]},
		"output[title]": {description}, "output[summary]": {description},
	}
	if words[1] != "" {
		form.Set("conclusion", words[1])
	}
	if target := link(s.TargetURL, 2048); target != "" {
		form.Set("details_url", target)
	}
	if !s.Begun.IsZero() {
		form.Set("started_at", s.Begun.UTC().Format(time.RFC3339))
	}
	if !s.Ended.IsZero() && words[1] != "" {
		form.Set("completed_at", s.Ended.UTC().Format(time.RFC3339))
	}
	return form
}

// giteeFind looks for the check run that a status is about: one that is not completed, or, in
// which case there is nothing to do, one that was completed in the same way at the same time.
// It finds nothing if the host does not let it look. If the host could not be asked, nothing
// may be created: a second check run would leave the first one open for ever.
func giteeFind(ctx context.Context, c *Client, s Status, form url.Values, owner, name string) (id string, done bool, err error) {
	a, err := c.send(ctx, request{
		call: CallCheckRuns, method: http.MethodGet,
		path: at("repos", owner, name, "commits", s.Commit, "check-runs") + "?" +
			url.Values{"check_name": {form.Get("name")}, "per_page": {"100"}}.Encode(),
	})
	switch {
	case err != nil:
		return "", false, err
	case a.is(http.StatusOK):
	case a.status == http.StatusForbidden && !a.limited(), a.status == http.StatusUnauthorized, a.status == http.StatusNotFound:
		return "", false, nil
	default:
		return "", false, c.refusal(a)
	}
	var list struct {
		CheckRuns []giteeCheckRun `json:"check_runs"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return "", false, a.unreadable(err)
	}
	for _, run := range list.CheckRuns {
		if run.Name != form.Get("name") {
			continue
		}
		found := strconv.FormatInt(run.ID, 10)
		if run.Status != "completed" {
			id = found
			continue
		}
		at, err := time.Parse(time.RFC3339, run.CompletedAt)
		if err == nil && form.Get("completed_at") == at.UTC().Format(time.RFC3339) && run.Conclusion == form.Get("conclusion") {
			return found, true, nil
		}
	}
	return id, false, nil
}
