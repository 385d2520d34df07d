package mapping

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"buildbridge/mapping/printable"
)

// Limits of the cost of expressions. Costs are counted and not measured, so that whether
// an event builds does not depend on the machine. A step of an expression costs one unit
// and takes 20 to 40 nanoseconds. No unit takes more than 75: see BenchmarkWorst.
const (
	maxCost  = 600_000 // of one expression
	maxCosts = 650_000 // of all expressions of one delivery

	maxConstants = 10_000_000 // of the constants of one file, under a second; ${vars.x} costs 2

	maxSeen = 8 << 10  // bytes of a text of the event that expressions see
	maxText = 32 << 10 // bytes of a text that an expression makes
)

// How many bytes one unit pays for.
const (
	bytesRead   = 2  // bytes that are looked at one by one
	bytesListed = 16 // bytes of lists that are joined, because a list of many parts is slow
	bytesPassed = 64 // bytes that are compared, searched or copied together
)

// meter adds up the cost of the expressions of one delivery, or of the constants of a file.
type meter struct {
	spent uint64
	most  uint64 // 0 for maxCosts
	ended bool   // one failed because all together cost too much
}

// errShared is why an expression ends that could have cost more if others had cost less.
var errShared = errors.New("it takes too long: the expressions of a delivery share a limit, and those before it used most of it")

// evaluation is the cost of one expression.
type evaluation struct {
	cost.Tracker

	limit uint64
	in    activation
}

// eval evaluates an expression. An error is fit to be shown.
func (m *meter) eval(e *expression, ev *Event, with *constants) (ref.Val, error) {
	run := &evaluation{limit: min(maxCost, cmp.Or(m.most, maxCosts)-m.spent), in: activation{event: ev, constants: with}}
	run.Estimator, run.Limit = prices{}, &run.limit
	frame, err := interpreter.NewExecutionFrame(&run.in)
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	frame.SetCostTracker(&run.Tracker)
	v, _, err := e.program.Eval(frame)
	m.spent += min(run.ActualCost(), run.limit)
	if err == nil {
		return v, nil
	}
	ended, cancelled := errors.AsType[interpreter.EvalCancelledError](err)
	switch {
	case errors.Is(err, errUnread):
		return nil, err
	case !cancelled || ended.Cause != interpreter.CostLimitExceeded:
		return nil, errors.New(printable.Clip(printable.Text(err.Error()), maxReason)) // it may quote the event
	case run.limit < maxCost:
		m.ended = true
		return nil, errShared
	default:
		return nil, errors.New("it takes too long: make it read less text or fewer files")
	}
}

// prices says what calls cost. With CEL's own prices, a loop over calls that format,
// convert, quote or parse a text, or that look up a time zone, takes seconds for the same
// units: they leave out work that grows with the text.
type prices struct{}

// CallCost gives the cost of a call that was made.
func (prices) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	if length(result) > maxText {
		panic(interpreter.EvalCancelledError{
			Cause:   interpreter.MemoryLimitExceeded,
			Message: fmt.Sprintf("it makes a text longer than %d bytes", maxText),
		})
	}
	if types.IsError(result) {
		return new(2 + uint64(max(0, failedPrice(args))))
	}
	return new(1 + uint64(max(0, price(function, args))))
}

// failedPrice is the price of a call that failed: it has read its arguments, and its error
// may quote them.
func failedPrice(args []ref.Val) int {
	n := zonePrice(args)
	for _, a := range args {
		n += weight(a)/bytesPassed + length(a)
	}
	return n
}

// price is the price of a call beyond the unit that every call costs.
func price(function string, args []ref.Val) int {
	switch function {
	case operators.LogicalNot, operators.NotStrictlyFalse: // part of every round of a macro
		return 2
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return min(weight(args[0]), weight(args[1])) / bytesPassed
	case overloads.StartsWith, overloads.EndsWith, "trimPrefix", "trimSuffix":
		return length(args[1]) / bytesPassed
	case overloads.Contains, overloads.Size:
		return length(args[0]) / bytesListed
	case operators.In:
		return (weight(args[0]) + weight(args[1])) / bytesPassed
	case operators.Add:
		switch args[0].(type) {
		case traits.MutableLister: // a macro fills it: what it holds is paid for
			return weight(args[1]) / bytesPassed
		case traits.Lister:
			return (weight(args[0]) + weight(args[1])) / bytesListed
		default:
			return (length(args[0]) + length(args[1])) / bytesPassed
		}
	case overloads.Matches:
		return regexpPrice(args)
	case regexExtractAll, regexReplace:
		if _, paid := args[1].(types.Int); paid { // by searchCall, for one search
			return regexpPrice(args)
		}
		return times(length(args[0]), length(args[0])) // of texts that are constant
	case "sort":
		return times(items(args[0]), 32) + times(weight(args[0]), 16)/bytesPassed
	case "distinct":
		return times(items(args[0]), 4) + weight(args[0])/bytesPassed
	case setsContains, setsIntersects:
		return setsPrice(args)
	case setsEquivalent:
		return times(setsPrice(args), 2)
	case listRange:
		n, _ := args[0].(types.Int)
		return int(min(max(0, n), maxCosts))
	case "matchesGlob":
		return globPrice(args[0], args[1])
	case "indexOf", "lastIndexOf": // they compare at every position
		return length(args[0])/bytesRead + times(length(args[0]), length(args[1]))/32
	case "replace", "join", "format":
		return made(function, args) / bytesRead
	default:
		n := 0
		for _, a := range args {
			n += weight(a)
		}
		return n/bytesRead + zonePrice(args)
	}
}

// made estimates the bytes of the result of a call that can make much more than it is
// given.
func made(function string, args []ref.Val) int {
	n := weight(args[0])
	switch {
	case function == "replace":
		n += times(n/max(1, length(args[1]))+1, length(args[2]))
	case function == "format":
		n += weight(args[1])
	case len(args) > 1: // join
		if list, ok := args[0].(traits.Sizer); ok {
			items, _ := list.Size().(types.Int)
			n += times(int(items), length(args[1]))
		}
	}
	return n
}

// zonePrice is the price of a time zone: each call that is given a time and the name of a
// zone looks it up in a file.
func zonePrice(args []ref.Val) int {
	if len(args) == 2 && args[0].Type() == types.TimestampType && args[1].Type() == types.StringType {
		return 1500
	}
	return 0
}

// globPrice is the price of a match in the worst case: what follows the first * is tried
// at every byte of the text, for every pattern that the braces expand to.
func globPrice(s, pattern ref.Val) int {
	text, _ := s.(types.String)
	p, _ := pattern.(types.String)
	before := literalPrefix(string(p))
	if len(text) < len(before) || string(text[:len(before)]) != before {
		return len(before) / bytesPassed
	}
	tried := times(len(p)-len(before), braceWays(string(p)))
	return times(len(text)-len(before), tried)/9 + len(p)
}

// regexpPrice is the price of a match in the worst case. args are the text and the
// number of instructions.
func regexpPrice(args []ref.Val) int {
	size, _ := args[1].(types.Int)
	return times(length(args[0]), int(size)) / 5
}

// setsPrice is the price of comparing each element of a list with each of the other.
func setsPrice(args []ref.Val) int {
	a, b := items(args[0]), items(args[1])
	return times(a, b) + times(a, weight(args[1])/bytesPassed)
}

// items gives the number of elements of a list, 0 for any other value.
func items(v ref.Val) int {
	if list, ok := v.(traits.Lister); ok {
		n, _ := list.Size().(types.Int)
		return int(n)
	}
	return 0
}

// times multiplies numbers that are not negative, without overflow.
func times(a, b int) int {
	if b != 0 && a > math.MaxInt32/b {
		return math.MaxInt32
	}
	return a * b
}

// length gives the bytes of a text, 0 for any other value.
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

// heaviest is the largest weight: a value of this weight costs more than is allowed.
const heaviest = maxCosts * bytesPassed

// weight estimates the bytes of a value, with all values in it.
func weight(v ref.Val) int {
	switch v := v.(type) {
	case types.String, types.Bytes:
		return 8 + length(v)
	case commitValue:
		return v.weight()
	case traits.Mapper:
		n := 8
		for it := v.Iterator(); it.HasNext() == types.True && n <= heaviest; {
			k := it.Next()
			n += weight(k) + weight(v.Get(k))
		}
		return n
	case traits.Lister:
		n := 8
		for it := v.Iterator(); it.HasNext() == types.True && n <= heaviest; {
			n += weight(it.Next())
		}
		return n
	default:
		return 8
	}
}

// refuse gives an error for a call that must not be made, nil if it may. CEL counts the
// cost of a call only after it.
func refuse(function string, args []ref.Val) ref.Val {
	switch {
	case (function == "replace" || function == "join" || function == "format") && made(function, args) > maxText:
		return types.NewErr("%s: the result may be longer than %d bytes", function, maxText)
	case price(function, args) > maxCost:
		return types.NewErr("%s: the texts are too long for this call", function)
	}
	return nil
}
