package mapping

import (
	"fmt"
	"slices"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
	"buildbridge/mapping/printable"
)

// pathsClause is `paths`, `paths_ignore` and `unknown_paths` of `when.push`, or those of a job
// with `unknown_paths` of its rule: at least one changed file has to match paths and not be
// ignored.
type pathsClause struct {
	paths       globs  // nil: any
	ignore      globs  // nil: none
	skipUnknown bool   // a push whose files are not all known does not pass
	of          string // where paths and ignore are written, for messages: "push.", "jobs[2]."
}

// pathsClause makes the clause of a rule.
func (s scope) pathsClause(doc *ruleDocument) clause {
	push := doc.When.Push
	if c := s.paths(push.Paths, push.PathsIgnore, "when.push.", push.UnknownPaths); c != nil {
		return c
	}
	ofJobs := slices.ContainsFunc(doc.Jobs, hasPaths)
	if push.UnknownPaths.At.Known() && !ofJobs {
		s.warn(push.UnknownPaths.At, "when.push.unknown_paths", "without effect: there are neither paths nor paths_ignore")
	}
	return nil
}

// paths makes a clause of two lists that are written under a field, nil if there are none.
func (s scope) paths(paths, ignore yamldoc.Texts, field string, unknown yamldoc.Text) *pathsClause {
	c := &pathsClause{
		paths:       s.globs(paths, field+"paths", newGlob, noPath),
		ignore:      s.globs(ignore, field+"paths_ignore", newGlob, noPath),
		skipUnknown: unknown.Value == "skip",
		of:          strings.TrimPrefix(field, "when."),
	}
	if c.paths == nil && c.ignore == nil {
		return nil
	}
	return c
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
	return slices.ContainsFunc(ev.Files, c.counts)
}

// passSorted says whether a push passes of whose files these, which are sorted, count for the
// rule. A rule may have many jobs, each for a folder: only the files of that are looked at.
func (c *pathsClause) passSorted(ev subject, files []string) bool {
	if !ev.FilesComplete {
		return !c.skipUnknown
	}
	if c.paths.startsFromAll() {
		return slices.ContainsFunc(files, c.counts)
	}
	for i := range c.paths {
		g := &c.paths[i]
		if g.exclude {
			continue
		}
		first, _ := slices.BinarySearch(files, g.prefix)
		for _, file := range files[first:] {
			if !strings.HasPrefix(file, g.prefix) {
				break
			}
			if g.match(file) && c.counts(file) {
				return true
			}
		}
	}
	return false
}

// counts says whether a changed file matches paths and is not ignored.
func (c *pathsClause) counts(file string) bool { return !c.ignored(file) && c.paths.match(file) }

func (c *pathsClause) ignored(file string) bool { return c.ignore != nil && c.ignore.match(file) }

func (c *pathsClause) why(ev subject) string { return c.whyNot(ev, ev.Files) }

// whyNot is why for [pathsClause.passSorted].
func (c *pathsClause) whyNot(ev subject, files []string) string {
	if !ev.FilesComplete {
		reason := "push.unknown_paths: skip, and the host did not send a complete list of changed files"
		if ev.FilesUnknown != "" {
			reason += ": " + ev.FilesUnknown
		}
		return reason
	}
	left := slices.DeleteFunc(slices.Clone(files), c.ignored)
	all, one := len(files), len(files) == 1
	counting := ""
	if all < len(ev.Files) {
		counting = " that count for the rule"
	}
	switch {
	case len(ev.Files) == 0:
		return c.of + "paths: the push changed no files"
	case len(left) == 0 && one:
		return fmt.Sprintf("%spaths_ignore: the one changed file%s is ignored by %s",
			c.of, strings.Replace(counting, "count", "counts", 1), c.ignore)
	case len(left) == 0:
		return fmt.Sprintf("%spaths_ignore: all %d changed files%s are ignored by %s", c.of, all, counting, c.ignore)
	case one:
		return fmt.Sprintf("%spaths: the one changed file%s does not match %s: %s",
			c.of, strings.Replace(counting, "count", "counts", 1), c.paths, firstOf(left, 3))
	case len(left) < all:
		return fmt.Sprintf("%spaths: none of %d changed files that are not ignored matches %s: %s", c.of, len(left), c.paths, firstOf(left, 3))
	default:
		return fmt.Sprintf("%spaths: none of %d changed files%s matches %s: %s", c.of, all, counting, c.paths, firstOf(left, 3))
	}
}

func (c *pathsClause) label() string { return c.of + "paths" }

func (c *pathsClause) asked(ev subject) (wants, got string) { return c.askedOf(ev, ev.Files) }

// askedOf is asked for the files that count for the rule: the first of them that counts here too
// decides, or there is none.
func (c *pathsClause) askedOf(ev subject, files []string) (wants, got string) {
	wants = "[**]"
	if c.paths != nil {
		wants = c.paths.String()
	}
	if c.ignore != nil {
		wants += ", paths_ignore " + c.ignore.String()
	}
	if !ev.FilesComplete {
		return wants + ", unknown_paths " + c.unknown(), "changed files not all known"
	}
	if i := slices.IndexFunc(files, c.counts); i >= 0 {
		return wants, files[i]
	}
	return wants, printable.Count(len(files), "changed file")
}

func (c *pathsClause) fields() map[string][]string {
	fields := map[string][]string{"when.push.unknown_paths": {c.unknown()}}
	if c.paths != nil {
		fields["when.push.paths"] = c.paths.texts()
	}
	if c.ignore != nil {
		fields["when.push.paths_ignore"] = c.ignore.texts()
	}
	return fields
}

func (c *pathsClause) unknown() string {
	if c.skipUnknown {
		return "skip"
	}
	return "build"
}

// meets leaves two lists of paths to [sameEvent], which knows those of jobs too.
func (c *pathsClause) meets(other clause) bool {
	_, same := other.(*pathsClause)
	return !same || !c.paths.empty()
}
