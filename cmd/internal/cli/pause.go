package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

// pausedThing names what is paused or goes on: exactly one of these.
type pausedThing struct {
	Rule       string `xor:"what" placeholder:"NAME" help:"The builds of the rule NAME."`
	Target     string `xor:"what" placeholder:"NAME" help:"The builds of the target NAME."`
	Repository string `xor:"what" placeholder:"NAME" help:"The builds of the repository NAME, such as acme/shop."`
	All        bool   `xor:"what" help:"All builds."`
}

func (p *pausedThing) kind() (kind store.PauseKind, name string) {
	switch {
	case p.Rule != "":
		return store.PauseRule, p.Rule
	case p.Target != "":
		return store.PauseTarget, p.Target
	case p.Repository != "":
		return store.PauseRepository, p.Repository
	}
	return store.PauseAll, ""
}

// Validate refuses a name that is empty, as from an unset variable of a script.
func (p *pausedThing) Validate() error {
	if _, name := p.kind(); name == "" && !p.All {
		return usageError("say what: --rule NAME, --target NAME, --repository NAME or --all")
	}
	return nil
}

type pauseCommand struct {
	adminFlags  `embed:""`
	pausedThing `embed:""`

	Reason string    `required:"" placeholder:"TEXT" help:"Why, for those who see that builds wait."`
	Until  time.Time `type:"end" help:"When it ends by itself: 2h from now, a time (RFC 3339) or a day. Without it, resume ends it."`
}

func (pauseCommand) Help() string {
	return adminHelp + `

Builds are accepted and wait, and their deadline stands still. Those that are started go on. "buildbridge resume" or --until ends
the pause: builds go on in the order in which they came, at the rate of their target. A second pause of the same thing changes
the reason and the end of the first.

Examples:

    buildbridge pause --target north --reason "CodeArts is in maintenance" --until 2h
    buildbridge pause --rule cart --reason "release freeze" --until 2026-12-27
    buildbridge pause --all --reason "moving to another machine"`
}

// Run pauses builds.
func (c *pauseCommand) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	kind, name := c.kind()
	var p admin.Pause
	asked := admin.Pause{Kind: kind, Name: name, Reason: c.Reason, Until: c.Until}
	if err := api.send(ctx, http.MethodPost, "/pauses", nil, asked, &p); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Stdout, p)
	}
	if p.Before != nil {
		env.printf("%s was paused already, by %s: %s\n", pausedWhat(&p), p.Before.Actor, printable.Text(p.Before.Reason+end(p.Before)))
	}
	env.printf("%s is paused%s: %s\n", pausedWhat(&p), end(&p), printable.Text(p.Reason))
	return nil
}

// pausedWhat names what is paused.
func pausedWhat(p *admin.Pause) string {
	return printable.Text((&store.Pause{Kind: p.Kind, Name: p.Name}).What())
}

// end says when a pause ends by itself; "" if it does not.
func end(p *admin.Pause) string {
	if p.Until.IsZero() {
		return ""
	}
	return ", until " + local(p.Until)
}

type resumeCommand struct {
	adminFlags  `embed:""`
	pausedThing `embed:""`
}

func (resumeCommand) Help() string {
	return adminHelp + `

Ends a pause, and the hold of a bridge that was started with --hold. A rule with paused: in its file goes on when that is taken
out there. Pauses of something else stay: "buildbridge status" has them.

Examples:

    buildbridge resume --target north
    buildbridge resume --all`
}

// Run ends a pause.
func (c *resumeCommand) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	kind, name := c.kind()
	query := url.Values{"kind": {string(kind)}}
	if name != "" {
		query.Set("name", name)
	}
	var p admin.Pause
	if err := api.ask(ctx, http.MethodDelete, "/pauses", query, &p); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Stdout, p)
	}
	env.printf("%s is resumed\n", pausedWhat(&p))
	var left admin.PauseList
	if err := api.ask(ctx, http.MethodGet, "/pauses", nil, &left); err != nil || len(left.Pauses) == 0 {
		return err
	}
	var names []string
	for i := range left.Pauses {
		names = append(names, pausedWhat(&left.Pauses[i]))
	}
	env.printf("still paused: %s\n", strings.Join(names, ", "))
	return nil
}
