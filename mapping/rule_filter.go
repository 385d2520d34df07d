package mapping

import (
	"slices"
	"strings"
)

// RuleFilter selects the rules that fit all fields which are set.
type RuleFilter struct {
	Name, Owner string
	Repository  string // that it names, by its name or by a glob; a rule without a repository names all
	Text        string // in its name, description, owner, repositories, targets or job ids; its case does not count
}

// Find gives the positions of the rules that fit, in order: see [Ruleset.DescribeRule].
func (rs *Ruleset) Find(f RuleFilter) []int {
	repository, text := strings.ToLower(f.Repository), strings.ToLower(f.Text)
	found := []int{}
	for i, r := range rs.rules {
		if (f.Name == "" || r.name == f.Name) && (f.Owner == "" || r.owner == f.Owner) &&
			(repository == "" || r.repository().match(repository)) && (text == "" || r.has(text)) {
			found = append(found, i)
		}
	}
	return found
}

// has says whether a text in lower case is among what a list shows of a rule.
func (r *rule) has(text string) bool {
	in := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	return in(r.name) || in(r.about) || in(r.owner) || slices.ContainsFunc(r.repository().texts(), in) ||
		slices.ContainsFunc(r.jobs, func(j job) bool { return in(j.target) || in(j.id) })
}
