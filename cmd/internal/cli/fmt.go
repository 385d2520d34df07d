package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/mapping/rulestest"
)

type fmtCommand struct {
	Files []string `arg:"" optional:"" name:"file" help:"File of rules or tests, fence, directory, or -. Default: rules.yaml."`
	Check bool     `help:"Change nothing: list the files that are not in their form, and exit 1 if there is one."`
	Diff  bool     `help:"Change nothing: print what would change."`
}

func (fmtCommand) Help() string {
	return `Rewrites files of rules, of tests, and fences, in the one form that all have: fields in the order of the reference, and two spaces
for each level. Comments, blank lines, quotes, and the order of rules, names and parameters stay, and so do braces, brackets and
texts of several lines, and spaces inside of braces. The names of files that were changed are printed.

A file with a fault of its structure, such as an unknown field or text where a number is wanted, is not changed: the fault is printed.
Faults that "buildbridge check" finds in names, globs and expressions do not count here.

Examples:

    buildbridge fmt
    buildbridge fmt --check teams/
    buildbridge fmt --diff rules.yaml rules.test.yaml
    buildbridge fmt - <rules.yaml`
}

// Run formats the files.
func (c *fmtCommand) Run(env *Environment) error {
	if slices.Contains(c.Files, "-") {
		if len(c.Files) > 1 {
			return usageError("- is standard input, which is formatted alone")
		}
		data, err := io.ReadAll(io.LimitReader(env.Stdin, mapping.MaxFile+1))
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		return c.format(env, mapping.File{Name: "-", Data: data})
	}
	paths, err := rulesPaths(c.Files)
	if err != nil {
		return usageError("no file given, and there is no " + defaultRules + " here")
	}
	haveTests := map[string]bool{} // directories
	for _, path := range paths {
		if inside, err := rulesfile.Tests(path); err == nil {
			paths = append(paths, inside...)
			haveTests[path] = len(inside) > 0
		}
	}
	reported := false
	for _, f := range rulesfile.Read(paths) {
		if haveTests[f.Name] { // the fault of a directory without rules
			continue
		}
		err := c.format(env, f)
		reported = reported || err != nil
		if err != nil && !errors.Is(err, errReported) {
			env.complain("buildbridge fmt: " + err.Error())
		}
	}
	if reported {
		return errReported
	}
	return nil
}

// format formats one file. Its error has been reported, or is one of writing.
func (c *fmtCommand) format(env *Environment, file mapping.File) error {
	text, err := formatted(file)
	if err != nil {
		env.complain(err.Error())
		return errReported
	}
	changed := !bytes.Equal(text, file.Data)
	name := printable.Text(file.Name)
	if c.Diff {
		if _, err := env.Stdout.Write(diff.Diff(name, file.Data, name+" formatted", text)); err != nil {
			return err
		}
	}
	switch {
	case c.Check && changed:
		if !c.Diff {
			env.printf("%s\n", name)
		}
		return errReported
	case c.Check, c.Diff:
		return nil
	case file.Name == "-":
		_, err := env.Stdout.Write(text)
		return err
	case changed:
		if info, err := os.Stat(file.Name); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s: it is no regular file: give it as standard input, with -", name)
		}
		if err := replaceFile(file.Name, text); err != nil {
			return err
		}
		env.printf("%s\n", name)
	}
	return nil
}

func formatted(file mapping.File) ([]byte, error) {
	if file.Err == nil && rulesfile.IsTests(file.Name) {
		return rulestest.Format(file.Name, file.Data)
	}
	text, faults := mapping.Format(file)
	if faults != nil {
		return nil, faults
	}
	return text, nil
}
