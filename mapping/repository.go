package mapping

import (
	"fmt"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

const repositoryField = "repository"

// repositoryClause is `repository`: it compares full names of repositories in lower case.
func (s scope) repositoryClause(list yamldoc.Texts) clause {
	return s.namesClause(list, repositoryField, newFoldedGlob, noRepository,
		func(ev subject) (string, string) { return ev.repository, ev.Repository })
}

// exactly gives the names among the patterns of the repository of r that r takes: those that
// are no glob, and that no later pattern excludes.
func (r *rule) exactly(list yamldoc.Texts) []string {
	var names []string
	for _, t := range list {
		if t.Value == literalPrefix(t.Value) && t.Value != "" && noRepository(t.Value) == "" && r.repository().match(strings.ToLower(t.Value)) {
			names = append(names, t.Value)
		}
	}
	return names
}

// newFoldedGlob makes a glob in lower case.
func newFoldedGlob(pattern string) (glob, error) {
	if _, err := newGlob(pattern); err != nil {
		return glob{}, err
	}
	g, err := newGlob(strings.ToLower(pattern))
	if err != nil {
		return glob{}, fmt.Errorf("compared without case, %w", err)
	}
	return g, nil
}

// noRepository says why a pattern matches no repository, "" if it may match one.
func noRepository(pattern string) string {
	switch {
	case strings.Contains(pattern, "://") || strings.HasPrefix(pattern, "git@"):
		return "a repository is owner/name, not an address"
	case !strings.Contains(pattern, "/") && !strings.Contains(pattern, "**"):
		return "a repository is owner/name"
	}
	return ""
}
