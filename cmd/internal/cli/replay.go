package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"buildbridge/handlers/admin"
	"buildbridge/mapping/printable"
)

type buildsReplay struct {
	adminFlags  `embed:""`
	buildFilter `embed:""`
	manyFlags   `embed:""`

	Reason string `placeholder:"TEXT" help:"Why, for those who look at the builds later."`

	ID []string `arg:"" optional:"" name:"id" help:"Ids of builds."`
}

func (buildsReplay) Help() string {
	return adminHelp + `

Sends the stored calls again, as new builds. "buildbridge deliveries replay" decides by the current rules instead.

By id, a build is replayed as often as you ask, one replay after the other. By filter, every build is replayed that matches and
has no successful replay since; without --state, the dead ones. The command says how many builds these are and which, and asks;
without a terminal it needs --yes.

The exit code is 1 if one of them could not be replayed.

Examples:

    buildbridge builds replay 0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e
    buildbridge builds replay --state dead
    buildbridge builds replay --state dead --limit 10 --dry-run
    buildbridge builds replay --rule cart --since 2h --yes`
}

// Run replays builds.
func (c *buildsReplay) Run(ctx context.Context, env *Environment) error {
	filter := c.values()
	change := change{verb: "replay", doing: "replaying", done: "replayed", what: "build"}
	byFilter, err := c.byFilter(env, change, c.ID, filter, "--state dead")
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
	type replayed struct {
		ID       string `json:"id,omitempty"`
		ReplayOf string `json:"replay_of"`
		Error    string `json:"error,omitempty"`
	}
	all := make([]replayed, 0, len(c.ID))
	err = forEach(env, c.JSON, "buildbridge builds replay: build", c.ID, func(id string) error {
		var b admin.Build
		err := api.send(ctx, http.MethodPost, "/builds/"+url.PathEscape(id)+"/replay", nil, admin.Reason{Reason: c.Reason}, &b)
		r := replayed{ID: b.ID, ReplayOf: id}
		if err != nil {
			r.Error = err.Error()
		}
		all = append(all, r)
		if err == nil && !c.JSON {
			env.printf("build %s is replayed as %s\n", id, b.ID)
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

// matching replays all builds that match, page by page.
func (c *buildsReplay) matching(ctx context.Context, env *Environment, api *client, filter url.Values, ch change) error {
	all := admin.BuildReplays{Replayed: []admin.BuildReplay{}}
	if c.JSON {
		ch.all = &all
	}
	ch.find = func(ctx context.Context) (found, error) {
		var got admin.ReplayCount
		err := api.ask(ctx, http.MethodGet, "/builds/replay", filter, &got)
		return foundBuilds(got.Builds, string(got.State), got.First, got), err
	}
	ch.page = func(ctx context.Context, page url.Values) (done, failed int, next string, err error) {
		var got admin.BuildReplays
		err = api.send(ctx, http.MethodPost, "/builds/replay", merge(filter, page), admin.Reason{Reason: c.Reason}, &got)
		if err != nil {
			return 0, 0, "", err
		}
		all.Replayed, all.Skipped = append(all.Replayed, got.Replayed...), append(all.Skipped, got.Skipped...)
		all.Left, all.Next = got.Left, got.Next
		if !c.JSON {
			for _, r := range got.Replayed {
				env.printf("build %s is replayed as %s\n", r.ReplayOf, r.ID)
			}
			env.skipped("buildbridge builds replay", got.Skipped)
		}
		return len(got.Replayed), len(got.Skipped), got.Next, nil
	}
	return c.change(ctx, env, ch)
}

// skipped prints the builds that were left out of many, each with the reason.
func (e *Environment) skipped(command string, skipped []admin.Skipped) {
	for _, s := range skipped {
		e.complain(fmt.Sprintf("%s: build %s: %s", command, s.ID, printable.Text(s.Reason)))
	}
}

// foundBuilds are builds that match, with the first of them.
func foundBuilds(count int64, words string, first []admin.Build, json any) found {
	return found{
		count: count, words: words, shown: len(first), json: json,
		show: func(w io.Writer) error {
			t := newBuildTable(w)
			for i := range first {
				t.build(&first[i])
			}
			return t.flush()
		},
	}
}
