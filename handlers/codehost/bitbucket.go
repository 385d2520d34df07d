package codehost

import (
	"fmt"
	"strings"

	"buildbridge/mapping"
)

// bitbucketHost signs only if the webhook has a secret; its X-Hook-UUID is
// none: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/#Push
func bitbucketHost() host {
	return host{
		provider:     mapping.Bitbucket,
		eventHeaders: []string{"X-Event-Key"},
		idHeaders:    []string{"X-Request-UUID"},
		authenticate: func(r request) (string, error) { return hubSignature(r, "X-Hub-Signature") },
		decode:       decodeBitbucket,
	}
}

// The values of X-Event-Key.
const (
	bitbucketPushEvent       = "repo:push"
	bitbucketServerPushEvent = "repo:refs_changed"
	bitbucketPing            = "diagnostics:ping"
)

type bitbucketPush struct {
	Push struct {
		Changes list[bitbucketChange] `json:"changes"`
	} `json:"push"`
	Repository struct {
		FullName string `json:"full_name"`
		Links    struct {
			HTML struct {
				Href loose `json:"href"`
			} `json:"html"`
		} `json:"links"`
		MainBranch struct {
			Name loose `json:"name"`
		} `json:"mainbranch"`
	} `json:"repository"`
	Actor bitbucketUser `json:"actor"`
}

type bitbucketChange struct {
	New     *bitbucketRef `json:"new"` // null: the ref was deleted
	Old     *bitbucketRef `json:"old"` // null: the ref is new
	Created bool          `json:"created"`
	Forced  bool          `json:"forced"`
}

type bitbucketRef struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Target struct {
		Hash    string `json:"hash"` // of the commit, also of an annotated tag
		Message loose  `json:"message"`
		Author  struct {
			Raw  loose         `json:"raw"` // Name <address>
			User bitbucketUser `json:"user"`
		} `json:"author"`
	} `json:"target"`
}

// fullName is the ref as git has it, "" if it has no name. What is neither a branch
// nor a tag, such as a bookmark, is named by its type.
func (r *bitbucketRef) fullName() string {
	if r == nil || r.Name == "" {
		return ""
	}
	switch r.Type {
	case "branch", "named_branch":
		return branchPrefix + r.Name
	case "tag", "annotated_tag":
		return tagPrefix + r.Name
	}
	return r.Type + "/" + r.Name
}

// bitbucketUser is a person or an app; only older ones tell a username.
type bitbucketUser struct {
	Username    loose `json:"username"`
	Nickname    loose `json:"nickname"`
	DisplayName loose `json:"display_name"`
}

func decodeBitbucket(d *Delivery, body []byte) error {
	switch d.Event {
	case bitbucketPushEvent:
	case bitbucketPing:
		return d.leaveOutAll(body, mapping.ReasonPing, whyPing)
	default:
		return d.leaveOutEvent(body, d.Event)
	}

	var p bitbucketPush
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	changes, err := p.Push.Changes.all("push.changes")
	if err != nil {
		return err
	}
	if changes == nil {
		return missing("push.changes")
	}
	for i, c := range changes {
		if c.New == nil {
			d.leaveOut(c.Old.fullName(), mapping.ReasonDeleted, whyDeleted)
			continue
		}
		at := fmt.Sprintf("push.changes[%d].new", i)
		if c.New.Type == "" {
			return missing(at + ".type")
		}
		before := ""
		if c.Old != nil {
			before = c.Old.Target.Hash
		}
		author, _, _ := strings.Cut(string(c.New.Target.Author.Raw), " <")
		err := d.add(change{
			ref:           c.New.fullName(),
			before:        before,
			after:         c.New.Target.Hash,
			peeled:        c.New.Target.Hash,
			created:       c.Created || c.Old == nil,
			forced:        c.Forced,
			repository:    p.Repository.FullName,
			url:           string(p.Repository.Links.HTML.Href),
			defaultBranch: string(p.Repository.MainBranch.Name),
			pusher:        firstOf(p.Actor.Username, p.Actor.Nickname, p.Actor.DisplayName),
			head: commit{
				message: string(c.New.Target.Message),
				author:  firstOf(author, string(c.New.Target.Author.User.DisplayName)),
			},
			names: fieldNames{at + ".name", at + ".target.hash", "repository.full_name"},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
