package mapping

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"buildbridge/mapping/internal/schemagen"
	"buildbridge/mapping/internal/yamldoc"
)

// TestReference checks that docs/rules.md speaks of every field, provider,
// event field, function, refused parameter name and limit.
func TestReference(t *testing.T) {
	data, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	reference := string(data)
	var words []string
	schema := yamldoc.NewSchema(forms)
	comments, err := schemagen.Comments("document.go")
	if err != nil {
		t.Fatal(err)
	}
	var visit func(reflect.Type)
	visit = func(rt reflect.Type) {
		for rt.Kind() == reflect.Slice || rt.Kind() == reflect.Pointer {
			rt = rt.Elem()
		}
		if value, ok := schemagen.ValueOf(rt); ok {
			rt = value
		}
		if rt.Kind() != reflect.Struct || !strings.HasSuffix(rt.Name(), "ocument") {
			return
		}
		if scalar := schema.Scalar(rt); scalar != nil {
			words = append(words, scalar.Enum...)
		}
		for _, f := range schema.Fields(rt) {
			if comments[rt.Name()+"."+rt.Field(f.Index).Name] == "" {
				t.Errorf("%s.%s has no comment", rt.Name(), f.Name)
			}
			words = append(words, f.Name)
			words = append(words, f.Enum...)
			for _, form := range []*yamldoc.Form{f.Form, f.Keys} {
				if form != nil {
					words = append(words, form.Refused()...)
				}
			}
			visit(rt.Field(f.Index).Type)
		}
	}
	visit(reflect.TypeFor[document]())
	words = append(words, eventFieldNames()...)
	words = append(words, providers(testProviders).names(anyProvider)...)
	slices.Sort(words)
	for _, w := range slices.Compact(words) {
		if !strings.Contains(reference, "`"+w) && !strings.Contains(reference, "`{"+w+":") && !strings.Contains(reference, "."+w+"`") {
			t.Errorf("docs/rules.md does not explain %q", w)
		}
	}
}

// TestExamples checks that the examples of the reference in docs/rules.md load: those
// that are a whole part of a document. TestPages of cmd/buildbridge follows the guide
// before it.
func TestExamples(t *testing.T) {
	data, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, reference, found := strings.Cut(string(data), "\n# Reference\n")
	if !found {
		t.Fatal("no reference")
	}
	doc := "version: 1\n"
	for _, part := range []string{"sources:", "targets:", "rules:"} {
		_, block, found := strings.Cut(reference, "```yaml\n"+part)
		block, _, closed := strings.Cut(block, "```")
		if !found || !closed {
			t.Fatalf("no example of %s", part)
		}
		doc += part + block
	}
	rs, warnings, err := Parse(testProviders, File{Name: "rules.md", Data: []byte(doc)})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v %v\n%s", err, warnings, doc)
	}
	event := func(ev *Event, message string) *Event { ev.Message = message; return ev }
	for name, test := range map[string]struct {
		event *Event
		want  int // builds
	}{
		"a push":                         {event(pushEvent(nil), "Count twice"), 1},
		"a push that says so":            {event(pushEvent(nil), "Count twice [skip ci]"), 0},
		"a squash merge of one":          {event(pushEvent(nil), "Carts (#7)\n\n* Count twice [skip ci]\n* Count"), 1},
		"a release of a commit that did": {event(tagEvent("v2.0.0"), "Release 2.0.0 [skip ci]"), 1},
	} {
		if builds := rs.Decide(test.event); len(builds) != test.want {
			t.Errorf("%s: %d builds of the example, want %d: %+v", name, len(builds), test.want, rs.Explain(test.event))
		}
	}
}
