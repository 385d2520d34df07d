package mapping

import (
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

	// meets says whether it is plain to see that some event passes both this clause
	// and other, which has the same type. It finds rules that build the same job twice.
	meets(other clause) bool
}

// subject is an event as clauses see it.
type subject struct {
	*Event

	repository string // the event's, in lower case
}

func newSubject(ev *Event) subject { return subject{ev, strings.ToLower(ev.Repository)} }

// clauses makes the clauses of a rule, in the order in which an event has to pass them.
// People read why the first one failed.
//
// A new clause has three parts: its field in ruleDocument (document.go), a file with its
// type and its constructor, and a line in this list. Nothing else knows which clauses
// there are. For example, `pusher`, a list of globs that is compared with event.pusher,
// is a type such as [tagsClause] in pusher.go and the line s.pusherClause(doc.Pusher).
// What is asked of pushes or of tags alone is listed in when.go.
func (s scope) clauses(doc *ruleDocument) []clause {
	return present(
		s.sourceClause(doc.Source),
		s.repositoryClause(doc.Repository),
		s.whenClause(doc.When),
	)
}

// present leaves out the clauses that a rule does not have: they are nil.
func present(clauses ...clause) []clause {
	return slices.DeleteFunc(clauses, func(c clause) bool { return c == nil })
}

// firstFailed gives the first clause that does not hold, nil if all hold.
func firstFailed(clauses []clause, ev subject) clause {
	for _, c := range clauses {
		if !c.holds(ev) {
			return c
		}
	}
	return nil
}

// find gives the clause of one type, or nil if there is none.
func find[C clause](clauses []clause) C {
	for _, c := range clauses {
		if found, ok := c.(C); ok {
			return found
		}
	}
	var none C
	return none
}
