package codehost

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// pushedCommit is a commit in the form that all hosts but Bitbucket and Azure DevOps send.
type pushedCommit struct {
	ID, Message              loose
	Author                   optional[person]
	Added, Removed, Modified written // lists of paths, which files.add reads
}

func (c *pushedCommit) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return object(d, field{"id", &c.ID}, field{"message", &c.Message}, field{"author", &c.Author},
		field{"added", &c.Added}, field{"removed", &c.Removed}, field{"modified", &c.Modified})
}

// person is the author of a commit, or another object with a name.
type person struct{ Name loose }

func (p *person) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return object(d, field{"name", &p.Name})
}

func (c *pushedCommit) name() string {
	if !IsObjectID(string(c.ID)) {
		return "a commit"
	}
	return "commit " + string(c.ID[:7])
}

func (c *pushedCommit) about() commit {
	return commit{message: string(c.Message), author: string(c.Author.v.Name)}
}

// files collects the paths that the commits of a push touched, and whether these are all
// that the push changed.
type files struct {
	paths  []string
	sent   bool   // the host sends commits with their paths
	left   string // why paths may be missing: the first reason that was found
	widest int    // how many paths the commit with most paths has
	added  bool   // a commit added a path
	bare   bool   // a commit has no path
}

// maxPaths is how many paths of a push are kept. If there are more, they are not known.
const maxPaths = 100_000

// leave notes why paths may be missing.
func (f *files) leave(format string, args ...any) {
	if f.left == "" {
		f.left = fmt.Sprintf(format, args...)
	}
}

// read adds the paths of the commits of a push, and finds the commit with an id, unless the
// id is "".
func (f *files) read(commits *list[optional[pushedCommit]], id string) (found commit) {
	f.sent = true
	switch {
	case commits.odd != 0:
		f.leave("the commits are not a list")
	case commits.n == 0:
		f.leave("the push has no commits")
	case commits.n > len(commits.kept):
		f.leave("%d commits, %d of them read", commits.n, len(commits.kept))
	}
	for i := range commits.kept {
		c := &commits.kept[i].v
		f.add(c)
		if id != "" && string(c.ID) == id {
			found = c.about()
		}
	}
	return found
}

// headOf is read for Gitea and Gitee, whose bodies have the head commit or, in old
// versions, only its id.
func (f *files) headOf(commits *list[optional[pushedCommit]], head *pushedCommit, after string) commit {
	found := f.read(commits, after)
	if f.bare {
		// Gitea lists files that were added, deleted or modified, but not those whose type
		// changed, such as a file that became a link (parseCommitFileStatus). For a merge its
		// older versions list files that differ from all parents; a body does not say that a
		// commit is a merge.
		f.leave("a commit without files may have changed the type of some, which is not sent")
	}
	if head.ID != "" {
		return head.about()
	}
	return cmp.Or(found, head.about())
}

// add adds the paths of one commit. If all three lists are absent, the host did not look
// for them.
func (f *files) add(c *pushedCommit) {
	looked, n := false, 0
	for i, text := range [...]written{c.Added, c.Removed, c.Modified} {
		if len(f.paths) > maxPaths {
			f.leave("more than %d files", maxPaths)
			return
		}
		paths, err := text.list()
		if err != nil || paths.odd != 0 {
			f.leave("%s has a malformed list of files", c.name())
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

func (f *files) sorted() []string {
	if len(f.paths) == 0 {
		return []string{}
	}
	slices.Sort(f.paths)
	return slices.Compact(f.paths)
}

// total is how many commits a push has by the host's count: a number, or text that is one.
// Any other value means that it is not known.
type total struct {
	n     int
	known bool
}

func (t *total) UnmarshalJSON(b []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(b), `"`))
	*t = total{n, err == nil}
	return nil
}

// compare notes that commits may be missing.
func (t total) compare(sent int, f *files) {
	switch {
	case !t.known:
		f.leave("the host did not say how many commits the push has")
	case t.n != sent:
		f.leave("%d commits, %d of them sent", t.n, sent)
	}
}

// unquoted gives a path without the quotes and escapes that Git writes for a path that is
// not ASCII (core.quotePath): some hosts send what Git wrote, with at least one escape.
// It gives false for a path that is not UTF-8.
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
		// Go and Git share these: \a \b \f \n \r \t \v \\ \" \303. Go has others.
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

// isUTF8 reports whether a text was UTF-8 when it was sent. The decoder and some hosts
// replace bytes that are not by U+FFFD.
func isUTF8(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError)
}
