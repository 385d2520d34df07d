package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
	"buildbridge/mapping/rulestest"
)

type testCommand struct {
	Rules   []string `env:"BUILDBRIDGE_RULES" placeholder:"PATH[=FENCE]" help:"Rules file or directory; can be repeated. Default: rules.yaml."`
	Named   []string `name:"run" sep:"none" placeholder:"NAME" help:"Run only the tests of this name; * in it is any text; can be repeated."`
	JUnit   string   `name:"junit" placeholder:"FILE" help:"Also write the results to FILE, as JUnit XML."`
	Verbose bool     `short:"v" help:"Print a line for each test, also those that pass."`
	JSON    bool     `name:"json" help:"Print JSON."`
	Files   []string `arg:"" optional:"" name:"tests" help:"Files of tests, or directories with *.test.yaml. Default: those beside the rules."`
}

func (testCommand) Help() string {
	return `Runs tests of rules: each says which builds a push, a tag or a saved delivery has to give, and [] means none. It prints what
differs, and exits 1 if a test fails. It needs no database, network or secret.

    tests:
      - name: main builds the cart
        event: {source: github, repository: acme/shop, branch: main, files: [services/cart/cart.go]}
        builds: [{rule: cart, parameters: {codeBranch: main}}]

Examples:

    buildbridge test
    buildbridge test --rules rules/ --junit report.xml
    buildbridge test --rules rules.yaml rules.test.yaml --run 'main *' -v`
}

// testResult is what became of one test.
type testResult struct {
	Name        string   `json:"name"`
	Line        int      `json:"line"`
	Column      int      `json:"column"`
	OK          bool     `json:"ok"`
	Differences []string `json:"differences,omitempty"` // between the builds and those that are expected

	took time.Duration
}

// testedFile is what became of the tests of a file.
type testedFile struct {
	File  string       `json:"file"`
	Tests []testResult `json:"tests"`
}

// testReport is what `test --json` prints.
type testReport struct {
	OK     bool            `json:"ok"`
	Tests  int             `json:"tests"`
	Failed int             `json:"failed"`
	Faults []mapping.Fault `json:"faults"` // of rules or tests: nothing was tested then
	Files  []testedFile    `json:"files"`
}

// Run runs the tests.
func (c *testCommand) Run(ctx context.Context, env *Environment) error {
	paths, err := rulesPaths(c.Rules)
	if err != nil {
		return err
	}
	files, err := c.testFiles(paths)
	if err != nil {
		return err
	}
	report := testReport{Faults: []mapping.Fault{}, Files: []testedFile{}}
	tests := rulesfile.ReadTests(files)
	rules, suites, err := c.load(env, paths, tests)
	if faults, ok := errors.AsType[mapping.Faults](err); ok {
		report.Faults = faults
	} else if err != nil {
		return err
	}
	if len(report.Faults) == 0 {
		if err := report.run(ctx, c, env, rules, suites); err != nil {
			return err
		}
	}
	report.OK = len(report.Faults) == 0 && report.Failed == 0
	if c.JUnit != "" {
		text, err := report.junit()
		if err == nil {
			err = replaceFile(c.JUnit, text)
		}
		if err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	switch {
	case c.JSON:
		err = printJSON(env.Stdout, report)
	case len(report.Faults) > 0:
		return inLines(env, mapping.Faults(report.Faults))
	default:
		for _, note := range schemaNotes(tests, true) {
			env.printf("%s\n", note)
		}
		env.printf("%s: %s, %d failed\n", printable.Text(strings.Join(files, ", ")), printable.Count(report.Tests, "test"), report.Failed)
		err = nil
	}
	if err == nil && !report.OK {
		err = errReported
	}
	return err
}

// testFiles are the files of tests: those given, else those beside the rules.
func (c *testCommand) testFiles(rules []string) (files []string, err error) {
	dirs := c.Files
	if len(dirs) == 0 {
		if files, dirs, err = rulesfile.TestsBeside(rules); err != nil {
			return nil, err
		}
	}
	for _, path := range c.Files {
		inside := []string{filepath.Clean(path)}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if inside, err = rulesfile.Tests(path); err != nil {
				return nil, err
			}
		}
		for _, file := range inside {
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	if len(files) == 0 {
		return nil, usageError(fmt.Sprintf("there is no file of tests in %s: its name has to end in .test.yaml. --help shows one, "+
			`and "buildbridge init" writes rules with their tests`, strings.Join(dirs, ", ")))
	}
	return files, nil
}

// load reads rules and tests. The error is a mapping.Faults with those of all files.
func (c *testCommand) load(env *Environment, paths []string, files []mapping.File) (*mapping.Ruleset, []*rulestest.Suite, error) {
	var faults mapping.Faults
	add := func(err error) error {
		if found, ok := errors.AsType[mapping.Faults](err); ok {
			faults = append(faults, found...)
			return nil
		}
		return err
	}
	rules, _, err := env.loadRules(paths)
	if err := add(err); err != nil {
		return nil, nil, err
	}
	defer env.tellReading("tests")()
	var suites []*rulestest.Suite
	for _, file := range files {
		if file.Err != nil {
			faults = append(faults, mapping.Fault{File: file.Name, Line: 1, Column: 1, Message: file.Err.Error()})
			continue
		}
		suite, err := rulestest.Parse(file.Name, file.Data)
		if err := add(err); err != nil {
			return nil, nil, err
		}
		suites = append(suites, suite)
	}
	if len(faults) == 0 {
		for _, s := range suites {
			faults = append(faults, newRunner(rules).Check(s)...)
		}
	}
	if len(faults) > 0 {
		return nil, nil, faults
	}
	return rules, suites, c.choose(suites)
}

// readSome reads a file up to the byte after the most that it may have.
func readSome(name string, most int64) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

// withoutPath is an error without the path of the file, which is shown with it.
func withoutPath(err error) error {
	if at, ok := errors.AsType[*os.PathError](err); ok {
		return at.Err
	}
	return err
}

// choose leaves the tests that --run names.
func (c *testCommand) choose(suites []*rulestest.Suite) error {
	if len(c.Named) == 0 {
		return nil
	}
	var wanted []*regexp.Regexp
	for _, name := range c.Named {
		wanted = append(wanted, regexp.MustCompile("^"+strings.ReplaceAll(regexp.QuoteMeta(name), `\*`, ".*")+"$"))
	}
	var names []string
	left := 0
	for _, s := range suites {
		s.Cases = slices.DeleteFunc(s.Cases, func(t *rulestest.Case) bool {
			names = append(names, t.Name)
			return !slices.ContainsFunc(wanted, func(r *regexp.Regexp) bool { return r.MatchString(t.Name) })
		})
		left += len(s.Cases)
	}
	if left == 0 {
		return usageError(fmt.Sprintf("--run %q: no test has this name%s", c.Named[0], mapping.Suggest(c.Named[0], names)))
	}
	return nil
}

// run runs the tests, and prints those that fail.
func (r *testReport) run(ctx context.Context, c *testCommand, env *Environment, rules *mapping.Ruleset, suites []*rulestest.Suite) error {
	runner := newRunner(rules)
	counter, all, done := newCounter(env), 0, 0
	for _, s := range suites {
		all += len(s.Cases)
	}
	began := time.Now()
	for _, s := range suites {
		tested := testedFile{File: s.File, Tests: []testResult{}}
		for _, t := range s.Cases {
			if err := ctx.Err(); err != nil {
				return err
			}
			start := time.Now()
			if start.Sub(began) > time.Second {
				counter.count("tests", done, all)
			}
			result := testResult{Name: t.Name, Line: t.Line, Column: t.Column, Differences: runner.Run(t)}
			result.OK, result.took = len(result.Differences) == 0, time.Since(start)
			tested.Tests = append(tested.Tests, result)
			done++
			if !result.OK {
				r.Failed++
			}
			if !c.JSON && (c.Verbose || !result.OK) {
				counter.clear()
				env.printf("%s", result.text(s.File))
			}
		}
		r.Tests += len(tested.Tests)
		r.Files = append(r.Files, tested)
	}
	counter.clear()
	return nil
}

// text is a line, and what differs below it.
func (t *testResult) text(file string) string {
	became := "ok"
	if !t.OK {
		became = "FAILED"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s: %s\n", printable.Text(file), t.Line, t.Column, became, t.Name)
	for _, d := range t.Differences {
		for line := range strings.SplitSeq(d, "\n") {
			fmt.Fprintf(&b, "    %s\n", printable.Text(line))
		}
	}
	return b.String()
}

func newRunner(rules *mapping.Ruleset) *rulestest.Runner {
	return &rulestest.Runner{Rules: rules, Decode: decodeSaved}
}

// decodeSaved decodes a delivery that was saved in a file, as explain does.
func decodeSaved(source *mapping.Source, d rulestest.Delivery) (rulestest.Decoded, error) {
	path := d.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(d.Test), path)
	}
	body, err := readSome(path, maxExplained)
	if err != nil {
		return rulestest.Decoded{}, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	if len(body) > maxExplained {
		return rulestest.Decoded{}, fmt.Errorf("%s: larger than %d MiB", path, maxExplained>>20)
	}
	header := http.Header{}
	for name, value := range d.Headers {
		header.Set(name, value)
	}
	message, err := codehost.Saved(source.Provider, header, body)
	if err != nil {
		return rulestest.Decoded{}, fmt.Errorf("%s: %w", path, err)
	}
	decoded, err := message.Decode()
	if err != nil {
		return rulestest.Decoded{}, fmt.Errorf("%s: %w", path, err)
	}
	return rulestest.Decoded{Events: decoded.Events, Ignored: decoded.Ignored}, nil
}
