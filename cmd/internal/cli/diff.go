package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

type diffCommand struct {
	Rules      []string `env:"BUILDBRIDGE_RULES" placeholder:"PATH[=FENCE]" help:"The rules as they are; repeatable. Default: rules.yaml."`
	RulesNew   []string `required:"" placeholder:"PATH[=FENCE]" help:"The rules as they would be, given as --rules; repeatable."`
	Deliveries string   `placeholder:"FILE|-" help:"What \"buildbridge deliveries export\" wrote, - for standard input; also with gzip."`
	Partial    bool     `help:"With --deliveries: take a file whose last line is missing, such as the output of grep."`
	Examples   int      `default:"10" placeholder:"N" help:"Show at most N builds that differ."`

	adminFlags     `embed:""`
	deliveryFilter `embed:""`
}

func (diffCommand) Help() string {
	return `Says which stored deliveries would build something else by other rules: first how many, then by rule and by repository, then
examples. The deliveries are those of a file, or without --deliveries those of the running bridge at --admin. Nothing is built.

Compared are rule, job or pipeline, target with its region, endpoints and credentials, parameters or variables by name, build_type,
scm, sources, stages, pin_commit, marker, concurrency, once, the context of the status, whether the rule is paused, and whether the
build is dead. Other settings of a target, and those of a source, are not compared: targets and sources that mean something else are
named. Nor is what else was running or built: a build that once or concurrency would leave out counts as one.

The exit code is 0 if all builds would be the same, 1 if some would not, if no delivery could be decided or something
failed, and 2 if the command line is wrong.

` + adminHelp + `

Examples:

    buildbridge diff --rules rules.yaml --rules-new new.yaml --since 7d
    git show main:rules.yaml >old.yaml && buildbridge diff --rules old.yaml --rules-new rules.yaml --deliveries week.jsonl
    buildbridge deliveries export --since 7d | buildbridge diff --rules-new new/ --deliveries -`
}

// Run compares two sets of rules.
func (c *diffCommand) Run(ctx context.Context, env *Environment) error {
	filter := c.values()
	switch {
	case c.Deliveries != "" && len(filter) > 0:
		return usageError("filters are for deliveries of a running bridge: leave out --deliveries, or filter the export")
	case c.Deliveries == "" && c.Partial:
		return usageError("--partial is for --deliveries")
	case c.Examples < 0:
		return usageError("--examples must be 0 or more")
	}
	paths, err := rulesPaths(c.Rules)
	if err != nil {
		return err
	}
	before, _, wrong := env.loadRules(paths)
	after, _, err := env.loadRules(c.RulesNew)
	if wrong != nil || err != nil {
		return inBoth(env, wrong, err)
	}
	comparison, unknown := mapping.NewComparison(before, after, c.Examples), reasons{}
	var done atomic.Int64
	stop := env.tellProgress(func() string { return printable.Count(int(done.Load()), "delivery") + " compared" })
	defer stop()
	reader := &recordedReader{do: func(_ []byte, d *mapping.Recorded) error {
		if d != nil {
			comparison.Add(d)
			unknown.add(d.Error)
			done.Add(1)
		}
		return ctx.Err()
	}}
	if c.Deliveries != "" {
		err = c.read(env, reader)
	} else if api, wrong := c.client(); wrong != nil {
		err = wrong
	} else {
		err = api.export(ctx, filter, reader)
	}
	stop()
	if err != nil {
		return err
	}
	unknown.tell(env)
	if comparison.Deliveries == 0 {
		env.complain("buildbridge diff: note: nothing was compared: " + c.nothing(reader.name, len(filter) > 0))
	}
	if err := c.print(env, comparison, after.Since(before)); err != nil {
		return err
	}
	if comparison.Undecided() {
		return errors.New("nothing was compared: of no delivery the events are known")
	}
	if comparison.Differs() {
		return errReported
	}
	return nil
}

// nothing says why there is no delivery to compare.
func (c *diffCommand) nothing(input string, filtered bool) string {
	switch {
	case c.Deliveries != "":
		return input + " has no deliveries"
	case filtered:
		return "no delivery that the bridge keeps matches the filters"
	}
	return "the bridge keeps no deliveries"
}

// inBoth prints the faults of both sets.
func inBoth(env *Environment, errs ...error) error {
	var failed error
	for _, err := range errs {
		if err != nil {
			failed = errors.Join(failed, inLines(env, err))
		}
	}
	return failed
}

// read reads the export of a file or of standard input.
func (c *diffCommand) read(env *Environment, reader *recordedReader) error {
	from := env.Stdin
	reader.name = "standard input"
	if c.Deliveries != "-" {
		f, err := os.Open(c.Deliveries)
		if err != nil {
			return err
		}
		defer f.Close()
		from, reader.name = f, c.Deliveries
	}
	buffered := bufio.NewReaderSize(from, 1<<16)
	from = buffered
	if first, _ := buffered.Peek(2); bytes.Equal(first, []byte{0x1f, 0x8b}) { // RFC 1952
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return fmt.Errorf("%s: %w", reader.name, err)
		}
		from = unzipped
	}
	if err := reader.read(from); err != nil {
		return err
	}
	if cut := reader.cut(); cut != "" && !c.Partial {
		return fmt.Errorf("%s: %s: export it again, or take it as it is with --partial", reader.name, cut)
	}
	return nil
}

// difference is what `diff --json` prints.
type difference struct {
	mapping.ComparisonCounts

	Rules        []mapping.ComparedName  `json:"rules"`        // whose builds differ, those with most first
	Repositories []mapping.ComparedName  `json:"repositories"` // the same
	Sources      []mapping.MissingSource `json:"missing_sources"`
	Examples     []differenceExample     `json:"examples"`
	Changed      mapping.Change          `json:"changed"` // between the sets of rules
}

// differenceExample is a build that differs.
type differenceExample struct {
	Delivery   string    `json:"delivery"`
	ReceivedAt time.Time `json:"received_at"`
	Repository string    `json:"repository"`
	Ref        string    `json:"ref"`
	Commit     string    `json:"commit"`

	Becomes string               `json:"becomes"`          // come, go or change
	Before  *buildInShort        `json:"before,omitempty"` // what goes or changes
	After   *buildInShort        `json:"after,omitempty"`  // what comes or changes
	Differs []mapping.Difference `json:"differs,omitempty"`
	Why     string               `json:"why,omitempty"` // the other rules do not make what comes or goes
}

// buildInShort is a build, without what is of its event.
type buildInShort struct {
	Rule       string              `json:"rule"`
	Target     string              `json:"target"`
	Action     mapping.Action      `json:"action,omitzero"`
	JobID      string              `json:"job_id"`               // of the job, or of the pipeline
	ProjectID  string              `json:"project_id,omitempty"` // of a pipeline
	Parameters []mapping.Parameter `json:"parameters,omitempty"`
	Dead       string              `json:"dead,omitempty"`
}

func inShort(b *mapping.Build) *buildInShort {
	if b == nil {
		return nil
	}
	return &buildInShort{b.Rule, b.Target, b.Action, b.JobID, b.ProjectID, b.Parameters, b.Dead}
}

func newDifferenceExample(e *mapping.ComparisonExample) differenceExample {
	becomes := "change"
	switch {
	case e.Change.Before == nil:
		becomes = "come"
	case e.Change.After == nil:
		becomes = "go"
	}
	return differenceExample{
		Delivery: e.Delivery, ReceivedAt: e.ReceivedAt, Repository: e.Repository, Ref: e.Ref, Commit: e.Commit,
		Becomes: becomes, Before: inShort(e.Change.Before), After: inShort(e.Change.After), Differs: e.Change.Differs,
		Why: e.Why,
	}
}

// maxDifferRows is how many rules, and how many repositories, are shown as text.
const maxDifferRows = 20

func (c *diffCommand) print(env *Environment, found *mapping.Comparison, changed mapping.Change) error {
	d := difference{
		ComparisonCounts: found.ComparisonCounts, Rules: found.Rules(), Repositories: found.Repositories(), Sources: found.MissingSources(),
		Examples: []differenceExample{}, Changed: changed,
	}
	for _, e := range found.Examples() {
		d.Examples = append(d.Examples, newDifferenceExample(&e))
	}
	if c.JSON {
		return printJSON(env.Stdout, d)
	}
	env.printf("%s: %d would build something else\n", printable.Count(int(d.Deliveries), "delivery"), d.DifferDeliveries)
	env.printf("%s: %d would build something else\n", printable.Count(int(d.Events), "event"), d.DifferEvents)
	env.printf("builds: %d the same, %d come, %d go, %d change\n", d.SameBuilds, d.Come, d.Go, d.Change)
	if d.UnknownDeliveries > 0 {
		env.printf("%s not compared: the events are not known\n", printable.Was(int(d.UnknownDeliveries), "delivery"))
	}
	if d.Duplicates > 0 {
		env.printf("%s left out: what repeats another delivery builds nothing\n", printable.Was(int(d.Duplicates), "duplicate"))
	}
	for _, s := range d.Sources {
		env.printf("%s\n", missingSource(s))
	}
	if names := firstNames(changed.Targets.Changed); names != "" {
		env.printf("targets that mean something else, of which region, endpoint and credentials are compared: %s\n", names)
	}
	if names := firstNames(changed.Sources.Changed); names != "" {
		env.printf("sources that mean something else, which is not compared: %s\n", names)
	}
	if !found.Differs() {
		return nil
	}
	for _, part := range []struct {
		of   string
		list []mapping.ComparedName
	}{{"RULE", d.Rules}, {"REPOSITORY", d.Repositories}} {
		if err := printCompared(env, part.of, part.list); err != nil {
			return err
		}
	}
	if len(d.Examples) > 0 {
		env.printf("\nexamples:\n")
	}
	shown := ""
	for i := range d.Examples {
		e := &d.Examples[i]
		if place := fmt.Sprint(e.Delivery, e.Repository, e.Ref); place != shown {
			env.printf("  delivery %s, %s: %s, %s\n", e.Delivery, local(e.ReceivedAt), printable.Text(e.Repository), printable.Text(shortRef(e.Ref)))
			shown = place
		}
		e.print(env)
	}
	return nil
}

// missingSource says what becomes of the deliveries of a source that one of the sets does not have.
func missingSource(s mapping.MissingSource) string {
	name := fmt.Sprintf("source %q is", s.Name)
	if s.Name == "" {
		name = "further sources are"
	}
	deliveries := printable.Count(int(s.Deliveries), "delivery")
	switch {
	case s.Before:
		return fmt.Sprintf("%s not in the new rules: %s of it would be refused (404), and build nothing", name, deliveries)
	case s.After:
		return fmt.Sprintf("%s in the new rules only: %s of it build nothing by the old ones", name, deliveries)
	}
	return fmt.Sprintf("%s in neither of the rules: %s of it build nothing", name, deliveries)
}

// printCompared prints a table of rules or repositories.
func printCompared(env *Environment, of string, list []mapping.ComparedName) error {
	env.printf("\n")
	t := newTable(env.Stdout, of, "COME", "GO", "CHANGE")
	for _, n := range list[:min(len(list), maxDifferRows)] {
		name := n.Name
		if name == "" {
			name = "(others)"
		}
		t.row(name, fmt.Sprint(n.Come), fmt.Sprint(n.Go), fmt.Sprint(n.Change))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if more := len(list) - maxDifferRows; more > 0 {
		env.printf("and %d more: --json has all\n", more)
	}
	return nil
}

// print prints the build of an example.
func (e *differenceExample) print(env *Environment) {
	build := e.After
	if build == nil {
		build = e.Before
	}
	text := fmt.Sprintf("rule %q, %s %s at %s: %ss", build.Rule, build.Action, build.JobID, build.Target, e.Becomes)
	if e.Becomes == "go" {
		text = strings.TrimSuffix(text, "s") + "es"
	}
	if e.Becomes != "change" && build.Dead != "" {
		text += ", dead: " + build.Dead
	}
	env.printf("    %s\n", printable.Text(text))
	if e.Why != "" {
		env.printf("      by the %s rules: %s\n", map[string]string{"come": "old", "go": "new"}[e.Becomes], printable.Text(e.Why))
	}
	for _, d := range e.Differs {
		env.printf("      %s: %s -> %s\n", d.Field, differing(d.Before), differing(d.After))
	}
}

// differing is a value that differs.
func differing(value *string) string {
	if value == nil {
		return "none"
	}
	return fmt.Sprintf("%q", printable.Clip(*value, 200))
}
