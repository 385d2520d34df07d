package mapping

import (
	"iter"
	"slices"
)

// index finds the rules that can name a repository, by a literal name or by the literal
// beginning of a glob. A rule is listed under each pattern of its repository clause that
// includes. Patterns that exclude are left to the clause.
type index struct {
	literal map[string][]int32 // rules by repository, in lower case
	prefix  map[string][]int32 // rules by literal beginning, in lower case
	lengths []int              // of the keys of prefix, each once, ascending
}

func newIndex(rules []*rule) index {
	x := index{literal: map[string][]int32{}, prefix: map[string][]int32{}}
	for i, r := range rules {
		id := int32(i)
		repository := r.repository()
		if repository.startsFromAll() {
			x.add(x.prefix, "", id)
			continue
		}
		for _, g := range repository {
			switch {
			case g.exclude:
			case g.literal:
				x.add(x.literal, g.pattern, id)
			default:
				x.add(x.prefix, g.prefix, id)
			}
		}
	}
	for p := range x.prefix {
		if !slices.Contains(x.lengths, len(p)) {
			x.lengths = append(x.lengths, len(p))
		}
	}
	slices.Sort(x.lengths)
	return x
}

func (x *index) add(to map[string][]int32, key string, id int32) {
	list := to[key]
	if n := len(list); n > 0 && list[n-1] == id {
		return
	}
	to[key] = append(list, id)
}

// candidates gives every list of rules that can name the repository, which is in lower
// case. The lists are ascending; a rule may be in several.
func (x *index) candidates(repository string) iter.Seq[[]int32] {
	return func(yield func([]int32) bool) {
		if !yield(x.literal[repository]) {
			return
		}
		for _, n := range x.lengths {
			if n > len(repository) || !yield(x.prefix[repository[:n]]) {
				return
			}
		}
	}
}
