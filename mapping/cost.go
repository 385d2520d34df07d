package mapping

import (
	"time"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Limits of one evaluation. The cost decides: it is the same on every machine,
// so that an event builds or does not wherever it arrives.
const (
	maxCost = 2_000_000 // CEL's units, each some tens of nanoseconds

	// maxTime ends what the cost does not see, such as the hash of a long key in
	// a loop. It is many times what maxCost takes: a machine that is merely slow
	// must not make builds dead. Events with less text than clocked do not come
	// near it, and are spared the clock.
	maxTime        = 10 * time.Second
	clocked        = 64 << 10 // bytes
	interruptEvery = 16       // rounds of a loop
)

// prices are what calls cost. CEL's own leave out some work that grows with
// the text (size, conversions, what our functions do), and even to find out the
// length of a text CEL goes through it, so that a comparison with "" was as slow
// as it was cheap. Lengths here are in bytes, which are known.
type prices struct{}

// CallCost implements cost.ActualCostEstimator. Functions that are not here, of
// the strings extension, have their own.
func (prices) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	const perByte = 10 // bytes that a unit pays for, as in CEL
	var price int
	switch function {
	case operators.In:
		return nil // the length of the list
	case operators.Equals, operators.NotEquals:
		price = compared(args[0], args[1]) / perByte
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		price = min(length(args[0]), length(args[1])) / perByte
	case overloads.StartsWith, overloads.EndsWith:
		price = length(args[1]) / perByte
	case overloads.Matches:
		price = times(length(args[0])/perByte+1, length(args[1])/4+1)
	case "matchesGlob":
		price = globPrice(args[0], args[1])
	case "format":
		price = length(result) / perByte
	case overloads.TypeConvertTimestamp, "strings.quote": // slow ones
		price = length(args[0])
	default:
		for _, a := range args {
			price += length(a) / perByte
		}
	}
	return new(uint64(1 + price))
}

// globPrice is what a match may cost: what follows the first * is tried at every
// byte of the text.
func globPrice(s, pattern ref.Val) int {
	p, ok := pattern.(types.String)
	if !ok {
		return 0
	}
	tried := len(p) - len(literalPrefix(string(p)))
	return times(length(s), tried)/20 + len(p)/10
}

// searchPrice is what the search for a text may cost: it is compared at every
// place.
func searchPrice(s, sub ref.Val) int { return times(length(s), length(sub)) / 10 }

// length of a text, 0 for anything else.
func length(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return len(v)
	default:
		return 0
	}
}

// compared is how much of two values is looked at to tell whether they are equal.
func compared(a, b ref.Val) int {
	switch v := a.(type) {
	case types.String, types.Bytes:
		return min(length(a), length(b))
	case traits.Sizer: // a list or a map
		if other, ok := b.(traits.Sizer); ok && v.Size().Equal(other.Size()) == types.True {
			return weight(a)
		}
	}
	return 0
}

// textLength is about how much text an expression can find in the event.
func (e *Event) textLength() int {
	n := len(e.Repository) + len(e.Ref) + len(e.Commit) + len(e.Before) + len(e.Message) + len(e.Author) + len(e.Pusher) + len(e.URL)
	for _, f := range e.Files {
		n += len(f)
	}
	return n
}
