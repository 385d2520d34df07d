package mapping

import (
	"fmt"
	"regexp"
	"strings"
)

// MaxAlike is how many faults of one kind are shown to people: a mistake that was copied is
// one to fix, however often it is there.
const MaxAlike = 20

// Alike is faults of one kind that are not shown.
type Alike struct {
	Fault // the first of the kind, which is shown

	More int // how many are not
}

// String says so in a line.
func (a Alike) String() string { return fmt.Sprintf("and %d more like %s", a.More, a.Error()) }

// FewOfEach gives at most MaxAlike faults of each kind, in order, and how many more there are of
// those kinds that have more. Faults are of one kind if they say the same of the same field,
// but for texts in quotes and numbers.
func FewOfEach(faults []Fault) (few []Fault, more []Alike) {
	count := map[string]int{}
	place := map[string]int{} // of the first in few
	for _, f := range faults {
		kind := f.kind()
		if count[kind] == 0 {
			place[kind] = len(few)
		}
		if count[kind]++; count[kind] <= MaxAlike {
			few = append(few, f)
		}
	}
	for i := range few {
		if kind := few[i].kind(); place[kind] == i && count[kind] > MaxAlike {
			more = append(more, Alike{few[i], count[kind] - MaxAlike})
		}
	}
	return few, more
}

var varying = regexp.MustCompile(`"(\\.|[^"\\])*"|[0-9]+`)

// kind is equal for faults that say the same.
func (f *Fault) kind() string {
	field := f.Field[strings.LastIndexByte(f.Field, '.')+1:]
	return varying.ReplaceAllString(field, "0") + "\n" + varying.ReplaceAllString(f.Message, "0")
}
