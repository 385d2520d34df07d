package mapping

import (
	"fmt"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// repositoryClause is `repository`: globs in lower case, which are compared with the
// full name of the repository in lower case.
type repositoryClause struct{ globs }

func (s scope) repositoryClause(list yamldoc.Texts) clause {
	patterns := s.globs(list, "repository", newFoldedGlob, noRepository)
	if patterns == nil {
		return nil
	}
	return &repositoryClause{patterns}
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

func (c *repositoryClause) holds(ev subject) bool { return c.match(ev.repository) }

func (c *repositoryClause) why(ev subject) string {
	return c.globs.why("repository", ev.repository, ev.Repository)
}

// meets is always true: rules are compared with those that name the same repository.
func (*repositoryClause) meets(clause) bool { return true }
