package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"buildbridge"
	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/mapping/printable"
)

type schemaCommand struct {
	Output string `short:"o" placeholder:"FILE" help:"Write it into FILE in place of standard output."`
}

func (schemaCommand) Help() string {
	return `Prints the JSON schema of rules files, of this version of the program. An editor with a YAML language server completes and
checks a rules file whose first line names the schema. The name is a path from the folder of the rules file:

    # yaml-language-server: $schema=rules.schema.json

Examples:

    buildbridge schema --output rules.schema.json`
}

// Run prints the schema.
func (c *schemaCommand) Run(env *Environment) error {
	if c.Output != "" {
		return replaceFile(c.Output, buildbridge.Schema)
	}
	_, err := env.Stdout.Write(buildbridge.Schema)
	return err
}

// modeline is how a YAML file tells editors where its schema is: a comment of
// https://github.com/redhat-developer/yaml-language-server.
var modeline = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*yaml-language-server[ \t]*:.*?\$schema=(\S+)`)

// schemaNotes says which schema that a rules file names is not there, or is of another version
// of the program: its editor would check nothing, or the wrong thing. The rules are as good.
func schemaNotes(paths []string) (notes []string) {
	noted := map[string]bool{}
	for _, f := range rulesfile.Read(paths) {
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
		if noted[path] || err == nil && bytes.Equal(schema, buildbridge.Schema) {
			continue
		}
		noted[path] = true
		what := "is not the schema of this version"
		if err != nil {
			what = "is not there"
		}
		notes = append(notes, fmt.Sprintf("%s:%d:1: note: %s, which editors read, %s: write it with: buildbridge schema --output %s",
			f.Name, 1+bytes.Count(f.Data[:m[0]], []byte("\n")), printable.Text(name), what, shellWord(path)))
	}
	return notes
}
