package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"

	"buildbridge/cmd/internal/explain"
	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/mapping"
)

type explainCommand struct {
	Rules  []string `env:"BUILDBRIDGE_RULES" placeholder:"PATH" help:"Rules file or directory; can be repeated. Default: rules.yaml here."`
	Source string   `required:"" placeholder:"NAME" help:"Source of the rules that the body is for."`
	Header []string `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Header of the delivery; can be repeated."`
	All    bool     `help:"Show all rules, those of other repositories too."`
	JSON   bool     `name:"json" help:"Print JSON."`
	Body   string   `arg:"" name:"body" help:"File with the body of the delivery, or - for standard input."`
}

func (explainCommand) Help() string {
	return `Shows, for the saved body of a delivery: its events, which of the rules that name the repository match and which clause of the
others does not, and the RunJob bodies that would be sent. It needs no database, network, secret or signature.

The event is guessed from the body if no header names it. Without Content-Type, a body that begins with payload= is a form.

Examples:

    buildbridge explain --rules rules.yaml --source github push.json
    buildbridge explain --source github -H 'X-GitHub-Event: push' --json - < push.json
    buildbridge explain --source gitee form.txt

GitHub shows the bodies it sent under Settings, Webhooks, Recent Deliveries.`
}

// maxExplained is how large a body may be, in bytes: larger than any source allows.
const maxExplained = 100 << 20

// Run explains a body.
func (c *explainCommand) Run(env *Environment) error {
	paths, err := rulesPaths(c.Rules)
	if err != nil {
		return err
	}
	header, err := parseHeader(c.Header)
	if err != nil {
		return err
	}
	rules, _, err := rulesfile.Load(paths)
	if err != nil {
		return inLines(env, err)
	}
	source, ok := rules.Source(c.Source)
	if !ok {
		return noSource(rules, c.Source)
	}
	body, err := c.read(env.Stdin)
	if err != nil {
		return err
	}
	explained, err := explain.Delivery(rules, source, header, body)
	if err != nil {
		return fmt.Errorf("%s: %w%s", c.name(), err, hintEvent(err))
	}
	if c.All {
		explained.All(rules)
	}
	if c.JSON {
		return printJSON(env.Stdout, explained)
	}
	_, err = io.WriteString(env.Stdout, explained.Text())
	return err
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

func noSource(rules *mapping.Ruleset, name string) error {
	names := make([]string, len(rules.Sources()))
	for i, s := range rules.Sources() {
		names[i] = s.Name
	}
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
