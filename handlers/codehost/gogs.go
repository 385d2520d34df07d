package codehost

import (
	"strings"

	"buildbridge/mapping"
)

// gogs signs the JSON, even if it sends that in a form. A new tag is a create; a push is for
// branches:
// https://github.com/gogs/docs-api/tree/master/Repositories
var gogs = host{
	Provider:     mapping.Provider{Name: "gogs", URLForm: ownServer},
	commitPath:   "/commit/",
	eventHeaders: []string{"X-Gogs-Event"},
	idHeaders:    []string{"X-Gogs-Delivery"},
	forms:        true,
	signsInner:   true,
	secretFields: []string{"secret"},
	proof:        signature("", "X-Gogs-Signature"),
	events:       map[string]LeftOut{"push": {}, "create": {}, "delete": refDeleted},
	decode:       decodeGogs,
	guesses:      giteaGuesses,
}

// gogsPayload has the fields of a push and of a create.
type gogsPayload struct {
	Ref        string                       `json:"ref"`
	RefType    string                       `json:"ref_type"` // of a create
	Before     loose                        `json:"before"`
	After      string                       `json:"after"`
	Commits    list[optional[pushedCommit]] `json:"commits"`
	Repository giteaRepository              `json:"repository"`
	Pusher     optional[giteaUser]          `json:"pusher"` // of a push
	Sender     optional[giteaUser]          `json:"sender"`
}

func decodeGogs(d *Delivery, body []byte) error {
	var p gogsPayload
	if err := unmarshal(body, &p); err != nil {
		return err
	}
	c := change{
		ref:           p.Ref,
		before:        string(p.Before),
		after:         p.After,
		repository:    p.Repository.FullName,
		url:           string(p.Repository.HTMLURL),
		defaultBranch: string(p.Repository.DefaultBranch),
		pusher:        firstOf(p.Pusher.v.Login, p.Pusher.v.Username, p.Sender.v.Login, p.Sender.v.Username),
		names:         fieldNames{"ref", "after", "repository.full_name"},
	}
	if d.Event == "create" {
		switch p.RefType {
		case "tag":
			// The ref is short. sha is not read: it may be that of a tag object.
			if c.ref != "" {
				c.ref = tagPrefix + strings.TrimPrefix(c.ref, tagPrefix)
			}
			c.created = true
			return d.add(c)
		case "":
			return missing("ref_type")
		default: // a branch, for which there is a push too
			d.leaveOut(p.Ref, pushedToo)
			return nil
		}
	}
	c.files.leave("Gogs sends at most 5 commits, and not how many there are")
	c.head = c.files.read(&p.Commits, p.After)
	c.commits = pushed(&p.Commits, p.After, newestFirst)
	if strings.HasPrefix(p.Ref, tagPrefix) && !isZeroID(p.After) { // there is a create too
		d.leaveOut(p.Ref, LeftOut{Reason: mapping.ReasonEvent, Why: "the create of the tag says the same"})
		return nil
	}
	return d.add(c)
}
