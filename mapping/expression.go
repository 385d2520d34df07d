package mapping

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
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
	lines   bool     // its value contains the whole message of the event
	uses    []use    // of constants
	event   int      // offset of the first use of the event; -1 for none
}

func (l *language) compile(text string) (_ *expression, faults []textFault) {
	if known := l.expressions[text]; known != nil {
		return known, nil
	}
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
			offset := byteOffset(text, e.Location)
			if strings.HasPrefix(e.Message, "Syntax error: ") || strings.HasPrefix(e.Message, "reserved identifier: ") {
				return nil, []textFault{notAnExpression(text, offset, e.Message)} // the others follow from it
			}
			faults = append(faults, l.explain(text, offset, e.Message))
		}
		return nil, faults
	}
	faults = badPatterns(text, checked, "matchesGlob", false, checkGlob)
	faults = append(faults, badPatterns(text, checked, overloads.Matches, true, checkRegexp)...)
	faults = append(faults, badPatterns(text, checked, regexExtractAll, true, checkSearch)...)
	faults = append(faults, badPatterns(text, checked, regexReplace, true, checkRegexp)...)
	faults = append(faults, deepComparisons(text, checked)...)
	uses, event, wrong := constantsOf(text, checked)
	faults = append(faults, wrong...)
	if faults != nil {
		return nil, faults
	}
	program, err := l.env.Program(checked, cel.EvalOptions(cel.OptOptimize),
		cel.OptimizeRegex(regexOptimizations()...))
	if err != nil {
		return nil, []textFault{{0, err.Error()}}
	}
	e := &expression{text: text, program: program, result: checked.OutputType(), fields: fieldsOf(checked), uses: uses, event: event}
	e.lines = passesMessage(checked.NativeRep().Expr())
	l.expressions[text] = e
	for _, u := range uses {
		if u.of == varsName {
			l.vars.used[u.name] = true
		}
	}
	return e, nil
}

// byteOffset turns a location, which counts characters, into an offset in bytes.
func byteOffset(text string, at common.Location) int {
	characters := []rune(text)
	offset, _ := common.NewTextSource(text).LocationOffset(at)
	return len(string(characters[:min(max(0, int(offset)), len(characters))]))
}

var (
	undefinedField = regexp.MustCompile(`^undefined field '([^']*)'`)
	ofVars         = regexp.MustCompile(`(^|[^A-Za-z0-9_.])vars\s*$`) // before the dot that CEL points at
	undeclared     = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
)

// explain rewrites a message of CEL for the author of a rule, and moves its offset to the
// name that it is about.
func (l *language) explain(text string, offset int, message string) textFault {
	message, _, _ = strings.Cut(message, "\n")
	if m := undefinedField.FindStringSubmatch(message); m != nil && ofVars.MatchString(text[:offset]) {
		return textFault{offset + 1, l.vars.unknownVariable(m[1])}
	} else if m != nil {
		of, names := "event", eventFieldNames()
		if !strings.HasSuffix(strings.TrimSpace(text[:offset]), of) {
			of, names = "a commit", commitFieldNames()
		}
		hint := Suggest(m[1], names)
		if hint == "" {
			hint = "; it has " + strings.Join(names, ", ")
		}
		if strings.HasPrefix(text[offset:], ".") {
			offset++ // CEL points at the dot before the name
		}
		return textFault{offset, fmt.Sprintf("%s has no field %q%s", of, m[1], hint)}
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		if strings.HasSuffix(text[:offset], m[1]) {
			offset -= len(m[1]) // CEL points at the parenthesis behind the name
		}
		return textFault{offset, fmt.Sprintf("unknown name %q%s", m[1], l.unknownName(m[1]))}
	}
	if why := mistyped(message); why != "" {
		message = why
	}
	return textFault{offset, message}
}

// mayBe says whether the result can be of one of the kinds. The kind of a dyn is known
// only when the expression is evaluated.
func (e *expression) mayBe(kinds ...types.Kind) bool {
	k := e.result.Kind()
	return k == types.DynKind || k == types.AnyKind || k == types.TypeParamKind || slices.Contains(kinds, k)
}

// format evaluates an expression to a text, for the value of a parameter.
func (m *meter) format(e *expression, ev *Event, with *constants) (string, error) {
	v, err := m.eval(e, ev, with)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case types.String:
		return string(v), nil
	case types.Int, types.Uint, types.Bool:
		return fmt.Sprint(v.Value()), nil
	default:
		return "", fmt.Errorf("the result is %s, not a string, an integer or a boolean", v.Type().TypeName())
	}
}
