package codehost

import (
	webhook "github.com/go-playground/webhooks/v6/gitea"

	"buildbridge/mapping"
)

// gitea signs the JSON, even if it sends that in a form. It sends a push for branches and
// tags, and also a create for new ones:
// https://docs.gitea.com/usage/repository/webhooks
var gitea = host{
	Provider:     mapping.Provider{Name: "gitea", Statuses: true, URLForm: ownServer},
	commitPath:   "/commit/",
	eventHeaders: []string{"X-Gitea-Event"},
	idHeaders:    []string{"X-Gitea-Delivery"},
	forms:        true,
	signsInner:   true,
	secretFields: []string{"secret"},
	proof:        signature("", "X-Gitea-Signature"),
	events:       giteaEvents,
	decode:       decodeGitea,
	guesses:      giteaGuesses,
}

// giteaEvents are those of Forgejo too.
var giteaEvents = map[string]LeftOut{
	string(webhook.PushEvent): {}, string(webhook.DeleteEvent): refDeleted, string(webhook.CreateEvent): pushedToo,
}

// giteaGuesses are for Forgejo and Gogs too.
var giteaGuesses = []guess{
	{string(webhook.PushEvent), "after ref"},
	{string(webhook.DeleteEvent), "ref_type pusher_type"},
	{string(webhook.CreateEvent), "ref_type"},
}

// giteaPush is the library's payload, with the total that it lacks, and without decoding the
// fields that are not read.
type giteaPush struct {
	webhook.PushPayload
	TotalCommits total                        `json:"total_commits"` // absent in old versions
	Before       loose                        `json:"before"`
	Commits      list[optional[pushedCommit]] `json:"commits"`
	HeadCommit   optional[pushedCommit]       `json:"head_commit"`
	Repo         giteaRepository              `json:"repository"`
	Pusher       optional[giteaUser]          `json:"pusher"`
	CompareURL   unread                       `json:"compare_url"`
	Sender       unread                       `json:"sender"`
}

// giteaRepository is a repository of Gitea, Forgejo or Gogs.
type giteaRepository struct {
	FullName      string `json:"full_name"`
	HTMLURL       loose  `json:"html_url"`
	DefaultBranch loose  `json:"default_branch"`
}

// giteaUser is a user of Gitea, Forgejo or Gogs. The oldest versions send no login.
type giteaUser struct {
	Login    loose `json:"login"`
	Username loose `json:"username"`
}

func decodeGitea(d *Delivery, body []byte) error {
	var p giteaPush
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	var touched files
	p.TotalCommits.compare(p.Commits.n, &touched)
	head := touched.headOf(&p.Commits, &p.HeadCommit.v, p.After)
	return d.add(change{
		ref:           p.Ref,
		before:        string(p.Before),
		after:         p.After,
		peeled:        string(p.HeadCommit.v.ID),
		repository:    p.Repo.FullName,
		url:           string(p.Repo.HTMLURL),
		defaultBranch: string(p.Repo.DefaultBranch),
		pusher:        firstOf(p.Pusher.v.Login, p.Pusher.v.Username),
		head:          head,
		files:         touched,
		commits:       pushed(&p.Commits, p.After, newestFirst),
		names:         fieldNames{"ref", "after", "repository.full_name"},
	})
}
