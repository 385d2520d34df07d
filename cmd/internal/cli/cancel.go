package cli

import (
	"context"
	"net/http"
	"net/url"

	"buildbridge/handlers/admin"
)

type buildsCancel struct {
	adminFlags  `embed:""`
	buildFilter `embed:""`
	manyFlags   `embed:""`

	Reason string `placeholder:"TEXT" help:"Why, for those who look at the builds later."`

	ID []string `arg:"" optional:"" name:"id" help:"Ids of builds."`
}

func (buildsCancel) Help() string {
	return adminHelp + `

Ends builds that wait: they are dead, with who canceled them and why as the reason, and no alert counts them. One that is being
called may have been started, and is left out: "buildbridge builds stop" stops those that run. What was canceled can be replayed
by id.

By filter, the command says how many builds these are and which, and asks; without a terminal it needs --yes.

The exit code is 1 if one of them could not be canceled.

Examples:

    buildbridge builds cancel 0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e --reason "wrong branch"
    buildbridge builds cancel --rule cart --dry-run
    buildbridge builds cancel --repository acme/shop --ref main --yes
    buildbridge builds cancel --state waiting`
}

// Run cancels builds.
func (c *buildsCancel) Run(ctx context.Context, env *Environment) error {
	filter := c.values()
	change := change{verb: "cancel", doing: "canceling", done: "canceled", what: "build"}
	byFilter, err := c.byFilter(env, change, c.ID, filter, "--rule cart")
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
	all := admin.BuildCancels{Canceled: []string{}}
	err = forEach(env, c.JSON, "buildbridge builds cancel: build", c.ID, func(id string) error {
		var b admin.Build
		err := api.send(ctx, http.MethodPost, "/builds/"+url.PathEscape(id)+"/cancel", nil, admin.Reason{Reason: c.Reason}, &b)
		if err != nil {
			all.Skipped = append(all.Skipped, admin.Skipped{ID: id, Reason: err.Error()})
			return err
		}
		all.Canceled = append(all.Canceled, b.ID)
		if !c.JSON {
			env.printf("build %s is canceled\n", b.ID)
		}
		return nil
	})
	if c.JSON {
		if err := printJSON(env.Stdout, all); err != nil {
			return err
		}
	}
	return err
}

// matching cancels all builds that match, page by page.
func (c *buildsCancel) matching(ctx context.Context, env *Environment, api *client, filter url.Values, ch change) error {
	all := admin.BuildCancels{Canceled: []string{}}
	if c.JSON {
		ch.all = &all
	}
	ch.find = func(ctx context.Context) (found, error) {
		var got admin.CancelCount
		err := api.ask(ctx, http.MethodGet, "/builds/cancel", filter, &got)
		return foundBuilds(got.Builds, "waiting", got.First, got), err
	}
	ch.page = func(ctx context.Context, page url.Values) (done, failed int, next string, err error) {
		var got admin.BuildCancels
		if err := api.send(ctx, http.MethodPost, "/builds/cancel", merge(filter, page), admin.Reason{Reason: c.Reason}, &got); err != nil {
			return 0, 0, "", err
		}
		all.Canceled, all.Skipped = append(all.Canceled, got.Canceled...), append(all.Skipped, got.Skipped...)
		all.Left, all.Next = got.Left, got.Next
		if !c.JSON {
			for _, id := range got.Canceled {
				env.printf("build %s is canceled\n", id)
			}
			env.skipped("buildbridge builds cancel", got.Skipped)
		}
		return len(got.Canceled), len(got.Skipped), got.Next, nil
	}
	return c.change(ctx, env, ch)
}
