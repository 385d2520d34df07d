package hostapitest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// bucketStatus is the body of a status of Bitbucket.
type bucketStatus struct {
	Key         string `json:"key"`
	State       string `json:"state"`
	URL         string `json:"url"`
	Name        string `json:"name"`
	Description string `json:"description"`
	RefName     string `json:"refname"` // Cloud
	Ref         string `json:"ref"`     // Data Center
}

func (c *call) readBucket() bool {
	var status bucketStatus
	if !c.read(&status) {
		return false
	}
	c.Context, c.State, c.TargetURL, c.Description, c.Ref = status.Key, status.State, status.URL, status.Description, status.RefName+status.Ref
	return true
}

// templates are what Bitbucket Cloud fills in.
var templates = regexp.MustCompile(`\{[^}]*\}`)

func (c *call) bitbucket() response {
	invalid := func(field, what string) response {
		return response{status: 400, body: map[string]any{
			"type": "error", "error": map[string]any{"message": "Bad request", "fields": map[string]any{field: []string{what}}},
		}}
	}
	tooLong := func(field, text string, most int) response {
		return invalid(field, fmt.Sprintf("Ensure this value has at most %d characters (it has %d).", most, len([]rune(text))))
	}
	var status bucketStatus
	switch {
	case !c.knows(c.Commit):
		return c.fail(404, "Commit not found")
	case !c.readBucket() || !c.read(&status):
		return c.fail(400, "Bad request")
	case status.Key == "":
		return invalid("key", "required key not provided")
	case status.URL == "":
		return invalid("url", "required key not provided")
	case long(status.Key, 40):
		return tooLong("key", status.Key, 40)
	case long(status.Name, 255):
		return tooLong("name", status.Name, 255)
	case long(status.URL, 450):
		return tooLong("url", status.URL, 450)
	case !isURL(status.URL):
		return invalid("url", "Enter a valid URL.")
	case !slices.Contains([]string{"INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"}, status.State):
		return invalid("state", status.State+" is not a valid choice")
	}
	c.TargetURL = templates.ReplaceAllString(c.TargetURL, "")
	c.take(c.Context)
	return response{status: 201, body: map[string]any{"type": "build", "key": c.Context, "state": c.State}}
}

func (c *call) bitbucketServer() response {
	if !c.knows(c.Commit) {
		return c.failAs(400, "invalid commit hash "+c.Commit, "validation.ArgumentValidationException")
	}
	return c.server("INPROGRESS", "SUCCESSFUL", "FAILED", "CANCELLED", "UNKNOWN")
}

// oldBitbucketServer knows nothing of commits and repositories.
func (c *call) oldBitbucketServer() response {
	return c.server("INPROGRESS", "SUCCESSFUL", "FAILED")
}

func (c *call) server(states ...string) response {
	invalid := func(what string) response { return c.failAs(400, what, "validation.ArgumentValidationException") }
	var status bucketStatus
	switch {
	case !c.readBucket() || !c.read(&status):
		return invalid("the body is not JSON")
	case strings.TrimSpace(status.Key) == "" || long(status.Key, 255):
		return invalid("key: must have between 1 and 255 characters")
	case strings.TrimSpace(status.URL) == "" || long(status.URL, 450) || !isURL(status.URL):
		return invalid("url: must be a URL of between 1 and 450 characters")
	case long(status.Name, 255):
		return invalid("name: must have at most 255 characters")
	case long(status.Description, 255):
		return invalid("description: must have at most 255 characters")
	case !slices.Contains(states, status.State):
		return invalid("state: " + status.State + " is not a state")
	case status.Ref != "" && !c.hasBranch(status.Ref):
		return invalid("invalid branch " + status.Ref)
	}
	c.take(c.Context)
	return response{status: 204}
}

func (c *call) hasBranch(ref string) bool {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	return ok && (len(c.o.Branches) == 0 || slices.Contains(c.o.Branches, branch))
}
