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
	"time"

	"buildbridge/mapping/printable"
	"buildbridge/trigger/codearts/codeartstest"
)

type simulatorCommand struct {
	Listen    string `default:"127.0.0.1:8090" placeholder:"ADDR" help:"Address to listen on; port 0 takes a free one."`
	AccessKey string `and:"keys" placeholder:"AK" help:"Access key that calls are signed with."`
	SecretKey string `and:"keys" placeholder:"SK" help:"Its secret key."`

	IAMUser     string `name:"iam-user" and:"user" placeholder:"DOMAIN/NAME" help:"IAM user that may log in for a token."`
	IAMPassword string `name:"iam-password" and:"user" placeholder:"PASSWORD" help:"The user's password."`
}

func (simulatorCommand) Help() string {
	return `Answers RunJob and related calls as CodeArts Build does, and builds nothing. It keeps everything in memory, prints a line for
each build that it starts, and stops on Ctrl-C. Without --access-key and --iam-user it accepts every call.

Examples:

    buildbridge simulator --listen 127.0.0.1:8090
    buildbridge simulator --access-key AK --secret-key SK --iam-user acme/bridge --iam-password s3cret
    curl http://127.0.0.1:8090/_runs
    curl -d '{"path":"run","status":500,"code":"CB.00060100","times":2}' http://127.0.0.1:8090/_faults
    curl -d '{"job_id":"f9d6c8466d614a9788e9a0acf6c15f46","commit":"6dcb09b5…"}' http://127.0.0.1:8090/_builds

GET /_runs lists the RunJob bodies it received, POST /_faults makes calls fail (GET lists the faults, DELETE removes them), POST
/_builds starts a build as another user would. docs/simulator.md has every field.

In rules.yaml, give a target endpoint: http://127.0.0.1:8090, and iam_endpoint with the same address for iam_user.`
}

func (c *simulatorCommand) Validate() error {
	if domain, name, ok := strings.Cut(c.IAMUser, "/"); c.IAMUser != "" && (!ok || domain == "" || name == "") {
		return fmt.Errorf("--iam-user %q is not domain/name", c.IAMUser)
	}
	return checkAddress("--listen", c.Listen)
}

func (c *simulatorCommand) options(env *Environment) codeartstest.Options {
	o := codeartstest.Options{Started: func(run codeartstest.Run) {
		var line bytes.Buffer // the body may have several
		if json.Compact(&line, run.Body) == nil {
			env.printf("build number %s: %s\n", run.BuildNo, printable.Text(line.String()))
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
		return fmt.Errorf("--listen: %w", err)
	}
	c.tell(env, "http://"+listener.Addr().String())
	server := &http.Server{Handler: codeartstest.New(c.options(env)), ReadHeaderTimeout: time.Minute}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stopped <- server.Close() // without waiting for delayed answers
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("simulator: %w", err)
	}
	return <-stopped
}

func (c *simulatorCommand) tell(env *Environment, url string) {
	env.printf("CodeArts Build simulator listening on %s\n\n", url)
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
	env.printf(`In rules.yaml:    targets: {simulator: {endpoint: %[1]s, credentials: {…}}}
What it started:  curl %[1]s/_runs
Make it fail:     curl -d '{"path":"run","status":500,"code":"CB.00060100","times":2}' %[1]s/_faults
                  curl -d '{"path":"run","drop":"after","delay":"1s","times":1}' %[1]s/_faults
Repair it:        curl -X DELETE %[1]s/_faults

`, url)
}
