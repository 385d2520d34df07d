package mapping

import (
	"strings"

	"buildbridge/mapping/internal/yamldoc"
)

// tagsClause is `when.tag.tags`: globs of short names of tags.
type tagsClause struct{ globs }

func (s scope) tagsClause(list yamldoc.Texts) clause {
	patterns := s.globs(list, "when.tag.tags", newGlob, noTag)
	if patterns == nil {
		return nil
	}
	return &tagsClause{patterns}
}

// noTag says why a pattern matches no tag, "" if it may match one.
func noTag(pattern string) string {
	if strings.HasPrefix(pattern, "refs/") {
		return "write the short name of the tag, without refs/tags/"
	}
	return ""
}

func (c *tagsClause) holds(ev subject) bool { return c.match(ev.Tag) }

func (c *tagsClause) why(ev subject) string { return c.globs.why("tag.tags", ev.Tag, ev.Tag) }

func (c *tagsClause) meets(other clause) bool {
	o, _ := other.(*tagsClause)
	_, ok := common(c.globs, o.globs)
	return ok
}
