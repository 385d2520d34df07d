package cli

import (
	"context"

	"github.com/alecthomas/kong"

	"buildbridge/cmd/internal/demo"
)

type demoCommand struct {
	Once bool `help:"End when the push and the tag are built, or after a minute without success."`
}

func (demoCommand) Help() string {
	return `Starts a simulator of CodeArts Build, and a bridge with the sample rules and a temporary database, and sends it a signed
push and a signed tag by HTTP. It prints every step, uses no other machine, and leaves no files.

Examples:

    buildbridge demo
    buildbridge demo --once`
}

// Run shows the demo.
func (c *demoCommand) Run(ctx context.Context, env *Environment) error {
	o, err := c.options(env)
	if err != nil {
		return err
	}
	return demo.Run(ctx, o)
}

// options are those of the demo. Its bridge has the default settings of serve.
func (c *demoCommand) options(env *Environment) (demo.Options, error) {
	version, revision := env.buildInfo()
	o := demo.Options{Out: env.Stdout, Log: env.Stderr, Once: c.Once, Version: version, Revision: revision}
	return o, kong.ApplyDefaults(&o.Settings, kinds()...)
}
