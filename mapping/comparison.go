package mapping

import (
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// comparison is a part of a condition that has to be true for the whole to be
// true, where it compares a field of the event with a text: event.kind == "push".
type comparison struct {
	field, text string
	unequal     bool
}

// fails says whether it is false for each of the values.
func (c comparison) fails(values []string) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return (v == c.text) != c.unequal })
}

// requires lists the comparisons that e joins with &&, and says whether a plain
// false is among what it joins.
func requires(e ast.Expr) (all []comparison, never bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		return nil, e.AsLiteral() == types.False
	case ast.CallKind:
	default:
		return nil, false
	}
	name, args := e.AsCall().FunctionName(), e.AsCall().Args()
	switch name {
	case operators.LogicalAnd:
		for _, arg := range args {
			more, no := requires(arg)
			all, never = append(all, more...), never || no
		}
	case operators.Equals, operators.NotEquals:
		for i, arg := range args {
			field, isField := fieldName(arg)
			other := args[1-i]
			if !isField || other.Kind() != ast.LiteralKind {
				continue
			}
			if text, ok := other.AsLiteral().(types.String); ok {
				all = append(all, comparison{field, string(text), name == operators.NotEquals})
			}
		}
	}
	return all, never
}

// fieldName is the field of the event that e is.
func fieldName(e ast.Expr) (string, bool) {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return "", false
	}
	of := e.AsSelect().Operand()
	return e.AsSelect().FieldName(), of.Kind() == ast.IdentKind && of.AsIdent() == "event"
}

// passesMessage says whether e is the message of the event, with all of its lines, or
// has it in it.
func passesMessage(e ast.Expr) bool {
	if name, ok := fieldName(e); ok {
		return name == "message"
	}
	if e.Kind() != ast.CallKind {
		return false
	}
	call := e.AsCall()
	parts := call.Args()
	switch call.FunctionName() {
	case operators.Conditional:
		parts = parts[1:]
	case operators.Add:
	case "trim", "trimPrefix", "trimSuffix", "lowerAscii", "upperAscii":
		parts = []ast.Expr{call.Target()}
	default:
		return false
	}
	return slices.ContainsFunc(parts, passesMessage)
}

// whyNever says why a condition is never true for the events that the rest of the
// rule takes, "" where that is not plain to see.
func (r *rule) whyNever() string {
	if r.condition.never {
		return "this is never true"
	}
	for _, c := range r.condition.requires {
		only := r.values(c.field)
		if only != nil && c.fails(only) {
			quoted := make([]string, len(only))
			for i, v := range only {
				quoted[i] = strconv.Quote(v)
			}
			return "this is never true: event." + c.field + " is always " + strings.Join(quoted, " or ") + " in this rule"
		}
	}
	return ""
}

// values are all that a field can be in the events that the when of the rule
// takes; nil if that is not known.
func (r *rule) values(field string) []string {
	switch {
	case field == "kind" && r.push != nil && r.tag != nil:
		return []string{string(Push), string(Tag)}
	case field == "kind" && r.push != nil:
		return []string{string(Push)}
	case field == "kind" && r.tag != nil:
		return []string{string(Tag)}
	case field == "branch" && r.push == nil && r.tag != nil, field == "tag" && r.tag == nil && r.push != nil:
		return []string{""}
	}
	return nil
}

// deepComparisons finds ==, != and in between lists or maps that hold lists or maps,
// or whose type is not known: one such call can go through more than all that an
// expression may cost.
func deepComparisons(text string, checked *cel.Ast) []textFault {
	var faults []textFault
	native := checked.NativeRep()
	for _, c := range ast.MatchDescendants(ast.NavigateAST(native), ast.KindMatcher(ast.CallKind)) {
		args, flat := c.AsCall().Args(), true
		switch c.AsCall().FunctionName() {
		case operators.Equals, operators.NotEquals:
			flat = isFlat(native.GetType(args[0].ID()), 1) || isFlat(native.GetType(args[1].ID()), 1)
		case operators.In:
			flat = isFlat(native.GetType(args[0].ID()), 0) || isFlat(native.GetType(args[1].ID()), 1)
		}
		if !flat {
			at := native.SourceInfo().GetStartLocation(c.ID())
			faults = append(faults, textFault{
				byteOffset(text, at.Line(), at.Column()),
				"only texts, numbers, and lists or maps of them can be compared, and their types have to be known when the file is loaded",
			})
		}
	}
	return faults
}

// isFlat says whether a value of type t holds values in at most so many levels.
func isFlat(t *types.Type, levels int) bool {
	switch t.Kind() {
	case types.DynKind, types.AnyKind, types.TypeParamKind, types.OpaqueKind:
		return false
	case types.ListKind, types.MapKind:
		return levels > 0 && !slices.ContainsFunc(t.Parameters(), func(p *types.Type) bool { return !isFlat(p, levels-1) })
	default:
		return true
	}
}
