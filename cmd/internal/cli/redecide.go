package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

type deliveriesExplain struct {
	adminFlags `embed:""`

	ID string `arg:"" name:"id" help:"Id of the delivery."`
}

func (deliveriesExplain) Help() string {
	return adminHelp + `

Shows what was decided about a delivery when it came, and what the rules in force would make of it now: what "buildbridge
deliveries replay" would build. Nothing is built.

Example:

    buildbridge deliveries explain 0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e`
}

// Run explains a delivery.
func (c *deliveriesExplain) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var e admin.Explanation
	if err := api.ask(ctx, http.MethodGet, "/deliveries/"+url.PathEscape(c.ID)+"/explain", nil, &e); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Stdout, e)
	}
	env.printf("delivery %s: %s, %s\n", e.ID, printable.Text(e.Repository), printable.Text(shortRef(e.Ref)))
	env.printf("then, %s: %s\n", local(e.ReceivedAt), outcome(string(e.Outcome), e.Reason, e.Of))
	env.verdicts(e.Rules)
	for i := range e.Builds {
		if b := &e.Builds[i]; b.ReplayOf == "" {
			env.printf("  build %s of rule %q, %s %s: %s\n", b.ID, b.Rule, b.Action, b.JobID, fate(b))
		}
	}
	env.printf("now: %s\n", decided(e.Now))
	env.verdicts(e.Now.Rules)
	for _, l := range e.Now.LeftOut {
		env.printf("  left out: %s\n", printable.Text(l.String()))
	}
	env.planned(e.Now.Builds)
	return nil
}

// decided is a decision in a few words.
func decided(d handlers.Decision) string {
	switch n := len(d.Builds); {
	case d.Outcome == "rejected":
		return "cannot be decided: " + printable.Text(d.Detail)
	case n > 0 && d.Reason == "":
		return d.Outcome + ", " + printable.Count(n, "build")
	}
	return outcome(d.Outcome, d.Reason, "")
}

type deliveriesReplay struct {
	adminFlags     `embed:""`
	deliveryFilter `embed:""`
	manyFlags      `embed:""`

	// Not --reason: that is why a delivery was ignored.
	Why string `placeholder:"TEXT" help:"Why, for those who look at the deliveries and builds later."`

	ID []string `arg:"" optional:"" name:"id" help:"Ids of deliveries."`
}

func (deliveriesReplay) Help() string {
	return adminHelp + `

A replay is a new delivery, decided by the current rules. Of two replays at the same time, one is a duplicate. "buildbridge builds
replay" sends stored builds again instead, whatever the rules say now.

By filter, every delivery is replayed that matches and was not replayed yet, the oldest first; without --outcome, those that were
ignored. One is skipped whose ref and commit were built since, or whose push is not missed any more. The command says how many
match, and what the rules would make of the first, and asks; without a terminal it needs --yes. --dry-run shows what they would
make of each.

The exit code is 1 if one of them could not be decided. It is not a failure if there was nothing to build.

Examples:

    buildbridge deliveries replay 0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e
    buildbridge deliveries replay --reason no_rule --since 2h --dry-run
    buildbridge deliveries replay --repository acme/shop --since 2h --yes --why "the rule was wrong"`
}

// replayedDelivery is the answer to the replay of a delivery, or why there is none.
type replayedDelivery struct {
	handlers.Answer

	Error string `json:"error,omitempty"`
}

// Run replays deliveries, one after the other.
func (c *deliveriesReplay) Run(ctx context.Context, env *Environment) error {
	filter := c.values()
	change := change{verb: "replay", doing: "replaying", done: "replayed", what: "delivery"}
	byFilter, err := c.byFilter(env, change, c.ID, filter, "--reason no_rule")
	if err != nil {
		return err
	}
	api, err := c.client()
	switch {
	case err != nil:
		return err
	case byFilter:
		return c.matching(ctx, env, api, filter, change)
	}
	all := make([]replayedDelivery, 0, len(c.ID))
	err = forEach(env, c.JSON, "buildbridge deliveries replay: delivery", c.ID, func(id string) error {
		d := replayedDelivery{}
		err := api.send(ctx, http.MethodPost, "/deliveries/"+url.PathEscape(id)+"/replay", nil, admin.Reason{Reason: c.Why}, &d)
		if err != nil {
			d.ReplayOf, d.Error = id, err.Error()
		}
		all = append(all, d)
		if err == nil && !c.JSON {
			env.replayed(d.Answer)
		}
		return err
	})
	if c.JSON {
		if err := printJSON(env.Stdout, all); err != nil {
			return err
		}
	}
	return err
}

// replayed prints what became of the replay of a delivery.
func (e *Environment) replayed(d handlers.Answer) {
	e.printf("delivery %s is replayed as %s: %s\n", d.ReplayOf, d.Delivery, outcome(d.Outcome, d.Reason, d.Of))
	for _, b := range d.Builds {
		e.printf("  build %s of rule %q, %s %s%s\n", b.ID, b.Rule, b.Action, b.JobID, dead(b.Reason))
	}
	e.verdicts(d.Rules)
}

// matching replays all deliveries that match, page by page.
func (c *deliveriesReplay) matching(ctx context.Context, env *Environment, api *client, filter url.Values, ch change) error {
	all := admin.DeliveryReplays{Replayed: []handlers.Answer{}}
	if c.JSON {
		ch.all = &all
	}
	ch.find = func(ctx context.Context) (found, error) { return c.find(ctx, api, filter) }
	ch.page = func(ctx context.Context, page url.Values) (done, failed int, next string, err error) {
		var got admin.DeliveryReplays
		if err := api.send(ctx, http.MethodPost, "/deliveries/replay", merge(filter, page), admin.Reason{Reason: c.Why}, &got); err != nil {
			return 0, 0, "", err
		}
		all.Replayed, all.Skipped = append(all.Replayed, got.Replayed...), append(all.Skipped, got.Skipped...)
		all.Left, all.Next = got.Left, got.Next
		if !c.JSON {
			for _, d := range got.Replayed {
				env.replayed(d)
			}
			for _, s := range got.Skipped {
				env.complain(fmt.Sprintf("buildbridge deliveries replay: delivery %s: %s", s.ID, printable.Text(s.Reason)))
			}
		}
		failed = len(slices.DeleteFunc(got.Skipped, func(s admin.Skipped) bool { return s.Done }))
		return len(got.Replayed), failed, got.Next, nil
	}
	return c.change(ctx, env, ch)
}

// find says what the rules would make of the deliveries that match: of the first, and in a dry
// run of all.
func (c *deliveriesReplay) find(ctx context.Context, api *client, filter url.Values) (found, error) {
	const some = 200 // of a page
	all := admin.DeliveryReplayCount{First: []admin.Explanation{}}
	page := url.Values{}
	for {
		left := some
		if c.Limit > 0 {
			left = min(some, c.Limit-len(all.First))
		}
		if c.DryRun {
			page.Set("limit", strconv.Itoa(left))
		}
		var got admin.DeliveryReplayCount
		if err := api.ask(ctx, http.MethodGet, "/deliveries/replay", merge(filter, page), &got); err != nil {
			return found{}, err
		}
		if all.Outcome == "" {
			all.Outcome, all.Deliveries = got.Outcome, got.Deliveries
		}
		all.First, all.Next = append(all.First, got.First...), got.Next
		if !c.DryRun || got.Next == "" || c.Limit > 0 && len(all.First) >= c.Limit {
			break
		}
		page.Set("after", got.Next)
	}
	return found{
		count: int64(all.Deliveries), words: string(all.Outcome), shown: len(all.First), json: all,
		show: func(w io.Writer) error {
			t := newTable(w, "RECEIVED", "ID", "REPOSITORY", "REF", "COMMIT", "THEN", "NOW")
			t.width, t.narrow = terminalWidth(w), []string{"COMMIT", "REPOSITORY", "THEN", "REF"}
			for i := range all.First {
				e := &all.First[i]
				now := decided(e.Now) + because(e.Now)
				if e.Skipped != "" {
					now = "skipped: " + e.Skipped
				}
				t.row(local(e.ReceivedAt), t.id(e.ID), e.Repository, shortRef(e.Ref), t.commit(e.Commit),
					outcome(string(e.Outcome), e.Reason, e.Of), now)
			}
			return t.flush()
		},
	}, nil
}

// because is the first clause that did not match, of a decision that there is nothing to build.
func because(d handlers.Decision) string {
	if len(d.Builds) > 0 {
		return ""
	}
	if i := slices.IndexFunc(d.Rules, func(v mapping.Verdict) bool { return !v.Matched }); i >= 0 {
		return fmt.Sprintf(" (%s: %s)", d.Rules[i].Rule, d.Rules[i].Reason)
	}
	return ""
}
