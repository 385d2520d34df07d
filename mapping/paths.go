package mapping

import (
	"fmt"
	"slices"
	"strings"
)

// pathsClause is `when.push.paths`, `paths_ignore` and `unknown_paths`: at least one
// changed file has to match paths and not be ignored.
type pathsClause struct {
	paths       globs // nil: any
	ignore      globs // nil: none
	skipUnknown bool  // a push whose files are not all known does not pass
}

func (s scope) pathsClause(doc *pushDocument) clause {
	c := &pathsClause{
		paths:       s.globs(doc.Paths, "when.push.paths", newGlob, noPath),
		ignore:      s.globs(doc.PathsIgnore, "when.push.paths_ignore", newGlob, noPath),
		skipUnknown: doc.UnknownPaths.Value == "skip",
	}
	if c.paths != nil || c.ignore != nil {
		return c
	}
	if doc.UnknownPaths.At.Known() {
		s.warn(doc.UnknownPaths.At, "when.push.unknown_paths", "without effect: there are neither paths nor paths_ignore")
	}
	return nil
}

// noPath says why a pattern matches no path, "" if it may match one.
func noPath(pattern string) string {
	switch {
	case strings.HasPrefix(pattern, "/") || strings.HasPrefix(pattern, "./"):
		return "a path begins with the first folder, without / or ./"
	case strings.HasSuffix(pattern, "/"):
		return "a path is that of a file; write " + pattern + "** for all files of the folder"
	}
	return ""
}

func (c *pathsClause) holds(ev subject) bool {
	if !ev.FilesComplete {
		return !c.skipUnknown
	}
	for _, file := range ev.Files {
		if !c.ignored(file) && c.paths.match(file) {
			return true
		}
	}
	return false
}

func (c *pathsClause) ignored(file string) bool { return c.ignore != nil && c.ignore.match(file) }

func (c *pathsClause) why(ev subject) string {
	if !ev.FilesComplete {
		reason := "push.unknown_paths: skip, and the host did not send a complete list of changed files"
		if ev.FilesUnknown != "" {
			reason += ": " + ev.FilesUnknown
		}
		return reason
	}
	left := slices.DeleteFunc(slices.Clone(ev.Files), c.ignored)
	all, one := len(ev.Files), len(ev.Files) == 1
	switch {
	case all == 0:
		return "push.paths: the push changed no files"
	case len(left) == 0 && one:
		return fmt.Sprintf("push.paths_ignore: the one changed file is ignored by %s", c.ignore)
	case len(left) == 0:
		return fmt.Sprintf("push.paths_ignore: all %d changed files are ignored by %s", all, c.ignore)
	case one:
		return fmt.Sprintf("push.paths: the one changed file does not match %s: %s", c.paths, firstOf(left, 3))
	case len(left) < all:
		return fmt.Sprintf("push.paths: none of %d changed files that are not ignored matches %s: %s", len(left), c.paths, firstOf(left, 3))
	default:
		return fmt.Sprintf("push.paths: none of %d changed files matches %s: %s", all, c.paths, firstOf(left, 3))
	}
}

func (c *pathsClause) fields() map[string][]string {
	fields := map[string][]string{"when.push.unknown_paths": {"build"}}
	if c.skipUnknown {
		fields["when.push.unknown_paths"] = []string{"skip"}
	}
	if c.paths != nil {
		fields["when.push.paths"] = c.paths.texts()
	}
	if c.ignore != nil {
		fields["when.push.paths_ignore"] = c.ignore.texts()
	}
	return fields
}

func (c *pathsClause) meets(other clause) bool {
	o, same := other.(*pathsClause)
	return !same || !c.paths.empty() && slices.Equal(c.paths, o.paths) && slices.Equal(c.ignore, o.ignore)
}
