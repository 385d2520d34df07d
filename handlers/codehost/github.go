package codehost

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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

// githubPush is what is read of a push. The payload type of the library would make
// the half of what decoding a push allocates.
type githubPush struct {
	ref, after      text
	deleted         boolean
	before          loose
	created, forced looseBool
	commits         list[optional[pushedCommit]]
	head            optional[pushedCommit]
	repository      githubRepository
	pusher          optional[person]
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (p *githubPush) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return object(d, func(name []byte) json.UnmarshalerFrom {
		switch string(name) {
		case "ref":
			return &p.ref
		case "before":
			return &p.before
		case "after":
			return &p.after
		case "created":
			return &p.created
		case "deleted":
			return &p.deleted
		case "forced":
			return &p.forced
		case "commits":
			return &p.commits
		case "head_commit":
			return &p.head
		case "repository":
			return &p.repository
		case "pusher":
			return &p.pusher
		}
		return nil
	})
}

type githubRepository struct {
	fullName                             text
	htmlURL, defaultBranch, masterBranch loose
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (r *githubRepository) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == jsontext.KindNull {
		*r = githubRepository{}
	}
	return object(d, func(name []byte) json.UnmarshalerFrom {
		switch string(name) {
		case "full_name":
			return &r.fullName
		case "html_url":
			return &r.htmlURL
		case "default_branch":
			return &r.defaultBranch
		case "master_branch":
			return &r.masterBranch
		}
		return nil
	})
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
	if p.commits.n >= githubMaxCommits {
		touched.leave("GitHub sends at most %d commits", githubMaxCommits)
	}
	touched.read(&p.commits, "")
	if touched.widest >= githubMaxFiles {
		touched.leave("GitHub lists at most %d files of a commit", githubMaxFiles)
	}
	return d.add(change{
		ref:           string(p.ref),
		before:        string(p.before),
		after:         string(p.after),
		peeled:        string(p.head.v.ID),
		created:       bool(p.created),
		deleted:       bool(p.deleted),
		forced:        bool(p.forced),
		repository:    string(p.repository.fullName),
		url:           string(p.repository.htmlURL),
		defaultBranch: firstOf(p.repository.defaultBranch, p.repository.masterBranch),
		pusher:        string(p.pusher.v.Name),
		head:          p.head.v.about(),
		files:         touched,
		names:         fieldNames{"ref", "after", "repository.full_name"},
	})
}
