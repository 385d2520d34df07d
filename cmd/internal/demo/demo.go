// Package demo shows what happens to a push and a tag, on one machine. It starts simulators of
// the service and of the code host, and a bridge with the sample rules, and sends deliveries
// signed like GitHub's, by HTTP. The push's build succeeds. The tag's fails on purpose.
package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"buildbridge"
	"buildbridge/cmd/internal/bridge"
	"buildbridge/cmd/internal/explain"
	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

// Options of a demo.
type Options struct {
	Out  io.Writer // the steps
	Log  io.Writer // errors; that a build fails is no surprise
	Once bool      // end when the push and the tag are built

	Settings bridge.Settings // of the bridge; the demo has a database and addresses of its own

	Version, Revision string
}

const (
	timeout   = time.Minute     // for the deliveries and their builds
	stopGrace = 5 * time.Second // for the end

	buildTime   = 2 * time.Second        // of each build
	followEvery = 200 * time.Millisecond // not as seldom as a service is asked

	source = "github" // of the sample rules
)

// Run shows the demo. It then keeps everything running until ctx ends, unless Once is set.
// The error says what was not built.
func Run(ctx context.Context, o Options) error {
	d, err := start(ctx, o)
	if err != nil {
		return err
	}
	err = d.show(ctx)
	if err == nil && !o.Once {
		d.invite()
	}
	err = errors.Join(err, d.unprinted)
	if err == nil && !o.Once {
		<-ctx.Done()
	}
	return errors.Join(err, d.stop(ctx))
}

// demo is a bridge with a simulator.
type demo struct {
	o         Options
	dir       string
	secret    mapping.Secret // of every source
	keys      codeartstest.Key
	rules     *mapping.Ruleset
	simulator *codeartstest.Server
	host      *hostapitest.Server // what GitHub is told
	bridge    *bridge.Bridge
	page      string // of the build that ended last
	unprinted error  // the first error of printing
}

func start(ctx context.Context, o Options) (_ *demo, err error) {
	d := &demo{
		o:      o,
		secret: mapping.Secret(rand.Text()),
		keys:   codeartstest.Key{AccessKey: "DEMO" + rand.Text(), SecretKey: rand.Text()},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop(ctx))
		}
	}()
	if d.dir, err = os.MkdirTemp("", "buildbridge-demo-"); err != nil {
		return nil, fmt.Errorf("a folder in %s (set TMPDIR for another): %w", os.TempDir(), err)
	}
	d.simulator = codeartstest.NewServer(codeartstest.Options{ //nolint:contextcheck // it lives until stop
		Keys: []codeartstest.Key{d.keys}, BuildTime: buildTime,
	})
	d.host = hostapitest.NewServer(hostapitest.Options{Token: string(d.secret)}) //nolint:contextcheck // it lives until stop
	rules := bytes.Replace(buildbridge.Rules, []byte("provider: github\n"),
		fmt.Appendf(nil, "provider: github\n    api: {url: %s, token: {env: GITHUB_TOKEN}}\n    report: true\n", d.host.URL), 1)
	if d.rules, _, err = mapping.Parse(codehost.Providers(), mapping.File{Name: "rules.yaml", Data: rules}); err != nil {
		return nil, err
	}
	settings := o.Settings
	settings.Database, settings.Listen, settings.AdminListen = d.database(), "127.0.0.1:0", "127.0.0.1:0"
	d.bridge, err = bridge.Start(ctx, bridge.Options{
		Settings: settings,
		Rules:    func() (*mapping.Ruleset, []mapping.Fault, error) { return d.rules, nil, nil },
		Source:   d.source,
		Target:   d.target,
		Host:     d.hostAPI,
		Logger:   slog.New(slog.NewTextHandler(o.Log, &slog.HandlerOptions{Level: slog.LevelError})),
		Version:  o.Version,
		Revision: o.Revision,

		FollowEvery: func(time.Duration) time.Duration { return followEvery },
	})
	return d, err
}

func (d *demo) stop(ctx context.Context) error {
	var errs []error
	if d.bridge != nil {
		errs = append(errs, d.bridge.Stop(ctx, stopGrace))
	}
	if d.simulator != nil {
		d.simulator.Close()
	}
	if d.host != nil {
		d.host.Close() //nolint:contextcheck // it makes no call
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

// source is a source of the sample with the demo's secret, which allows every address.
func (d *demo) source(s *mapping.Source) (*handlers.Source, error) {
	demo := &handlers.Source{Source: *s, Keys: codehost.Keys{Secrets: []mapping.Secret{d.secret}}}
	demo.AllowFrom, demo.RateLimit = nil, mapping.RateLimit{}
	return demo, nil
}

func fixed(s string) func() (mapping.Secret, error) {
	return func() (mapping.Secret, error) { return mapping.Secret(s), nil }
}

// hostAPI is a client of the simulated code host.
func (d *demo) hostAPI(s *mapping.Source) (trigger.HostAPI, error) {
	return hostapi.New(hostapi.Options{
		Provider: s.Provider, URL: s.API.URL, Token: fixed(string(d.secret)),
		Transport: &http.Transport{}, // no proxy: the simulator is on this machine
	})
}

// target is a target of the sample with a client of the simulator.
func (d *demo) target(t *mapping.Target) (trigger.Target, error) {
	client, err := codearts.New(codearts.Options{
		Endpoint:    d.simulator.URL,
		Credentials: codearts.AccessKey(fixed(d.keys.AccessKey), fixed(d.keys.SecretKey), nil),
		Timeout:     t.Timeout,
		Transport:   &http.Transport{}, // no proxy: the simulator is on this machine
	})
	return trigger.Target{Target: *t, Service: client}, err
}

func (d *demo) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(d.o.Out, format, args...); d.unprinted == nil {
		d.unprinted = err
	}
}

func (d *demo) database() string { return filepath.Join(d.dir, "buildbridge.db") }

// push is the file with the body of the push, for users who send their own.
func (d *demo) push() string { return filepath.Join(d.dir, "push.json") }

// invite prints where to look, and how to send more.
func (d *demo) invite() {
	d.printf(`
Everything keeps running until you press Ctrl-C. Open in a browser:

  %[3]s/
  %[10]s   why the tag was built, and how that failed

To replay it there, log in with the token that this prints:

  cat %[9]s

Look at the same from another terminal:

  %[7]s builds list --admin %[3]s
  curl %[3]s/metrics
  curl %[4]s/_runs
  curl %[8]s/_statuses

And send a push of your own: edit %[5]s, and

  signature=$(openssl dgst -sha256 -hmac %[6]s < %[5]s | sed 's/^.* //')
  curl %[1]s/webhooks/%[2]s -H 'Content-Type: application/json' -H 'X-GitHub-Event: push' \
    -H "X-GitHub-Delivery: $(date +%%s)" -H "X-Hub-Signature-256: sha256=$signature" --data-binary @%[5]s
`, d.bridge.PublicURL(), source, d.bridge.AdminURL(), d.simulator.URL, d.push(), string(d.secret), program(), d.host.URL,
		bridge.AdminTokenFile(d.database()), d.page)
}

// program is how to run this program in another terminal: its name, if a shell finds it by
// that, else its path.
func program() string {
	path, err := os.Executable()
	if found, missing := exec.LookPath("buildbridge"); err != nil || missing == nil && found == path {
		return "buildbridge"
	}
	return path
}

// show sends the push and the tag.
func (d *demo) show(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !d.o.Once {
		d.printf("Open %s/ in a browser: what is built, why, and how it goes.\n\n", d.bridge.AdminURL())
	}
	d.printf(`Simulators of CodeArts Build and of GitHub, a bridge with the sample rules.yaml and a
temporary database are running on this machine. Every secret of the sample is replaced.

  pages       %[3]s/
  webhook     POST %[1]s/webhooks/%[2]s
  health      %[3]s/readyz
  metrics     %[3]s/metrics
  simulator   %[4]s/_runs
  GitHub      %[5]s/_statuses
`, d.bridge.PublicURL(), source, d.bridge.AdminURL(), d.simulator.URL, d.host.URL)

	commit := "6dcb09b5b57875f334f61aebed695e2e4193db5e"
	for i, step := range []struct {
		title  string
		change codehosttest.Change
		object string // of an annotated tag

		outcome codeartstest.Outcome
	}{
		{
			title: "A push to main of acme/shop changes services/cart/cart.go",
			change: codehosttest.Change{
				Repository: "acme/shop", Branch: "main", Before: "9049f1265b7d61be4a8904a9a27120d2064dab3b", Commit: commit,
				Message: "Count twice", Files: []string{"services/cart/cart.go"}, Pusher: "ann",
			},
		},
		{
			title: "The annotated tag v2.1.0 is pushed, and its build fails on purpose",
			change: codehosttest.Change{
				Repository: "acme/shop", Tag: "v2.1.0", Commit: commit, Message: "Count twice", Pusher: "ann",
			},
			object:  "d1c3a0e7c6f04b0f8b0a6d7f7c1f9d7b3a5e2c41",
			outcome: codeartstest.Outcome{Result: codeartstest.ResultFailure, Step: "Unit tests", Message: "exit status 1"},
		},
	} {
		d.printf("\n%d. %s.\n", i+1, step.title)
		step.outcome.Times = 1
		if err := d.simulator.AddOutcome(step.outcome); err != nil {
			return err
		}
		if err := d.send(ctx, step.change, step.object); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(step.title), err)
		}
	}
	d.printf("\nBoth were built: the push with success, the tag without.\n")
	return nil
}

// send delivers a change, and waits until all its builds have started.
func (d *demo) send(ctx context.Context, change codehosttest.Change, object string) error {
	header, body := codehosttest.GitHub(uuid.NewString(), change, object)
	codehost.Sign("github", string(d.secret), header, body)
	if change.Branch != "" {
		if err := os.WriteFile(d.push(), body, 0o600); err != nil {
			return err
		}
	}
	before := d.simulator.RunCount()
	answer, err := d.post(ctx, header, body)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusAccepted {
		return fmt.Errorf("the delivery was answered with %d: %s", answer.Status, answer.Outcome)
	}
	d.printf("   delivery %s: %d %s\n", answer.Delivery, answer.Status, answer.Outcome)

	s, _ := d.rules.Source(source)
	explained, err := explain.Delivery(d.rules, s, header, body)
	if err != nil {
		return err
	}
	explained.All(d.rules)
	for _, event := range explained.Events {
		for _, v := range event.Rules {
			if v.Matched {
				d.printf("   rule %s: matches\n", v.Rule)
			} else {
				d.printf("   rule %s: does not match, %s\n", v.Rule, v.Reason)
			}
		}
	}
	runs, err := d.started(ctx, before, len(answer.Builds))
	for _, run := range runs {
		d.printf("   RunJob was sent:\n%s   and CodeArts Build answered with build number %s\n", explain.Indent(run.Body, "     "), run.BuildNo)
	}
	if err != nil {
		return err
	}
	for _, build := range answer.Builds {
		if err := d.followed(ctx, build.ID); err != nil {
			return fmt.Errorf("build %s: %w", build.ID, err)
		}
	}
	return nil
}

// followed waits for the end of a build, and until the code host was told.
func (d *demo) followed(ctx context.Context, id string) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		b, err := d.build(ctx, id)
		if err != nil {
			return err
		}
		if b.Result.Final() && b.Status != nil && b.Status.ToldBuild == id && b.Status.Told != string(hostapi.Pending) {
			d.page = d.bridge.AdminURL() + "/builds/" + id
			d.printf("   The build was followed to its end: %s. Its page says why it was built, and how it went:\n     %s\n", b.Result, d.page)
			for _, s := range d.host.Shown() {
				if s.Commit == b.Status.Commit && s.Context == b.Context {
					d.printf("   On commit %s GitHub shows\n     %s: %s. %s\n", s.Commit, s.Context, s.State, s.Description)
				}
			}
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("its end was not found out, or not told: %w", ctx.Err())
		}
	}
}

// build asks the admin API for a build.
func (d *demo) build(ctx context.Context, id string) (b admin.BuildDetail, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.bridge.AdminURL()+admin.Prefix+"/builds/"+id, http.NoBody)
	if err != nil {
		return b, err
	}
	_, err = ask(req, &b)
	return b, err
}

// ask sends a request, and decodes the answer. No connection stays open.
func ask(req *http.Request, answer any) (status int, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
		return 0, fmt.Errorf("answer %s: %w", res.Status, err)
	}
	return res.StatusCode, nil
}

func (d *demo) post(ctx context.Context, header http.Header, body []byte) (a handlers.Answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.bridge.PublicURL()+"/webhooks/"+source, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header = header
	a.Status, err = ask(req, &a)
	return a, err
}

// started waits until the simulator has had want more calls than before, and returns those.
func (d *demo) started(ctx context.Context, before, want int) ([]codeartstest.Run, error) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		runs := d.simulator.Runs()[before:]
		if want > 0 && len(runs) >= want {
			return runs, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return runs, fmt.Errorf("%d of %d builds were started: %w", len(runs), want, ctx.Err())
		}
	}
}
