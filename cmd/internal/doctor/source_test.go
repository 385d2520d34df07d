package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"buildbridge/mapping"
	"buildbridge/trigger/hostapi/hostapitest"
)

// An api at a host that takes no statuses is no fault: serve makes no client of it either.
func TestSecretsOfSourceWithAPI(t *testing.T) {
	t.Setenv("ONLINE_TOKEN", "t0ken")
	for _, provider := range []string{"github", "gogs", "codearts-repo"} {
		f := secretsOf(&mapping.Source{Name: "a", Provider: provider, Insecure: true, API: &mapping.API{
			URL: "https://git.example.com", Token: mapping.SecretRef{Env: "ONLINE_TOKEN"},
		}})
		if !f.OK {
			t.Errorf("%s: %+v", provider, f)
		}
	}
}

const (
	bridgeURL = "https://bridge.example.com/ci"
	hookURL   = bridgeURL + "/webhooks/hub"
	secret    = "wh-s3cret-of-the-webhook"
)

// sourceRules has a rule for pushes and tags of each repository of a source.
func sourceRules(provider, url string, repositories ...string) string {
	text := "version: 1\nsources: {hub: {provider: " + provider
	if provider == "azure-devops" {
		text += ", basic: [{username: a, password: {env: DOCTOR_SECRET}}]"
	} else {
		text += ", secrets: [{env: DOCTOR_SECRET}]"
	}
	if url != "" {
		text += ", api: {url: '" + url + "', token: {env: DOCTOR_TOKEN}}"
	}
	text += "}}\ntargets: {north: {region: cn-north-4, credentials: {chain: true}}}\nrules:\n"
	for _, r := range repositories {
		text += fmt.Sprintf("  - {name: '%s', repository: '%s', when: {push: {}, tag: {}}, jobs: [{job_id: %s}]}\n", r, r, jobID)
	}
	return text
}

// everyHost are the hosts whose webhooks are looked at.
var everyHost = []string{
	"github", "gitlab", "gitee", "gitea", "forgejo", "gogs", "bitbucket", "bitbucket-server", "azure-devops",
}

func only(hosts ...string) []string { return hosts }

func except(hosts ...string) []string {
	return slices.DeleteFunc(slices.Clone(everyHost), func(host string) bool { return slices.Contains(hosts, host) })
}

// TestSource has each thing that can be found once for each host that has it.
func TestSource(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	sent := func(statuses ...int) (list []hostapitest.Sent) {
		for _, status := range statuses {
			list = append(list, hostapitest.Sent{ID: "d", Status: status, At: at})
		}
		return list
	}
	const repository = `source "hub": acme/shop: `
	listed := only("github", "gitlab", "bitbucket-server", "azure-devops")
	coded := only("github", "gitlab", "bitbucket-server", "gitee") // they show the status
	for name, test := range map[string]struct {
		hosts  []string
		hook   *hostapitest.Hook // its provider, repository and address are filled in
		second bool              // there is another one
		token  hostapitest.Token
		faults []hostapitest.Fault
		absent bool // the repository
		anyURL bool // --url is not given
		want   string
		fails  bool
	}{
		"well":               {hosts: everyHost, hook: &hostapitest.Hook{Secret: secret}, want: repository + "ok: its webhook sends to " + hookURL},
		"any address":        {hosts: everyHost, hook: &hostapitest.Hook{URL: "https://elsewhere.example.com/webhooks/hub/"}, anyURL: true, want: "ok: its webhook sends to https://elsewhere.example.com/webhooks/hub"},
		"secrets in address": {hosts: everyHost, hook: &hostapitest.Hook{URL: "https://u:" + secret + "@bridge.example.com/ci/webhooks/hub?x=" + secret}, want: "ok: its webhook sends to " + hookURL},
		"another address":    {hosts: everyHost, hook: &hostapitest.Hook{URL: "https://old.example.com/webhooks/hub"}, fails: true, want: repository + "FAILED: its webhook sends to https://old.example.com/webhooks/hub, and not to " + hookURL},
		"another source":     {hosts: everyHost, hook: &hostapitest.Hook{URL: bridgeURL + "/webhooks/github"}, fails: true, want: "FAILED: no webhook sends to " + hookURL + ": add one"},
		"none":               {hosts: everyHost, fails: true, want: repository + "FAILED: no webhook sends to " + hookURL + ": add one, or pushes are not heard of"},
		"none, anywhere":     {hosts: everyHost, anyURL: true, fails: true, want: "no webhook sends to …/webhooks/hub: add one"},
		"not active":         {hosts: except("gitlab", "gitee", "azure-devops"), hook: &hostapitest.Hook{Inactive: true}, fails: true, want: "FAILED: its webhook: it is not active"},
		"disabled by GitLab": {hosts: only("gitlab"), hook: &hostapitest.Hook{Status: "disabled"}, fails: true, want: "GitLab disabled it after many failures"},
		"for a while":        {hosts: only("gitlab"), hook: &hostapitest.Hook{Status: "temporarily_disabled"}, fails: true, want: "GitLab disabled it for a while"},
		"disabled by Azure":  {hosts: only("azure-devops"), hook: &hostapitest.Hook{Status: "disabledBySystem"}, fails: true, want: "FAILED: its webhook: its status is disabledBySystem"},
		"on probation":       {hosts: only("azure-devops"), hook: &hostapitest.Hook{Status: "onProbation"}, fails: true, want: "it is on probation"},
		"few details":        {hosts: only("azure-devops"), hook: &hostapitest.Hook{Details: "minimal"}, fails: true, want: `set "Resource details to send" to All`},
		"no pushes":          {hosts: except("azure-devops"), hook: &hostapitest.Hook{Events: []string{"tag_push_events", "create", "issues"}}, fails: true, want: "FAILED: its webhook does not send pushes"},
		"no tags":            {hosts: only("gitlab", "gitee", "gogs"), hook: &hostapitest.Hook{Events: []string{"push_events", "push"}}, fails: true, want: "FAILED: its webhook does not send tags"},
		"all events":         {hosts: only("github"), hook: &hostapitest.Hook{Events: []string{"*"}}, want: "ok: its webhook sends to "},
		"branches":           {hosts: only("gitlab", "gitea", "forgejo", "gogs", "azure-devops"), hook: &hostapitest.Hook{Branches: "release/*"}, want: "warning: it sends pushes to the branches release/* only"},
		"no check":           {hosts: except("gitee", "gitea", "forgejo", "gogs"), hook: &hostapitest.Hook{Unchecked: true}, want: "warning: it does not verify the certificate of the bridge"},
		"no secret":          {hosts: only("gitee", "bitbucket"), hook: &hostapitest.Hook{}, fails: true, want: "FAILED: its webhook has no secret"},
		"twice":              {hosts: everyHost, hook: &hostapitest.Hook{Secret: secret}, second: true, want: "warning: 2 webhooks send there"},
		"of all repositories": {
			hosts: except("gitee", "gogs", "azure-devops"), hook: &hostapitest.Hook{Wider: true, Secret: secret},
			want: " acme sends to " + hookURL,
		},
		"of a whole project":     {hosts: only("azure-devops"), hook: &hostapitest.Hook{Wider: true, Secret: secret}, want: "ok: its webhook sends to "},
		"refused":                {hosts: coded, hook: &hostapitest.Hook{Secret: secret, Sent: sent(401, 202)}, fails: true, want: "was not taken: answered 401: the webhook's secret is none of the source's"},
		"not found":              {hosts: coded, hook: &hostapitest.Hook{Secret: secret, Sent: sent(404)}, fails: true, want: `answered 404: the bridge has no source "hub"`},
		"by address":             {hosts: coded, hook: &hostapitest.Hook{Secret: secret, Sent: sent(403)}, fails: true, want: "answered 403: the host's address is not in allow_from"},
		"too large":              {hosts: coded, hook: &hostapitest.Hook{Secret: secret, Sent: sent(413)}, fails: true, want: "answered 413: it is larger than max_body"},
		"too many":               {hosts: coded, hook: &hostapitest.Hook{Secret: secret, Sent: sent(429)}, fails: true, want: "answered 429: it was more than the source's rate_limit"},
		"redirected":             {hosts: coded, hook: &hostapitest.Hook{Secret: secret, Sent: sent(302)}, fails: true, want: "answered 302: the address redirects"},
		"failed inside":          {hosts: coded, hook: &hostapitest.Hook{Secret: secret, Sent: sent(502)}, fails: true, want: "answered 502: the bridge, or what is before it"},
		"otherwise":              {hosts: coded, hook: &hostapitest.Hook{Secret: secret, Sent: sent(418)}, fails: true, want: "answered 418: see the bridge's log"},
		"no answer":              {hosts: listed, hook: &hostapitest.Hook{Secret: secret, Sent: sent(0)}, fails: true, want: "its last delivery (2026-01-31 08:00 UTC) was not taken: there was no answer"},
		"taken":                  {hosts: coded, hook: &hostapitest.Hook{Secret: secret, Sent: sent(202)}, want: " was taken"},
		"some not":               {hosts: only("github", "gitlab"), hook: &hostapitest.Hook{Secret: secret, Sent: sent(202, 503, 200, 401)}, want: "warning: 2 of its last 4 deliveries were not taken; the newest of these (2026-01-31 08:00 UTC): answered 503"},
		"nothing sent":           {hosts: listed, hook: &hostapitest.Hook{Secret: secret}, want: "; the host knows of no delivery lately"},
		"deliveries unseen":      {hosts: only("gitea", "forgejo", "gogs", "bitbucket", "gitee"), hook: &hostapitest.Hook{Secret: secret}, want: "cannot be seen at this host"},
		"may not see webhooks":   {hosts: everyHost, hook: &hostapitest.Hook{}, token: hostapitest.Token{NoHooks: true}, want: repository + "not seen: the repository can be seen, and not its webhooks: the"},
		"may not see repository": {hosts: everyHost, hook: &hostapitest.Hook{}, absent: true, fails: true, want: "source \"hub\": acme/shop: FAILED: the code host has not the repository, or the token may not see it (404"},
		"wrong token":            {hosts: everyHost, token: hostapitest.Token{Value: "another"}, fails: true, want: "FAILED: the code host refuses the token"},
		"sign-in page":           {hosts: everyHost, faults: []hostapitest.Fault{{Status: 200, Page: "<html>"}}, fails: true, want: "FAILED: the code host did not answer as its API does"},
		"down":                   {hosts: everyHost, faults: []hostapitest.Fault{{Status: 503}}, fails: true, want: ": ask again later"},
		"throttled":              {hosts: everyHost, hook: &hostapitest.Hook{Secret: secret}, faults: []hostapitest.Fault{{Status: 429, RetryAfter: 1, Times: 1}}, want: "ok: its webhook sends to"},
		"throttled for long":     {hosts: everyHost, faults: []hostapitest.Fault{{Status: 429, RetryAfter: 600}}, fails: true, want: "FAILED: the code host takes no more requests for now (429"},
		"throttled later":        {hosts: everyHost, hook: &hostapitest.Hook{Secret: secret}, faults: []hostapitest.Fault{{Probability: 0.4, Status: 429, RetryAfter: 1, Times: 3}}, want: "ok: its webhook sends to"},
		"its user":               {hosts: except("gitlab", "bitbucket", "bitbucket-server", "azure-devops"), token: hostapitest.Token{User: "ci"}, fails: true, want: `source "hub": ok: the token is valid, of the user ci`},
		"an app's token":         {hosts: only("github", "gitea", "gitee"), hook: &hostapitest.Hook{Secret: secret}, faults: []hostapitest.Fault{{Status: 403, Times: 1}}, want: "ok: its webhook sends to"},
		"scopes":                 {hosts: only("github", "gitlab"), hook: &hostapitest.Hook{}, token: hostapitest.Token{Scopes: []string{"api", "repo"}}, want: ", with the scopes api, repo"},
		"no scopes":              {hosts: only("github"), hook: &hostapitest.Hook{}, token: hostapitest.Token{Scopes: []string{}}, want: ", with no scope"},
		"scopes that lack":       {hosts: only("github", "gitlab"), hook: &hostapitest.Hook{}, token: hostapitest.Token{Scopes: []string{"read_user"}}, want: "warning: the token has not the scope "},
		"expires":                {hosts: only("gitlab"), hook: &hostapitest.Hook{}, token: hostapitest.Token{Expires: time.Now().Add(3 * 24 * time.Hour)}, want: "warning: the token expires on "},
		"an older GitLab":        {hosts: only("gitlab"), hook: &hostapitest.Hook{}, faults: []hostapitest.Fault{{Status: 404, Times: 1}}, want: "ok: its webhook sends to"},
	} {
		for _, provider := range test.hosts {
			t.Run(name+"/"+provider, func(t *testing.T) {
				t.Parallel()
				test := test
				test.token.User = nonEmpty(test.token.User, "buildbridge")
				test.token.Value = nonEmpty(test.token.Value, "t0ken")
				options := hostapitest.Options{Tokens: []hostapitest.Token{test.token}, Forgejo: provider == "forgejo"}
				if test.absent {
					options.Repositories = []string{"acme/other"}
				}
				host := hostapitest.NewServer(options)
				defer host.Close()
				if test.hook != nil {
					hook := *test.hook
					hook.Provider, hook.Repository, hook.URL = provider, "acme/shop", nonEmpty(hook.URL, hookURL)
					if hook.Secret == "" && name != "no secret" {
						hook.Secret = secret
					}
					for range 1 + map[bool]int{true: 1}[test.second] {
						if err := host.AddHook(hook); err != nil {
							t.Fatal(err)
						}
					}
					other := hostapitest.Hook{Provider: provider, Repository: "acme/other", URL: hookURL}
					if err := host.AddHook(other); err != nil {
						t.Fatal(err)
					}
				}
				for _, fault := range test.faults {
					if err := host.AddFault(fault); err != nil {
						t.Fatal(err)
					}
				}
				d := &Doctor{Rules: load(t, sourceRules(provider, host.URL, "acme/shop")), Sources: []string{"hub"}, URL: bridgeURL + "/"}
				if test.anyURL {
					d.URL = ""
				}
				got := run(t, d)
				if !strings.Contains(got.String(), test.want) {
					t.Errorf("found:\n%s\nwant %s", got, test.want)
				}
				failed := slices.ContainsFunc(got, func(f Finding) bool { return !f.OK })
				if failed != test.fails {
					t.Errorf("failed: %v, want %v:\n%s", failed, test.fails, got)
				}
				if strings.Contains(got.String(), secret) || strings.Contains(got.String(), "t0ken") {
					t.Errorf("a secret is shown:\n%s", got)
				}
				if name == "well" && strings.Contains(got.String(), "warning") {
					t.Errorf("found:\n%s", got)
				}
			})
		}
	}
}

func nonEmpty(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func TestMain(m *testing.M) {
	for name, value := range map[string]string{"DOCTOR_SECRET": secret, "DOCTOR_TOKEN": "t0ken"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// What cannot be asked is said.
func TestSourceNotAsked(t *testing.T) {
	host := hostapitest.NewServer(hostapitest.Options{})
	defer host.Close()
	down := hostapitest.NewServer(hostapitest.Options{})
	defer down.Close()
	if err := down.AddFault(hostapitest.Fault{Status: 503}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ rules, want string }{
		"no api":           {sourceRules("github", "", "acme/shop"), `source "hub": not asked: webhooks: without api the code host cannot be asked`},
		"CodeArts Repo":    {sourceRules("codearts-repo", host.URL, "acme/shop"), `not asked: webhooks: those of codearts-repo cannot be read with a token`},
		"no repository":    {sourceRules("github", host.URL, "acme/*"), `not asked: repositories: no rule names one of this source exactly`},
		"the host is down": {sourceRules("github", down.URL, "acme/shop"), `source "hub": not asked: its repositories and their webhooks: mend the above first`},
		"it has no secret": {strings.ReplaceAll(sourceRules("github", host.URL, "acme/shop"), "DOCTOR_SECRET", "DOCTOR_NOTHING"), "FAILED: secrets[0]: environment variable DOCTOR_NOTHING is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := run(t, &Doctor{Rules: load(t, test.rules), Sources: []string{"hub"}}); !strings.Contains(got.String(), test.want) {
				t.Errorf("found:\n%s\nwant %s", got, test.want)
			}
		})
	}
}

// Where a source catches up, its refs are read as catch-up reads them.
func TestSourceThatCatchesUp(t *testing.T) {
	const can, cannot = "acme/shop: ok: its refs can be read by Git's protocol", "acme/shop: FAILED: catch_up cannot read its refs by Git's protocol: "
	heads := map[string]string{"refs/heads/a": strings.Repeat("a", 40), "refs/heads/b": strings.Repeat("b", 40)}
	for name, test := range map[string]struct {
		refs    map[string]string
		catches bool
		want    string
	}{
		"refs":        {refs: heads, catches: true, want: can},
		"none yet":    {refs: map[string]string{}, catches: true, want: can},
		"absent":      {catches: true, want: cannot},
		"no catch_up": {refs: heads},
	} {
		for _, provider := range append(everyHost, "codearts-repo") {
			t.Run(name+"/"+provider, func(t *testing.T) {
				options := hostapitest.Options{Token: "t0ken"}
				if test.refs == nil {
					options.Repositories = []string{"acme/other"}
				}
				host := hostapitest.NewServer(options)
				defer host.Close()
				if err := host.SetRefs("acme/shop", test.refs); err != nil {
					t.Fatal(err)
				}
				rules := sourceRules(provider, host.URL, "acme/shop")
				if test.catches {
					rules = strings.Replace(rules, "token: {env: DOCTOR_TOKEN}}", "token: {env: DOCTOR_TOKEN}}, catch_up: {}", 1)
				}
				got := run(t, &Doctor{Rules: load(t, rules), Sources: []string{"hub"}})
				if !strings.Contains(got.String(), test.want) || test.catches == !strings.Contains(got.String(), "refs") {
					t.Errorf("found:\n%s\nwant %s", got, test.want)
				}
			})
		}
	}
}

// A refused token is sent once, and what is the same for a hundred repositories is asked once.
func TestManyRepositories(t *testing.T) {
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("acme/r%02d", i))
	}
	for provider, each := range map[string]int{
		"github": 3, "gitlab": 3, "gitee": 2, "gitea": 2, "bitbucket": 2, "bitbucket-server": 3, "azure-devops": 2,
	} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			simulator := hostapitest.New(hostapitest.Options{Token: "t0ken"})
			for _, name := range names {
				if err := simulator.AddHook(hostapitest.Hook{Provider: provider, Repository: name, URL: hookURL, Secret: secret}); err != nil {
					t.Fatal(err)
				}
			}
			var requests, running, tooMany atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if n := running.Add(1); n > atOnce {
					tooMany.Store(n)
				}
				defer running.Add(-1)
				simulator.ServeHTTP(w, r)
			}))
			defer server.Close()
			rules := load(t, sourceRules(provider, server.URL, names...))
			got := run(t, &Doctor{Rules: rules, Sources: []string{"hub"}, URL: bridgeURL})
			if strings.Count(got.String(), ": ok: its webhook sends to") != 100 {
				t.Errorf("found:\n%s", got)
			}
			// The token and the organisation's webhooks are asked for once.
			if n := int(requests.Load()); n > 100*each+2 || tooMany.Load() > 0 {
				t.Errorf("%d requests, %d at once", n, tooMany.Load())
			}

			requests.Store(0)
			refuses := strings.Replace(sourceRules(provider, server.URL, names...), "DOCTOR_TOKEN", "DOCTOR_SECRET", 1)
			got = run(t, &Doctor{Rules: load(t, refuses), Sources: []string{"hub"}, URL: bridgeURL})
			if n := requests.Load(); n != 1 || strings.Count(got.String(), "FAILED") != 1 {
				t.Errorf("%d requests, found:\n%s", n, got)
			}
		})
	}
}
