// Package cli is the command line: a file for each command, and [Run], which parses the
// arguments and returns the exit code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"buildbridge/mapping/printable"
)

// The exit codes.
const (
	exitOK      = 0 // all is well, warnings included
	exitFailed  = 1 // the input, or the start, failed
	exitUsage   = 2 // the command line is wrong
	exitNothing = 3 // explain --exit-code: there is nothing to build
)

// Environment is what a command gets from the process.
type Environment struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	Version, Revision string // set when a release is built, else ""

	args    []string          // of the command line
	unknown []unknownVariable // variables that serve tells in its log
}

// printf writes to standard output. It ignores errors: there is nowhere to report them.
func (e *Environment) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(e.Stdout, format, args...)
}

// command is the command line with one more argument, quoted for a shell.
func (e *Environment) command(more string) string {
	words := []string{"buildbridge"}
	for _, arg := range append(slices.Clone(e.args), more) {
		words = append(words, shellWord(arg))
	}
	return printable.Text(strings.Join(words, " "))
}

// shellWord is a word as it is typed in a shell.
func shellWord(word string) string {
	if strings.Trim(word, plain) != "" || word == "" {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// plain are the characters that need no quotes in a shell.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:=,@%+"

// grammar is the whole command line.
type grammar struct {
	ShowVersion versionFlag `name:"version" help:"Print the version."`

	Demo      demoCommand      `cmd:"" group:"try" help:"Show what happens to a push and a tag: no account, no set-up, no network."`
	Simulator simulatorCommand `cmd:"" group:"try" help:"Run a simulator of CodeArts Build and Pipeline."`
	Check     checkCommand     `cmd:"" group:"rules" help:"Check rules files and print every fault with file, line and column."`
	Explain   explainCommand   `cmd:"" group:"rules" help:"Show what a push, a tag or a saved delivery would build, and why not."`
	Test      testCommand      `cmd:"" group:"rules" help:"Run tests of rules: which builds a push, a tag or a delivery gives."`
	Diff      diffCommand      `cmd:"" group:"rules" help:"Say which stored deliveries would build something else by other rules."`
	Schema    schemaCommand    `cmd:"" group:"rules" help:"Print the JSON schema of rules files, for editors."`
	Doctor    doctorCommand    `cmd:"" group:"rules" help:"Ask targets and code hosts whether all is as the rules need it."`
	Init      initCommand      `cmd:"" group:"rules" help:"Write rules to start from, with their tests, and say what to do next."`
	Fmt       fmtCommand       `cmd:"" group:"rules" help:"Rewrite rules files in one form: the order of fields, and indentation."`
	Serve     serveCommand     `cmd:"" group:"run" help:"Accept deliveries and start builds."`
	Version   versionCommand   `cmd:"" group:"run" help:"Print the version."`
	Help      helpCommand      `cmd:"" group:"run" help:"Show the help of a command."`

	Completion completionCommand `cmd:"" group:"run" help:"Print a script that completes commands in bash, zsh or fish."`

	Deliveries deliveriesCommand `cmd:"" group:"ask" help:"List, show and replay the deliveries of a running bridge."`
	Builds     buildsCommand     `cmd:"" group:"ask" help:"Start, list, show, watch, stop, cancel and replay the builds of a running bridge."`
	Pause      pauseCommand      `cmd:"" group:"ask" help:"Hold builds: they are accepted and wait."`
	Resume     resumeCommand     `cmd:"" group:"ask" help:"End a pause: builds go on in their order."`
	Status     statusCommand     `cmd:"" group:"ask" help:"Show targets, pauses, queue, replicas and what does not work, on one screen."`
	Health     healthCommand     `cmd:"" group:"ask" help:"Say whether a bridge is ready, for containers without a shell."`
	Backup     backupCommand     `cmd:"" group:"ask" help:"Copy the SQLite database of a running bridge."`
	Rules      rulesCommand      `cmd:"" group:"ask" help:"List the rules in force of a running bridge."`
	LogLevel   logLevelCommand   `cmd:"" group:"ask" help:"Show or change the log level of a running bridge."`
}

const description = `buildbridge turns pushes and tags on a code host into builds of CodeArts Build and runs of CodeArts Pipeline.

Begin with: buildbridge demo

Exit codes: 0 good, 1 the input or the start failed, 2 the command line is wrong, 3 nothing to build (explain --exit-code).`

// errReported means that the error has been printed.
var errReported = errors.New("reported")

// errNothing means that there is nothing to build, where the exit code has to say so.
var errNothing = errors.New("nothing to build")

// usageError is an error in the command line that the parser cannot find.
type usageError string

func (e usageError) Error() string { return string(e) }

// newParser makes the parser of the command line. It calls helped after it has printed help.
func newParser(ctx context.Context, g *grammar, env *Environment, helped func()) (*kong.Kong, error) {
	return kong.New(g, append(kinds(),
		kong.Name("buildbridge"),
		kong.Description(description),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(int) { helped() }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, NoAppDescFormat: true, WrapUpperBound: 110}),
		kong.ValueFormatter(helpOfValue),
		kong.ExplicitGroups([]kong.Group{
			{Key: "try", Title: "Try it:"},
			{Key: "rules", Title: "Work on rules:"},
			{Key: "run", Title: "Run it:"},
			{Key: "ask", Title: "Ask a running bridge:"},
			{Key: "listeners", Title: "Listeners:"},
			{Key: "admin", Title: "Admin API:"},
			{Key: "pages", Title: "Pages:"},
			{Key: "kept", Title: "What is kept:"},
			{Key: "event", Title: "An event without a body:"},
			{Key: "filter", Title: "Filters:"},
			{Key: "logs", Title: "Logs:"},
		}),
		kong.PostBuild(variables),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(env),
	)...)
}

// variables gives each flag of serve and simulator that names none its environment variable:
// BUILDBRIDGE_MAX_WAITING for --max-waiting, BUILDBRIDGE_SIMULATOR_LISTEN for --listen.
func variables(k *kong.Kong) error {
	prefixes := map[string]string{"serve": "BUILDBRIDGE_", "simulator": "BUILDBRIDGE_SIMULATOR_"}
	for _, command := range k.Model.Children {
		if prefix, ok := prefixes[command.Name]; ok {
			for _, flag := range command.Flags {
				if len(flag.Envs) > 0 {
					continue
				}
				flag.Envs = []string{prefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))}
				flag.Tag.Envs = flag.Envs
			}
		}
	}
	return nil
}

// helpOfValue is the help of a flag or argument, with its default and its variable.
func helpOfValue(value *kong.Value) string {
	shown := *value
	if shown.HasDefault {
		shown.Help += " Default: " + shown.Default + "."
	}
	return kong.DefaultHelpValueFormatter(&shown)
}

// Run runs the command line and returns the exit code. Some commands run until ctx ends;
// that is not a failure.
func Run(ctx context.Context, args []string, env Environment) int {
	var g grammar
	helped := false
	env.args = args
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	parser, err := newParser(ctx, &g, &env, func() { helped = true })
	if err != nil {
		_, _ = fmt.Fprintf(env.Stderr, "buildbridge: %v\n", err)
		return exitFailed
	}
	switch {
	case len(args) > 0 && args[0] == completing:
		for _, word := range complete(parser.Model, args[1:]) {
			env.printf("%s\n", word)
		}
		return exitOK
	case len(args) == 2 && args[0] == manual:
		if err := writeManual(parser.Model, args[1]); err != nil {
			_, _ = fmt.Fprintf(env.Stderr, "buildbridge: %v\n", err)
			return exitFailed
		}
		return exitOK
	}
	parsed, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err != nil {
		name := "buildbridge"
		wrong, ok := errors.AsType[*kong.ParseError](err)
		if ok && wrong.Context.Selected() != nil {
			command := wrong.Context.Selected()
			name = command.FullPath()
			err = withoutFlag(command, err)
		}
		if ok && isBare(args, wrong.Context) { // a person asks what there is; a script has left something out
			parser.Stdout = env.Stderr
			_ = wrong.Context.PrintUsage(false) // there is nowhere to report it
			return exitUsage
		}
		return usage(&env, name, err)
	}
	name := parsed.Selected().FullPath()
	for _, flag := range parsed.Flags() {
		if err := checkMinimum(flag); err != nil {
			return usage(&env, name, err)
		}
	}
	env.unknown = unknownVariables(parser, parsed.Selected(), os.Environ())
	if name != "buildbridge serve" {
		for _, u := range env.unknown {
			env.complain(name + ": " + u.String())
		}
	}
	err = checkProxies()
	if slices.Contains(offline, name) {
		err = nil
	}
	if err == nil {
		err = parsed.Run()
	}
	var wrong usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailed
	case errors.Is(err, errNothing):
		return exitNothing
	case errors.As(err, &wrong):
		return usage(&env, name, err)
	}
	_, _ = fmt.Fprintf(env.Stderr, "%s: %v\n", name, err)
	return exitFailed
}

// offline are the commands that call nobody else.
var offline = []string{ //nolint:gochecknoglobals // a table
	"buildbridge demo", "buildbridge simulator", "buildbridge explain", "buildbridge version", "buildbridge completion",
	"buildbridge check", "buildbridge test", "buildbridge health", "buildbridge schema", "buildbridge fmt", "buildbridge init",
}

// isBare reports whether the arguments are a command with commands of its own, or nothing.
func isBare(args []string, parsed *kong.Context) bool {
	node := parsed.Selected()
	if node == nil {
		return len(args) == 0
	}
	return args[len(args)-1] == node.Name && len(args) == strings.Count(node.FullPath(), " ") && len(node.Children) > 0
}

// helpCommand is for the list of commands: Run knows "help".
type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command, such as builds list."`
}

// withoutFlag adds to the error, if rules were given as an argument, how to give them.
func withoutFlag(command *kong.Command, err error) error {
	path, unexpected := strings.CutPrefix(err.Error(), "unexpected argument ")
	if !unexpected || !slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool { return f.Name == "rules" }) {
		return err
	}
	if len(command.Positional) > 0 {
		return fmt.Errorf("%w; rules are given by --rules", err)
	}
	return fmt.Errorf("%w: use --rules %s", err, path)
}

func usage(env *Environment, name string, err error) int {
	text := err.Error()
	if _, command, ok := strings.Cut(name, " "); ok { // some errors of the parser name it too
		text = strings.TrimPrefix(text, command+": ")
	}
	_, _ = fmt.Fprintf(env.Stderr, "%s: %s\nRun \"%s --help\" for the flags and examples.\n", name, text, name)
	return exitUsage
}

// rulesPaths returns the paths for commands with an optional --rules: the given ones without
// duplicates, else rules.yaml in the current folder.
func rulesPaths(given []string) ([]string, error) {
	var paths []string
	for _, path := range given {
		if strings.Contains(path, "=") || !slices.ContainsFunc(paths, func(p string) bool { return filepath.Clean(p) == filepath.Clean(path) }) {
			paths = append(paths, path) // one with a fence is no plain path
		}
	}
	if len(paths) > 0 {
		return paths, nil
	}
	if _, err := os.Stat(defaultRules); err != nil {
		return nil, usageError("no --rules given, and there is no " + defaultRules + " here")
	}
	return []string{defaultRules}, nil
}

const defaultRules = "rules.yaml"
