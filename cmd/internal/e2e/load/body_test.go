package load

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// bodySize is that of the push that is measured, in bytes: what GitHub sends for
// one with a few commits.
const bodySize = 8500

// push is a push as GitHub sends it
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads#push), with
// places for branch and commit, filled up to a size by the repository's description.
func push(t testing.TB, prefix string, size int) []byte {
	t.Helper()
	text := encodePush(t, prefix, "")
	if len(text) > size {
		t.Fatalf("a push takes %d bytes at least, not %d", len(text), size)
	}
	return encodePush(t, prefix, strings.Repeat(".", size-len(text)))
}

func encodePush(t testing.TB, prefix, description string) []byte {
	t.Helper()
	const (
		api    = "https://api.github.com/repos/acme/shop"
		web    = "https://github.com/acme/shop"
		before = "6db7d803e74f1ffa7d8f5adc0bf95b3e15bf4c83"
	)
	type object = map[string]any
	account := func(login string) object {
		o := object{"login": login, "id": 583231, "node_id": "MDQ6VXNlcjU4MzIzMQ==", "gravatar_id": "", "type": "User", "user_view_type": "public", "site_admin": false, "name": login, "email": login + "@example.com"}
		for _, name := range []string{"followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events", "received_events"} {
			o[name+"_url"] = "https://api.github.com/users/" + login + "/" + name
		}
		return o
	}
	repository := object{
		"id": 35129377, "node_id": "MDEwOlJlcG9zaXRvcnkzNTEyOTM3Nw==", "name": "shop", "full_name": "acme/shop", "private": true,
		"owner": account("acme"), "html_url": web, "description": description, "fork": false, "url": web,
		"created_at": 1430869212, "updated_at": "2026-01-02T03:04:05Z", "pushed_at": 1772356830, "git_url": "git://github.com/acme/shop.git",
		"ssh_url": "git@github.com:acme/shop.git", "clone_url": web + ".git", "svn_url": web, "homepage": nil, "size": 4711,
		"stargazers_count": 0, "watchers_count": 0, "language": "Go", "has_issues": true, "has_projects": true, "has_downloads": true,
		"has_wiki": true, "has_pages": false, "forks_count": 0, "mirror_url": nil, "archived": false, "disabled": false,
		"open_issues_count": 0, "license": nil, "allow_forking": false, "topics": []string{"shop"}, "visibility": "private", "forks": 0,
		"open_issues": 0, "watchers": 0, "default_branch": "main", "stargazers": 0, "master_branch": "main",
	}
	for _, name := range []string{
		"archive", "assignees", "blobs", "branches", "collaborators", "comments", "commits", "compare", "contents", "contributors", "deployments",
		"downloads", "events", "forks", "git_commits", "git_refs", "git_tags", "hooks", "issue_comment", "issue_events", "issues", "keys", "labels",
		"languages", "merges", "milestones", "notifications", "pulls", "releases", "stargazers", "statuses", "subscribers", "subscription", "tags", "teams", "trees",
	} {
		repository[name+"_url"] = fmt.Sprintf("%s/%s{/sha}", api, name)
	}
	person := object{"name": "Ada Byron", "email": "ada@example.com", "username": "ada"}
	commit := func(id, message string) object {
		return object{
			"id": id, "tree_id": "44f87deaa5422f731353795071e71e962ab65ab1", "distinct": true, "message": message,
			"timestamp": "2026-03-01T10:20:30+01:00", "url": web + "/commit/" + id, "author": person, "committer": person,
			"added": []string{"services/cart/total.go"}, "removed": []string{}, "modified": []string{"services/cart/cart.go", "go.mod"},
		}
	}
	head := commit(commitPlace, "Count the items once")
	text, err := json.Marshal(object{
		"ref": "refs/heads/" + prefix + branchPlace, "before": before, "after": commitPlace, "repository": repository,
		"pusher": object{"name": "ada", "email": "ada@example.com"}, "sender": account("ada"),
		"created": false, "deleted": false, "forced": false, "base_ref": nil, "compare": web + "/compare/6db7d803e74f...f39592393ef0",
		"commits": []any{commit("b1e99324505bd32da0e1f85dcf5e19a09db0481e", "Tidy up"), head}, "head_commit": head,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
