package mapping

import (
	"fmt"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

const repositoryField = "repository"

// repositoryClause is `repository`: it compares full names of repositories in lower case.
func (s scope) repositoryClause(list yamldoc.Texts) clause {
	return s.namesClause(list, repositoryField, newFoldedGlob, s.noRepository,
		func(ev subject) (string, string) { return ev.repository, ev.Repository })
}

// exactly gives the names among the patterns of the repository of r that r takes: those that
// are no glob, and that no later pattern excludes.
func (s scope) exactly(r *rule, list yamldoc.Texts) []string {
	var names []string
	for _, t := range list {
		if t.Value == literalPrefix(t.Value) && t.Value != "" && s.noRepository(t.Value) == "" && r.repository().match(strings.ToLower(t.Value)) {
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
func (s scope) noRepository(pattern string) string {
	if !s.noOwner && !strings.Contains(pattern, "/") && !strings.Contains(pattern, "**") && !isAddress(pattern) {
		return "a repository is owner/name"
	}
	return noAddress(pattern)
}

// noAddress is noRepository where the sources are not known yet.
func noAddress(pattern string) string {
	if isAddress(pattern) {
		return "a repository is owner/name, not an address"
	}
	return ""
}

func isAddress(pattern string) bool {
	return strings.Contains(pattern, "://") || strings.HasPrefix(pattern, "git@")
}
