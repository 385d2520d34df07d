package codehost

import (
	"fmt"
	"strings"

	"buildbridge/mapping"
)

// bitbucket signs if the webhook has a secret. X-Hook-UUID is not a secret:
// https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/#Push
var bitbucket = host{
	Provider:     mapping.Provider{Name: "bitbucket", Statuses: true},
	commitPath:   "/commits/",
	eventHeaders: []string{"X-Event-Key"},
	idHeaders:    []string{"X-Request-UUID"},
	ownHeaders:   []string{"X-Hook-UUID"},
	proof:        signature("sha256=", "X-Hub-Signature"),
	events:       map[string]LeftOut{bitbucketPushEvent: {}, bitbucketPing: testCall},
	decode:       decodeBitbucket,
	guesses:      []guess{{bitbucketPushEvent, "push"}},
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
		Links    optional[struct {
			HTML optional[link] `json:"html"`
		}] `json:"links"`
		MainBranch optional[person] `json:"mainbranch"`
	} `json:"repository"`
	Actor optional[bitbucketUser] `json:"actor"`
}

// link is an address, of either Bitbucket.
type link struct {
	Href loose `json:"href"`
}

type bitbucketChange struct {
	New     *bitbucketRef                   `json:"new"`     // null: the ref was deleted
	Old     *optional[bitbucketOld]         `json:"old"`     // null: the ref is new
	Commits list[optional[bitbucketCommit]] `json:"commits"` // at most 5
	Created looseBool                       `json:"created"`
	Forced  looseBool                       `json:"forced"`
}

// bitbucketOld is a ref before the push.
type bitbucketOld struct {
	Type   loose `json:"type"`
	Name   loose `json:"name"`
	Target optional[struct {
		Hash loose `json:"hash"`
	}] `json:"target"`
}

type bitbucketCommit struct {
	Hash    loose                     `json:"hash"`
	Message loose                     `json:"message"`
	Author  optional[bitbucketAuthor] `json:"author"`
}

type bitbucketAuthor struct {
	Raw  loose                   `json:"raw"` // Name <address>
	User optional[bitbucketUser] `json:"user"`
}

func (a *bitbucketAuthor) name() string {
	name, _, _ := strings.Cut(string(a.Raw), " <")
	return firstOf(name, string(a.User.v.DisplayName))
}

type bitbucketRef struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Target struct {
		Hash    string                    `json:"hash"` // of the commit, for annotated tags too
		Message loose                     `json:"message"`
		Author  optional[bitbucketAuthor] `json:"author"`
	} `json:"target"`
}

// bitbucketFullRef is the full name of a ref, "" if it has no name. It begins with the type
// if that is neither branch nor tag, but for example bookmark.
func bitbucketFullRef(kind, name string) string {
	switch {
	case name == "":
		return ""
	case kind == "branch", kind == "named_branch":
		return branchPrefix + name
	case kind == "tag", kind == "annotated_tag":
		return tagPrefix + name
	}
	return kind + " " + name // the space shows that it is not a ref
}

// bitbucketUser is a person or an app. Only older bodies have a username.
type bitbucketUser struct {
	Username    loose `json:"username"`
	Nickname    loose `json:"nickname"`
	DisplayName loose `json:"display_name"`
}

func decodeBitbucket(d *Delivery, body []byte) error {
	var p bitbucketPush
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	changes, err := p.Push.Changes.all("push.changes")
	if err != nil {
		return err
	}
	actor := p.Actor.v
	for i, c := range changes {
		var old bitbucketOld
		if c.Old != nil {
			old = c.Old.v
		}
		if c.New == nil {
			d.leaveOut(bitbucketFullRef(string(old.Type), string(old.Name)), refDeleted)
			continue
		}
		at := fmt.Sprintf("push.changes[%d].new", i)
		if c.New.Type == "" {
			return missing(at + ".type")
		}
		err := d.add(change{
			ref:           bitbucketFullRef(c.New.Type, c.New.Name),
			before:        string(old.Target.v.Hash),
			after:         c.New.Target.Hash,
			peeled:        c.New.Target.Hash,
			created:       bool(c.Created) || c.Old == nil,
			forced:        bool(c.Forced),
			repository:    p.Repository.FullName,
			url:           string(p.Repository.Links.v.HTML.v.Href),
			defaultBranch: string(p.Repository.MainBranch.v.Name),
			pusher:        firstOf(actor.Username, actor.Nickname, actor.DisplayName),
			head:          commit{message: string(c.New.Target.Message), author: c.New.Target.Author.v.name()},
			commits: commitsOf(&c.Commits, c.New.Target.Hash, newestFirst, func(c *bitbucketCommit) (string, commit) {
				return string(c.Hash), commit{message: string(c.Message), author: c.Author.v.name()}
			}),
			names: fieldNames{at + ".name", at + ".target.hash", "repository.full_name"},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
