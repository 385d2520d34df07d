package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"buildbridge"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

type schemaCommand struct {
	Tests  bool   `help:"Of files of tests, in place of rules files."`
	Output string `short:"o" placeholder:"FILE" help:"Write it into FILE in place of standard output."`
}

func (schemaCommand) Help() string {
	return `Prints the JSON schema of rules files, of this version of the program. An editor with a YAML language server completes and
checks a rules file whose first line names the schema. The name is a path from the folder of the rules file:

    # yaml-language-server: $schema=rules.schema.json

Files of tests, *.test.yaml, have a schema of their own.

Examples:

    buildbridge schema --output rules.schema.json
    buildbridge schema --tests --output rules.test.schema.json`
}

// Run prints the schema.
func (c *schemaCommand) Run(env *Environment) error {
	schema := buildbridge.Schema
	if c.Tests {
		schema = buildbridge.TestSchema
	}
	if c.Output != "" {
		return replaceFile(c.Output, schema)
	}
	_, err := env.Stdout.Write(schema)
	return err
}

// modeline is how a YAML file tells editors where its schema is: a comment of
// https://github.com/redhat-developer/yaml-language-server.
var modeline = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*yaml-language-server[ \t]*:.*?\$schema=(\S+)`)

// schemaNotes says which schema that a file of rules or of tests names is not there, or is
// another one, such as that of another version of the program: its editor would check nothing, or
// the wrong thing. The file is as good.
func schemaNotes(files []mapping.File, tests bool) (notes []string) {
	want, other, flag := buildbridge.Schema, buildbridge.TestSchema, ""
	confused := "is the schema of tests: name rules.schema.json there"
	if tests {
		want, other, flag = other, want, "--tests "
		confused = "is the schema of rules: name rules.test.schema.json there"
	}
	noted := map[string]bool{}
	for _, f := range files {
		m := modeline.FindSubmatchIndex(f.Data)
		if m == nil {
			continue
		}
		name := string(f.Data[m[2]:m[3]])
		if strings.Contains(name, "://") {
			continue
		}
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(f.Name), name)
		}
		schema, err := os.ReadFile(path) //nolint:gosec // an editor reads it too
		if noted[path] || err == nil && bytes.Equal(schema, want) {
			continue
		}
		noted[path] = true
		write := fmt.Sprintf(": write it with: buildbridge schema %s--output %s", flag, shellWord(path))
		what := "is not the schema of this version" + write
		switch {
		case err != nil:
			what = "is not there" + write
		case bytes.Equal(schema, other):
			what = confused
		}
		notes = append(notes, fmt.Sprintf("%s:%d:1: note: %s, which editors read, %s",
			f.Name, 1+bytes.Count(f.Data[:m[0]], []byte("\n")), printable.Text(name), what))
	}
	return notes
}
