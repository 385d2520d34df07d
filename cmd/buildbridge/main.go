// Command buildbridge turns pushes and tags on a code host into builds of
// CodeArts Build. `buildbridge --help` says how.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the zones of reconcile.time_zone, where the system has none

	"buildbridge/cmd/internal/cli"
)

// Both are set when a release is built, -ldflags '-X main.version=v1.2.3 -X main.revision=…'.
// Otherwise they are what Go recorded.
var (
	version  string
	revision string
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		// The first signal asks to stop. By the time anybody can see that it does, a
		// second one finds the default, which ends the process at once.
		<-signals
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		stop()
	}()
	os.Exit(cli.Run(ctx, os.Args[1:], cli.Environment{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: version, Revision: revision,
	}))
}
