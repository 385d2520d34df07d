package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/cmd/internal/certificate"
	"buildbridge/cmd/internal/logwriter"
	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/cmd/internal/telemetry"
	"buildbridge/mapping"
)

// serveCommand has a variable for each flag: variables names them.
type serveCommand struct {
	Rules []string `placeholder:"PATH[=FENCE]" help:"Rules file or directory; can be repeated. Default: rules.yaml."`

	bridge.Settings

	Grace time.Duration `default:"25s" placeholder:"DURATION" help:"How long to wait for calls under way after SIGTERM."`

	LogLevel  string `group:"logs" default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"One of debug, info, warn, error."`
	LogFormat string `group:"logs" default:"auto" enum:"auto,json,text" placeholder:"FORMAT" help:"json, text or auto: text on a terminal."`
}

func (serveCommand) Help() string {
	return `Takes deliveries of code hosts, keeps each one with its builds in the database, and starts the builds.

A SQLite file is for one process; a PostgreSQL database can be shared by several replicas.

The rules are read again when their files change, and on SIGHUP, which also reads the secrets of the sources again; secrets in
files are read again when the files change. Rules with a fault are refused, and the old ones stay in use. SIGTERM and SIGINT stop
the program; a second one stops it at once. Calls that do not end within --grace are cut, and searched for at the next start.

Tokens of the admin API are given by reference, env:NAME or file:PATH, with a name and a role: read, operate (builds, deliveries
and pauses) or write (everything). What is done with a token is kept under its name. Without any token, reading is open to this machine, if
--admin-listen is a loopback address. Without a token for writing, one is made in a file beside a SQLite database, whose name is
that of the database followed by .admin-token.

Logs go to standard error; 'buildbridge log-level' changes the level of a running bridge. Traces are sent by OTLP to where the
standard variable OTEL_EXPORTER_OTLP_ENDPOINT says.

Examples:

    buildbridge serve
    buildbridge serve --rules rules.yaml --rules teams/ --database /var/lib/buildbridge/buildbridge.db
    BUILDBRIDGE_RULES=rules.yaml,teams/ BUILDBRIDGE_LOG_FORMAT=text buildbridge serve --dry-run`
}

// Validate refuses an environment variable that is set but empty, too: an empty address
// would listen on a port that nobody knows.
func (c *serveCommand) Validate() error {
	var err error
	if c.Rules, err = rulesPaths(c.Rules); err != nil {
		return err
	}
	for _, setting := range []struct{ flag, value string }{
		{"--database", c.Database}, {"--listen", c.Listen}, {"--admin-listen", c.AdminListen},
	} {
		if setting.value == "" {
			return fmt.Errorf("%s is empty", setting.flag)
		}
	}
	if c.KeepIgnored < 0 {
		return errors.New("--keep-ignored must be 0 or more")
	}
	if c.Grace <= 0 {
		return errors.New("--grace must be longer than 0")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return errors.New("--tls-cert and --tls-key belong together")
	}
	if (c.AdminTLS.Cert == "") != (c.AdminTLS.Key == "") {
		return errors.New("--admin-tls-cert and --admin-tls-key belong together")
	}
	if err := c.checkPages(); err != nil {
		return err
	}
	if c.Trigger.Hold && c.Trigger.DryRun {
		return errors.New("--hold and --dry-run exclude each other: a dry run calls nothing anyway")
	}
	return cmp.Or(
		checkAddress("--listen", c.Listen), checkAddress("--admin-listen", c.AdminListen),
		checkTokenRef("--admin-read-token", c.AdminReadToken...), checkTokenRef("--admin-write-token", c.AdminWriteToken...),
		checkAdminTokens(c.AdminTokens),
	)
}

// checkPages refuses a listener for pages that nobody could read, or of which it is not said who may.
func (c *serveCommand) checkPages() error {
	tokens, files := len(c.PagesToken) > 0, c.PagesTLS != certificate.Files{}
	switch {
	case c.PagesListen == "" && (tokens || c.PagesOpen || files):
		return errors.New("--pages-token, --pages-open and --pages-tls-… are for the listener of --pages-listen, which is not given")
	case c.PagesListen == "":
		return nil
	case tokens && c.PagesOpen:
		return errors.New("--pages-token and --pages-open exclude each other: with --pages-open, all who reach the pages may read them")
	case !tokens && !c.PagesOpen:
		return errors.New("--pages-listen needs --pages-token REF, for those who may read the pages; or --pages-open, if all who reach them may")
	case (c.PagesTLS.Cert == "") != (c.PagesTLS.Key == ""):
		return errors.New("--pages-tls-cert and --pages-tls-key belong together")
	}
	return cmp.Or(checkAddress("--pages-listen", c.PagesListen), checkTokenRef("--pages-token", c.PagesToken...))
}

// flushWithin is how long it may take to send the last traces, and then to write the last
// log lines, after everything else has stopped.
func (c *serveCommand) flushWithin() time.Duration { return min(2*time.Second, c.Grace/10) }

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, env *Environment) error {
	if c.LogFormat == "auto" {
		if c.LogFormat = "json"; isTerminal(env.Stderr) {
			c.LogFormat = "text"
		}
	}
	// A closed pipe of the log must not end the process.
	signal.Ignore(syscall.SIGPIPE)
	log := logwriter.New(env.Stderr, c.gap)
	defer log.Close(c.flushWithin())
	err := c.serve(ctx, env, log)
	if _, wrong := errors.AsType[usageError](err); err == nil || wrong || errors.Is(err, errReported) {
		return err
	}
	_, _ = fmt.Fprintf(log, "buildbridge serve: %v\n", err)
	return errReported
}

// gap is the line that replaces log lines that were dropped.
func (c *serveCommand) gap(lines int) []byte {
	var line bytes.Buffer
	logger, _ := c.logger(&line)
	logger.LogAttrs(context.Background(), slog.LevelWarn,
		"log lines are missing here: nobody read the log fast enough", slog.Int("lines", lines))
	return line.Bytes()
}

func (c *serveCommand) serve(ctx context.Context, env *Environment, log *logwriter.Writer) error {
	tune(c.Database)
	logger, level := c.logger(log)
	version, revision := env.buildInfo()
	tracing, err := telemetry.Start(ctx, version, logger)
	if err != nil {
		return usageError(err.Error())
	}
	defer tracing.Stop(ctx, c.flushWithin())
	logger = tracing.Logger(logger)
	for _, u := range env.unknown {
		logger.LogAttrs(ctx, slog.LevelWarn, "a variable is not known, and has no effect",
			slog.String("variable", u.name), slog.String("hint", strings.TrimPrefix(u.hint, "; ")))
	}
	// A SIGHUP during the start must not end the process.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	watcher := rulesfile.Watch(c.Rules)
	defer watcher.Close()

	settings := c.Settings
	if settings.KeepIgnored == 0 {
		settings.KeepIgnored = -1
	}
	b, err := bridge.Start(ctx, bridge.Options{
		Settings: settings,
		Rules:    func() (*mapping.Ruleset, []mapping.Fault, error) { return rulesfile.Load(c.Rules) },
		Version:  version,
		Revision: revision,

		Logger:         logger,
		LogLevel:       level,
		LogDropped:     log.Dropped,
		TracerProvider: tracing.TracerProvider(),
	})
	if errors.Is(err, bridge.ErrTokens) {
		return usageError(err.Error())
	}
	if err != nil {
		return inLines(&Environment{Stderr: log}, err)
	}
	for {
		select {
		case <-watcher.Changed():
			b.Reload(ctx)
		case <-hangup:
			b.Reload(ctx)
		case err := <-b.Failed():
			return errors.Join(err, b.Stop(ctx, c.Grace))
		case <-ctx.Done():
			logger.LogAttrs(ctx, slog.LevelInfo, "stopping", slog.String("grace", c.Grace.String()))
			err := b.Stop(ctx, c.Grace)
			if err == nil {
				logger.LogAttrs(ctx, slog.LevelInfo, "stopped")
			}
			return err
		}
	}
}

// logger makes the log, and its level, which can be changed.
func (c *serveCommand) logger(w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level.Set(slog.LevelInfo) // the parser allows no other text
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, o)), level
	}
	return slog.New(slog.NewJSONHandler(w, o)), level
}
