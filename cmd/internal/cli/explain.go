package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"

	"buildbridge/cmd/internal/explain"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

type explainCommand struct {
	Rules  []string `env:"BUILDBRIDGE_RULES" placeholder:"PATH[=FENCE]" help:"Rules file or directory; can be repeated. Default: rules.yaml."`
	Source string   `placeholder:"NAME" help:"Source of the rules that it comes from. Default: the only one, or the only one that fits."`

	Push    string   `group:"event" placeholder:"REPOSITORY" help:"Explain a push to this repository; the branch is the argument."`
	Tag     string   `group:"event" placeholder:"REPOSITORY" help:"Explain a tag of this repository; the tag is the argument."`
	Commit  string   `group:"event" placeholder:"SHA" help:"Whole id of the commit. Default: one is made up for a push, and a tag has none."`
	Files   []string `group:"event" placeholder:"PATH" help:"Changed files, all of them; can be repeated; empty for none. Default: not known."`
	Message string   `group:"event" placeholder:"TEXT" help:"Message of the commit."`
	Author  string   `group:"event" placeholder:"NAME" help:"Author of the commit."`
	Pusher  string   `group:"event" placeholder:"NAME" help:"Who pushed."`

	Header   []string `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Header of the saved delivery; can be repeated."`
	All      bool     `help:"Show all rules, those of other repositories too."`
	JSON     bool     `name:"json" help:"Print JSON."`
	ExitCode bool     `help:"Exit with 3 if there is nothing to build, and with 1 if a build is dead on arrival."`
	Body     string   `arg:"" optional:"" name:"body" help:"File with the body of a delivery, or -; or the branch of --push, or the tag."`
}

func (explainCommand) Help() string {
	return `Shows, for a push, a tag or the saved body of a delivery: its events, which of the rules that name the repository match and which
clause of the others does not, and the bodies of the calls that would be made. It needs no database, network, secret or signature.

The event of a body is guessed from it if no header names it. Without Content-Type, a body that begins with payload= is a form.

Exit codes with --exit-code: 0 something would be built, 1 a build would be dead on arrival, or the input failed, 3 there is nothing
to build. Without it, 0 for all of them but failures.

Examples:

    buildbridge explain --push acme/shop main
    buildbridge explain --push acme/shop main --files services/cart/cart.go,README.md --message "fix: round down"
    buildbridge explain --source github --tag acme/shop v1.4.0 --exit-code
    buildbridge explain --rules rules.yaml --source github push.json
    buildbridge explain --source github -H 'X-GitHub-Event: push' --json - < push.json

GitHub shows the bodies it sent under Settings, Webhooks, Recent Deliveries.`
}

// maxExplained is how large a body may be, in bytes: larger than any source allows.
const maxExplained = 100 << 20

// Run explains an event that the flags describe, or a body.
func (c *explainCommand) Run(env *Environment) error {
	paths, err := rulesPaths(c.Rules)
	if err != nil {
		return err
	}
	header, err := parseHeader(c.Header)
	if err != nil {
		return err
	}
	event, err := c.event()
	if err != nil {
		return err
	}
	rules, _, err := env.loadRules(paths)
	if err != nil {
		return inLines(env, err)
	}
	of := func(source *mapping.Source) (*explain.Explanation, error) {
		return explain.MadeEvent(rules, source, *event), nil
	}
	if event == nil {
		body, err := c.read(env.Stdin)
		if err != nil {
			return err
		}
		of = func(source *mapping.Source) (*explain.Explanation, error) {
			return explain.Delivery(rules, source, header, body)
		}
	}
	source, taken, err := c.source(rules, of)
	if err != nil {
		return err
	}
	explained, err := of(source)
	if err != nil {
		return fmt.Errorf("%s: %w%s", c.name(), err, hintEvent(err))
	}
	if c.All {
		explained.All(rules)
	}
	if c.JSON {
		err = printJSON(env.Stdout, explained)
	} else {
		_, err = io.WriteString(env.Stdout, taken+explained.Text())
	}
	switch {
	case err != nil || !c.ExitCode:
		return err
	case explained.Dead():
		return errReported
	case explained.Ignored != "":
		return errNothing
	}
	return nil
}

// source finds the source that is meant, and says in a line which was taken if none was named.
func (c *explainCommand) source(
	rules *mapping.Ruleset, of func(*mapping.Source) (*explain.Explanation, error),
) (source *mapping.Source, taken string, err error) {
	all := rules.Sources()
	if c.Source != "" || len(all) == 0 {
		source, ok := rules.Source(c.Source)
		if !ok {
			return nil, "", noSource(rules, c.Source)
		}
		return source, "", nil
	}
	if len(all) == 1 {
		return all[0], fmt.Sprintf("source %q, the only one\n", all[0].Name), nil
	}
	var fits, read []*mapping.Source // read can be of a source whose rules do not name the repository
	for _, s := range all {
		e, err := of(s)
		if err != nil || len(e.Events) == 0 {
			continue
		}
		read = append(read, s)
		if rules.NamesRepository(s.Name, e.Events[0].Repository) {
			fits = append(fits, s)
		}
	}
	switch {
	case len(fits) == 1:
		return fits[0], fmt.Sprintf("source %q, the only one that fits\n", fits[0].Name), nil
	case len(fits) > 1:
		return nil, "", usageError("--source is missing, and several fit: give one of " + strings.Join(namesOf(fits), ", "))
	case len(read) == 1 || len(read) == len(all) && c.Push+c.Tag != "": // then no rule builds it, whatever the source
		return read[0], fmt.Sprintf("source %q, and no rule of another one names the repository\n", read[0].Name), nil
	}
	return nil, "", usageError("--source is missing, and none fits: give one of " + strings.Join(namesOf(all), ", "))
}

// event makes the event that the flags describe, nil if there is a body.
func (c *explainCommand) event() (*mapping.Event, error) {
	repository, flag, prefix := c.Push, "--push", "refs/heads/"
	e := &mapping.Event{
		Kind: mapping.Push, Commit: strings.ToLower(c.Commit), Message: strings.TrimRight(c.Message, "\r\n"), Author: c.Author, Pusher: c.Pusher,
	}
	if c.Tag != "" {
		repository, flag, prefix = c.Tag, "--tag", "refs/tags/"
		e.Kind = mapping.Tag
	}
	switch described := c.Commit+c.Message+c.Author+c.Pusher != "" || c.Files != nil; {
	case c.Push != "" && c.Tag != "":
		return nil, usageError("give either --push or --tag")
	case repository == "" && described:
		return nil, usageError("--commit, --files, --message, --author and --pusher describe an event of --push or --tag")
	case repository == "" && c.Body == "":
		return nil, usageError("give --push REPOSITORY BRANCH, --tag REPOSITORY TAG, or a file with the body of a delivery")
	case repository == "":
		return nil, nil //nolint:nilnil // there is a body
	case c.Body == "":
		return nil, usageError(fmt.Sprintf("%s %s: the %s is missing behind it", flag, repository, map[mapping.Kind]string{
			mapping.Push: "branch", mapping.Tag: "tag",
		}[e.Kind]))
	case len(c.Header) > 0:
		return nil, usageError("-H is for the body of a delivery, and with " + flag + " there is none")
	case c.Files != nil && e.Kind == mapping.Tag:
		return nil, usageError("--files is for --push: a tag changes no files")
	case strings.Contains(repository, "://") || !strings.Contains(repository, "/"):
		return nil, usageError(fmt.Sprintf("%s: %q is not the name of a repository, such as acme/shop", flag, repository))
	case strings.HasPrefix(c.Body, "refs/"):
		return nil, usageError(fmt.Sprintf("%s: give the short name, not %q", flag, c.Body))
	case c.Commit != "" && !codehost.IsObjectID(c.Commit):
		return nil, usageError(fmt.Sprintf("--commit: %q is not the whole id of a commit, which has 40 or 64 hexadecimal digits", c.Commit))
	}
	e.SetRepository(repository)
	e.Ref = prefix + c.Body
	if err := mapping.CheckRef(e.Ref); err != nil {
		return nil, usageError(fmt.Sprintf("%s: %q %v", flag, c.Body, err))
	}
	if e.Kind == mapping.Tag {
		e.Tag = c.Body
		return e, nil
	}
	e.Branch = c.Body
	if e.FilesUnknown = "none were given"; c.Files != nil {
		e.FilesComplete, e.FilesUnknown = true, ""
		e.Files = slices.DeleteFunc(c.Files, func(file string) bool { return file == "" })
		slices.Sort(e.Files)
		e.Files = slices.Compact(e.Files)
	}
	return e, nil
}

// name is the name of the body, for errors.
func (c *explainCommand) name() string {
	if c.Body == "-" {
		return "standard input"
	}
	return c.Body
}

func (c *explainCommand) read(stdin io.Reader) ([]byte, error) {
	from := stdin
	if c.Body != "-" {
		f, err := os.Open(c.Body)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	body, err := io.ReadAll(io.LimitReader(from, maxExplained+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name(), err)
	}
	if len(body) > maxExplained {
		return nil, fmt.Errorf("%s: larger than %d MiB", c.name(), maxExplained>>20)
	}
	return body, nil
}

// headerName are the characters of header names: RFC 9110, section 5.6.2.
const headerName = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"

func parseHeader(lines []string) (http.Header, error) {
	header := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, usageError(fmt.Sprintf("-H %q is not 'Name: value'", line))
		}
		if strings.Trim(name, headerName) != "" {
			return nil, usageError(fmt.Sprintf("-H %q: no header can have the name %q", line, name))
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return header, nil
}

var missingHeader = regexp.MustCompile(`header (\S+) is missing$`)

// hintEvent says which header to give if the event could not be guessed.
func hintEvent(err error) string {
	m := missingHeader.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	return fmt.Sprintf(", and without it the body is not recognised as a push or a tag: give -H '%s: …'", m[1])
}

func namesOf(sources []*mapping.Source) []string {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.Name
	}
	return names
}

func noSource(rules *mapping.Ruleset, name string) error {
	names := namesOf(rules.Sources())
	if len(names) == 0 {
		return fmt.Errorf("no source %q: the rules have no sources", name)
	}
	if hint := mapping.Suggest(name, names); hint != "" {
		return fmt.Errorf("no source %q%s", name, hint)
	}
	return fmt.Errorf("no source %q: the rules have %s", name, strings.Join(names, ", "))
}

// inLines prints faults, one a line, so that editors can jump to them. It returns any other
// error.
func inLines(env *Environment, err error) error {
	faults, ok := errors.AsType[mapping.Faults](err)
	if !ok {
		return err
	}
	_, _ = fmt.Fprintln(env.Stderr, faults.Error())
	return errReported
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
