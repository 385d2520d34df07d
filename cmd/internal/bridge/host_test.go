package bridge_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

// Every code host of the rules has a client, which takes statuses if the rules say so.
func TestProvidersWithStatuses(t *testing.T) {
	for _, p := range codehost.Providers() {
		client, err := hostapi.New(hostapi.Options{
			Provider: p.Name, URL: "https://git.example.com", Token: func() (mapping.Secret, error) { return "", nil },
		})
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		if client.TakesStatuses() != p.Statuses {
			t.Errorf("%s takes statuses: %v, but its client says otherwise", p.Name, p.Statuses)
		}
		client.Close()
	}
}

// hosted are rules whose source tells a code host, with a token in a file.
func (w *world) hosted(url, file string) string {
	return strings.Replace(fmt.Sprintf(rules, w.simulator.URL), "    max_body: 4KiB\n",
		fmt.Sprintf("    max_body: 4KiB\n    api: {url: %s, token: {file: %s}}\n    report: true\n", url, file), 1)
}

// told is the last state that a code host was told of a context.
func told(host *hostapitest.Server, context string) (state string) {
	for _, s := range host.Statuses() {
		if s.Context == context {
			state = s.State
		}
	}
	return state
}

// Builds are followed, and the code host is told, with the token that is in the file then.
func TestCodeHostIsTold(t *testing.T) {
	host := hostapitest.NewServer(hostapitest.Options{Token: "first", Tokens: []hostapitest.Token{{Value: "second", User: "second"}}})
	t.Cleanup(host.Close)
	file := filepath.Join(t.TempDir(), "token")
	put := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("first")
	var made atomic.Int64 // clients of the code host
	w := newWorld(t, func(o *bridge.Options) {
		o.FollowEvery = func(time.Duration) time.Duration { return 100 * time.Millisecond }
		o.Host = func(s *mapping.Source) (trigger.HostAPI, error) {
			made.Add(1)
			client, _, err := bridge.NewHost(s, nil, nil)
			return client, err
		}
	})
	if err := w.simulator.AddOutcome(codeartstest.Outcome{After: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	w.rules.Store(w.hosted(host.URL, file))
	w.Reload(t.Context())
	w.accept("1", push(), "")
	w.eventually("the host is told", func() bool { return told(host, "buildbridge/cart") == "success" })

	put("second")
	w.Reload(t.Context()) // nothing that matters to the client has changed
	tag := push()
	tag.Branch, tag.Tag, tag.Files = "", "v1", nil
	w.accept("2", tag, object)
	w.eventually("the host is told of the tag", func() bool { return told(host, "buildbridge/release/tag") == "success" })
	last := host.Statuses()[len(host.Statuses())-1]
	if last.User != "second" || last.Commit != commit {
		t.Errorf("the host was told by %q about %s, want the second token and the tag's commit", last.User, last.Commit)
	}
	if n := made.Load(); n != 2 {
		t.Errorf("%d clients were made, want one for each reload", n)
	}
}

// A token that is not there is told with its place, at the start and by a reload.
func TestTokenOfCodeHostIsMissing(t *testing.T) {
	w := newWorld(t)
	text := w.hosted("https://git.example.com", filepath.Join(t.TempDir(), "none"))
	const want = `source "github": api.token: secret file: open `
	o := w.options()
	w.rules.Store(text)
	o.Database = filepath.Join(t.TempDir(), "other.db")
	if b, err := bridge.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
		if b != nil {
			_ = b.Stop(t.Context(), time.Second)
		}
	}
	w.Reload(t.Context())
	if !strings.Contains(w.logs.String(), strings.ReplaceAll(want, `"`, `\"`)) {
		t.Errorf("the log does not say %s:\n%s", want, w.logs)
	}
	w.accept("1", push(), "") // the old rules serve on
}

// Requests to the code host are counted; the series are there from the start.
func TestRequestsToCodeHostsAreCounted(t *testing.T) {
	host := hostapitest.NewServer(hostapitest.Options{Token: "right"})
	t.Cleanup(host.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("t0ken-that-is-none"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *bridge.Options) {
		o.FollowEvery = func(time.Duration) time.Duration { return 100 * time.Millisecond }
	})
	if err := w.simulator.AddOutcome(codeartstest.Outcome{After: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	w.rules.Store(w.hosted(host.URL, file))
	w.Reload(t.Context())
	series := func(code string) string {
		return fmt.Sprintf(`buildbridge_host_api_requests_total{call="status",code=%q,source="github"}`, code)
	}
	if got := w.metric(series("not_sent")); got != "0" {
		t.Errorf("at the start it is %q", got)
	}
	if got := w.metric(`buildbridge_host_api_requests_total{call="refs",code="200",source="github"}`); got != "0" {
		t.Errorf("at the start that of refs is %q", got)
	}
	w.accept("1", push(), "")
	w.eventually("the refusal is counted", func() bool { return w.metric(series("401")) != "" })
	if strings.Contains(w.logs.String(), "t0ken-that-is-none") {
		t.Errorf("the token is logged: %s", w.logs)
	}
}

// An api is allowed at every code host, and gets a client.
func TestAPIOfEveryProvider(t *testing.T) {
	var sources strings.Builder
	for _, p := range codehost.Providers() {
		fmt.Fprintf(&sources, "  %s-api: {provider: %s, insecure: true, api: {url: https://git.example.com/acme, token: {env: E2E_SECRET}}}\n", p.Name, p.Name)
	}
	w := newWorld(t)
	w.rules.Store(strings.Replace(fmt.Sprintf(rules, w.simulator.URL), "sources:\n", "sources:\n"+sources.String(), 1))
	w.Reload(t.Context())
	if !strings.Contains(w.logs.String(), "rules reloaded") {
		t.Errorf("a reload does not take them:\n%s", w.logs)
	}
	for _, p := range codehost.Providers() {
		s := &mapping.Source{Name: p.Name, Provider: p.Name, API: &mapping.API{
			URL: "https://git.example.com/acme", Token: mapping.SecretRef{Env: "E2E_SECRET"},
		}}
		if got := bridge.TakesStatuses(s); got != p.Statuses {
			t.Errorf("%s takes statuses: %t, want %t", p.Name, got, p.Statuses)
		}
		client, _, err := bridge.NewHost(s, nil, nil)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		client.Close()
	}
}
