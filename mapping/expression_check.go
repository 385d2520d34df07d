package mapping

import (
	"errors"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// badPatterns finds calls of a function whose last argument, or second one of regex.replace, is
// a pattern that check refuses. If written is true, a pattern that is not a literal is refused too.
func badPatterns(text string, checked *cel.Ast, function string, written bool, check func(string) error) []textFault {
	var faults []textFault
	native := checked.NativeRep()
	for _, c := range ast.MatchDescendants(ast.NavigateAST(native), ast.FunctionMatcher(function)) {
		args := c.AsCall().Args()
		if len(args) == 0 {
			continue
		}
		arg := args[len(args)-1]
		if function == regexReplace {
			arg = args[1]
		}
		err := errWritten
		if arg.Kind() == ast.LiteralKind {
			pattern, _ := arg.AsLiteral().(types.String)
			err = check(string(pattern))
		} else if !written {
			continue
		}
		if err != nil {
			at := byteOffset(text, native.SourceInfo().GetStartLocation(arg.ID()))
			faults = append(faults, textFault{at, function + ": " + err.Error()})
		}
	}
	return faults
}

var errWritten = errors.New("write the pattern as one literal text: its size is checked when the file is loaded")

// deepComparisons finds ==, !=, in, distinct and sets of values that are not flat: lists or maps
// that hold lists or maps, or values whose type is not known. One such comparison can
// take longer than a whole expression may.
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
		case "distinct":
			flat = isFlat(native.GetType(c.AsCall().Target().ID()), 1)
		case setsContains, setsEquivalent, setsIntersects:
			flat = isFlat(native.GetType(args[0].ID()), 1) && isFlat(native.GetType(args[1].ID()), 1)
		}
		if !flat {
			faults = append(faults, textFault{
				byteOffset(text, native.SourceInfo().GetStartLocation(c.ID())),
				"only texts, numbers, and lists or maps of them can be compared, and their types have to be known when the file is loaded",
			})
		}
	}
	return faults
}

// isFlat says whether values of a type are nested in at most so many levels.
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

// fieldsOf lists the fields of the event that an expression reads.
func fieldsOf(checked *cel.Ast) []string {
	var fields []string
	selects := ast.MatchDescendants(ast.NavigateAST(checked.NativeRep()), ast.KindMatcher(ast.SelectKind))
	for _, s := range selects {
		if name, ok := fieldName(s); ok && !slices.Contains(fields, name) {
			fields = append(fields, name)
		}
	}
	return fields
}

// fieldName gives the field of the event that e is, if it is one.
func fieldName(e ast.Expr) (string, bool) {
	if e.Kind() != ast.SelectKind {
		return "", false
	}
	of := e.AsSelect().Operand()
	return e.AsSelect().FieldName(), of.Kind() == ast.IdentKind && of.AsIdent() == "event"
}

// passesMessage says whether the value of e contains the whole message of the event, with
// all of its lines.
func passesMessage(e ast.Expr) bool {
	if name, ok := fieldName(e); ok {
		return name == "message" && !e.AsSelect().IsTestOnly()
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
