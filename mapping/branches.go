package mapping

import "buildbridge/mapping/internal/yamldoc"

// branchesClause is `when.push.branches`: it compares short names of branches.
func (s scope) branchesClause(list yamldoc.Texts) clause {
	return s.namesClause(list, "when.push.branches", newGlob, shortName("branch, without refs/heads/"),
		func(ev subject) (string, string) { return ev.Branch, ev.Branch })
}
