package mapping

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

// Schema gives the JSON schema (draft 2020-12) of a rules document, as indented
// JSON, generated from the types that [Parse] decodes into and from their comments. It
// covers structure; expressions, globs, references, merging, and the bounds of durations
// and of sizes with a unit are checked by Parse alone.
func Schema() ([]byte, error) {
	comments, err := fieldComments()
	if err != nil {
		return nil, err
	}
	g := generator{yamldoc.NewSchema(forms), comments, map[string]*jsonschema.Schema{}}
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
	schema   *yamldoc.Schema
	comments map[string]string // by type.Field
	defs     map[string]*jsonschema.Schema
}

// fieldComments reads the comments of the fields of document.go.
func fieldComments() (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "document.go", nil, parser.ParseComments)
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
	refine(t, s)
	return s
}

// value gives the schema of one value.
func (g generator) value(t reflect.Type, f *yamldoc.Field) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[yamldoc.Text]():
		return textSchema(f)
	case reflect.TypeFor[yamldoc.Texts]():
		one := textSchema(f)
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one, {Type: "array", Items: one, MinItems: new(1)}}}
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
		if value, ok := valueOf(t); ok {
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
		panic("mapping: no schema for " + t.String())
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

// valueOf gives the type of the values of a [yamldoc.Map].
func valueOf(t reflect.Type) (reflect.Type, bool) {
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
		s.Enum = anySlice(f.Enum)
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
		s.Not = &jsonschema.Schema{Enum: anySlice(f.Refused())}
	}
	return s
}

func numberSchema(kind string, f *yamldoc.Field) *jsonschema.Schema {
	if f.Min != nil && f.Max != nil && *f.Min == *f.Max {
		return &jsonschema.Schema{Const: jsonschema.Ptr[any](*f.Min)}
	}
	return &jsonschema.Schema{Type: kind, Minimum: f.Min, Maximum: f.Max, ExclusiveMinimum: f.Above}
}

func anySlice(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

// refine adds what the tags cannot say: which fields exclude or need each other.
// The loader checks the same in source.go, target.go and when.go.
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
			{
				If:   onlyWith(func(p *Provider) bool { return p.URLForm != "" }),
				Then: &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{"api": required("url")}},
			},
			{
				If: &jsonschema.Schema{Required: []string{"report"}, Properties: only("report", true).Properties},
				Then: &jsonschema.Schema{
					Required:   []string{"api"},
					Properties: onlyWith(func(p *Provider) bool { return p.Statuses }).Properties,
				},
			},
			{If: required("catch_up"), Then: required("api")},
		}
	case reflect.TypeFor[ruleDocument]():
		s.DependentSchemas = map[string]*jsonschema.Schema{"for_each": {Not: required("repository")}}
	case reflect.TypeFor[forEachDocument]():
		s.Properties["repository"].MinProperties = new(1)
	case reflect.TypeFor[concurrencyDocument]():
		s.MinProperties = new(1)
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
