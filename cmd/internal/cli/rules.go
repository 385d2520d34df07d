package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

type rulesCommand struct {
	List rulesList `cmd:"" help:"List the rules in force, and what the last reload changed."`
}

type rulesList struct {
	adminFlags `embed:""`

	Repository *string `group:"filter" placeholder:"NAME" help:"Rules that name the repository NAME, such as acme/shop."`
	Name       *string `group:"filter" placeholder:"NAME" help:"The rule NAME."`
}

func (rulesList) Help() string {
	return adminHelp + `

The digest is another one when the rules, sources or targets mean something else. "buildbridge check --json" has that of files: if
it is the same, the files are in force. With several replicas, the one that answers tells its own.

Examples:

    buildbridge rules list
    buildbridge rules list --repository acme/shop
    buildbridge rules list --json | jq -r .digest`
}

// Run lists the rules.
func (c *rulesList) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	parameters(query).text("repository", c.Repository)
	parameters(query).text("name", c.Name)
	var got admin.Rules
	if err := api.ask(ctx, http.MethodGet, "/rules", query, &got); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Stdout, got)
	}
	t := newTable(env.Stdout, "RULE", "OWNER", "SOURCE", "REPOSITORY", "TARGET", "JOBS", "PLACE", "DESCRIPTION", "WHEN")
	t.width = terminalWidth(env.Stdout)
	t.fold = t.width > 0
	t.narrow = []string{"JOBS", "TARGET", "DESCRIPTION", "SOURCE", "PLACE", "OWNER", "REPOSITORY"}
	for i := range got.Rules {
		d := &got.Rules[i].Description
		t.row(d.Name, d.Owner, several(d.Sources), several(d.Repositories), several(targetsOf(d)), fmt.Sprint(len(d.Jobs)),
			fmt.Sprintf("%s:%d", d.File, d.Line), d.Description, whenOf(d))
	}
	if err := t.flush(); err != nil {
		return err
	}
	shown := printable.Count(got.Total, "rule")
	if len(got.Rules) < got.Total {
		shown = fmt.Sprintf("%d of %s", len(got.Rules), shown)
	}
	env.printf("%s, digest %s, loaded %s\n", shown, got.Digest, local(got.LoadedAt))
	env.printChange(&got)
	return nil
}

// printChange says what the last reload changed, and whether it failed.
func (e *Environment) printChange(r *admin.Rules) {
	switch {
	case r.Changed == nil:
	case r.DigestBefore == r.Digest:
		e.printf("the last reload changed nothing\n")
	default:
		e.printf("the last reload changed, from digest %s:\n", r.DigestBefore)
		for _, part := range []struct {
			of string
			mapping.NamesChange
		}{{"rules", r.Changed.Rules}, {"sources", r.Changed.Sources}, {"targets", r.Changed.Targets}} {
			for _, names := range []struct {
				what string
				list []string
			}{{"added", part.Added}, {"removed", part.Removed}, {"changed", part.Changed}} {
				if len(names.list) > 0 {
					e.printf("  %s %s: %s\n", part.of, names.what, firstNames(names.list))
				}
			}
		}
	}
	if f := r.Failed; f != nil {
		e.printf("a reload failed at %s with %s, and these rules stay in force; the first: %s\n",
			local(f.At), printable.Count(f.Faults, "fault"), printable.Text(f.First))
	}
}

// several is a list in a cell: its first element, and how many more there are.
func several(list []string) string {
	switch len(list) {
	case 0:
		return "any"
	case 1:
		return list[0]
	}
	return fmt.Sprintf("%s, and %d more", list[0], len(list)-1)
}

// firstNames are the first names of a long list, and how many more there are.
func firstNames(names []string) string {
	const most = 20
	text := printable.Text(strings.Join(names[:min(len(names), most)], ", "))
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

func targetsOf(d *mapping.Description) []string {
	var targets []string
	for _, j := range d.Jobs {
		if !slices.Contains(targets, j.Target) {
			targets = append(targets, j.Target)
		}
	}
	return targets
}

// whenOf says in a line what a rule asks of an event, and that it is paused.
func whenOf(d *mapping.Description) string {
	var parts []string
	if d.Paused != "" {
		parts = append(parts, "paused: "+d.Paused)
	}
	for _, kind := range slices.Sorted(maps.Keys(d.When)) {
		var part strings.Builder
		part.WriteString(string(kind))
		for _, field := range slices.Sorted(maps.Keys(d.When[kind])) {
			fmt.Fprintf(&part, " %s [%s]", field, strings.Join(d.When[kind][field], ", "))
		}
		parts = append(parts, part.String())
	}
	if d.If != "" {
		parts = append(parts, "if "+strings.Join(strings.Fields(d.If), " "))
	}
	return strings.Join(parts, "; ")
}
