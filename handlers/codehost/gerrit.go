package codehost

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"buildbridge/mapping"
)

// gerrit is Gerrit with its plugin webhooks, which posts the events of stream-events as they are, without a
// signature or an id: https://gerrit.googlesource.com/plugins/webhooks/+/8e9a401. The fields of the events:
// https://gerrit-review.googlesource.com/Documentation/cmd-stream-events.html. A secret can only stand in
// the address.
var gerrit = host{
	Provider:    mapping.Provider{Name: "gerrit", PathSecret: true, NoOwner: true, URLForm: ownServer},
	eventInBody: true,
	ownHeaders:  []string{originHeader},
	keptHeader:  originHeader,
	proof:       proof{checkPathSecret, token(PathSecret).sign},
	decode:      decodeGerrit,
}

// originHeader has the address of Gerrit's pages.
const originHeader = "X-Origin-Url"

type gerritEvent struct {
	Type       string                 `json:"type"`
	RefUpdate  gerritUpdate           `json:"refUpdate"`
	RefUpdates list[gerritUpdate]     `json:"refUpdates"`
	Submitter  optional[gerritPerson] `json:"submitter"` // not for what Gerrit does by itself
	CreatedOn  loose                  `json:"eventCreatedOn"`
}

type gerritUpdate struct {
	OldRev  loose  `json:"oldRev"`
	NewRev  string `json:"newRev"`
	RefName string `json:"refName"`
	Project string `json:"project"`
}

type gerritPerson struct {
	Username loose `json:"username"`
	Name     loose `json:"name"`
	Email    loose `json:"email"`
}

func decodeGerrit(d *Delivery, body []byte) error {
	var about struct {
		Type string `json:"type"`
	}
	if err := unmarshal(body, &about); err != nil {
		return err
	}
	d.Event = about.Type
	switch about.Type {
	case "ref-updated", "batch-ref-updated":
	case "":
		return missing("type")
	case "change-merged":
		d.leaveOut("", LeftOut{Reason: mapping.ReasonEvent, Why: "the event ref-updated says the same"})
		return nil
	default:
		return d.leaveOutEvent(body, d.Event)
	}

	// Only now: other events have other fields of these names.
	var e gerritEvent
	if err := unmarshal(body, &e); err != nil {
		return err
	}
	updates, at := []gerritUpdate{e.RefUpdate}, func(int) string { return "refUpdate" }
	if about.Type == "batch-ref-updated" {
		var err error
		if updates, err = e.RefUpdates.all("refUpdates"); err != nil {
			return err
		}
		at = func(i int) string { return fmt.Sprintf("refUpdates[%d]", i) }
	}
	id := sha256.New()
	for i, u := range updates {
		fmt.Fprintf(id, "%q %q %s %q\n", u.Project, gerritRef(u.RefName), u.OldRev, u.NewRev)
		err := d.add(change{
			ref:    gerritRef(u.RefName),
			before: string(u.OldRev),
			after:  u.NewRev,
			// No peeled: newRev of a tag may be the id of a tag object.
			repository: u.Project,
			noOwner:    true,
			url:        gerritProject(d.Header[originHeader], u.Project),
			pusher:     firstOf(e.Submitter.v.Username, e.Submitter.v.Name, e.Submitter.v.Email),
			names:      fieldNames{at(i) + ".refName", at(i) + ".newRev", at(i) + ".project"},
		})
		if err != nil {
			return err
		}
	}
	// A delivery that is sent again has the same second. Without it, a branch that goes back and forth would
	// look like a repetition.
	if e.CreatedOn != "" {
		fmt.Fprintf(id, "%s", e.CreatedOn)
		d.DuplicateKey = "event:" + hex.EncodeToString(id.Sum(nil))
	}
	return nil
}

// gerritRef is the full name of a ref: before version 2.13, that of a branch is short.
func gerritRef(name string) string {
	if name == "" || name == "HEAD" || strings.HasPrefix(name, "refs/") {
		return name
	}
	return branchPrefix + name
}

// gerritProject is the page of a project under the address of Gerrit's pages, "" if that is not known.
func gerritProject(origin, project string) string {
	root := RepositoryAddress(origin)
	if root == "" {
		return ""
	}
	return root + (&url.URL{Path: "/admin/repos/" + project}).EscapedPath()
}
