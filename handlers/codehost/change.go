package codehost

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

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
	Message loose  `json:"message"`
	Author  struct {
		Name loose `json:"name"`
	} `json:"author"`
	Added    jsontext.Value `json:"added"` // lists of paths: read by files.add
	Removed  jsontext.Value `json:"removed"`
	Modified jsontext.Value `json:"modified"`
}

func (c *pushedCommit) about() commit {
	return commit{message: string(c.Message), author: string(c.Author.Name)}
}

// fieldNames are what the host calls the fields that cannot be missing.
type fieldNames struct{ ref, after, repository string }

// add turns a change into an event, or notes why it is none.
func (d *Delivery) add(c change) error {
	if c.deleted || isZeroID(c.after) {
		d.leaveOut(c.ref, mapping.ReasonDeleted, whyDeleted)
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
		switch {
		case e.Created:
			e.FilesUnknown = "a new branch"
		case e.Forced:
			e.FilesUnknown = "the push was forced"
		default:
			e.FilesUnknown = c.files.unknown()
		}
		e.FilesComplete = e.FilesUnknown == ""
	case isTag && tag != "":
		e.Kind, e.Tag, e.FilesUnknown = mapping.Tag, tag, "a tag comes without files"
		if isObjectID(c.peeled) && !isZeroID(c.peeled) {
			e.Commit = c.peeled
		}
	case isBranch, isTag:
		return malformed("%s %q names nothing", c.names.ref, c.ref)
	default:
		d.leaveOut(c.ref, mapping.ReasonEvent, whyNoRef)
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
	paths  []string
	sent   bool   // the host sends commits with their paths
	left   string // why paths may be left out, the first reason that was found
	widest int    // paths of the commit with the most
}

// maxPaths is how many paths of a push are kept: of more nothing is known.
const maxPaths = 100_000

// leave notes why paths may be left out.
func (f *files) leave(format string, args ...any) {
	if f.left == "" {
		f.left = fmt.Sprintf(format, args...)
	}
}

// unknown says why the paths are not known to be all that there are; "" if they are.
func (f *files) unknown() string {
	if !f.sent {
		return "the host sends no files"
	}
	return f.left
}

// read takes the lists of the commits of a push and finds the commit with an id,
// nil if it is not there or the id is "".
func (f *files) read(commits *list[pushedCommit], id string) (found *pushedCommit, err error) {
	f.sent = true
	switch {
	case commits.n == 0:
		f.leave("the push has no commits")
	case commits.n > len(commits.kept):
		f.leave("%d commits, %d of them read", commits.n, len(commits.kept))
	}
	for i := range commits.kept {
		c := &commits.kept[i]
		if err := f.add(i, c); err != nil {
			return nil, err
		}
		if id != "" && c.ID == id {
			found = c
		}
	}
	return found, nil
}

// headOf is read where the host tells of the head commit by itself, or in old
// versions leaves it to be found.
func (f *files) headOf(commits *list[pushedCommit], head *pushedCommit, after string) (*pushedCommit, error) {
	found, err := f.read(commits, after)
	if err != nil || head.ID != "" || found == nil {
		return head, err
	}
	return found, nil
}

// add takes the lists of one commit. All three absent means that the host did
// not look.
func (f *files) add(i int, c *pushedCommit) error {
	known, before := false, len(f.paths)
	for _, given := range [...]struct {
		name string
		text jsontext.Value
	}{{"added", c.Added}, {"removed", c.Removed}, {"modified", c.Modified}} {
		var paths list[string]
		if len(f.paths) > maxPaths {
			f.leave("more than %d files", maxPaths)
			return nil
		}
		if len(given.text) > 0 {
			if decodeJSON("", given.text, &paths) != nil { // once more, to say where
				return decodeJSON(fmt.Sprintf("commits[%d].%s", i, given.name), given.text, &paths)
			}
		}
		known = known || paths.kept != nil
		if paths.n > len(paths.kept) {
			f.leave("commit %.7s has %d files, %d of them read", c.ID, paths.n, len(paths.kept))
		}
		f.paths = append(f.paths, paths.kept...)
	}
	if !known {
		f.leave("commit %.7s came without its files", c.ID)
	}
	f.widest = max(f.widest, len(f.paths)-before)
	return nil
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

// compare notes where the commits that were sent may not be all that there are.
func (t total) compare(sent int, f *files) {
	switch {
	case !t.known:
		f.leave("the host did not say how many commits the push has")
	case t.n != sent:
		f.leave("%d commits, %d of them sent", t.n, sent)
	}
}

// firstOf gives the first text that is not empty.
func firstOf[T ~string](values ...T) string {
	return string(cmp.Or(values...))
}
