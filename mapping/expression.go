package mapping

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// Limits of expressions.
const (
	maxExpression = 8192 // characters
	maxReason     = 300  // characters of why one failed
)

// expression is a checked CEL program. It is safe for concurrent use.
type expression struct {
	text    string
	program cel.Program
	result  *types.Type
	fields  []string // of the event that it reads
	lines   bool     // has the message in it, with all of its lines
}

// language compiles expressions, each text once.
type language struct {
	env      *cel.Env
	names    []string // of functions, for suggestions
	compiled map[string]*compiled

	templates   map[string]template
	constraints map[string]*constraint
}

type compiled struct {
	expression *expression
	faults     []textFault
}

func newLanguage() (*language, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	provider := newEventProvider(registry)
	env, err := cel.NewEnv(
		cel.CustomTypeProvider(provider),
		cel.CustomTypeAdapter(registry),
		cel.Variable("event", cel.ObjectType(eventTypeName)),
		ext.Strings(),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(100),
		cel.Function("trimPrefix", cel.MemberOverload("string_trim_prefix_string",
			[]*cel.Type{cel.StringType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(func(s, p ref.Val) ref.Val {
				return types.String(strings.TrimPrefix(string(s.(types.String)), string(p.(types.String))))
			}))),
		cel.Function("trimSuffix", cel.MemberOverload("string_trim_suffix_string",
			[]*cel.Type{cel.StringType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(func(s, p ref.Val) ref.Val {
				return types.String(strings.TrimSuffix(string(s.(types.String)), string(p.(types.String))))
			}))),
		cel.Function("matchesGlob", cel.MemberOverload("string_matches_glob_string",
			[]*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(matchesGlob))),
	)
	if err != nil {
		return nil, err
	}
	if env, err = guard(env); err != nil {
		return nil, err
	}
	l := &language{env: env, compiled: map[string]*compiled{}, templates: map[string]template{}, constraints: map[string]*constraint{}}
	for name := range env.Functions() {
		if utf8.ValidString(name) && !strings.ContainsAny(name, "_@!-") {
			l.names = append(l.names, name)
		}
	}
	slices.Sort(l.names)
	return l, nil
}

func matchesGlob(s, pattern ref.Val) ref.Val {
	p := string(pattern.(types.String))
	if err := checkGlob(p); err != nil {
		return types.NewErr("matchesGlob: %v", err)
	}
	if refused := refuse("matchesGlob", []ref.Val{s, pattern}); refused != nil {
		return refused
	}
	return types.Bool((&glob{pattern: p}).match(string(s.(types.String))))
}

// guard bounds what one call of the strings extension can do.
func guard(env *cel.Env) (*cel.Env, error) {
	var options []cel.EnvOption
	for _, name := range []string{"indexOf", "lastIndexOf", "replace", "join", "format"} {
		f := env.Functions()[name]
		bindings, err := f.Bindings()
		if err != nil {
			return nil, err
		}
		for _, o := range f.OverloadDecls() {
			i := slices.IndexFunc(bindings, func(b *functions.Overload) bool { return b.Operator == o.ID() })
			if i < 0 {
				return nil, fmt.Errorf("cel: %s has no implementation %s", name, o.ID())
			}
			call := bindings[i]
			options = append(options, cel.Function(name, cel.MemberOverload(o.ID(), o.ArgTypes(), o.ResultType(),
				cel.FunctionBinding(func(args ...ref.Val) ref.Val {
					if refused := refuse(name, args); refused != nil {
						return refused
					}
					switch {
					case call.Unary != nil && len(args) == 1:
						return call.Unary(args[0])
					case call.Binary != nil && len(args) == 2:
						return call.Binary(args[0], args[1])
					default:
						return call.Function(args...)
					}
				}))))
		}
	}
	return env.Extend(options...)
}

// compile checks an expression.
func (l *language) compile(text string) (*expression, []textFault) {
	if c, ok := l.compiled[text]; ok {
		return c.expression, c.faults
	}
	e, faults := l.compileNew(text)
	l.compiled[text] = &compiled{e, faults}
	return e, faults
}

func (l *language) compileNew(text string) (_ *expression, faults []textFault) {
	defer func() {
		if r := recover(); r != nil {
			faults = []textFault{{0, fmt.Sprintf("the expression cannot be read: %v", r)}}
		}
	}()
	if n := utf8.RuneCountInString(text); n > maxExpression {
		return nil, []textFault{{0, fmt.Sprintf("an expression has at most %d characters, this has %d", maxExpression, n)}}
	}
	checked, issues := l.env.Compile(text)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			faults = append(faults, l.explain(text, byteOffset(text, e.Location.Line(), e.Location.Column()), e.Message))
		}
		return nil, faults
	}
	faults = badPatterns(text, checked, "matchesGlob", false, checkGlob)
	faults = append(faults, badPatterns(text, checked, overloads.Matches, true, checkRegexp)...)
	faults = append(faults, deepComparisons(text, checked)...)
	if faults != nil {
		return nil, faults
	}
	program, err := l.env.Program(checked, cel.EvalOptions(cel.OptOptimize),
		cel.OptimizeRegex(boundRegexp(overloads.Matches), boundRegexp(overloads.MatchesString)))
	if err != nil {
		return nil, []textFault{{0, err.Error()}}
	}
	e := &expression{text: text, program: program, result: checked.OutputType(), fields: fieldsOf(checked)}
	e.lines = passesMessage(checked.NativeRep().Expr())
	return e, nil
}

// byteOffset turns a line (from 1) and a column (from 0, in characters) into an
// offset.
func byteOffset(text string, line, column int) int {
	offset := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(text[offset:], '\n')
		if i < 0 {
			break
		}
		offset += i + 1
	}
	for i := range text[offset:] {
		if column <= 0 {
			return offset + i
		}
		column--
	}
	return len(text)
}

var (
	undefinedField = regexp.MustCompile(`^undefined field '([^']*)'`)
	undeclared     = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
)

// explain makes CEL's message one that helps, at the name it is about.
func (l *language) explain(text string, offset int, message string) textFault {
	message, _, _ = strings.Cut(message, "\n")
	if m := undefinedField.FindStringSubmatch(message); m != nil {
		hint := Suggest(m[1], eventFieldNames())
		if hint == "" {
			hint = "; it has " + strings.Join(eventFieldNames(), ", ")
		}
		if strings.HasPrefix(text[offset:], ".") {
			offset++ // CEL points at the dot before it
		}
		return textFault{offset, fmt.Sprintf("event has no field %q%s", m[1], hint)}
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		if strings.HasSuffix(text[:offset], m[1]) {
			offset -= len(m[1]) // and at the parenthesis behind it
		}
		return textFault{offset, fmt.Sprintf("unknown name %q%s", m[1], Suggest(m[1], append([]string{"event"}, l.names...)))}
	}
	if syntax, ok := strings.CutPrefix(message, "Syntax error: "); ok {
		syntax, _, _ = strings.Cut(syntax, " expecting ")
		if strings.Contains(syntax, "'<EOF>'") {
			syntax = "it ends too early"
		}
		message = "not an expression: " + syntax
	}
	return textFault{offset, message}
}

// badPatterns finds patterns, the last argument of a function, that check refuses.
// One that is not written out is refused where written says so.
func badPatterns(text string, checked *cel.Ast, function string, written bool, check func(string) error) []textFault {
	var faults []textFault
	native := checked.NativeRep()
	for _, c := range ast.MatchDescendants(ast.NavigateAST(native), ast.FunctionMatcher(function)) {
		args := c.AsCall().Args()
		if len(args) == 0 {
			continue
		}
		arg := args[len(args)-1]
		err := errWritten
		if arg.Kind() == ast.LiteralKind {
			pattern, _ := arg.AsLiteral().(types.String)
			err = check(string(pattern))
		} else if !written {
			continue
		}
		if err != nil {
			at := native.SourceInfo().GetStartLocation(arg.ID())
			faults = append(faults, textFault{byteOffset(text, at.Line(), at.Column()), function + ": " + err.Error()})
		}
	}
	return faults
}

var errWritten = errors.New("the pattern has to be written out, as one text: how long it takes is checked when the file is loaded")

// fieldsOf lists the fields of the event that an expression reads.
func fieldsOf(checked *cel.Ast) []string {
	var fields []string
	selects := ast.MatchDescendants(ast.NavigateAST(checked.NativeRep()), ast.KindMatcher(ast.SelectKind))
	for _, s := range selects {
		sel := s.AsSelect()
		if op := sel.Operand(); op.Kind() == ast.IdentKind && op.AsIdent() == "event" && !slices.Contains(fields, sel.FieldName()) {
			fields = append(fields, sel.FieldName())
		}
	}
	return fields
}

func (e *expression) reads(field string) bool { return slices.Contains(e.fields, field) }

// mayBe says whether the result can be of one of the kinds: for dyn it is known
// only at run time.
func (e *expression) mayBe(kinds ...types.Kind) bool {
	k := e.result.Kind()
	return k == types.DynKind || k == types.AnyKind || k == types.TypeParamKind || slices.Contains(kinds, k)
}

// format evaluates an expression to the text of a parameter.
func (m *meter) format(e *expression, ev *Event) (string, error) {
	v, err := m.eval(e, ev)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case types.String:
		return string(v), nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), nil
	case types.Bool:
		return strconv.FormatBool(bool(v)), nil
	default:
		return "", fmt.Errorf("the result is %s, not a string, an integer or a boolean", v.Type().TypeName())
	}
}
