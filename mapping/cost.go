package mapping

import (
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

// Limits of what expressions may cost. They are counted and not measured, so that
// an event builds or does not wherever it arrives. A unit takes at most 75
// nanoseconds: BenchmarkWorst. A step of an expression is one, and takes 20 to 40.
const (
	maxCost  = 600_000 // of one expression
	maxCosts = 650_000 // of all expressions of one delivery

	maxSeen = 8 << 10  // bytes of a text of the event, as expressions see it
	maxText = 32 << 10 // bytes of a text that an expression makes
)

// Bytes that a unit pays for.
const (
	bytesRead   = 2  // that are looked at one by one
	bytesListed = 16 // of lists that are joined: each part makes it slower to go through
	bytesPassed = 64 // that are compared, searched or copied as a whole
)

// tooLong is why an evaluation ends that makes too long a text.
const tooLong = interpreter.MemoryLimitExceeded

// meter adds up what the expressions of one delivery cost.
type meter struct{ spent uint64 }

// evaluation is the cost of one expression.
type evaluation struct {
	cost.Tracker

	limit uint64
}

func (m *meter) eval(e *expression, ev *Event) (ref.Val, error) {
	run := &evaluation{limit: min(maxCost, maxCosts-m.spent)}
	run.Estimator, run.Limit = prices{}, &run.limit
	frame, err := interpreter.NewExecutionFrame(activation{ev})
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
	case !cancelled || ended.Cause != interpreter.CostLimitExceeded:
		return nil, errors.New(printable.Clip(printable.Text(err.Error()), maxReason)) // it may quote the event, whole
	case run.limit < maxCost:
		return nil, errors.New("it takes too long: expressions before it took most of what those of one delivery may take together")
	default:
		return nil, errors.New("it takes too long: let it go through less text, or fewer files")
	}
}

// prices are what calls cost. CEL's own leave out some work that grows with the
// text, and go through a text to find out how long it is. Lengths here are in bytes,
// which are known.
type prices struct{}

// CallCost implements cost.ActualCostEstimator. CEL asks after the call.
func (prices) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	if length(result) > maxText {
		panic(interpreter.EvalCancelledError{Cause: tooLong, Message: fmt.Sprintf("a text in it is longer than %d bytes", maxText)})
	}
	if types.IsError(result) {
		return new(2 + uint64(max(0, lookPrice(args))))
	}
	return new(1 + uint64(max(0, price(function, args))))
}

// lookPrice is for a call that failed: it has looked at its arguments, and may quote them.
func lookPrice(args []ref.Val) int {
	n := zonePrice(args)
	for _, a := range args {
		n += weight(a)/bytesPassed + length(a)
	}
	return n
}

// price is what a call costs on top of the unit that every call does.
func price(function string, args []ref.Val) int {
	switch function {
	case operators.LogicalNot, operators.NotStrictlyFalse: // of every round of a macro
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
		case traits.MutableLister: // that a macro fills: what is in it is paid for
			return weight(args[1]) / bytesPassed
		case traits.Lister:
			return (weight(args[0]) + weight(args[1])) / bytesListed
		default:
			return (length(args[0]) + length(args[1])) / bytesPassed
		}
	case overloads.Matches:
		return regexpPrice(args)
	case "matchesGlob":
		return globPrice(args[0], args[1])
	case "indexOf", "lastIndexOf": // compared at every place
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

// made is about how many bytes the result of a call has, where it can have far more
// than the arguments.
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

// zonePrice is for the name of a time zone, which is looked up in a file at each
// call: a time and a text are the arguments.
func zonePrice(args []ref.Val) int {
	if len(args) != 2 {
		return 0
	}
	if _, ok := args[0].(types.Timestamp); !ok {
		return 0
	}
	if _, ok := args[1].(types.String); !ok {
		return 0
	}
	return 1500
}

// globPrice is what a match may cost: in the worst case, what follows the first * is
// tried at every byte of the text, in every way through the braces.
func globPrice(s, pattern ref.Val) int {
	text, isText := s.(types.String)
	p, ok := pattern.(types.String)
	if !ok || !isText {
		return 0
	}
	before := literalPrefix(string(p))
	if len(text) < len(before) || string(text[:len(before)]) != before {
		return len(before) / bytesPassed
	}
	tried := times(len(p)-len(before), braceWays(string(p)))
	return times(len(text)-len(before), tried)/9 + len(p)
}

// times multiplies what cannot be negative, up to a very large number.
func times(a, b int) int {
	if b != 0 && a > math.MaxInt32/b {
		return math.MaxInt32
	}
	return a * b
}

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

// heaviest is where weight stops to add: more than may be paid.
const heaviest = maxCosts * bytesPassed

// weight is about how many bytes there are in a value, with all that it holds.
func weight(v ref.Val) int {
	switch v := v.(type) {
	case types.String, types.Bytes:
		return 8 + length(v)
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

// refuse says why a call must not be made: CEL counts it only afterwards.
func refuse(function string, args []ref.Val) ref.Val {
	switch {
	case (function == "replace" || function == "join" || function == "format") && made(function, args) > maxText:
		return types.NewErr("%s: the result may be longer than %d bytes", function, maxText)
	case price(function, args) > maxCost:
		return types.NewErr("%s: it would take too long, the texts are too long", function)
	}
	return nil
}
