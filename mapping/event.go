package mapping

import (
	"strings"

	"buildbridge/mapping/printable"
)

// Kind is the kind of an event: a push to a branch, or a tag.
type Kind string

// The kinds of event. A deletion of a ref is not an event.
const (
	Push Kind = "push"
	Tag  Kind = "tag"
)

// The longest ref and the longest full name of a repository that an event may have, in
// bytes. Git hosts allow less, and PostgreSQL cannot index more.
const (
	MaxRef        = 1024
	MaxRepository = 512
)

// Event is one change of one ref, in the form that is the same for all code hosts. A
// delivery may have several (Bitbucket's push.changes, Azure's refUpdates).
//
// Rules use the JSON names: event.branch, event.commit. A field that does not apply is
// the empty string, never null.
type Event struct {
	Source   string `json:"source"`   // the name under sources: in the rules
	Provider string `json:"provider"` // the name of its [Provider]
	Kind     Kind   `json:"kind"`

	Repository string `json:"repository"` // owner and name joined by "/": acme/shop, group/sub/project
	Owner      string `json:"owner"`      // the part before the last "/"
	Name       string `json:"name"`       // the part after it

	Ref    string `json:"ref"`    // the full ref: refs/heads/main, refs/tags/v1
	Branch string `json:"branch"` // short name; "" for a tag
	Tag    string `json:"tag"`    // short name; "" for a push

	// Commit is the id of the commit to build. It is "" where the host sent only the id
	// of a tag object, which must never be built as a commit.
	Commit string `json:"commit"`
	Before string `json:"before"` // the commit of the ref before; all zeros or "" if the ref is new

	Created bool `json:"created"` // the ref is new
	Forced  bool `json:"forced"`  // the history of the ref was rewritten, as far as the host tells

	Message string `json:"message"` // the whole message of the head commit, without line breaks at its end
	Author  string `json:"author"`  // name of the head commit's author
	Pusher  string `json:"pusher"`  // login of the user who pushed, or the name where there is no login
	URL     string `json:"url"`     // web address of the repository

	// Files are paths that the push added, modified or removed, each once, sorted. The
	// list has all of them only if FilesComplete is true.
	Files         []string `json:"files"`
	FilesComplete bool     `json:"files_complete"`

	// FilesUnknown is why FilesComplete is false, in words that can follow "not known: ";
	// "" if it is true. It is for people: rules do not see it.
	FilesUnknown string `json:"-"`

	// Commits are those that the push brought, the newest last, as far as the host sends them.
	Commits []Commit `json:"-"`

	DefaultBranch string `json:"default_branch"` // "" where the host does not send it

	Origin Origin `json:"origin,omitzero"` // how the program learned of it; left out of JSON for a webhook
}

// Commit is one commit of a push, as rules see it in event.commits.
type Commit struct {
	ID     string `json:"id"`
	Title  string `json:"title"`  // the first line of its message: see [NewCommit]
	Author string `json:"author"` // its author's name
}

// NewCommit makes a commit of its whole message: Title is as event.title of rules, at most 8 KiB
// without control characters.
func NewCommit(id, message, author string) Commit {
	return Commit{ID: id, Title: firstLine(message), Author: author}
}

// Origin says how the program learned of an event.
type Origin string

// The origins of an event.
const (
	OriginWebhook Origin = "webhook"  // a code host sent it
	OriginManual  Origin = "manual"   // a person started it by hand
	OriginCatchUp Origin = "catch_up" // no delivery came, and a look at the refs of the repository found it
)

// IsZero reports whether a code host sent the event, which is what nobody has to be told.
func (o Origin) IsZero() bool { return o == "" || o == OriginWebhook }

// MaxTitle is how many bytes of a title are kept.
const MaxTitle = 200

// Title is the first line of Message, clipped to MaxTitle.
func (e *Event) Title() string {
	line, _, _ := strings.Cut(e.Message, "\n")
	return printable.Clip(strings.TrimRight(line, "\r"), MaxTitle)
}

// SetRepository fills Repository, Owner and Name from a full name.
func (e *Event) SetRepository(full string) {
	e.Repository = full
	e.Owner, e.Name = "", full
	if i := strings.LastIndexByte(full, '/'); i >= 0 {
		e.Owner, e.Name = full[:i], full[i+1:]
	}
}
