package mapping

import (
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"

	"buildbridge/mapping/internal/schemagen"
)

// Schema gives the JSON schema of a rules document, generated from the types that [Parse]
// decodes into and from their comments. It covers structure; expressions, globs, references,
// merging, and the bounds of durations and of sizes with a unit are checked by Parse alone.
func Schema() ([]byte, error) {
	return schemagen.Language{
		Title:       "buildbridge rules",
		Description: "Which deliveries are believed, where builds run, and what builds when.",
		Document:    reflect.TypeFor[document](), Forms: forms, Source: "document.go", Refine: refine,
	}.Schema()
}

// refine adds what the tags cannot say: which fields exclude or need each other.
// The loader checks the same in source.go, target.go and when.go.
func refine(t reflect.Type, s *jsonschema.Schema) {
	switch t {
	case reflect.TypeFor[secretDocument]():
		s.OneOf = schemagen.EachRequired("env", "file")
	case reflect.TypeFor[whenDocument]():
		s.AnyOf = schemagen.EachRequired("push", "tag")
	case reflect.TypeFor[sourceDocument]():
		all := providers(testProviders)
		onlyWith := func(has func(*Provider) bool) *jsonschema.Schema {
			return schemagen.Only("provider", schemagen.Values(all.names(has))...)
		}
		s.Properties["provider"].Enum = schemagen.Values(all.names(anyProvider))
		s.AllOf = []*jsonschema.Schema{
			{
				If:   &jsonschema.Schema{Required: []string{"insecure"}, Properties: schemagen.Only("insecure", true).Properties},
				Then: &jsonschema.Schema{Not: &jsonschema.Schema{AnyOf: schemagen.EachRequired("secrets", "signing_tokens", "basic")}},
				Else: &jsonschema.Schema{AnyOf: append(schemagen.EachRequired("secrets", "signing_tokens", "basic"),
					&jsonschema.Schema{Required: []string{"allow_from"}, Properties: onlyWith(func(p *Provider) bool { return p.PathSecret }).Properties})},
			},
			{If: schemagen.Required("signing_tokens"), Then: onlyWith(hasSigningTokens)},
			{If: schemagen.Required("basic"), Then: onlyWith(hasBasic)},
			{If: schemagen.Required("token_header"), Then: onlyWith(hasTokenHeader)},
			{
				If:   onlyWith(func(p *Provider) bool { return p.NeedsTokenHeader }),
				Then: &jsonschema.Schema{DependentRequired: map[string][]string{"secrets": {"token_header"}, "token_header": {"secrets"}}},
			},
			{
				If:   onlyWith(func(p *Provider) bool { return p.URLForm != "" }),
				Then: &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{"api": schemagen.Required("url")}},
			},
			{
				If: &jsonschema.Schema{Required: []string{"report"}, Properties: schemagen.Only("report", true).Properties},
				Then: &jsonschema.Schema{
					Required:   []string{"api"},
					Properties: onlyWith(func(p *Provider) bool { return p.Statuses }).Properties,
				},
			},
			{If: schemagen.Required("catch_up"), Then: schemagen.Required("api")},
		}
	case reflect.TypeFor[ruleDocument]():
		s.DependentSchemas = map[string]*jsonschema.Schema{"for_each": {Not: schemagen.Required("repository")}}
	case reflect.TypeFor[forEachDocument]():
		s.Properties["repository"].MinProperties = new(1)
	case reflect.TypeFor[concurrencyDocument](), reflect.TypeFor[scmDocument]():
		s.MinProperties = new(1)
	case reflect.TypeFor[jobDocument]():
		s.OneOf = schemagen.EachRequired("job_id", "pipeline_id")
		s.DependentRequired = map[string][]string{"pipeline_id": {"project_id"}}
		for of, fields := range map[string][]string{
			"job_id":      {"parameters", "build_type", "scm"},
			"pipeline_id": {"project_id", "variables", "choose_stages", "sources", "pin_commit"},
		} {
			for _, field := range fields {
				s.DependentRequired[field] = []string{of}
			}
		}
	case reflect.TypeFor[codeSourceDocument]():
		s.Not = &jsonschema.Schema{Required: []string{"branch", "tag"}}
	case reflect.TypeFor[targetDocument]():
		s.OneOf = schemagen.EachRequired("region", "endpoint")
		s.If = schemagen.Required("endpoint")
		s.Then = &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{"credentials": {
			DependentRequired: map[string][]string{"iam_user": {"iam_endpoint"}},
			Properties:        map[string]*jsonschema.Schema{"iam_user": schemagen.Required("project")},
		}}}
	case reflect.TypeFor[credentialsDocument]():
		s.OneOf = schemagen.EachRequired("access_key", "iam_user", "token", "chain")
		s.DependentRequired = map[string][]string{
			"access_key":     {"secret_key"},
			"secret_key":     {"access_key"},
			"security_token": {"access_key"},
			"iam_endpoint":   {"iam_user"},
		}
		s.Properties["chain"].Enum = []any{true}
	}
}
