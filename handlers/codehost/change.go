package codehost

import (
	"slices"
	"strconv"
	"strings"

	"buildbridge/mapping"
)

// change is one ref of a delivery as its host told it, before we know whether
// it is of any interest.
type change struct {
	ref           string // full
	before, after string
	peeled        string // of a tag: the commit it stands for, "" if the host does not tell

	created, deleted, forced bool // as far as the host tells; zero ids count besides

	repository    string
	url           string
	defaultBranch string
	pusher        string
	head          commit // of the commit to build
	files         files

	names fieldNames
}

// commit is what we tell of the head commit.
type commit struct{ message, author string }

// pushedCommit is a commit as all hosts but Bitbucket and Azure DevOps send it.
type pushedCommit struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	Author  struct {
		Name string `json:"name"`
	} `json:"author"`
	Added    []string `json:"added"`
	Removed  []string `json:"removed"`
	Modified []string `json:"modified"`
}

func (c pushedCommit) about() commit { return commit{message: c.Message, author: c.Author.Name} }

// fieldNames are what the host calls the fields that cannot be missing.
type fieldNames struct{ ref, after, repository string }

// add turns a change into an event, or notes why it is none.
func (d *Delivery) add(c change) error {
	if c.deleted || isZeroID(c.after) {
		d.ignore(mapping.ReasonDeleted)
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
		Message:       c.head.message,
		Author:        c.head.author,
		Pusher:        c.pusher,
		URL:           c.url,
		Files:         []string{},
		DefaultBranch: c.defaultBranch,
	}
	branch, isBranch := strings.CutPrefix(c.ref, branchPrefix)
	tag, isTag := strings.CutPrefix(c.ref, tagPrefix)
	switch {
	case isBranch && branch != "":
		if c.after == "" {
			return missing(c.names.after)
		}
		if !isObjectID(c.after) {
			return malformed("%s is not an object id", c.names.after)
		}
		e.Kind, e.Branch, e.Commit = mapping.Push, branch, c.after
		e.Files = c.files.sorted()
		e.FilesComplete = c.files.complete && !e.Created && !e.Forced
	case isTag && tag != "":
		e.Kind, e.Tag = mapping.Tag, tag
		if isObjectID(c.peeled) && !isZeroID(c.peeled) {
			e.Commit = c.peeled
		}
	case isBranch, isTag:
		return malformed("%s %q names nothing", c.names.ref, c.ref)
	default:
		d.ignore(mapping.ReasonEvent)
		return nil
	}
	if c.repository == "" {
		return missing(c.names.repository)
	}
	e.SetRepository(c.repository)
	if e.Owner == "" || e.Name == "" {
		return malformed("%s %.200q is not an owner and a name", c.names.repository, c.repository)
	}
	d.Events = append(d.Events, e)
	return nil
}

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

// isZeroID reports whether an object id stands for nothing: all zeros, of SHA-1
// or of SHA-256.
func isZeroID(id string) bool {
	return isObjectID(id) && strings.Trim(id, "0") == ""
}

// isObjectID reports whether a string is an id of SHA-1 or of SHA-256, whole.
func isObjectID(id string) bool {
	if len(id) != 40 && len(id) != 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// files collects the paths that the commits of a push touched. They say
// something about the push only if no commit was left out.
type files struct {
	paths    []string
	complete bool
}

// add takes the lists of one commit. All three absent means that the host did
// not look.
func (f *files) add(lists ...[]string) {
	known := false
	for _, list := range lists {
		known = known || list != nil
		f.paths = append(f.paths, list...)
	}
	if !known {
		f.complete = false
	}
}

func (f *files) sorted() []string {
	if len(f.paths) == 0 {
		return []string{}
	}
	slices.Sort(f.paths)
	return slices.Compact(f.paths)
}

// total is how many commits a push has, as the host counts them: a number, or
// one written as text. Whatever else it is, it is not known.
type total struct {
	n     int
	known bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *total) UnmarshalJSON(b []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(b), `"`))
	*t = total{n, err == nil}
	return nil
}

// all reports whether the commits given are all that there are, and some.
func (t total) all(given int) bool { return t.known && t.n == given && given > 0 }

// firstOf gives the first string that is not empty.
func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
