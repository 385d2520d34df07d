package mapping

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema gives the JSON schema (draft 2020-12) of a rules document, as indented
// JSON, generated from the types that [Parse] decodes into. It covers structure;
// expressions, globs, references, merging, and the bounds of durations and of
// sizes with a unit are checked by Parse alone.
func Schema() ([]byte, error) {
	g := generator{shapes: shapes{}, defs: map[string]*jsonschema.Schema{}}
	root := g.object(reflect.TypeFor[document]())
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "buildbridge rules"
	root.Description = "Which deliveries are believed, where builds run, and what builds when."
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
	shapes shapes
	defs   map[string]*jsonschema.Schema
}

// object gives the schema of a document struct.
func (g generator) object(t reflect.Type) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           map[string]*jsonschema.Schema{},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for _, f := range g.shapes.of(t).fields {
		p := g.value(t.Field(f.index).Type, f)
		p.Description = f.doc
		if f.fallback != "" {
			p.Default = json.RawMessage(f.fallback)
		}
		s.Properties[f.name] = p
		s.PropertyOrder = append(s.PropertyOrder, f.name)
		if f.required {
			s.Required = append(s.Required, f.name)
		}
	}
	refine(t, s)
	return s
}

// value gives the schema of one value; f is nil for elements of lists and maps.
func (g generator) value(t reflect.Type, f *field) *jsonschema.Schema {
	if f == nil {
		f = &field{}
	}
	switch t {
	case reflect.TypeFor[text]():
		return textSchema(f)
	case reflect.TypeFor[texts]():
		one := textSchema(f)
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one, {Type: "array", Items: one, MinItems: new(1)}}}
	case reflect.TypeFor[boolean]():
		return &jsonschema.Schema{Type: "boolean"}
	case reflect.TypeFor[integer]():
		return numberSchema("integer", f)
	case reflect.TypeFor[number]():
		return numberSchema("number", f)
	case reflect.TypeFor[duration]():
		return &jsonschema.Schema{Type: "string", Pattern: wholeDuration.String()}
	case reflect.TypeFor[size]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "integer", Minimum: new(float64(1 << 10)), Maximum: new(float64(100 << 20))},
			{Type: "string", Pattern: wholeSize.String()},
		}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		s := g.ref(t.Elem())
		if f.null { // in the definition: validators show every branch of an anyOf
			def := g.defs[definitionName(t.Elem())]
			def.Type, def.Types = "", []string{"object", "null"}
		}
		return s
	case reflect.Struct:
		return g.ref(t)
	case reflect.Slice:
		if isEntry(t.Elem()) {
			return g.entries(t.Elem(), f)
		}
		s := &jsonschema.Schema{Type: "array", Items: g.value(t.Elem(), nil)}
		if f.min != nil {
			s.MinItems = new(int(*f.min))
		}
		return s
	default:
		panic("mapping: no schema for " + t.String())
	}
}

// ref gives a reference to the definition of a document struct.
func (g generator) ref(t reflect.Type) *jsonschema.Schema {
	name := definitionName(t)
	if _, ok := g.defs[name]; !ok {
		g.defs[name] = nil // a type may contain itself
		g.defs[name] = g.object(t)
	}
	return &jsonschema.Schema{Ref: "#/$defs/" + name}
}

func definitionName(t reflect.Type) string {
	return t.Name()[:len(t.Name())-len("Document")]
}

func (g generator) entries(entry reflect.Type, f *field) *jsonschema.Schema {
	value, _ := entry.FieldByName("Value")
	names := &jsonschema.Schema{Pattern: f.keys.String(), MaxLength: &f.keyMax}
	if f.not != nil {
		names.Not = &jsonschema.Schema{Enum: anySlice(f.not)}
	}
	return &jsonschema.Schema{Type: "object", PropertyNames: names, AdditionalProperties: g.value(value.Type, nil)}
}

func textSchema(f *field) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	if f.enum != nil {
		s.Enum = anySlice(f.enum)
	}
	if f.pattern != nil {
		s.Pattern = f.pattern.String()
	}
	if f.min != nil {
		s.MinLength = new(int(*f.min))
	}
	if f.max != nil {
		s.MaxLength = new(int(*f.max))
	}
	if f.not != nil {
		s.Not = &jsonschema.Schema{Enum: anySlice(f.not)}
	}
	return s
}

func numberSchema(kind string, f *field) *jsonschema.Schema {
	if f.min != nil && f.max != nil && *f.min == *f.max {
		return &jsonschema.Schema{Const: jsonschema.Ptr[any](*f.min)}
	}
	return &jsonschema.Schema{Type: kind, Minimum: f.min, Maximum: f.max, ExclusiveMinimum: f.above}
}

func anySlice(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

// refine adds what the tags cannot say: which fields exclude or need each other.
// The loader says the same in source, target, credentials and compile.
func refine(t reflect.Type, s *jsonschema.Schema) {
	switch t {
	case reflect.TypeFor[secretDocument]():
		s.OneOf = eachRequired("env", "file")
	case reflect.TypeFor[whenDocument]():
		s.AnyOf = eachRequired("push", "tag")
	case reflect.TypeFor[sourceDocument]():
		all := providers(testProviders)
		onlyWith := func(has func(*Provider) bool) *jsonschema.Schema {
			return only("provider", anySlice(all.names(has))...)
		}
		s.Properties["provider"].Enum = anySlice(all.names(anyProvider))
		s.AllOf = []*jsonschema.Schema{
			{
				If:   &jsonschema.Schema{Required: []string{"insecure"}, Properties: only("insecure", true).Properties},
				Then: &jsonschema.Schema{Not: &jsonschema.Schema{AnyOf: eachRequired("secrets", "signing_tokens", "basic")}},
				Else: &jsonschema.Schema{AnyOf: eachRequired("secrets", "signing_tokens", "basic")},
			},
			{If: required("signing_tokens"), Then: onlyWith(hasSigningTokens)},
			{If: required("basic"), Then: onlyWith(hasBasic)},
			{If: required("token_header"), Then: onlyWith(hasTokenHeader)},
			{
				If:   onlyWith(func(p *Provider) bool { return p.NeedsTokenHeader }),
				Then: &jsonschema.Schema{DependentRequired: map[string][]string{"secrets": {"token_header"}, "token_header": {"secrets"}}},
			},
		}
	case reflect.TypeFor[targetDocument]():
		s.OneOf = eachRequired("region", "endpoint")
		s.If = required("endpoint")
		s.Then = &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{"credentials": {
			DependentRequired: map[string][]string{"iam_user": {"iam_endpoint"}},
			Properties:        map[string]*jsonschema.Schema{"iam_user": required("project")},
		}}}
	case reflect.TypeFor[credentialsDocument]():
		s.OneOf = eachRequired("access_key", "iam_user", "token", "chain")
		s.DependentRequired = map[string][]string{
			"access_key":     {"secret_key"},
			"secret_key":     {"access_key"},
			"security_token": {"access_key"},
			"iam_endpoint":   {"iam_user"},
		}
		s.Properties["chain"].Enum = []any{true}
	}
}

func required(name string) *jsonschema.Schema { return &jsonschema.Schema{Required: []string{name}} }

func eachRequired(names ...string) []*jsonschema.Schema {
	var out []*jsonschema.Schema
	for _, n := range names {
		out = append(out, required(n))
	}
	return out
}

func only(property string, values ...any) *jsonschema.Schema {
	return &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{property: {Enum: values}}}
}
