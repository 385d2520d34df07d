package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"buildbridge/cmd/internal/doctor"
	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

type checkCommand struct {
	Rules  []string `env:"BUILDBRIDGE_RULES" placeholder:"PATH[=FENCE]" help:"Rules file or directory; can be repeated. Default: rules.yaml."`
	JSON   bool     `name:"json" help:"Print JSON."`
	Online bool     `help:"Also read the secrets, and ask each target about its credentials and jobs. Starts no build."`
	Strict bool     `help:"Take a warning for a fault: the exit code is 1."`
}

func (checkCommand) Help() string {
	return `Prints every fault of every file as file:line:column, and warnings about rules that are probably not meant so. Secrets are
read only with --online. A warning is not a failure, and the exit code is 0, unless --strict says so: for a pipeline, before a merge.

Examples:

    buildbridge check
    buildbridge check --rules rules.yaml --rules teams/ --strict
    CLOUD_SDK_AK=… CLOUD_SDK_SK=… buildbridge check --rules rules.yaml --online`
}

// report is what `check --json` prints.
type report struct {
	OK       bool            `json:"ok"`
	Faults   []mapping.Fault `json:"faults"`
	Warnings []mapping.Fault `json:"warnings"`
	Notes    []string        `json:"notes,omitempty"` // what is not wrong, and good to know
	*counts                  // nil if there are faults, which may hide some

	Online []doctor.Finding `json:"online,omitempty"`

	strict bool // a warning is a fault
}

// counts is how many rules, sources and targets there are, and what they mean.
type counts struct {
	Rules   int `json:"rules"`
	Sources int `json:"sources"`
	Targets int `json:"targets"`

	Digest string `json:"digest"` // the same as that of the rules in force, if they mean the same
}

// Run checks the rules.
func (c *checkCommand) Run(ctx context.Context, env *Environment) error {
	paths, err := rulesPaths(c.Rules)
	if err != nil {
		return err
	}
	rules, warnings, err := env.loadRules(paths)
	found, isFaults := errors.AsType[mapping.Faults](err)
	if err != nil && !isFaults {
		return err
	}
	r := report{
		OK: err == nil, Faults: append([]mapping.Fault{}, found...), Warnings: append([]mapping.Fault{}, warnings...), strict: c.Strict,
	}
	if r.OK {
		r.counts = &counts{Rules: rules.Len(), Sources: len(rules.Sources()), Targets: len(rules.Targets()), Digest: rules.Digest()}
		r.Notes = rules.Notes()
	}
	if !c.JSON {
		if len(found) > 0 {
			env.printf("%s\n", found.WithLines())
		}
		few, more := mapping.FewOfEach(warnings)
		for _, w := range few {
			env.printf("%s\n", warning(w))
		}
		for _, m := range more {
			env.printf("and %d more warnings like %s\n", m.More, warning(m.Fault))
		}
		for _, note := range schemaNotes(rulesfile.Read(paths), false) {
			env.printf("%s\n", note)
		}
		for _, note := range r.Notes {
			env.printf("note: %s\n", note)
		}
	}
	if c.Online && r.OK {
		r.online(ctx, rules, env, c.JSON)
	}
	r.OK = r.OK && (!c.Strict || r.warned() == 0)
	if c.JSON {
		if err := printJSON(env.Stdout, r); err != nil {
			return err
		}
	} else {
		env.printf("%s: %s\n", strings.Join(paths, ", "), r.summary())
	}
	if !r.OK {
		return errReported
	}
	return nil
}

// online asks the targets, and prints what they say unless JSON is printed later.
func (r *report) online(ctx context.Context, rules *mapping.Ruleset, env *Environment, asJSON bool) {
	counter := newCounter(env)
	d := &doctor.Doctor{Rules: rules, Count: counter.count, Tell: func(f doctor.Finding) {
		counter.clear()
		r.Online = append(r.Online, f)
		r.OK = r.OK && f.OK
		if asJSON {
			return
		}
		what := f.Group()
		if f.Subject() != "" {
			what += ": " + f.Subject()
		}
		env.printf("online: %s: %s: %s\n", what, f.Verdict(), f.Message)
		for _, w := range f.Warnings {
			env.printf("online: %s: warning: %s\n", what, w)
		}
	}}
	d.Online(ctx)
	counter.clear()
}

// warning is a fault in a line that calls it a warning, as compilers do.
func warning(f mapping.Fault) string {
	place := fmt.Sprintf("%s:%d:%d: ", f.File, f.Line, f.Column)
	return place + "warning: " + strings.TrimPrefix(f.Error(), place)
}

// warned counts the warnings, those of the checks online too.
func (r *report) warned() int {
	n := len(r.Warnings)
	for _, f := range r.Online {
		n += len(f.Warnings)
	}
	return n
}

func (r *report) summary() string {
	if len(r.Faults) > 0 {
		s := printable.Count(len(r.Faults), "fault")
		if slices.ContainsFunc(r.Faults, func(f mapping.Fault) bool { return f.Unread }) {
			s += "; further checks were skipped, because a file could not be read"
		}
		return s
	}
	failed, warnings := 0, r.warned()
	for _, f := range r.Online {
		if !f.OK {
			failed++
		}
	}
	s := fmt.Sprintf("%s, %s, %s: ",
		printable.Count(r.Rules, "rule"), printable.Count(r.Sources, "source"), printable.Count(r.Targets, "target"))
	switch {
	case failed > 0:
		s += fmt.Sprintf("%d of %s online failed", failed, printable.Count(len(r.Online), "check"))
	case r.strict && warnings > 0:
		return s + printable.Count(warnings, "warning") + ", and --strict takes none"
	default:
		s += "ok"
	}
	if warnings > 0 {
		s += ", " + printable.Count(warnings, "warning")
	}
	return s
}
