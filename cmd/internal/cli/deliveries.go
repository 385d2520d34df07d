package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

type deliveriesCommand struct {
	List    deliveriesList    `cmd:"" help:"List deliveries, the newest first."`
	Show    deliveriesShow    `cmd:"" help:"Show a delivery: what it built, or why nothing."`
	Explain deliveriesExplain `cmd:"" help:"Show what the current rules make of a delivery, beside what was decided."`
	Export  deliveriesExport  `cmd:"" help:"Write what rules can read of deliveries, for buildbridge diff."`
	Replay  deliveriesReplay  `cmd:"" help:"Decide deliveries again, by the current rules: some by id, or all that match."`
}

// deliveryFilter selects deliveries.
type deliveryFilter struct {
	Source     *string   `group:"filter" placeholder:"NAME" help:"Of the source NAME."`
	Origin     *string   `group:"filter" placeholder:"ORIGIN" help:"webhook, manual (started by hand) or catch_up (no delivery of it came)."`
	Outcome    *string   `group:"filter" placeholder:"OUTCOME" help:"accepted, ignored, duplicate or rejected."`
	Reason     *string   `group:"filter" placeholder:"REASON" help:"Ignored because of ping, event, deleted, no_rule, no_match or missed."`
	Repository *string   `group:"filter" placeholder:"NAME" help:"Of the repository NAME, such as acme/shop."`
	Ref        *string   `group:"filter" placeholder:"REF" help:"Of this branch or tag; refs/heads/main is the branch only."`
	Tag        *string   `group:"filter" placeholder:"TAG" help:"Of the tag TAG."`
	Commit     *string   `group:"filter" placeholder:"ID" help:"Of the commit ID, or of those that begin so: 7 digits at least."`
	Since      time.Time `group:"filter" help:"Received since then: how long ago (90m, 7d), a time (RFC 3339) or a day."`
	Until      time.Time `group:"filter" help:"Received before then."`
}

func (f *deliveryFilter) values() url.Values {
	filter := url.Values{}
	p := parameters(filter)
	p.text("source", f.Source)
	p.text("origin", f.Origin)
	p.text("outcome", f.Outcome)
	p.text("reason", f.Reason)
	p.text("repository", f.Repository)
	p.text("ref", f.Ref)
	p.text("tag", f.Tag)
	p.text("commit", f.Commit)
	p.moment("since", f.Since)
	p.moment("until", f.Until)
	return filter
}

type deliveriesList struct {
	adminFlags     `embed:""`
	listFlags      `embed:""`
	deliveryFilter `embed:""`
}

func (deliveriesList) Help() string {
	return adminHelp + `

Examples:

    buildbridge deliveries list
    buildbridge deliveries list --repository acme/shop --ref main --outcome ignored --since 2h
    buildbridge deliveries list --since 7d --all --json`
}

// Run lists deliveries.
func (c *deliveriesList) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	filter := c.values()
	all := admin.DeliveryPage{Deliveries: []admin.Delivery{}}
	t := newTable(env.Stdout, "RECEIVED", "ID", "SOURCE", "REPOSITORY", "REF", "COMMIT", "PUSHER", "OUTCOME", "TITLE", "REASON")
	t.width, t.fold, t.fates, t.titles = terminalWidth(env.Stdout), true, 7, 8
	t.narrow = []string{"PUSHER", "SOURCE", "TITLE", "COMMIT", "REPOSITORY", "REF"}
	more, err := c.pages(func(page url.Values) (int, string, error) {
		var got admin.DeliveryPage
		if err := api.ask(ctx, http.MethodGet, "/deliveries", merge(filter, page), &got); err != nil {
			return 0, "", err
		}
		all.Next = got.Next
		if c.JSON {
			all.Deliveries = append(all.Deliveries, got.Deliveries...)
			return len(got.Deliveries), got.Next, nil
		}
		for _, d := range got.Deliveries {
			reason := cmp.Or(d.Error, d.Detail, d.Reason)
			if d.Of != "" {
				reason = "of " + t.id(d.Of)
			}
			t.row(local(d.ReceivedAt), t.id(d.ID), d.Source, d.Repository, shortRef(d.Ref), t.commit(d.Commit), d.Pusher,
				string(d.Outcome), d.Title, reason)
		}
		return len(got.Deliveries), got.Next, t.flush()
	})
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(env.Stdout, all)
	}
	env.afterTable(t, more, "deliveries")
	if t.rows == 0 && c.Outcome != nil && *c.Outcome == "rejected" {
		env.complain("Rejected ones are kept in memory only: each replica has its own, since its start. The log has them all.")
	}
	return nil
}

type deliveriesShow struct {
	adminFlags `embed:""`

	ID string `arg:"" name:"id" help:"Id of the delivery."`
}

func (deliveriesShow) Help() string {
	return adminHelp + ` The body, without secrets, is in --json.

Example:

    buildbridge deliveries show 0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e`
}

// Run shows a delivery.
func (c *deliveriesShow) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var d admin.DeliveryDetail
	if err := api.ask(ctx, http.MethodGet, "/deliveries/"+url.PathEscape(c.ID), nil, &d); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Stdout, d)
	}
	t := newTable(env.Stdout)
	t.field("delivery", d.ID)
	t.field("received", local(d.ReceivedAt))
	t.field("error", d.Error)
	t.field("source", d.Source)
	t.field("provider", d.Provider)
	t.field("host's id", d.HostID)
	t.field("event", d.Event)
	t.field("repository", d.Repository)
	t.field("ref", d.Ref)
	t.field("commit", d.Commit)
	t.field("title", d.Title)
	t.field("pusher", d.Pusher)
	t.field("outcome", outcome(string(d.Outcome), d.Reason, d.Of))
	if d.Status > 0 {
		t.field("answered", strconv.Itoa(d.Status))
	}
	t.field("why not", d.Detail)
	t.field("client", d.Client)
	t.field("user agent", d.UserAgent)
	t.field("replay of", d.ReplayOf)
	t.field("replayed as", d.ReplayedAs)
	t.field("asked for by", d.Actor)
	t.field("why", d.Why)
	if d.Status == 0 && (len(d.Body) == 0 || string(d.Body) == "null") {
		t.field("body", "no longer kept: this delivery cannot be replayed")
	}
	if err := t.flush(); err != nil {
		return err
	}
	env.verdicts(d.Rules)
	if len(d.Builds) == 0 {
		return nil
	}
	env.printf("\n")
	builds := newBuildTable(env.Stdout)
	for i := range d.Builds {
		builds.build(&d.Builds[i])
	}
	return builds.flush()
}

func outcome(outcome, reason, of string) string {
	switch {
	case of != "":
		return outcome + " of " + of
	case reason != "":
		return outcome + ": " + reason
	}
	return outcome
}

func (e *Environment) verdicts(rules []mapping.Verdict) {
	for _, v := range rules {
		if v.Matched {
			e.printf("  rule %q matches\n", v.Rule)
		} else {
			e.printf("  rule %q does not match: %s\n", v.Rule, printable.Text(v.Reason))
		}
		for i := range v.Clauses {
			e.printf("    %s\n", printable.Text(v.Clauses[i].String()))
		}
	}
}

// forEach calls do for every id, also after errors. It prints the errors behind the prefix
// and the id, unless they are part of the JSON.
func forEach(env *Environment, json bool, prefix string, ids []string, do func(id string) error) error {
	var failed error
	for _, id := range ids {
		if err := do(id); err != nil {
			failed = errReported
			if !json {
				env.complain(fmt.Sprintf("%s %s: %s", prefix, printable.Text(id), strings.TrimSpace(err.Error())))
			}
		}
	}
	return failed
}
