package mapping

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// language compiles expressions, templates and constraints, each text once.
type language struct {
	env   *cel.Env
	names []string // of functions, for suggestions
	vars  *variables

	expressions map[string]*expression
	templates   map[string]template
	constraints map[semverTexts]*semverClause
}

func newLanguage() (*language, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	vars := &variables{values: map[string]string{}, places: definitions{}, fences: map[string]*fence{}, used: map[string]bool{}}
	env, err := cel.NewEnv(
		cel.CustomTypeProvider(constantsProvider{eventProvider{registry}, vars}),
		cel.CustomTypeAdapter(registry),
		cel.Variable("event", cel.ObjectType(eventTypeName)),
		cel.Variable(varsName, cel.ObjectType(varsTypeName)),
		cel.Variable(eachName, cel.ObjectType(eachTypeName)),
		ext.Strings(),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(100),
		method("trimPrefix", "string_trim_prefix_string", cel.StringType, trimmed(strings.TrimPrefix)),
		method("trimSuffix", "string_trim_suffix_string", cel.StringType, trimmed(strings.TrimSuffix)),
		method("matchesGlob", "string_matches_glob_string", cel.BoolType, matchesGlob),
	)
	if err != nil {
		return nil, err
	}
	if env, err = guard(env, env, "indexOf", "lastIndexOf", "replace", "join", "format"); err != nil {
		return nil, err
	}
	if env, err = extended(env); err != nil {
		return nil, err
	}
	l := &language{
		env: env, vars: vars,
		expressions: map[string]*expression{}, templates: map[string]template{}, constraints: map[semverTexts]*semverClause{},
	}
	for name := range env.Functions() {
		if utf8.ValidString(name) && !strings.ContainsAny(name, "_@!-") {
			l.names = append(l.names, name)
		}
	}
	slices.Sort(l.names)
	return l, nil
}

// method declares a function that is called as text.name(text).
func method(name, overload string, result *cel.Type, call functions.BinaryOp) cel.EnvOption {
	return cel.Function(name, cel.MemberOverload(overload, []*cel.Type{cel.StringType, cel.StringType}, result, cel.BinaryBinding(call)))
}

func trimmed(trim func(s, affix string) string) functions.BinaryOp {
	return func(s, affix ref.Val) ref.Val {
		return types.String(trim(string(s.(types.String)), string(affix.(types.String))))
	}
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

// guard adds functions of another environment, or the same, whose calls fail that would take
// too long or make too long a text: CEL counts the cost of a call only after it.
func guard(env, from *cel.Env, names ...string) (*cel.Env, error) {
	var options []cel.EnvOption
	for _, name := range names {
		f := from.Functions()[name]
		bindings, err := f.Bindings()
		if err != nil {
			return nil, err
		}
		for _, o := range f.OverloadDecls() {
			i := slices.IndexFunc(bindings, func(b *functions.Overload) bool {
				return b.Operator == o.ID() || b.Operator == name && f.HasSingletonBinding()
			})
			if i < 0 {
				return nil, fmt.Errorf("cel: %s has no implementation %s", name, o.ID())
			}
			call := bindings[i]
			declare := cel.Overload
			if o.IsMemberFunction() {
				declare = cel.MemberOverload
			}
			options = append(options, cel.Function(name, declare(o.ID(), o.ArgTypes(), o.ResultType(),
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
