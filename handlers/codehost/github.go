package codehost

import (
	"github.com/go-playground/webhooks/v6/github"

	"buildbridge/mapping"
)

// githubHost signs the raw body, form or not, and sends a push for branches and
// tags alike: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
func githubHost() host {
	return host{
		provider:     mapping.GitHub,
		eventHeaders: []string{"X-GitHub-Event"},
		idHeaders:    []string{"X-GitHub-Delivery"},
		forms:        true,
		authenticate: func(r request) (string, error) { return hubSignature(r, "X-Hub-Signature-256") },
		decode:       decodeGitHub,
	}
}

// Above these GitHub leaves something out without a word.
const (
	githubMaxCommits = 2048 // of a push
	githubMaxFiles   = 3000 // of a commit
)

// githubPush is the library's payload cut down to what is read.
type githubPush struct {
	github.PushPayload
	Before     loose                        `json:"before"`
	Created    looseBool                    `json:"created"`
	Forced     looseBool                    `json:"forced"`
	Commits    list[optional[pushedCommit]] `json:"commits"`
	HeadCommit optional[pushedCommit]       `json:"head_commit"`
	Repository struct {
		FullName      string `json:"full_name"`
		HTMLURL       loose  `json:"html_url"`
		DefaultBranch loose  `json:"default_branch"`
		MasterBranch  loose  `json:"master_branch"`
	} `json:"repository"`
	Pusher       optional[person] `json:"pusher"`
	BaseRef      unread           `json:"base_ref"`
	Compare      unread           `json:"compare"`
	Sender       unread           `json:"sender"`
	Installation unread           `json:"installation"`
}

func decodeGitHub(d *Delivery, body []byte) error {
	switch github.Event(d.Event) {
	case github.PushEvent:
	case github.PingEvent:
		return d.leaveOutAll(body, mapping.ReasonPing, whyPing)
	case github.DeleteEvent:
		return d.leaveOutAll(body, mapping.ReasonDeleted, whyDeleted)
	case github.CreateEvent:
		return d.leaveOutAll(body, mapping.ReasonEvent, whyPushed)
	default:
		return d.leaveOutEvent(body, d.Event)
	}

	var p githubPush
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	var touched files
	if p.Commits.n >= githubMaxCommits {
		touched.leave("GitHub sends at most %d commits", githubMaxCommits)
	}
	touched.read(&p.Commits, "")
	if touched.widest >= githubMaxFiles {
		touched.leave("GitHub lists at most %d files of a commit", githubMaxFiles)
	}
	return d.add(change{
		ref:           p.Ref,
		before:        string(p.Before),
		after:         p.After,
		peeled:        string(p.HeadCommit.v.ID),
		created:       bool(p.Created),
		deleted:       p.Deleted,
		forced:        bool(p.Forced),
		repository:    p.Repository.FullName,
		url:           string(p.Repository.HTMLURL),
		defaultBranch: firstOf(p.Repository.DefaultBranch, p.Repository.MasterBranch),
		pusher:        string(p.Pusher.v.Name),
		head:          p.HeadCommit.v.about(),
		files:         touched,
		names:         fieldNames{"ref", "after", "repository.full_name"},
	})
}
