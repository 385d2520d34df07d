package codehosttest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// zeroID is the commit of a ref that does not exist.
const zeroID = "0000000000000000000000000000000000000000"

// Change is a push of one commit to a branch, or a new tag on it.
type Change struct {
	Repository string // acme/shop
	Branch     string // exactly one of Branch and Tag
	Tag        string

	Before  string // of a branch: its commit before; "" for a new one
	Commit  string // 40 hexadecimal digits
	Message string
	Files   []string // modified
	Pusher  string   // login
}

// GitHub gives the headers and the body that GitHub sends for a change. If tagObject is not
// "", the tag is an annotated one, and tagObject is the id of its object, which GitHub
// sends as after.
func GitHub(id string, c Change, tagObject string) (http.Header, []byte) {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "GitHub-Hookshot/0000000")
	h.Set("X-GitHub-Event", "push")
	h.Set("X-GitHub-Delivery", id)

	head := map[string]any{
		"id": c.Commit, "message": c.Message, "timestamp": "2026-01-02T03:04:05Z",
		"author": map[string]any{"name": c.Pusher, "username": c.Pusher},
		"added":  []string{}, "removed": []string{}, "modified": append([]string{}, c.Files...),
	}
	ref, before, after, commits := "refs/heads/"+c.Branch, c.Before, c.Commit, []any{head}
	if c.Tag != "" {
		ref, before, commits = "refs/tags/"+c.Tag, "", []any{}
		if tagObject != "" {
			after = tagObject
		}
	}
	created := before == ""
	if created {
		before = zeroID
	}
	owner, name, _ := strings.Cut(c.Repository, "/")
	body, err := json.MarshalIndent(map[string]any{
		"ref": ref, "before": before, "after": after,
		"created": created, "deleted": false, "forced": false,
		"commits": commits, "head_commit": head,
		"repository": map[string]any{
			"name": name, "full_name": c.Repository, "html_url": "https://github.com/" + c.Repository,
			"default_branch": "main", "owner": map[string]any{"login": owner},
		},
		"pusher": map[string]any{"name": c.Pusher},
		"sender": map[string]any{"login": c.Pusher},
	}, "", "  ")
	if err != nil {
		panic("codehosttest: " + err.Error())
	}
	return h, body
}
