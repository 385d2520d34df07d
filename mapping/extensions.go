package mapping

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
)

// Functions of cel-go's own extensions that can be had within the limits of cost. These are left
// out:
//   - flatten: a list that holds itself many times grows without a bound that is known before;
//   - regex.extract, which needs CEL's optional values: regex.extractAll does as much;
//   - hasAll, hasAny, hasOnly and hasExactly: the functions for sets do as much;
//   - sortBy and the macros of two variables, whose cost was not looked at.
const (
	regexReplace    = "regex.replace"
	regexExtractAll = "regex.extractAll"
	listRange       = "lists.range"
	setsContains    = "sets.contains"
	setsEquivalent  = "sets.equivalent"
	setsIntersects  = "sets.intersects"
)

// maxRange is the most numbers that lists.range makes.
const maxRange = 10_000

// extended adds them to an environment.
func extended(env *cel.Env) (*cel.Env, error) {
	donor, err := cel.NewCustomEnv(cel.OptionalTypes(), ext.Lists(ext.ListsMaxRangeSize(maxRange)), ext.Sets(), ext.Regex())
	if err != nil {
		return nil, err
	}
	env, err = guard(env, donor, "slice", "sort", "reverse", listRange,
		setsContains, setsEquivalent, setsIntersects, regexReplace, regexExtractAll)
	if err != nil {
		return nil, err
	}
	list := cel.ListType(cel.TypeParamType("T"))
	return env.Extend(cel.Function("distinct", cel.MemberOverload("list_distinct", []*cel.Type{list}, list, cel.UnaryBinding(distinct))))
}

// distinct is cel-go's, which compares each element with each before it: that is too much for
// the files of a large push. Elements are of one type, and flat: see deepComparisons.
func distinct(v ref.Val) ref.Val {
	list, ok := v.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	if refused := refuse("distinct", []ref.Val{v}); refused != nil {
		return refused
	}
	known := make(map[any]bool, items(v))
	var once []ref.Val
	for it := list.Iterator(); it.HasNext() == types.True; {
		e := it.Next()
		key := e.Value()
		switch e := e.(type) {
		case commitValue:
			key = *e.commit
		case types.Bytes:
			key = string(e)
		case types.Timestamp:
			key = e.UTC()
		}
		if !known[key] {
			known[key], once = true, append(once, e)
		}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, once)
}

// regexOptimizations compile the patterns of all functions that have one, once.
func regexOptimizations() []*interpreter.RegexOptimization {
	return []*interpreter.RegexOptimization{
		boundRegexp("matches"), boundRegexp("matches_string"),
		{Function: regexExtractAll, OverloadID: "regex_extractAll_string_string", RegexIndex: 1, Factory: boundSearch},
		{Function: regexReplace, OverloadID: "regex_replace_string_string_string", RegexIndex: 1, Factory: boundSearch},
		{Function: regexReplace, OverloadID: "regex_replace_string_string_string_int", RegexIndex: 1, Factory: boundSearch},
	}
}

// boundSearch is boundRegexp for calls that find all matches.
func boundSearch(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
	made, err := boundRegexp("").Factory(call, pattern)
	if err != nil {
		return nil, err
	}
	return &searchCall{made.(*regexpCall)}, nil
}

// searchCall is a call of regex.extractAll or regex.replace.
type searchCall struct{ *regexpCall }

// Exec evaluates the call in the frame of the whole expression.
func (c *searchCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := c.Args()[0].Exec(frame)
	text, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	var replacement types.String
	wanted := types.Int(-1) // matches; all if it is negative
	if c.Function() == regexReplace {
		r := c.Args()[2].Exec(frame)
		if replacement, ok = r.(types.String); !ok {
			return types.MaybeNoSuchOverloadErr(r)
		}
		if len(c.Args()) > 3 {
			n := c.Args()[3].Exec(frame)
			if wanted, ok = n.(types.Int); !ok {
				return types.MaybeNoSuchOverloadErr(n)
			}
		}
	}
	// Each search may read all that is left of the text. It is paid for before it is made: few
	// matches are looked for first, and then more.
	var matches [][]int
	for most := 1; wanted != 0; most *= 4 {
		if costs := frame.CostTracker(); costs != nil {
			costs.EvalBinary(frame, c.ID(), c, v, types.Int(times(int(c.size), most)), types.True)
		}
		if matches = c.compiled.FindAllStringSubmatchIndex(string(text), most); len(matches) < most || wanted > 0 && types.Int(most) >= wanted {
			break
		}
	}
	if wanted > 0 {
		matches = matches[:min(len(matches), int(wanted))]
	}
	if c.Function() == regexReplace {
		return replaced(string(text), matches, string(replacement), c.compiled.NumSubexp())
	}
	found := make([]string, 0, len(matches))
	for _, m := range matches {
		if i := len(m) - 2; i == 0 || m[i] < m[i+1] { // a group that is empty does not count
			found = append(found, string(text)[m[i]:m[i+1]])
		}
	}
	return types.NewStringList(types.DefaultTypeAdapter, found)
}

// Eval evaluates the call alone.
func (c *searchCall) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, c.Exec)
}

// replaced replaces the matches in a text: \1 to \9 are groups, \0 is the match, \\ a backslash.
func replaced(text string, matches [][]int, replacement string, groups int) ref.Val {
	if len(matches) == 0 {
		return types.String(text)
	}
	type piece struct {
		literal string
		group   int // -1 for a literal
	}
	var pieces []piece
	for replacement != "" {
		literal, rest, found := strings.Cut(replacement, `\`)
		pieces = append(pieces, piece{literal, -1})
		if !found {
			break
		}
		switch {
		case rest == "" || rest[0] != '\\' && (rest[0] < '0' || rest[0] > '9'):
			return types.NewErr(`regex.replace: a \ in the replacement is followed by a digit or another \`)
		case rest[0] == '\\':
			pieces = append(pieces, piece{`\`, -1})
		case int(rest[0]-'0') > groups:
			return types.NewErr("regex.replace: the replacement names group %c, and the pattern has %d", rest[0], groups)
		default:
			pieces = append(pieces, piece{"", int(rest[0] - '0')})
		}
		replacement = rest[1:]
	}
	var out strings.Builder
	last := 0
	for _, m := range matches {
		out.WriteString(text[last:m[0]])
		last = m[1]
		for _, p := range pieces {
			if out.WriteString(p.literal); p.group >= 0 && m[2*p.group] >= 0 {
				out.WriteString(text[m[2*p.group]:m[2*p.group+1]])
			}
			if out.Len() > maxText {
				return types.NewErr("regex.replace: the result may be longer than %d bytes", maxText)
			}
		}
	}
	out.WriteString(text[last:])
	if out.Len() > maxText {
		return types.NewErr("regex.replace: the result may be longer than %d bytes", maxText)
	}
	return types.String(out.String())
}

// checkSearch is checkRegexp for regex.extractAll.
func checkSearch(pattern string) error {
	if err := checkRegexp(pattern); err != nil {
		return err
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	if groups := compiled.NumSubexp(); groups > 1 {
		return fmt.Errorf("the pattern has %d groups, and at most one is given: write (?:…) for the others", groups)
	}
	return nil
}
