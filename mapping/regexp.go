package mapping

import (
	"fmt"
	"regexp"

	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// maxRegexp is how many instructions a compiled pattern may have. In the worst case a
// match tries each of them at each character of the text.
const maxRegexp = 250

func checkRegexp(pattern string) error {
	size, err := types.RegexProgramSize(pattern)
	switch {
	case err != nil:
		return err
	case size > maxRegexp:
		return fmt.Errorf("the pattern is too large: compiled, it has %d instructions, and at most %d are allowed;"+
			" a count such as {1,100} repeats the part before it that many times; + and * do not", size, maxRegexp)
	}
	return nil
}

// boundRegexp compiles the pattern of a call once, and makes each call pay for the match
// before it is tried.
func boundRegexp(overload string) *interpreter.RegexOptimization {
	return &interpreter.RegexOptimization{
		Function: overloads.Matches, OverloadID: overload, RegexIndex: 1,
		Factory: func(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
			size, err := types.RegexProgramSize(pattern)
			if err != nil {
				return nil, err
			}
			compiled, err := regexp.Compile(pattern)
			return &regexpCall{call, compiled, types.Int(size)}, err
		},
	}
}

// regexpCall is a call of matches.
type regexpCall struct {
	interpreter.InterpretableCall

	compiled *regexp.Regexp
	size     types.Int // instructions
}

// Exec evaluates the call in the frame of the whole expression.
func (c *regexpCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := c.Args()[0].Exec(frame)
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	if costs := frame.CostTracker(); costs != nil {
		costs.EvalBinary(frame, c.ID(), c, v, c.size, types.True)
	}
	return types.Bool(c.compiled.MatchString(string(s)))
}

// Eval evaluates the call alone.
func (c *regexpCall) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, c.Exec)
}
