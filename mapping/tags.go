package mapping

import "buildbridge/mapping/internal/yamldoc"

// tagsClause is `when.tag.tags`: it compares short names of tags.
func (s scope) tagsClause(list yamldoc.Texts) clause {
	return s.namesClause(list, "when.tag.tags", newGlob, shortName("tag, without refs/tags/"),
		func(ev subject) (string, string) { return ev.Tag, ev.Tag })
}
