package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/store"
)

type statusCommand struct {
	adminFlags `embed:""`
}

func (statusCommand) Help() string {
	return adminHelp + `

Shows on one screen what is paused, how the targets and the code hosts do, which replicas there are, and what does not work. The
counts are those of the database; what the last calls gave is what the process has seen that was asked.

The exit code is 0 whatever it shows: watch the metrics for alerts, and ask "buildbridge health" whether a bridge is well.

Example:

    buildbridge status`
}

// Run shows how everything is.
func (c *statusCommand) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var o admin.Overview
	if err := api.ask(ctx, http.MethodGet, "/status", nil, &o); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Stdout, o)
	}
	return env.overview(&o, time.Now())
}

func (e *Environment) overview(o *admin.Overview, now time.Time) error {
	t := newTable(e.Stdout)
	t.field("bridge", fmt.Sprintf("%s, since %s", cmp.Or(o.Version, "unreleased"), local(o.Started)))
	t.field("rules", strconv.Itoa(o.Rules))
	for _, r := range o.Replicas {
		name := r.Name
		if r.Leads {
			name += ", leads"
		}
		if r.Self && len(o.Replicas) > 1 {
			name += ", was asked"
		}
		t.field("replica", name)
	}
	if o.OnHold {
		t.field("on hold", "nothing is called, searched for, followed or said until: buildbridge resume --all")
	}
	for i := range o.Pauses {
		p := &o.Pauses[i]
		text := pausedWhat(p) + ": " + p.Reason
		if p.InRules {
			text += ", in the rules"
		} else {
			text += fmt.Sprintf(", by %s, since %s%s", p.Actor, local(p.Since), end(p))
		}
		t.field("paused", text)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := e.targets(o.Targets, now); err != nil {
		return err
	}
	if len(o.Sources) > 0 {
		e.printf("\n")
		t = newTable(e.Stdout, "SOURCE", "STATUSES WAIT", "MISSED PUSHES")
		for _, s := range o.Sources {
			t.row(s.Source, count(s.Statuses), count(s.Missed))
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	if len(o.Faults) == 0 {
		e.printf("\nEverything works.\n")
		return nil
	}
	e.printf("\n%s:\n", printable.Count(len(o.Faults), "thing")+" "+plural(len(o.Faults), "does", "do")+" not work")
	for _, f := range o.Faults {
		e.printf("  %s\n", printable.Text(f.Says))
	}
	return nil
}

func (e *Environment) targets(targets []store.TargetState, now time.Time) error {
	if len(targets) == 0 {
		return nil
	}
	e.printf("\n")
	t := newTable(e.Stdout, "TARGET", "WAIT", "OLDEST", "PAUSED", "MAX_RUNNING", "CALLING", "UNKNOWN", "RUN", "LAST GOOD CALL", "NOTE")
	for _, s := range targets {
		var notes []string
		if !s.InRules {
			notes = append(notes, "not in the rules")
		}
		if s.Asked.After(now) {
			notes = append(notes, "throttled until "+local(s.Asked))
		}
		if n := int(s.Persons); n > 0 {
			notes = append(notes, printable.Count(n, "build")+plural(n, " waits", " wait")+" for a person at the service")
		}
		t.row(s.Target, count(s.Waiting), took(s.Oldest, now), count(s.Paused), count(s.Held), count(s.Calling),
			count(s.Unknown), count(s.Running), local(s.Good), strings.Join(notes, "; "))
	}
	return t.flush()
}

func count(n int64) string { return strconv.FormatInt(n, 10) }
