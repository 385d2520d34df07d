// Command buildbridge turns pushes and tags on a code host into builds of CodeArts Build and runs
// of CodeArts Pipeline: see buildbridge --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the zones of reconcile.time_zone, where the system has none

	"buildbridge/cmd/internal/cli"
)

// A release sets both: -ldflags '-X main.version=v1.2.3 -X main.revision=…'. If they are
// empty, cli uses what Go recorded.
var (
	version  string
	revision string
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		// The first signal stops the program. A second one ends it at once: signal.Reset comes
		// first, so that it does so as soon as the stop can be seen.
		<-signals
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		stop()
	}()
	os.Exit(cli.Run(ctx, os.Args[1:], cli.Environment{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: version, Revision: revision,
	}))
}
