package cli

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// versionFlag is --version, of the program: what the command prints.
type versionFlag bool

// BeforeReset prints the version before anything else is looked at.
func (versionFlag) BeforeReset(app *kong.Kong, env *Environment) error {
	err := versionCommand{}.Run(env)
	app.Exit(exitOK)
	return err
}

type versionCommand struct{}

func (versionCommand) Help() string {
	return "Prints the version, the revision it was built from, and the version of Go that built it."
}

// Run prints the version.
func (versionCommand) Run(env *Environment) error {
	version, revision := env.buildInfo()
	env.printf("buildbridge %s, revision %s, %s\n", version, revision, runtime.Version())
	return nil
}

// buildInfo returns the version and the revision of the program: those set when it was
// built, else those that Go recorded.
func (e *Environment) buildInfo() (version, revision string) {
	version, revision = "(devel)", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		modified := false
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.modified":
				modified = s.Value == "true"
			}
		}
		if modified {
			revision += " (modified)"
		}
	}
	return cmp.Or(e.Version, version), cmp.Or(e.Revision, revision)
}
