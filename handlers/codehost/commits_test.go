package codehost

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
)

// TestCommits checks the commits of the events of each host that sends them: the newest last,
// with the first line of the message.
func TestCommits(t *testing.T) {
	old, mid, head := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
	three := []mapping.Commit{{ID: old, Title: "one", Author: "Ann"}, {ID: mid, Title: "two", Author: "Ann"}, {ID: head, Title: "three", Author: "Bob"}}
	// In the form that most hosts send.
	c := func(id, message, author string) string {
		return fmt.Sprintf(`{"id": %q, "message": %q, "author": {"name": %q}}`, id, message, author)
	}
	first, second, third := c(old, "one\n\nbody", "Ann"), c(mid, "two\r\n", "Ann"), c(head, "three", "Bob")
	up, down := "["+first+","+second+","+third+"]", "["+third+","+second+","+first+"]"
	push := func(repository, rest string) string {
		return fmt.Sprintf(`{"ref": "refs/heads/main", "before": %q, "after": %q, %s, %s}`, strings.Repeat("d", 40), head, repository, rest)
	}
	const full, path = `"repository": {"full_name": "acme/shop"}`, `"repository": {"path_with_namespace": "acme/shop"}`
	const project = `"object_kind": "push", "project": {"path_with_namespace": "acme/shop"}`
	bitbucket := func(branch, hash, commits string) string {
		return fmt.Sprintf(`{"old": {"type": "branch", "name": "main", "target": {"hash": %q}},
			"new": {"type": "branch", "name": %q, "target": {"hash": %q, "message": "three", "author": {"raw": "Bob <b@example.com>"}}}, "commits": %s}`,
			old, branch, hash, commits)
	}
	ofBitbucket := func(id, message, author string) string {
		return fmt.Sprintf(`{"hash": %q, "message": %q, "author": {"raw": "%s <x@example.com>"}}`, id, message, author)
	}
	azure := func(updates ...string) string {
		commit := func(id, message, author string) string {
			return fmt.Sprintf(`{"commitId": %q, "comment": %q, "author": {"name": %q}}`, id, message, author)
		}
		return `{"eventType": "git.push", "resource": {"refUpdates": [` + strings.Join(updates, ",") + `], "commits": [` +
			commit(head, "three", "Bob") + "," + commit(mid, "two", "Ann") + "," + commit(old, "one", "Ann") +
			`], "repository": {"name": "shop", "project": {"name": "acme"}}}}`
	}
	update := func(branch, id string) string {
		return fmt.Sprintf(`{"name": "refs/heads/%s", "oldObjectId": %q, "newObjectId": %q}`, branch, strings.Repeat("d", 40), id)
	}
	server := func(rest string, changes ...string) string {
		for i, id := range changes {
			changes[i] = fmt.Sprintf(`{"refId": "refs/heads/b%d", "fromHash": %q, "toHash": %q, "type": "UPDATE"}`, i, old, id)
		}
		return `{"changes": [` + strings.Join(changes, ",") + `], "repository": {"slug": "shop", "project": {"key": "ACME"}}` + rest + `}`
	}
	many := func(from, to, step int) string {
		var list []string
		for i := from; i != to; i += step {
			list = append(list, c(fmt.Sprintf("%040d", i), "x", "y"))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	for name, test := range map[string]struct {
		provider, body string
		want           [][]mapping.Commit // of each event
	}{
		"github":        {"github", push(full, `"commits": `+up), [][]mapping.Commit{three}},
		"gitlab":        {"gitlab", push(project, `"commits": `+up), [][]mapping.Commit{three}},
		"gitee":         {"gitee", push(path, `"commits": `+up), [][]mapping.Commit{three}},
		"gitea":         {"gitea", push(full, `"commits": `+down), [][]mapping.Commit{three}},
		"forgejo":       {"forgejo", push(full, `"commits": `+down), [][]mapping.Commit{three}},
		"gogs":          {"gogs", push(full, `"commits": `+down), [][]mapping.Commit{three}},
		"codearts-repo": {"codearts-repo", push(project, `"commits": `+up), [][]mapping.Commit{three}},
		"bitbucket, two changes": {
			"bitbucket", `{"push": {"changes": [` + bitbucket("main", head, "["+ofBitbucket(head, "three", "Bob")+","+ofBitbucket(mid, "two\n", "Ann")+","+ofBitbucket(old, "one", "Ann")+"]") +
				"," + bitbucket("dev", mid, "["+ofBitbucket(mid, "two\n", "Ann")+"]") + `]}, "repository": {"full_name": "acme/shop"}}`,
			[][]mapping.Commit{three, three[1:2]},
		},
		"bitbucket-server": {
			"bitbucket-server", server(`, "commits": `+down, head), [][]mapping.Commit{{three[0], three[1], three[2]}},
		},
		"bitbucket-server, the new commit alone": {"bitbucket-server", server(`, "toCommit": `+third, head), [][]mapping.Commit{three[2:]}},
		"bitbucket-server, two changes":          {"bitbucket-server", server(`, "commits": `+down, head, mid), [][]mapping.Commit{nil, nil}},
		"azure-devops":                           {"azure-devops", azure(update("main", head)), [][]mapping.Commit{three}},
		"azure-devops, two refs":                 {"azure-devops", azure(update("main", head), update("dev", mid)), [][]mapping.Commit{three[2:], three[1:2]}},
		"another order than usual":               {"github", push(full, `"commits": `+down), [][]mapping.Commit{three}},
		"none":                                   {"github", push(full, `"commits": []`), [][]mapping.Commit{nil}},
		"not sent":                               {"github", push(full, `"forced": false`), [][]mapping.Commit{nil}},
		"no list":                                {"github", push(full, `"commits": "x"`), [][]mapping.Commit{nil}},
		"odd elements":                           {"github", push(full, `"commits": [7, {"id": {}, "message": 8}]`), [][]mapping.Commit{{{}, {Title: "8"}}}},
		"a tag":                                  {"github", strings.Replace(push(full, `"commits": `+up), "heads/main", "tags/v1", 1), [][]mapping.Commit{nil}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, commitsIn(t, test.provider, test.body)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for provider, body := range map[string]string{
		"github": push(full, `"commits": `+many(1, 1501, 1)), "gitea": push(full, `"commits": `+many(1500, 0, -1)),
	} {
		got := commitsIn(t, provider, body)[0]
		if len(got) != maxCommits || got[0].ID != fmt.Sprintf("%040d", 501) || got[maxCommits-1].ID != fmt.Sprintf("%040d", 1500) {
			t.Errorf("%s: %d commits from %s to %s", provider, len(got), got[0].ID, got[len(got)-1].ID)
		}
	}
}

func commitsIn(t *testing.T, provider, body string) (commits [][]mapping.Commit) {
	t.Helper()
	m, err := Saved(provider, http.Header{}, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Decode()
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	for i := range d.Events {
		commits = append(commits, d.Events[i].Commits)
	}
	return commits
}
