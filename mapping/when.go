package mapping

import "fmt"

// whenClause is `when`: the kinds of event that a rule is for, and what it asks of the
// events of each kind. The list of a kind that the rule is not for is nil; that of a
// kind of which it takes every event is empty.
type whenClause struct{ push, tag []clause }

func (s scope) whenClause(doc *whenDocument) clause {
	c := new(whenClause)
	if doc == nil {
		return c
	}
	if doc.Push == nil && doc.Tag == nil && !doc.MayHave("push", "tag") {
		s.fault(doc.At, "when", "name push, tag or both")
	}
	if push := doc.Push; push != nil {
		c.push = present(s.branchesClause(push.Branches), s.pathsClause(push))
	}
	if tag := doc.Tag; tag != nil {
		c.tag = present(s.tagsClause(tag.Tags), s.semverClause(tag.Semver))
	}
	return c
}

// of gives what the rule asks of the events of a kind, nil if it is not for them.
func (c *whenClause) of(kind Kind) []clause {
	switch kind {
	case Push:
		return c.push
	case Tag:
		return c.tag
	default:
		return nil
	}
}

func (c *whenClause) holds(ev subject) bool {
	clauses := c.of(ev.Kind)
	return clauses != nil && firstFailed(clauses, ev) == nil
}

func (c *whenClause) why(ev subject) string {
	if failed := firstFailed(c.of(ev.Kind), ev); failed != nil {
		return failed.why(ev)
	}
	kinds := "push and tag"
	switch {
	case c.tag == nil:
		kinds = "push"
	case c.push == nil:
		kinds = "tag"
	}
	return fmt.Sprintf("when: the event is a %s, and the rule has %s only", ev.Kind, kinds)
}

func (c *whenClause) meets(other clause) bool {
	o, _ := other.(*whenClause)
	return agree(c.push, o.push) || agree(c.tag, o.tag)
}

// branches gives the patterns of branches; nil means all.
func (c *whenClause) branches() globs {
	if branches := find[*branchesClause](c.push); branches != nil {
		return branches.globs
	}
	return nil
}

// tags gives the patterns of tags; nil means all.
func (c *whenClause) tags() globs {
	if tags := find[*tagsClause](c.tag); tags != nil {
		return tags.globs
	}
	return nil
}
