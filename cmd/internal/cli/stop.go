package cli

import (
	"context"
	"net/http"
	"net/url"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
)

type buildsStop struct {
	adminFlags `embed:""`

	ID     string `arg:"" name:"id" help:"Id of the build."`
	Reason string `placeholder:"TEXT" help:"Why, for those who look at the build later."`
}

func (buildsStop) Help() string {
	return adminHelp + `

Has the service stop a build that was started, and does not wait for its end: "buildbridge builds show" has that. A build that
waits, or has ended, is not stopped; the exit code is 1 then.

Example:

    buildbridge builds stop 0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e --reason "wrong branch"`
}

// Run stops a build.
func (c *buildsStop) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var b admin.Build
	if err := api.send(ctx, http.MethodPost, "/builds/"+url.PathEscape(c.ID)+"/stop", nil, admin.Reason{Reason: c.Reason}, &b); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Stdout, b)
	}
	number := "number"
	if b.Action == mapping.ActionPipeline {
		number = "run"
	}
	env.printf("build %s, %s %s of the %s %s, is being stopped\n", b.ID, number, b.BuildNumber, b.Action, b.JobID)
	return nil
}
