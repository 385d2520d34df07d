package hostapitest

import (
	"slices"
	"strings"
)

// maxStatuses is how many statuses of a commit and context GitHub takes.
const maxStatuses = 1000

// hubStatus is the body of a status of GitHub, Gitea and Forgejo.
type hubStatus struct {
	State       string `json:"state"`
	TargetURL   string `json:"target_url"`
	Description string `json:"description"`
	Context     string `json:"context"`
}

func (c *call) readHub(states ...string) (bad response, ok bool) {
	var status hubStatus
	if !c.read(&status) {
		return c.fail(400, "Problems parsing JSON"), false
	}
	if status.Context == "" {
		status.Context = "default"
	}
	c.State, c.TargetURL, c.Description, c.Context = status.State, status.TargetURL, status.Description, status.Context
	if !slices.Contains(states, c.State) {
		return c.invalid("state", "is not included in the list"), false
	}
	return response{}, true
}

// invalid is GitHub's answer for a field.
func (c *call) invalid(field, what string) response {
	bad := c.fail(422, "Validation Failed")
	bad.body = map[string]any{
		"message": "Validation Failed",
		"errors":  []any{map[string]any{"resource": "Status", "code": "custom", "field": field, "message": field + " " + what}},
	}
	return bad
}

func (c *call) github() response {
	if c.r.UserAgent() == "" {
		return c.fail(403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
	}
	if !c.knows(c.Commit) {
		return c.fail(422, "No commit found for SHA: "+c.Commit)
	}
	bad, ok := c.readHub("pending", "success", "failure", "error")
	switch {
	case !ok:
		return bad
	case long(c.Description, 140):
		return c.invalid("description", "is too long (maximum is 140 characters)")
	case long(c.Context, 255):
		return c.invalid("context", "is too long (maximum is 255 characters)")
	case c.TargetURL != "" && !isURL(c.TargetURL):
		return c.invalid("target_url", "must use http(s) scheme")
	}
	count := c.key([]string{strings.ToLower(c.Context)})
	if c.counts[count] >= maxStatuses {
		bad := c.fail(422, "Validation Failed")
		bad.body = map[string]any{
			"message": "Validation Failed", "errors": []any{"This SHA and context has reached the maximum number of statuses."},
		}
		return bad
	}
	c.counts[count]++
	c.take(strings.ToLower(c.Context))
	return response{status: 201, body: map[string]any{"state": c.State, "context": c.Context}}
}

func (c *call) gitea() response {
	onTag := slices.Contains(c.o.TagObjects, c.Commit)
	switch {
	case c.knows(c.Commit) || onTag:
	case c.o.Forgejo:
		return c.fail(404, "object does not exist [id: "+c.Commit+", rel_path: ]")
	default:
		return c.fail(500, "object does not exist [id: "+c.Commit+", rel_path: ]")
	}
	if bad, ok := c.readHub("pending", "success", "failure", "error", "warning"); !ok {
		return bad
	}
	c.Context = strings.TrimSpace(c.Context)
	c.take(c.Context)
	if onTag { // it is stored, and nobody sees it
		c.hide(c.Context)
	}
	return response{status: 201, body: map[string]any{"status": c.State, "context": c.Context}}
}
