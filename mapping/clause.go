package mapping

import (
	"fmt"
	"slices"
	"strings"
)

// clause is one thing that a rule asks of an event. A rule matches an event for which
// all of its clauses hold, and its condition is true.
type clause interface {
	// holds says whether the event passes.
	holds(ev subject) bool

	// why says why the event does not pass. It begins with the name of the field, and
	// is called only where holds is false.
	why(ev subject) string

	// label is the name of the field for people: push.branches.
	label() string

	// asked gives what the clause wants, as it is written, and the value of the event that decides.
	asked(ev subject) (wants, got string)

	// meets says whether it is plain to see that some event passes both this clause
	// and other. It is true for clauses of different fields. It finds rules that build
	// the same job twice.
	meets(other clause) bool

	// fields gives what is asked, whole, by the fields in which it is written.
	fields() map[string][]string
}

// subject is an event as clauses see it.
type subject struct {
	*Event

	repository string // the event's, in lower case
}

func newSubject(ev *Event) subject { return subject{ev, strings.ToLower(ev.Repository)} }

// clauses are those of a rule, in the order in which an event has to pass them. People
// read why the first one failed. The list of a kind of event has all that is asked of it;
// it is nil if the rule is not for that kind.
type clauses struct{ every, push, tag []clause }

// clauses makes the clauses of a rule.
//
// A clause is one file, with its type and its constructor. A new one also needs its field
// in ruleDocument (document.go), and its place in these lists: `pusher`, for example, a
// list of globs that is compared with event.pusher, is in all three. Nothing else knows
// which clauses there are.
func (s scope) clauses(doc *ruleDocument) clauses {
	source, repository := s.sourceClause(doc.Source), s.repositoryClause(doc.Repository)
	c := clauses{every: present(source, repository)}
	when := doc.When
	if when == nil {
		return c
	}
	if when.Push == nil && when.Tag == nil && !when.MayHave("push", "tag") {
		s.fault(when.At, "when", "name push, tag or both")
	}
	if push := when.Push; push != nil {
		c.push = present(source, repository, s.branchesClause(push.Branches), s.skipMarksClause(push.SkipMarks), s.pathsClause(doc))
	}
	if tag := when.Tag; tag != nil {
		c.tag = present(source, repository, s.tagsClause(tag.Tags), s.semverClause(tag.Semver, tag.Prefix))
	}
	return c
}

// present leaves out the clauses that a rule does not have: they are nil.
func present(list ...clause) []clause {
	return slices.DeleteFunc(list, func(c clause) bool { return c == nil })
}

// of gives what is asked of the events of a kind.
func (c *clauses) of(kind Kind) []clause {
	switch kind {
	case Push:
		return c.push
	case Tag:
		return c.tag
	default:
		return nil
	}
}

// hold says whether an event passes all clauses.
func (c *clauses) hold(ev subject) bool {
	list := c.of(ev.Kind)
	return list != nil && firstFailed(list, ev) == nil
}

// why says why an event does not pass, "" if it does.
func (c *clauses) why(ev subject) string {
	list := c.of(ev.Kind)
	if list == nil {
		list = c.every
	}
	if failed := firstFailed(list, ev); failed != nil {
		return failed.why(ev)
	}
	if c.of(ev.Kind) != nil {
		return ""
	}
	return c.whyKind(ev)
}

// whyKind says that the rule is for another kind of event.
func (c *clauses) whyKind(ev subject) string {
	return fmt.Sprintf("when: the event is a %s, and the rule has %s only", ev.Kind, c.kinds())
}

// kinds names the kinds of events that a rule is for.
func (c *clauses) kinds() string {
	switch {
	case c.tag == nil && c.push != nil:
		return "push"
	case c.push == nil && c.tag != nil:
		return "tag"
	}
	return "push and tag"
}

// firstFailed gives the first clause that does not hold, nil if all hold.
func firstFailed(list []clause, ev subject) clause {
	for _, c := range list {
		if !c.holds(ev) {
			return c
		}
	}
	return nil
}
