package schemagen

import (
	"bytes"
	"os"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// CheckFile checks that the schema in a file is the one that was generated. With update it
// writes the file first.
func CheckFile(t *testing.T, file string, generated []byte, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(file, generated, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file) //nolint:gosec // a file of the project
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(generated)); diff != "" {
		t.Errorf("%s is out of date; run this test with -update\n%s", file, diff)
	}
}

// Compile makes a generated schema ready to validate what [Decode] gives.
func Compile(t *testing.T, generated []byte) *jsonschema.Schema {
	t.Helper()
	const name = "schema.json"
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(generated))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// Decode gives what an editor validates: YAML as JSON.
func Decode(t *testing.T, text string) any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
