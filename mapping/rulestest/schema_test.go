package rulestest

import (
	"flag"
	"reflect"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"buildbridge/mapping/internal/schemagen"
)

var update = flag.Bool("update", false, "write the schema")

const schemaFile = "../../rules.test.schema.json" // beside rules.test.yaml, whose first line names it

func schema() ([]byte, error) {
	return schemagen.Language{
		Title:       "buildbridge tests of rules",
		Description: "Pushes, tags and deliveries, and the builds that rules have to give for them.",
		Document:    reflect.TypeFor[document](), Forms: forms, Source: "document.go", Refine: refine,
	}.Schema()
}

// refine adds what the tags cannot say. The loader checks the same in suite.go.
func refine(t reflect.Type, s *jsonschema.Schema) {
	switch t {
	case reflect.TypeFor[caseDocument]():
		s.OneOf = schemagen.EachRequired("event", "delivery")
		s.AnyOf = schemagen.EachRequired("builds", "ignored")
		s.DependentSchemas = map[string]*jsonschema.Schema{
			"ignored": {Properties: map[string]*jsonschema.Schema{"builds": {MaxItems: new(0)}}},
		}
	case reflect.TypeFor[eventDocument]():
		s.OneOf = schemagen.EachRequired("branch", "tag")
		s.DependentSchemas = map[string]*jsonschema.Schema{
			"tag": {Not: &jsonschema.Schema{AnyOf: schemagen.EachRequired("files", "files_complete")}},
		}
		for _, ref := range []string{"branch", "tag"} {
			s.Properties[ref].Not = &jsonschema.Schema{Pattern: "^refs/"}
		}
		for _, id := range []string{"commit", "before"} {
			s.Properties[id].Pattern = "^([0-9a-f]{40}([0-9a-f]{24})?)?$"
		}
	}
}

// TestSchemaFile checks that the schema shipped is the one generated.
func TestSchemaFile(t *testing.T) {
	got, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	schemagen.CheckFile(t, schemaFile, got, *update)
}

// TestSchemaAgrees checks, for structural faults, that the schema and Parse both refuse them, and
// that both take what is sound.
func TestSchemaAgrees(t *testing.T) {
	test := func(fields string) string { return "tests: [{name: a, " + fields + "}]\n" }
	event := func(fields string) string { return test("event: {repository: acme/shop, " + fields + "}, builds: []") }
	build := func(fields string) string {
		return test("event: {repository: a/b, tag: v1}, builds: [{" + fields + "}]")
	}
	tests := map[string]struct {
		document string
		sound    bool
	}{
		"every field of an event": {event("source: github, branch: main, commit: f9d6c8466d614a9788e9a0acf6c15f46f9d6c846, before: '', created: true, " +
			"forced: false, message: m, author: a, pusher: p, url: u, files: [a], files_complete: true, default_branch: main, " +
			"commits: [{id: x, title: t, author: a}], origin: manual"), true},
		"a tag":                          {event("tag: v1, commit: ''"), true},
		"no files":                       {event("branch: main, files: []"), true},
		"every field of a build":         {build("rule: r, job: j, target: t, parameters: {a: b, c: }, commit: x, tag: '', context: '', dead: no value"), true},
		"every field of a run":           {build("rule: r, job: j, variables: {a: b, c: }, branch: main, pin_commit: true"), true},
		"a pin that is text":             {build("rule: r, pin_commit: 'yes'"), false},
		"a delivery":                     {test("delivery: {source: a, file: push.json, headers: {X-GitHub-Event: push}}, ignored: no_match, why: {cart: branches}"), true},
		"ignored, and builds of nothing": {test("event: {repository: a/b, tag: v1}, ignored: no_rule, builds: []"), true},
		"a repository with a space":      {test("event: {repository: Web Store/shop, tag: v1}, builds: []"), true},
		"a project in folders":           {test("event: {repository: group/sub group/app, tag: v1}, builds: []"), true},
		"a space around an owner":        {test("event: {repository: ' acme/shop', tag: v1}, builds: []"), false},
		"a space around a name":          {test("event: {repository: acme/ shop, tag: v1}, builds: []"), false},
		"a repository with a tab":        {test(`event: {repository: "a\tb/shop", tag: v1}, builds: []`), false},
		"no tests":                       {"tests: []\n", false},
		"rules":                          {"version: 1\nrules: []\n", false},
		"no name":                        {"tests: [{event: {repository: a/b, tag: v1}, builds: []}]\n", false},
		"an unknown field":               {test("event: {repository: a/b, tag: v1}, build: []"), false},
		"neither event nor delivery":     {test("builds: []"), false},
		"an event and a delivery":        {test("event: {repository: a/b, tag: v1}, delivery: {file: x}, builds: []"), false},
		"neither builds nor ignored":     {test("event: {repository: a/b, tag: v1}"), false},
		"builds and ignored":             {test("event: {repository: a/b, tag: v1}, ignored: no_rule, builds: [{rule: a}]"), false},
		"an unknown reason":              {test("event: {repository: a/b, tag: v1}, ignored: nothing"), false},
		"a build without a rule":         {build("job: j"), false},
		"a build that is text":           {test("event: {repository: a/b, tag: v1}, builds: [cart]"), false},
		"a parameter that is a number":   {build("rule: r, parameters: {a: 1}"), false},
		"neither branch nor tag":         {event("created: true"), false},
		"a branch and a tag":             {event("branch: main, tag: v1"), false},
		"a whole ref":                    {event("branch: refs/heads/main"), false},
		"a short commit":                 {event("branch: main, commit: abc"), false},
		"files of a tag":                 {event("tag: v1, files: [a]"), false},
		"files_complete of a tag":        {event("tag: v1, files_complete: true"), false},
		"an unknown origin":              {event("tag: v1, origin: mail"), false},
		"an owner alone":                 {test("event: {repository: shop, tag: v1}, builds: []"), false},
	}
	text, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	compiled := schemagen.Compile(t, text)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := compiled.Validate(schemagen.Decode(t, test.document)); (err == nil) != test.sound {
				t.Errorf("the schema says %v, want sound %v", err, test.sound)
			}
			if _, err := Parse("a.test.yaml", []byte(test.document)); (err == nil) != test.sound {
				t.Errorf("Parse says %v, want sound %v", err, test.sound)
			}
		})
	}
}
