package mapping

import (
	"fmt"
	"strings"
)

// explain says why the event failed a clause.
func (r *rule) explain(failed clause, ev *Event, repository string) string {
	switch failed {
	case matched:
		return ""
	case clauseSource:
		if len(r.sources) == 1 {
			return fmt.Sprintf("source: %q is not %s", clip(ev.Source), r.sources[0])
		}
		return fmt.Sprintf("source: %q is none of [%s]", clip(ev.Source), strings.Join(clipList(r.sources, 10), ", "))
	case clauseRepository:
		return r.repository.explain("repository", repository, ev.Repository)
	case clauseKind:
		has := "push"
		if r.push == nil {
			has = "tag"
		}
		if r.push != nil && r.tag != nil {
			has = "push and tag"
		}
		return fmt.Sprintf("when: the event is a %s, and the rule has %s only", ev.Kind, has)
	case clauseBranches:
		return r.push.branches.explain("push.branches", ev.Branch, ev.Branch)
	case clauseUnknownPaths:
		why := "push.unknown_paths: skip, and the host did not send a complete list of changed files"
		if ev.FilesUnknown != "" {
			why += ": " + ev.FilesUnknown
		}
		return why
	case clauseNoFiles:
		return "push.paths: the push changed no files"
	case clauseIgnored:
		return fmt.Sprintf("push.paths_ignore: %s ignored by %s", allFiles(len(ev.Files)), r.push.ignore)
	case clausePaths:
		return r.push.explainPaths(ev)
	case clauseTags:
		return r.tag.tags.explain("tag.tags", ev.Tag, ev.Tag)
	case clauseVersion:
		return fmt.Sprintf("tag.semver: %q is not a version of three parts, such as v1.2.3%s", clip(ev.Tag), prefixed(ev.Tag))
	case clauseSemver:
		if v, ok := version(ev.Tag); ok && v.Prerelease() != "" && !r.tag.constraint.namesPrerelease() {
			return fmt.Sprintf("tag.semver: %q is a prerelease, and %s names none", clip(ev.Tag), r.tag.constraint.text)
		}
		return fmt.Sprintf("tag.semver: %q does not satisfy %s", clip(ev.Tag), r.tag.constraint.text)
	case clauseIf:
		return "if: " + clip(strings.Join(strings.Fields(r.condition.text), " ")) + " is false"
	default:
		return "unknown"
	}
}

// explain says why a list did not take name; shown is name as the host wrote
// it.
func (gs globs) explain(field, name, shown string) string {
	if _, i := gs.decide(name); i >= 0 {
		return fmt.Sprintf("%s: %q is excluded by %q", field, clip(shown), gs[i])
	}
	return fmt.Sprintf("%s: %q matches none of %s", field, clip(shown), gs)
}

func (p *pushClause) explainPaths(ev *Event) string {
	const most = 3
	var names []string
	left := 0
	for _, f := range ev.Files {
		if p.ignored(f) {
			continue
		}
		if left++; left <= most {
			names = append(names, clip(f))
		}
	}
	if left > most {
		names = append(names, "…")
	}
	files := fmt.Sprintf("none of %d changed files", len(ev.Files))
	switch {
	case len(ev.Files) == 1:
		files = "the one changed file"
	case left < len(ev.Files):
		files = fmt.Sprintf("none of %d changed files that are not ignored", left)
	}
	verb := "matches"
	if len(ev.Files) == 1 {
		verb = "does not match"
	}
	return fmt.Sprintf("push.paths: %s %s %s: %s", files, verb, p.paths, strings.Join(names, ", "))
}

func allFiles(n int) string {
	if n == 1 {
		return "the one changed file is"
	}
	return fmt.Sprintf("all %d changed files are", n)
}
