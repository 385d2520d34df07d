package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"buildbridge/cmd/internal/doctor"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

type doctorCommand struct {
	Rules  []string `env:"BUILDBRIDGE_RULES" placeholder:"PATH[=FENCE]" help:"Rules file or directory; can be repeated. Default: rules.yaml."`
	Source []string `placeholder:"NAME" help:"Look at this source; can be repeated. Without --source and --target, at all."`
	Target []string `placeholder:"NAME" help:"Look at this target; can be repeated."`
	URL    string   `name:"url" placeholder:"URL" help:"Address of the bridge for code hosts: webhooks have to send to URL/webhooks/SOURCE."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

func (doctorCommand) Help() string {
	return `Reads the secrets, and asks each target about its credentials, its clock, its jobs and its pipelines: whether they are disabled,
and declare the parameters and variables that rules send. Of each source with api it asks the code host about the token, the
repositories that rules name exactly, and their webhooks: address, events, the last deliveries and what the host was answered. It
only reads, and starts no build. Each line is ok or says what to do. A warning, and what cannot be seen, is not a failure: the exit
code is 0. Run it where the bridge runs.

Examples:

    buildbridge doctor --rules rules.yaml --url https://bridge.example.com
    buildbridge doctor --source github --json`
}

func (c *doctorCommand) Validate() error {
	if c.URL == "" {
		return nil
	}
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return errors.New("--url takes an address such as https://bridge.example.com")
	}
	return nil
}

// Run looks at what the rules name.
func (c *doctorCommand) Run(ctx context.Context, env *Environment) error {
	rules, err := c.load(env)
	if err != nil {
		return err
	}
	out := findings{env: env, json: c.JSON, counter: newCounter(env)}
	d := &doctor.Doctor{Rules: rules, Sources: c.Source, Targets: c.Target, URL: c.URL, Tell: out.tell, Count: out.count}
	d.Run(ctx)
	out.clear()
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(env.Stdout, struct {
			OK       bool             `json:"ok"`
			Findings []doctor.Finding `json:"findings"`
		}{out.failed == 0, append([]doctor.Finding{}, out.list...)})
	} else {
		env.printf("%s\n", out.summary())
	}
	if err == nil && out.failed > 0 {
		err = errReported
	}
	return err
}

// load reads the rules, and checks that they have what the command line names.
func (c *doctorCommand) load(env *Environment) (*mapping.Ruleset, error) {
	paths, err := rulesPaths(c.Rules)
	if err != nil {
		return nil, err
	}
	rules, _, err := env.loadRules(paths)
	if faults, ok := errors.AsType[mapping.Faults](err); ok {
		_, _ = fmt.Fprintln(env.Stderr, faults.Error())
		return nil, fmt.Errorf("%s: %s; nothing was asked", strings.Join(paths, ", "), printable.Count(len(faults), "fault"))
	}
	if err != nil {
		return nil, err
	}
	for _, name := range c.Source {
		if _, ok := rules.Source(name); !ok {
			return nil, usageError(fmt.Sprintf("--source: the rules have no source %q", name))
		}
	}
	for _, name := range c.Target {
		if !slices.ContainsFunc(rules.Targets(), func(t *mapping.Target) bool { return t.Name == name }) {
			return nil, usageError(fmt.Sprintf("--target: the rules have no target %q", name))
		}
	}
	return rules, nil
}

// findings prints findings as they come, in groups, and counts them.
type findings struct {
	counter

	env  *Environment
	json bool // they are printed later
	list []doctor.Finding

	group                                   string
	good, warnings, failed, skipped, unseen int
}

func (p *findings) tell(f doctor.Finding) {
	p.clear()
	p.list = append(p.list, f)
	p.warnings += len(f.Warnings)
	switch {
	case !f.OK:
		p.failed++
	case f.Skipped:
		p.skipped++
	case f.Unseen:
		p.unseen++
	default:
		p.good++
	}
	if group := f.Group(); p.group != group {
		p.group = group
		p.print("%s\n", group)
	}
	subject := ""
	if f.Subject() != "" {
		subject = f.Subject() + ": "
	}
	p.print("  %-10s %s%s\n", f.Verdict(), subject, f.Message)
	for _, w := range f.Warnings {
		p.print("  %-10s %s%s\n", "warning", subject, w)
	}
}

func (p *findings) print(format string, args ...any) {
	if !p.json {
		p.env.printf("%s\n", printable.Text(strings.TrimSuffix(fmt.Sprintf(format, args...), "\n")))
	}
}

func (p *findings) summary() string {
	parts := []string{fmt.Sprintf("%d ok", p.good)}
	for _, part := range []struct {
		n    int
		what string
	}{{p.failed, "failed"}, {p.skipped, "not asked"}, {p.unseen, "not seen"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if p.warnings > 0 {
		parts = append(parts, printable.Count(p.warnings, "warning"))
	}
	return strings.Join(parts, ", ")
}

// counter shows on standard error how far something is: in place on a terminal, else as lines.
type counter struct {
	env      *Environment
	terminal bool
	shown    bool
	last     time.Time // something was printed
}

func newCounter(env *Environment) counter {
	return counter{env: env, terminal: isTerminal(env.Stderr), last: time.Now()}
}

// count shows a count, in a pipe unless something was printed within the second.
func (c *counter) count(what string, done, of int) {
	c.show(fmt.Sprintf("%s: %d of %d", what, done, of))
}

// show is count with a text.
func (c *counter) show(text string) {
	switch {
	case c.terminal:
		_, _ = fmt.Fprintf(c.env.Stderr, "\r\033[K%s", text)
		c.shown = true
	case time.Since(c.last) > 900*time.Millisecond:
		_, _ = fmt.Fprintln(c.env.Stderr, text)
		c.last = time.Now()
	}
}

// clear takes the count away, for a line that is printed in its place.
func (c *counter) clear() {
	c.last = time.Now()
	if c.shown {
		_, _ = fmt.Fprint(c.env.Stderr, "\r\033[K")
		c.shown = false
	}
}
