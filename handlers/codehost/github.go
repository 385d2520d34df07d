package codehost

import (
	"github.com/go-json-experiment/json/jsontext"
	webhook "github.com/go-playground/webhooks/v6/github"

	"buildbridge/mapping"
)

// github signs the raw body, which may be a form, and sends a push for branches and for
// tags: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
var github = host{
	Provider:     mapping.Provider{Name: "github", Statuses: true},
	commitPath:   "/commit/",
	eventHeaders: []string{"X-GitHub-Event"},
	idHeaders:    []string{"X-GitHub-Delivery"},
	forms:        true,
	proof:        signature("sha256=", "X-Hub-Signature-256"),
	events: map[string]LeftOut{
		string(webhook.PushEvent): {}, string(webhook.PingEvent): testCall,
		string(webhook.DeleteEvent): refDeleted, string(webhook.CreateEvent): pushedToo,
	},
	decode: decodeGitHub,
	guesses: []guess{
		{string(webhook.PushEvent), "after ref"},
		{string(webhook.PingEvent), "zen"},
		{string(webhook.CreateEvent), "ref_type master_branch"},
		{string(webhook.DeleteEvent), "ref_type"},
	},
}

// From these numbers on GitHub may leave something out, and does not say so.
const (
	githubMaxCommits = 2048 // of a push
	githubMaxFiles   = 3000 // of a commit
)

// githubPush has what is read of a push. The library's payload would be half of all
// allocations of decoding a push.
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

func (p *githubPush) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return object(d, field{"ref", &p.ref}, field{"before", &p.before}, field{"after", &p.after},
		field{"created", &p.created}, field{"deleted", &p.deleted}, field{"forced", &p.forced},
		field{"commits", &p.commits}, field{"head_commit", &p.head},
		field{"repository", &p.repository}, field{"pusher", &p.pusher})
}

type githubRepository struct {
	fullName                             text
	htmlURL, defaultBranch, masterBranch loose
}

func (r *githubRepository) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == jsontext.KindNull {
		*r = githubRepository{}
	}
	return object(d, field{"full_name", &r.fullName}, field{"html_url", &r.htmlURL},
		field{"default_branch", &r.defaultBranch}, field{"master_branch", &r.masterBranch})
}

func decodeGitHub(d *Delivery, body []byte) error {
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
		commits:       pushed(&p.commits, string(p.after), newestLast),
		names:         fieldNames{"ref", "after", "repository.full_name"},
	})
}
