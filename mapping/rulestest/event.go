package rulestest

import (
	"slices"
	"strings"

	"buildbridge/mapping"
)

// Ids of commits that are made up where a test names none.
const (
	someCommit    = "0123456789abcdef0123456789abcdef01234567"
	someOldCommit = "fedcba9876543210fedcba9876543210fedcba98"
	noCommit      = "0000000000000000000000000000000000000000"
)

// event makes the event as a host of the source would have sent it.
func (d *eventDocument) event(source *mapping.Source) mapping.Event {
	e := mapping.Event{
		Source: source.Name, Provider: source.Provider,
		Commit: someCommit, Before: someOldCommit, Created: d.Created.Value, Forced: d.Forced.Value,
		Message: strings.TrimRight(d.Message.Value, "\r\n"), Author: d.Author.Value, Pusher: d.Pusher.Value, URL: d.URL.Value,
		Files: []string{}, DefaultBranch: d.DefaultBranch.Value, Origin: mapping.OriginWebhook,
	}
	e.SetRepository(d.Repository.Value)
	if d.Commit.At.Known() {
		e.Commit = d.Commit.Value
	}
	switch {
	case d.Before.At.Known():
		e.Before = d.Before.Value
	case e.Created:
		e.Before = noCommit
	}
	if d.Origin.At.Known() {
		e.Origin = mapping.Origin(d.Origin.Value)
	}
	for i := range d.Commits {
		c := &d.Commits[i]
		e.Commits = append(e.Commits, mapping.Commit{ID: c.ID.Value, Title: c.Title.Value, Author: c.Author.Value})
	}
	if d.Tag.At.Known() {
		e.Kind, e.Tag, e.Ref, e.FilesUnknown = mapping.Tag, d.Tag.Value, "refs/tags/"+d.Tag.Value, "a tag comes without files"
		return e
	}
	e.Kind, e.Branch, e.Ref = mapping.Push, d.Branch.Value, "refs/heads/"+d.Branch.Value
	for _, f := range d.Files {
		e.Files = append(e.Files, f.Value)
	}
	slices.Sort(e.Files)
	e.Files = slices.Compact(e.Files)
	switch { // as hosts tell them
	case d.FilesComplete.At.Known():
		e.FilesUnknown = "the test has files_complete: false"
	case e.Created:
		e.FilesUnknown = "a new branch"
	case e.Forced:
		e.FilesUnknown = "the push was forced"
	case d.Files == nil:
		e.FilesUnknown = "the test has no files"
	}
	if d.FilesComplete.Or(e.FilesUnknown == "") {
		e.FilesComplete, e.FilesUnknown = true, ""
	}
	return e
}
