package mapping

import (
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// branchesClause is `when.push.branches`: globs of short names of branches.
type branchesClause struct{ globs }

func (s scope) branchesClause(list yamldoc.Texts) clause {
	patterns := s.globs(list, "when.push.branches", newGlob, noBranch)
	if patterns == nil {
		return nil
	}
	return &branchesClause{patterns}
}

// noBranch says why a pattern matches no branch, "" if it may match one.
func noBranch(pattern string) string {
	if strings.HasPrefix(pattern, "refs/") {
		return "write the short name of the branch, without refs/heads/"
	}
	return ""
}

func (c *branchesClause) holds(ev subject) bool { return c.match(ev.Branch) }

func (c *branchesClause) why(ev subject) string {
	return c.globs.why("push.branches", ev.Branch, ev.Branch)
}

func (c *branchesClause) meets(other clause) bool {
	o, _ := other.(*branchesClause)
	_, ok := common(c.globs, o.globs)
	return ok
}
