package trigger

import "buildbridge/trigger/store"

// Settings are the options of a [Trigger] that the command line has as flags. Each field
// declares its default, its limit (min) and its help. The zero value calls the service,
// sets no limit and keeps everything.
type Settings struct {
	DryRun bool `help:"Do everything but the call that starts a build: builds end as dry_run, and 'buildbridge builds show' has the body."`

	// Hold is for the start after a restore. See [Trigger.Pause].
	Hold bool `help:"Start with everything paused: accept deliveries, and touch nothing outside until 'buildbridge resume --all'."`

	MaxWaiting int64 `group:"kept" default:"1000000" min:"1" placeholder:"N" help:"Builds that may wait; a delivery beyond them gets a 503."`

	Retention store.Retention `group:"kept" embed:"" prefix:"keep-"`
}
