// Package schemagen makes the JSON schema of a language from the structs that its documents are
// decoded into. Only tests import it.
package schemagen

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"buildbridge/mapping/internal/yamldoc"
	"buildbridge/mapping/notation"
)

// Language is what a schema is made of.
type Language struct {
	Title, Description string

	Document reflect.Type // the struct of a whole document, for yamldoc
	Forms    map[string]yamldoc.Form
	Source   string // path of the Go file with the structs, whose comments editors show

	// Refine adds what the tags of a struct cannot say, such as which fields exclude or need
	// each other.
	Refine func(reflect.Type, *jsonschema.Schema)
}

// Schema gives the JSON schema (draft 2020-12) of a language, as indented JSON.
func (l Language) Schema() ([]byte, error) {
	comments, err := Comments(l.Source)
	if err != nil {
		return nil, err
	}
	g := generator{l, yamldoc.NewSchema(l.Forms), comments, map[string]*jsonschema.Schema{}}
	root := g.object(l.Document)
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title, root.Description = l.Title, l.Description
	root.Defs = g.defs
	compact, err := json.Marshal(root)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

type generator struct {
	Language

	schema   *yamldoc.Schema
	comments map[string]string // by type.Field
	defs     map[string]*jsonschema.Schema
}

// Comments reads the comments of the fields of the structs in a Go file, by type.Field.
func Comments(path string) (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	comments := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			for _, name := range f.Names {
				comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return false
	})
	return comments, nil
}

// object gives the schema of a document struct.
func (g generator) object(t reflect.Type) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           map[string]*jsonschema.Schema{},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for _, f := range g.schema.Fields(t) {
		p := g.value(t.Field(f.Index).Type, f)
		p.Description = g.comments[t.Name()+"."+t.Field(f.Index).Name]
		if f.Default != "" {
			p.Default = json.RawMessage(f.Default)
		}
		s.Properties[f.Name] = p
		s.PropertyOrder = append(s.PropertyOrder, f.Name)
		if f.Required {
			s.Required = append(s.Required, f.Name)
		}
	}
	if ignored := g.schema.Ignored(t); ignored != "" {
		s.PatternProperties = map[string]*jsonschema.Schema{"^" + ignored: {}}
	}
	g.Refine(t, s)
	return s
}

// value gives the schema of one value.
func (g generator) value(t reflect.Type, f *yamldoc.Field) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[yamldoc.Text]():
		return textSchema(f)
	case reflect.TypeFor[yamldoc.Texts]():
		one := textSchema(f)
		list := &jsonschema.Schema{Type: "array", Items: one}
		if !f.Empty {
			list.MinItems = new(1)
		}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one, list}}
	case reflect.TypeFor[yamldoc.Boolean]():
		return &jsonschema.Schema{Type: "boolean"}
	case reflect.TypeFor[yamldoc.Integer]():
		return numberSchema("integer", f)
	case reflect.TypeFor[yamldoc.Number]():
		return numberSchema("number", f)
	case reflect.TypeFor[yamldoc.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: "^(?:" + notation.DurationPattern + ")$"}
	case reflect.TypeFor[yamldoc.Size]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "integer", Minimum: f.Min, Maximum: f.Max},
			{Type: "string", Pattern: yamldoc.SizePattern},
		}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		s := g.ref(t.Elem())
		if f.Null { // in the definition: validators show every branch of an anyOf
			def := g.defs[definitionName(t.Elem())]
			def.Type, def.Types = "", []string{"object", "null"}
		}
		return s
	case reflect.Struct:
		if value, ok := ValueOf(t); ok {
			return g.entries(value, f)
		}
		return g.ref(t)
	case reflect.Slice:
		s := &jsonschema.Schema{Type: "array", Items: g.value(t.Elem(), &yamldoc.Field{})}
		if f.Min != nil {
			s.MinItems = new(int(*f.Min))
		}
		return s
	default:
		panic("schemagen: no schema for " + t.String())
	}
}

// ref gives a reference to the definition of a document struct.
func (g generator) ref(t reflect.Type) *jsonschema.Schema {
	name := definitionName(t)
	if _, ok := g.defs[name]; !ok {
		g.defs[name] = nil // a type may contain itself
		def := g.object(t)
		if f := g.schema.Scalar(t); f != nil { // in place of the map
			def = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{g.value(t.Field(f.Index).Type, f), def}}
			def.AnyOf[0].Description = g.comments[t.Name()+"."+t.Field(f.Index).Name]
		}
		g.defs[name] = def
	}
	return &jsonschema.Schema{Ref: "#/$defs/" + name}
}

func definitionName(t reflect.Type) string {
	return t.Name()[:len(t.Name())-len("Document")]
}

// ValueOf gives the type of the values of a [yamldoc.Map].
func ValueOf(t reflect.Type) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	entries, ok := t.FieldByName("Entries")
	if !ok {
		return nil, false
	}
	value, _ := entries.Type.Elem().FieldByName("Value")
	return value.Type, true
}

func (g generator) entries(value reflect.Type, f *yamldoc.Field) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object", AdditionalProperties: g.value(value, &yamldoc.Field{Keys: f.Values})}
	if f.Null {
		s.AdditionalProperties.Type, s.AdditionalProperties.Types = "", []string{"string", "null"}
	}
	if f.Keys != nil {
		s.PropertyNames = formSchema(f.Keys)
	}
	return s
}

func textSchema(f *yamldoc.Field) *jsonschema.Schema {
	s := &jsonschema.Schema{}
	if f.Form != nil {
		s = formSchema(f.Form)
	}
	if f.Constant && (s.Pattern != "" || s.MaxLength != nil || s.Not != nil) { // it is checked when it is worked out
		s = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, {Pattern: `\$\{`}}}
	}
	s.Type = "string"
	if f.Enum != nil {
		s.Enum = Values(f.Enum)
	}
	return s
}

func formSchema(f *yamldoc.Form) *jsonschema.Schema {
	s := &jsonschema.Schema{}
	if f.Pattern != "" {
		s.Pattern = "^(?:" + f.Pattern + ")$"
	}
	if f.Min > 0 {
		s.MinLength = &f.Min
	}
	if f.Max > 0 {
		s.MaxLength = &f.Max
	}
	if f.Not != nil {
		s.Not = &jsonschema.Schema{Enum: Values(f.Refused())}
	}
	return s
}

func numberSchema(kind string, f *yamldoc.Field) *jsonschema.Schema {
	if f.Min != nil && f.Max != nil && *f.Min == *f.Max {
		return &jsonschema.Schema{Const: jsonschema.Ptr[any](*f.Min)}
	}
	return &jsonschema.Schema{Type: kind, Minimum: f.Min, Maximum: f.Max, ExclusiveMinimum: f.Above}
}

// Values gives words as values of an enum.
func Values(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

// Required is what has a field.
func Required(name string) *jsonschema.Schema { return &jsonschema.Schema{Required: []string{name}} }

// EachRequired is what has each of the fields, in turn.
func EachRequired(names ...string) []*jsonschema.Schema {
	var out []*jsonschema.Schema
	for _, n := range names {
		out = append(out, Required(n))
	}
	return out
}

// Only is what has one of the values in a property, if it has that.
func Only(property string, values ...any) *jsonschema.Schema {
	return &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{property: {Enum: values}}}
}
