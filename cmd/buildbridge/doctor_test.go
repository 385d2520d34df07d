package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi/hostapitest"
)

// In a pipe there are lines while 200 jobs are asked of a service that is slow. What is well, and what is to be
// done, is in groups, with a count at the end.
func TestDoctor(t *testing.T) {
	service := codeartstest.NewServer(codeartstest.Options{Keys: []codeartstest.Key{{AccessKey: "AK", SecretKey: "SK"}}})
	defer service.Close()
	const slow = "a0000000000000000000000000000001"
	for _, fault := range []codeartstest.Fault{{JobID: slow, Delay: 8 * time.Second, Times: 1}, {Delay: 20 * time.Millisecond}} {
		if err := service.AddFault(fault); err != nil {
			t.Fatal(err)
		}
	}
	if err := service.SetJob(codeartstest.Job{JobID: slow, Name: "cart build"}); err != nil {
		t.Fatal(err)
	}
	host := hostapitest.NewServer(hostapitest.Options{Token: "t0ken"})
	defer host.Close()
	hook := hostapitest.Hook{
		Provider: hostapitest.GitHub, Repository: "acme/r0", URL: "https://bridge.example.com/webhooks/github", Secret: "s3cret",
		Sent: []hostapitest.Sent{{Status: 401}},
	}
	if err := host.AddHook(hook); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	fmt.Fprintf(&rules, "version: 1\nsources: {github: {provider: github, secrets: [{env: E2E_SECRET}], api: {url: '%s', token: {env: E2E_TOKEN}}}}\n"+
		"targets: {north: {endpoint: '%s', credentials: {access_key: {env: E2E_AK}, secret_key: {env: E2E_SK}}}}\nrules:\n", host.URL, service.URL)
	for i := range 200 {
		repository := "acme/r0"
		if i > 0 {
			repository = "'acme/*'"
		}
		fmt.Fprintf(&rules, "  - {name: r%d, repository: %s, when: {push: {}}, jobs: [{job_id: a%031x}]}\n", i, repository, i+1)
	}
	w := &world{t: t, dir: t.TempDir()}
	w.write("rules.yaml", rules.String())

	cmd := exec.CommandContext(t.Context(), "buildbridge", "doctor", "--url", "https://bridge.example.com/")
	cmd.Dir, cmd.Env = w.dir, append(append(os.Environ(), w.env()...), "E2E_TOKEN=t0ken")
	r, pipe := io.Pipe()
	cmd.Stdout, cmd.Stderr = pipe, pipe
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = pipe.CloseWithError(cmd.Wait()) }() // the exit code is looked at below
	var out strings.Builder
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		out.WriteString(scanner.Text() + "\n")
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if n := strings.Count(out.String(), "target \"north\": jobs: 0 of 200\n"); n < 3 {
		t.Errorf("%d lines in the 8 s in which the first job is waited for, want one in two", n)
	}
	for _, want := range []string{
		"target \"north\"\n  ok         job " + slow + " (cart build) of r0: the job exists",
		"\n  ok         the clocks of the service and of this machine agree\n",
		"\nsource \"github\"\n  ok         its secrets can be read\n  ok         the token is valid, of the user buildbridge\n  FAILED     acme/r0: its last delivery (",
		" was not taken: answered 401: the webhook's secret is none of the source's\n203 ok, 1 failed\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not print %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%.3000s", out.String())
	}
}
