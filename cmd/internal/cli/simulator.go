package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/mapping/printable"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi/hostapitest"
)

type simulatorCommand struct {
	Listen    string `default:"127.0.0.1:8090" placeholder:"ADDR" help:"Address to listen on; port 0 takes a free one."`
	AccessKey string `and:"keys" placeholder:"AK" help:"Access key that calls are signed with."`
	SecretKey string `and:"keys" placeholder:"SK" help:"Its secret key."`

	BuildTime time.Duration `default:"2s" placeholder:"DURATION" help:"How long builds run; POST /_outcomes says otherwise."`

	HostListen string `placeholder:"ADDR" help:"Also be a code host that takes statuses, at this address; port 0 takes a free one."`
	HostToken  string `placeholder:"TOKEN" help:"Token that the code host wants; without it, it takes any."`

	IAMUser     string `name:"iam-user" and:"user" placeholder:"DOMAIN/NAME" help:"IAM user that may log in for a token."`
	IAMPassword string `name:"iam-password" and:"user" placeholder:"PASSWORD" help:"The user's password."`
}

func (simulatorCommand) Help() string {
	return `Answers RunJob, RunPipeline and related calls as CodeArts Build and CodeArts Pipeline do. Builds run and end by the clock, and
build nothing. With --host-listen it also takes statuses on commits, as GitHub, GitLab, Gitee, Gitea, Forgejo, Bitbucket and Azure
DevOps do. It keeps everything in memory, prints a line for each build that it starts and each status that it takes, and stops on
Ctrl-C. Without --access-key and --iam-user it accepts every call.

Examples:

    buildbridge simulator --listen 127.0.0.1:8090 --build-time 5s
    buildbridge simulator --access-key AK --secret-key SK --iam-user acme/bridge --iam-password s3cret
    buildbridge simulator --host-listen 127.0.0.1:8091 --host-token s3cret
    curl http://127.0.0.1:8090/_runs
    curl http://127.0.0.1:8091/_statuses
    curl -d '{"repository":"acme/shop","refs":{"refs/heads/main":"6dcb09b5…"}}' http://127.0.0.1:8091/_refs
    curl -d '{"result":"FAILURE","after":"3s","step":"Unit tests","message":"exit status 1","times":1}' http://127.0.0.1:8090/_outcomes
    curl -d '{"path":"run","status":500,"code":"CB.00060100","times":2}' http://127.0.0.1:8090/_faults
    curl -d '{"job_id":"f9d6c8466d614a9788e9a0acf6c15f46","commit":"6dcb09b5…"}' http://127.0.0.1:8090/_builds
    curl -d '{"pipeline_id":"9bc11ea1a2df4ca2a4e5b0ab1b5e4e0f","concurrency":{"limit":1}}' http://127.0.0.1:8090/_pipelines

GET /_runs lists the bodies of RunJob and RunPipeline, POST /_outcomes says how builds to come end, POST /_faults makes calls fail
(GET lists them, DELETE removes them), POST /_builds starts a build as another user would. GET /_statuses lists what the code host
was told, POST /_refs sets the branches and tags of a repository. POST /_jobs says how a job is set up, POST /_pipelines how a
pipeline is, POST /_hooks which webhooks a repository has. docs/simulator.md has every field.

In rules.yaml, give a target endpoint: http://127.0.0.1:8090, pipeline_endpoint with the same address for pipelines, and iam_endpoint
likewise for iam_user; give a source api: {url: http://127.0.0.1:8091, token: …}.`
}

func (c *simulatorCommand) Validate() error {
	if domain, name, ok := strings.Cut(c.IAMUser, "/"); c.IAMUser != "" && (!ok || domain == "" || name == "") {
		return fmt.Errorf("--iam-user %q is not domain/name", c.IAMUser)
	}
	switch {
	case c.BuildTime <= 0:
		return errors.New("--build-time must be more than 0")
	case c.HostListen == "" && c.HostToken != "":
		return errors.New("--host-token goes with --host-listen")
	case c.HostListen != "":
		if err := checkAddress("--host-listen", c.HostListen); err != nil {
			return err
		}
	}
	return checkAddress("--listen", c.Listen)
}

func (c *simulatorCommand) options(env *Environment) codeartstest.Options {
	o := codeartstest.Options{BuildTime: c.BuildTime, Started: func(run codeartstest.Run) {
		var line bytes.Buffer // the body may have several
		if json.Compact(&line, run.Body) == nil {
			what := "build number " + run.BuildNo
			if run.PipelineID != "" {
				what = "pipeline " + run.PipelineID + ", run " + run.BuildNo
			}
			env.printf("%s: %s\n", what, printable.Text(line.String()))
		}
	}}
	if c.AccessKey != "" {
		o.Keys = []codeartstest.Key{{AccessKey: c.AccessKey, SecretKey: c.SecretKey}}
	}
	if c.IAMUser != "" {
		domain, name, _ := strings.Cut(c.IAMUser, "/")
		o.Users = []codeartstest.User{{Domain: domain, Name: name, Password: c.IAMPassword}}
	}
	return o
}

// Run serves until ctx ends.
func (c *simulatorCommand) Run(ctx context.Context, env *Environment) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", bridge.InUse(err))
	}
	handlers := map[net.Listener]http.Handler{listener: codeartstest.New(c.options(env))}
	host := ""
	if c.HostListen != "" {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.HostListen)
		if err != nil {
			return errors.Join(fmt.Errorf("--host-listen: %w", bridge.InUse(err)), closeAll(handlers))
		}
		host = "http://" + listener.Addr().String()
		handlers[listener] = &toldHost{Simulator: hostapitest.New(hostapitest.Options{Token: c.HostToken}), env: env}
	}
	c.tell(env, "http://"+listener.Addr().String(), host)
	return serveAll(ctx, handlers)
}

// serveAll serves on all listeners until ctx ends, or one of them breaks. It does not wait for
// delayed answers.
func serveAll(ctx context.Context, handlers map[net.Listener]http.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(handlers))
	for listener, handler := range handlers {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		context.AfterFunc(ctx, func() { _ = server.Close() }) // its listener is closed, which Serve tells
		go func() { ended <- server.Serve(listener) }()
	}
	var errs []error
	for range handlers {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, fmt.Errorf("simulator: %w", err))
		}
		cancel()
	}
	return errors.Join(errs...)
}

func closeAll(handlers map[net.Listener]http.Handler) error {
	var errs []error
	for listener := range handlers {
		errs = append(errs, listener.Close())
	}
	return errors.Join(errs...)
}

// toldHost prints a line for each status that a simulated code host takes.
type toldHost struct {
	*hostapitest.Simulator

	env     *Environment
	mu      sync.Mutex
	printed int
}

// ServeHTTP answers a call.
func (h *toldHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.Simulator.ServeHTTP(w, r)
	h.mu.Lock()
	defer h.mu.Unlock()
	told := h.Statuses()
	for _, s := range told[h.printed:] {
		h.env.printf("status at %s, %s %s: %s\n", s.Provider, s.Repository, s.Commit,
			printable.Text(fmt.Sprintf("%s %s, %s", s.Context, s.State, s.Description)))
	}
	h.printed = len(told)
}

// tell prints where the simulator and its code host, "" for none, are.
func (c *simulatorCommand) tell(env *Environment, url, host string) {
	env.printf("CodeArts Build and Pipeline simulator listening on %s\n\n", url)
	var who []string
	if c.AccessKey != "" {
		who = append(who, "are signed with the access key "+c.AccessKey)
	}
	if c.IAMUser != "" {
		who = append(who, "have a token of the IAM user "+c.IAMUser)
	}
	if len(who) == 0 {
		env.printf("It accepts every call; with --access-key or --iam-user it verifies signatures or tokens.\n")
	} else {
		env.printf("It accepts calls that %s.\n", strings.Join(who, ", or "))
	}
	env.printf(`In rules.yaml:    targets: {simulator: {endpoint: %[1]s, pipeline_endpoint: %[1]s, credentials: {…}}}
What it started:  curl %[1]s/_runs
How builds end:   after %[2]v, with success
Otherwise:        curl -d '{"result":"FAILURE","after":"3s","step":"Unit tests","message":"exit status 1","times":1}' %[1]s/_outcomes
Make it fail:     curl -d '{"path":"run","status":500,"code":"CB.00060100","times":2}' %[1]s/_faults
                  curl -d '{"path":"run","drop":"after","delay":"1s","times":1}' %[1]s/_faults
Repair it:        curl -X DELETE %[1]s/_faults

`, url, c.BuildTime)
	if host == "" {
		return
	}
	wants := "any token"
	if c.HostToken != "" {
		wants = "the token of --host-token"
	}
	env.printf(`A code host that takes statuses, with %[2]s, is listening on %[1]s
In rules.yaml:    sources: {NAME: {provider: …, api: {url: %[1]s, token: {env: NAME}}, report: true}}
What it was told: curl %[1]s/_statuses

`, host, wants)
}
