package codehost

import (
	"cmp"
	"strings"

	"buildbridge/mapping"
)

// change is what a delivery says of one ref. It may be an event or not.
type change struct {
	ref           string // its full name
	before, after string
	peeled        string // of a tag: the commit that it leads to, "" if the host does not say

	created, deleted, forced bool // if the host says so; zero ids mean the same

	repository    string
	noOwner       bool // the name of the repository may be without a "/"
	url           string
	defaultBranch string
	pusher        string
	head          commit // the commit to build
	files         files
	commits       []mapping.Commit // of a push, the newest last

	names fieldNames
}

// commit is what an event has of the head commit.
type commit struct{ message, author string }

// fieldNames are the host's names of required fields, for messages.
type fieldNames struct{ ref, after, repository string }

// add adds the event of a change, or why it has none.
func (d *Delivery) add(c change) error {
	switch {
	case !c.deleted && isZeroID(c.before) && isZeroID(c.after): // a test of Gitea, or of Gogs for an empty repository
		d.leaveOut(c.ref, testCall)
		return nil
	case c.deleted || isZeroID(c.after):
		d.leaveOut(c.ref, refDeleted)
		return nil
	}
	if c.ref == "" {
		return missing(c.names.ref)
	}
	e := mapping.Event{
		Ref:           c.ref,
		Before:        c.before,
		Created:       c.created || isZeroID(c.before),
		Forced:        c.forced,
		Message:       strings.TrimRight(c.head.message, "\r\n"),
		Author:        c.head.author,
		Pusher:        c.pusher,
		URL:           c.url,
		Files:         []string{},
		DefaultBranch: c.defaultBranch,
		Origin:        mapping.OriginWebhook,
	}
	branch, isBranch := strings.CutPrefix(c.ref, branchPrefix)
	tag, isTag := strings.CutPrefix(c.ref, tagPrefix)
	switch {
	case !isBranch && !isTag:
		d.leaveOut(c.ref, noBranchOrTag)
		return nil
	case branch == "" || tag == "":
		return malformed("%s %q names nothing", c.names.ref, c.ref)
	case c.after == "" && (isBranch || !c.created): // an old tag without it may be deleted
		return missing(c.names.after)
	case c.after != "" && !IsObjectID(c.after):
		return malformed("%s is not an object id", c.names.after)
	}
	if err := mapping.CheckRef(c.ref); err != nil {
		return malformed("%s %.200q %v", c.names.ref, c.ref, err)
	}
	if isBranch {
		e.Kind, e.Branch, e.Commit = mapping.Push, branch, c.after
		e.Files, e.FilesUnknown = c.files.sorted(), c.filesUnknown(e.Created)
		e.FilesComplete = e.FilesUnknown == ""
		e.Commits = c.commits
	} else {
		e.Kind, e.Tag, e.FilesUnknown = mapping.Tag, tag, "a tag comes without files"
		if IsObjectID(c.peeled) && !isZeroID(c.peeled) {
			e.Commit = c.peeled
		}
	}
	e.SetRepository(c.repository)
	switch {
	case c.repository == "":
		return missing(c.names.repository)
	case len(c.repository) > mapping.MaxRepository:
		return malformed("%s has %d bytes, at most %d are taken", c.names.repository, len(c.repository), mapping.MaxRepository)
	case !isUTF8(c.repository):
		return malformed("%s %q is not UTF-8", c.names.repository, c.repository)
	case e.Name == "" || e.Owner == "" && (!c.noOwner || e.Name != c.repository):
		return malformed("%s %q is not an owner and a name", c.names.repository, c.repository)
	}
	d.Events = append(d.Events, e)
	return nil
}

// filesUnknown says why the changed files of a push are not known, "" if they are known.
func (c *change) filesUnknown(created bool) string {
	switch {
	case created:
		return "a new branch"
	case c.forced:
		return "the push was forced"
	case !c.files.sent:
		return "the host sends no files"
	case c.files.left == "" && !IsObjectID(c.before):
		return "the host did not say what the branch was before"
	}
	return c.files.left
}

// firstOf gives the first text that is not "".
func firstOf[T ~string](values ...T) string {
	return string(cmp.Or(values...))
}
