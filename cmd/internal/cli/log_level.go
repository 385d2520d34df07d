package cli

import (
	"context"
	"net/http"
	"net/url"

	"buildbridge/handlers/admin"
)

type logLevelCommand struct {
	adminFlags `embed:""`

	Level string `arg:"" optional:"" help:"debug, info, warn or error; without one, the level is shown."`
}

func (logLevelCommand) Help() string {
	return adminHelp + `

The new level is for one process, until it stops.

Examples:

    buildbridge log-level
    buildbridge log-level debug`
}

// Run shows or sets the level.
func (c *logLevelCommand) Run(ctx context.Context, env *Environment) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	method, query := http.MethodGet, url.Values{}
	if c.Level != "" {
		method = http.MethodPut
		query.Set("level", c.Level)
	}
	var now admin.LogLevel
	if err := api.ask(ctx, method, "/log-level", query, &now); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.Stdout, now)
	}
	env.printf("%s\n", now.Level)
	return nil
}
