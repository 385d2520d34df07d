package codehost

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// pushedCommit is a commit as all hosts but Bitbucket and Azure DevOps send it.
type pushedCommit struct {
	ID, Message              loose
	Author                   optional[person]
	Added, Removed, Modified written // lists of paths: read by files.add
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *pushedCommit) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return object(d, func(name []byte) json.UnmarshalerFrom {
		switch string(name) {
		case "id":
			return &c.ID
		case "message":
			return &c.Message
		case "author":
			return &c.Author
		case "added":
			return &c.Added
		case "removed":
			return &c.Removed
		case "modified":
			return &c.Modified
		}
		return nil
	})
}

// person is somebody with a name.
type person struct{ Name loose }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (p *person) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return object(d, func(name []byte) json.UnmarshalerFrom {
		if string(name) == "name" {
			return &p.Name
		}
		return nil
	})
}

// name is what people are told of which commit it is.
func (c *pushedCommit) name() string {
	if !isObjectID(string(c.ID)) {
		return "a commit"
	}
	return "commit " + string(c.ID[:7])
}

func (c *pushedCommit) about() commit {
	return commit{message: string(c.Message), author: string(c.Author.v.Name)}
}

// files collects the paths that the commits of a push touched. They say
// something about the push only if no commit was left out.
type files struct {
	paths  []string
	sent   bool   // the host sends commits with their paths
	left   string // why paths may be left out, the first reason that was found
	widest int    // paths of the commit with the most
	added  bool   // a commit added a path
	bare   bool   // a commit has no path
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
func (f *files) read(commits *list[optional[pushedCommit]], id string) (found *pushedCommit) {
	f.sent = true
	switch {
	case commits.odd != 0:
		f.leave("the commits are no list")
	case commits.n == 0:
		f.leave("the push has no commits")
	case commits.n > len(commits.kept):
		f.leave("%d commits, %d of them read", commits.n, len(commits.kept))
	}
	for i := range commits.kept {
		c := &commits.kept[i].v
		f.add(c)
		if id != "" && string(c.ID) == id {
			found = c
		}
	}
	return found
}

// headOf is read where the host tells of the head commit by itself, or in old
// versions leaves it to be found.
func (f *files) headOf(commits *list[optional[pushedCommit]], head *pushedCommit, after string) *pushedCommit {
	found := f.read(commits, after)
	if head.ID != "" || found == nil {
		return head
	}
	return found
}

// add takes the lists of one commit. All three absent means that the host did
// not look.
func (f *files) add(c *pushedCommit) {
	looked, n := false, 0
	for i, text := range [...]written{c.Added, c.Removed, c.Modified} {
		if len(f.paths) > maxPaths {
			f.leave("more than %d files", maxPaths)
			return
		}
		paths, err := text.list()
		if err != nil || paths.odd != 0 {
			f.leave("%s has a list of files that is none", c.name())
		}
		looked = looked || paths.kept != nil
		f.added = f.added || i == 0 && paths.n > 0
		n += paths.n
		if paths.n > len(paths.kept) {
			f.leave("%s has more than %d files", c.name(), maxElements)
		}
		for _, p := range paths.kept {
			path, ok := unquoted(p)
			if !ok {
				f.leave("%s has a file whose name is not UTF-8", c.name())
				continue
			}
			f.paths = append(f.paths, path)
		}
	}
	if !looked {
		f.leave("%s came without its files", c.name())
	}
	f.bare = f.bare || n == 0
	f.widest = max(f.widest, n)
}

// The words of what more than one host does not tell.
const (
	// GitLab gives of a renamed file the new path alone, as added (repo_changes in
	// its app/models/commit.rb). What was made from it may do the same.
	whyAdded = "a renamed file may be sent as added alone"
	// Gitea lists what was added, deleted or modified, and not what changed its type,
	// such as a file that became a link (parseCommitFileStatus); of a merge its older
	// versions list what differs from all parents. A body does not tell a merge.
	whyBare = "a commit without files may have changed the type of some, which is not sent"
)

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

// unquoted gives a path as it is. Git writes a path with other than ASCII in quotes
// and escapes (core.quotePath), and some hosts send what it wrote; there is always
// an escape then. What is not UTF-8 is no path any more.
func unquoted(path string) (string, bool) {
	inner, ok := strings.CutPrefix(path, `"`)
	if ok {
		inner, ok = strings.CutSuffix(inner, `"`)
	}
	if !ok || !strings.Contains(inner, `\`) {
		return path, isUTF8(path)
	}
	var out strings.Builder
	for len(inner) > 0 {
		// Go writes these as Git does: \a \b \f \n \r \t \v \\ \" \303. Others are its own.
		c, _, rest, err := strconv.UnquoteChar(inner, '"')
		switch escaped := inner[0] == '\\'; {
		case err != nil || escaped && strings.IndexByte("xuU", inner[1]) >= 0:
			return "", false
		case escaped:
			out.WriteByte(byte(c)) //nolint:gosec // an escape of Git's is one byte
		default:
			out.WriteRune(c)
		}
		inner = rest
	}
	return out.String(), isUTF8(out.String())
}

// isUTF8 reports whether a text is what was meant: the decoder, and some hosts before
// it, put U+FFFD where there was none.
func isUTF8(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError)
}
