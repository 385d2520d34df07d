package mapping

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"buildbridge/mapping/internal/yamldoc"
)

// constants are the texts that expressions see beside the event: what the files say under
// vars, and the values of one repository of a for_each. They never change. nil has none.
type constants struct{ vars, each map[string]string }

// The names of constants in expressions, and their types.
const (
	varsName, eachName         = "vars", "each"
	varsTypeName, eachTypeName = "Vars", "Each"
)

// constantsOf finds what an expression uses beside the event, and where it first uses the
// event, -1 if it does not. A variable of a macro may have the same name: the types tell.
func constantsOf(text string, checked *cel.Ast) (uses []use, event int, faults []textFault) {
	event = -1
	native := checked.NativeRep()
	for _, n := range ast.MatchDescendants(ast.NavigateAST(native), ast.KindMatcher(ast.IdentKind)) {
		offset := func() int { return byteOffset(text, native.SourceInfo().GetStartLocation(n.ID())) }
		switch of := native.GetType(n.ID()).TypeName(); of {
		case eventTypeName:
			if at := offset(); event < 0 || at < event {
				event = at
			}
		case varsTypeName, eachTypeName:
			parent, ok := n.Parent()
			if !ok || parent.Kind() != ast.SelectKind {
				faults = append(faults, textFault{offset(), fmt.Sprintf("write the name of one of them: %s.name", strings.ToLower(of))})
				continue
			}
			uses = append(uses, use{strings.ToLower(of), parent.AsSelect().FieldName(), offset()})
		}
	}
	slices.SortFunc(uses, func(a, b use) int { return cmp.Compare(a.offset, b.offset) })
	return uses, event, faults
}

// use is vars.name or each.name in an expression.
type use struct {
	of, name string
	offset   int // of the first byte, in the expression
}

// end is the offset behind the last byte.
func (u use) end(text string) int {
	dot := u.offset + strings.IndexByte(text[u.offset:], '.')
	return dot + strings.Index(text[dot:], u.name) + len(u.name)
}

// of gives the value of a use, false if it is not known because of a fault.
func (c *constants) of(u use) (string, bool) {
	if c == nil {
		return "", false
	}
	values := c.vars
	if u.of == eachName {
		values = c.each
	}
	v, ok := values[u.name]
	return v, ok
}

// fill writes the constants of an expression out, as literals.
func (c *constants) fill(e *expression) string {
	if len(e.uses) == 0 {
		return e.text
	}
	var b strings.Builder
	end := 0
	for _, u := range e.uses {
		v, _ := c.of(u)
		b.WriteString(e.text[end:u.offset])
		fmt.Fprintf(&b, "%q", v)
		end = u.end(e.text)
	}
	return b.String() + e.text[end:]
}

// fillTemplate writes the constants of a template out.
func (c *constants) fillTemplate(t template) string {
	out := make(template, len(t))
	for i, p := range t {
		if out[i] = p; p.expression == nil || len(p.expression.uses) == 0 {
			continue
		}
		u := p.expression.uses[0]
		if v, ok := c.of(u); ok && strings.TrimSpace(p.text) == p.text[u.offset:u.end(p.text)] {
			out[i] = part{literal: v}
		} else {
			out[i].text = c.fill(p.expression)
		}
	}
	return out.String()
}

// constant works out a text when the files are loaded: its ${…} can have constants alone. It
// is empty and bad afterwards if that is not possible.
func (s scope) constant(t *yamldoc.Text, form *yamldoc.Form, field string) {
	before := s.reported
	parts := s.template(*t, field)
	for _, p := range parts {
		if p.expression != nil && p.expression.event >= 0 {
			s.fault(s.file.Inside(*t, p.offset+p.expression.event), field,
				"there is no event yet: this text is worked out when the file is loaded, from vars and each alone")
		}
	}
	t.Value, t.Bad = "", true
	if s.reported > before {
		return
	}
	if s.costs.ended {
		s.reported++ // it was said of another
		return
	}
	value, err := parts.value(s.costs, nil, s.constants)
	switch {
	case errors.Is(err, errUnread): // a fault says why
	case errors.Is(err, errShared):
		s.fault(t.At, field, "the constants of this file take too long: together they cost more than %d units", s.costs.most)
	case err != nil:
		s.fault(t.At, field, "%v", err)
	default:
		wrong := form.Wrong(value)
		if t.Value, t.Bad = value, wrong != ""; t.Bad {
			s.fault(t.At, field, "%s", wrong)
		}
	}
}

// errUnread is why a constant has no value: it is written, and could not be read.
var errUnread = errors.New("not read")

// workOut works out the constants of a part of a document, which is a pointer to a struct
// that has some. What they are in is copied, for other rules may share it.
func (s scope) workOut(doc yamldoc.Document) { s.workOutStruct(reflect.ValueOf(doc).Elem(), "") }

func (s scope) workOutStruct(v reflect.Value, path string) {
	if !v.FieldByName("Constants").Bool() {
		return
	}
	for _, f := range s.schema.Fields(v.Type()) {
		s.workOutValue(v.Field(f.Index), f, strings.TrimPrefix(path+"."+f.Name, "."))
	}
}

func (s scope) workOutValue(v reflect.Value, f *yamldoc.Field, path string) {
	switch into := v.Addr().Interface().(type) {
	case *yamldoc.Text:
		if f.Constant && into.HasConstant() {
			s.constant(into, f.Form, path)
		}
	case *yamldoc.Texts:
		*into = slices.Clone(*into)
		for i := range *into {
			at := path
			if len(*into) > 1 {
				at = indexed(path, i)
			}
			s.workOutValue(reflect.ValueOf(&(*into)[i]).Elem(), f, at)
		}
	default:
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() && v.Elem().FieldByName("Constants").Bool() {
				mine := reflect.New(v.Type().Elem())
				mine.Elem().Set(v.Elem())
				v.Set(mine)
				s.workOutStruct(mine.Elem(), path)
			}
		case reflect.Slice:
			if v.IsNil() {
				return // that is not an empty one
			}
			mine := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(mine, v)
			v.Set(mine)
			for i := range mine.Len() {
				s.workOutStruct(mine.Index(i), indexed(path, i))
			}
		default: // no texts inside
		}
	}
}

// constantsProvider tells CEL the types of constants. Which variables there are is known
// before the first expression is compiled. Values of each differ from rule to rule: what an
// expression uses is checked for each of them.
type constantsProvider struct {
	types.Provider

	vars *variables
}

func (p constantsProvider) FindStructType(name string) (*types.Type, bool) {
	if name == varsTypeName || name == eachTypeName {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

func (p constantsProvider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name != varsTypeName && name != eachTypeName {
		return p.Provider.FindStructFieldType(name, field)
	}
	if name == varsTypeName && !p.vars.mayHave(field) {
		return nil, false
	}
	return &types.FieldType{
		Type:  types.StringType,
		IsSet: func(any) bool { return true },
		GetFrom: func(obj any) (any, error) {
			values, _ := obj.(map[string]string)
			if v, ok := values[field]; ok {
				return types.String(v), nil
			}
			return nil, errUnread
		},
	}, true
}

// constantsValue is vars or each as a CEL value.
type constantsValue struct {
	typeName string
	values   map[string]string
}

func (v constantsValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s is not a %v", v.typeName, t)
}

func (v constantsValue) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("%s is not a %s", v.typeName, t.TypeName())
}

func (constantsValue) Equal(ref.Val) ref.Val { return types.False }

func (v constantsValue) Type() ref.Type { return cel.ObjectType(v.typeName) }

func (v constantsValue) Value() any { return v.values }
