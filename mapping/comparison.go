package mapping

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

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
