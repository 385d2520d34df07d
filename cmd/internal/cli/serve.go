package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/cmd/internal/certificate"
	"buildbridge/cmd/internal/logwriter"
	"buildbridge/cmd/internal/rulesfile"
	"buildbridge/cmd/internal/telemetry"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

type serveCommand struct {
	Rules    []string `required:"" env:"BUILDBRIDGE_RULES" placeholder:"PATH" help:"Rules file or directory; can be repeated."`
	Database string   `default:"buildbridge.db" env:"BUILDBRIDGE_DATABASE" placeholder:"PATH|URL" help:"SQLite file, made if it is not there, on a local disk, for one process; or the postgres:// URL of a PostgreSQL database, which several replicas share. Default: ${default}."`
	DryRun   bool     `env:"BUILDBRIDGE_DRY_RUN" help:"Do everything but the RunJob call: builds end as dry_run, and 'buildbridge builds show' has the body."`

	Grace time.Duration `default:"25s" env:"BUILDBRIDGE_GRACE" placeholder:"DURATION" help:"How long SIGTERM may take: calls under way are finished, what is left is cut and looked for at the next start. Default: ${default}."`

	Listen         string   `group:"listeners" default:":8080" env:"BUILDBRIDGE_LISTEN" placeholder:"ADDR" help:"Address for code hosts: POST /webhooks/{source}. Default: ${default}."`
	AdminListen    string   `group:"listeners" default:"127.0.0.1:8081" env:"BUILDBRIDGE_ADMIN_LISTEN" placeholder:"ADDR" help:"Address for /healthz, /readyz, /metrics and the admin API; not for the internet. Default: ${default}."`
	TrustedProxies []prefix `group:"listeners" env:"BUILDBRIDGE_TRUSTED_PROXIES" placeholder:"CIDR" help:"Address or CIDR of a proxy whose X-Forwarded-For is believed; can be repeated."`

	TLSCert        string `name:"tls-cert" group:"listeners" env:"BUILDBRIDGE_TLS_CERT" placeholder:"PATH" help:"Certificate for --listen, with its chain, PEM. Read again when it changes."`
	TLSKey         string `name:"tls-key" group:"listeners" env:"BUILDBRIDGE_TLS_KEY" placeholder:"PATH" help:"Its private key, PEM."`
	AdminTLSCert   string `name:"admin-tls-cert" group:"listeners" env:"BUILDBRIDGE_ADMIN_TLS_CERT" placeholder:"PATH" help:"Certificate for --admin-listen."`
	AdminTLSKey    string `name:"admin-tls-key" group:"listeners" env:"BUILDBRIDGE_ADMIN_TLS_KEY" placeholder:"PATH" help:"Its private key."`
	MaxConnections int    `group:"listeners" default:"1024" env:"BUILDBRIDGE_MAX_CONNECTIONS" placeholder:"N" help:"Connections at a time, on each listener; others wait. Default: ${default}."`
	MaxBodyMemory  size   `group:"listeners" default:"256MiB" env:"BUILDBRIDGE_MAX_BODY_MEMORY" placeholder:"SIZE" help:"What the bodies of deliveries under way may take together; beyond it a delivery gets a 503. Default: ${default}."`

	AdminReadToken  []string `group:"admin" env:"BUILDBRIDGE_ADMIN_READ_TOKEN" placeholder:"env:NAME|file:PATH" help:"Where a token is that may read by the admin API; can be repeated. Without any token, reading is open to this machine, if --admin-listen is a loopback address."`
	AdminWriteToken []string `group:"admin" env:"BUILDBRIDGE_ADMIN_WRITE_TOKEN" placeholder:"env:NAME|file:PATH" help:"Where a token is that may write too; can be repeated. Without one, it is made in a file beside a SQLite database, its name followed by .admin-token."`

	MaxWaiting     int64 `group:"kept" default:"1000000" env:"BUILDBRIDGE_MAX_WAITING" placeholder:"N" help:"Builds that may wait; beyond it a delivery gets a 503. Default: ${default}."`
	KeepBodies     span  `group:"kept" default:"7d" env:"BUILDBRIDGE_KEEP_BODIES" placeholder:"TIME" help:"How long to keep the bodies of deliveries, which replaying one needs; 0 is for ever. Default: ${default}."`
	KeepDeliveries span  `group:"kept" default:"30d" env:"BUILDBRIDGE_KEEP_DELIVERIES" placeholder:"TIME" help:"How long to keep deliveries; those with builds stay at least as long as these. Default: ${default}."`
	KeepBuilds     span  `group:"kept" default:"90d" env:"BUILDBRIDGE_KEEP_BUILDS" placeholder:"TIME" help:"How long to keep builds; those that still wait stay. Default: ${default}."`

	LogLevel  string `group:"logs" default:"info" enum:"debug,info,warn,error" env:"BUILDBRIDGE_LOG_LEVEL" placeholder:"LEVEL" help:"One of debug, info, warn, error; 'buildbridge log-level' changes it later. Default: ${default}."`
	LogFormat string `group:"logs" default:"json" enum:"json,text" env:"BUILDBRIDGE_LOG_FORMAT" placeholder:"FORMAT" help:"One of json, text. Default: ${default}."`
}

// Help implements kong.HelpProvider.
func (serveCommand) Help() string {
	return `Takes deliveries of code hosts, keeps each one with its builds in the database, and starts the builds. Logs go to standard error.

The rules are read again when their files change, and on SIGHUP, which reads the secrets of the sources again too; their files are read when they change by themselves. Rules with a fault are refused; the old ones serve on. SIGTERM and SIGINT stop it; a second one stops it at once.

Traces are sent where the standard variable OTEL_EXPORTER_OTLP_ENDPOINT says, by OTLP.

Examples:

    buildbridge serve --rules rules.yaml
    buildbridge serve --rules rules.yaml --rules teams/ --database /var/lib/buildbridge/buildbridge.db
    BUILDBRIDGE_RULES=rules.yaml,teams/ BUILDBRIDGE_LOG_FORMAT=text buildbridge serve --dry-run`
}

// minBodyMemory is the least that --max-body-memory can be, in bytes. A typing error
// (256 for 256MiB) would refuse every delivery.
const minBodyMemory = 1 << 20

// Validate implements kong.Validatable. An empty variable of the environment is a
// mistake; an empty address would listen on a port nobody knows.
func (c *serveCommand) Validate() error {
	if len(c.Rules) == 0 {
		return errors.New("--rules is missing: name a rules file or directory")
	}
	for _, setting := range []struct{ flag, value string }{
		{"--database", c.Database}, {"--listen", c.Listen}, {"--admin-listen", c.AdminListen},
	} {
		if setting.value == "" {
			return fmt.Errorf("%s is empty", setting.flag)
		}
	}
	if err := cmp.Or(checkAddress("--listen", c.Listen), checkAddress("--admin-listen", c.AdminListen)); err != nil {
		return err
	}
	if c.Grace <= 0 {
		return errors.New("--grace must be longer than 0")
	}
	if c.MaxConnections <= 0 {
		return errors.New("--max-connections must be more than 0")
	}
	if c.MaxBodyMemory < minBodyMemory {
		return errors.New("--max-body-memory must be 1MiB or more")
	}
	if c.MaxWaiting <= 0 {
		return errors.New("--max-waiting must be more than 0")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key belong together")
	}
	if (c.AdminTLSCert == "") != (c.AdminTLSKey == "") {
		return errors.New("--admin-tls-cert and --admin-tls-key belong together")
	}
	_, _, err := c.adminTokens()
	return err
}

// adminTokens are the references to the tokens of the admin API.
func (c *serveCommand) adminTokens() (read, write []mapping.SecretRef, err error) {
	if read, err = tokenRefs("--admin-read-token", c.AdminReadToken...); err != nil {
		return nil, nil, err
	}
	write, err = tokenRefs("--admin-write-token", c.AdminWriteToken...)
	return read, write, err
}

// flushWithin is how long the last traces may take at the end, after all else, and
// then the last lines of the log.
func (c *serveCommand) flushWithin() time.Duration { return min(2*time.Second, c.Grace/10) }

// Run serves until the context ends.
func (c *serveCommand) Run(ctx context.Context, env *Environment) error {
	// Whoever reads the log may stand still, or be gone. Neither holds us up or ends us.
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

// gap is the line that stands for lines of the log that are not there.
func (c *serveCommand) gap(lines int) []byte {
	var line bytes.Buffer
	logger, _ := c.logger(&line)
	logger.Warn("log lines are missing here: whoever reads the log stood still or was gone", "lines", lines)
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
	proxies := make([]netip.Prefix, len(c.TrustedProxies))
	for i, p := range c.TrustedProxies {
		proxies[i] = p.Prefix
	}

	readTokens, writeTokens, err := c.adminTokens()
	if err != nil {
		return err
	}

	// A SIGHUP that comes before there is anything to reload must not kill.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	watcher := rulesfile.Watch(c.Rules, logger)
	defer watcher.Close()

	b, err := bridge.Start(ctx, bridge.Options{
		Rules:          func() (*mapping.Ruleset, []mapping.Fault, error) { return rulesfile.Load(c.Rules) },
		Database:       c.Database,
		Listen:         c.Listen,
		AdminListen:    c.AdminListen,
		DryRun:         c.DryRun,
		TrustedProxies: proxies,
		TLS:            certificate.Files{Cert: c.TLSCert, Key: c.TLSKey},
		AdminTLS:       certificate.Files{Cert: c.AdminTLSCert, Key: c.AdminTLSKey},
		MaxConnections: c.MaxConnections,
		MaxBodyMemory:  int64(c.MaxBodyMemory),
		MaxWaiting:     c.MaxWaiting,
		Retention: store.Retention{
			Bodies:     time.Duration(c.KeepBodies),
			Deliveries: time.Duration(c.KeepDeliveries),
			Builds:     time.Duration(c.KeepBuilds),
		},
		Version:  version,
		Revision: revision,

		Logger:         logger,
		LogLevel:       level,
		LogDropped:     log.Dropped,
		TracerProvider: tracing.TracerProvider(),

		AdminReadTokens:  readTokens,
		AdminWriteTokens: writeTokens,
	})
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
			logger.InfoContext(ctx, "stopping", "grace", c.Grace.String())
			err := b.Stop(ctx, c.Grace)
			if err == nil {
				logger.InfoContext(ctx, "stopped")
			}
			return err
		}
	}
}

// logger gives the log, and its level, which can be changed.
func (c *serveCommand) logger(w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level.Set(slog.LevelInfo) // cannot be: the levels are an enumeration
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, o)), level
	}
	return slog.New(slog.NewJSONHandler(w, o)), level
}
