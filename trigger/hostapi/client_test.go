package hostapi_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
)

// TestStates goes through a build at each host: it waits, runs, and ends in each of the ways.
func TestStates(t *testing.T) {
	words := map[string][6]string{
		hostapitest.GitHub:          {"pending", "pending", "success", "failure", "error", "error"},
		hostapitest.GitLab:          {"pending", "running", "success", "failed", "failed", "canceled"},
		hostapitest.Gitee:           {"queued", "in_progress", "success", "failure", "failure", "cancelled"},
		hostapitest.Gitea:           {"pending", "pending", "success", "failure", "error", "error"},
		hostapitest.Forgejo:         {"pending", "pending", "success", "failure", "error", "error"},
		hostapitest.Bitbucket:       {"INPROGRESS", "INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED", "STOPPED"},
		hostapitest.BitbucketServer: {"INPROGRESS", "INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED", "CANCELLED"},
		hostapitest.AzureDevOps:     {"pending", "pending", "succeeded", "failed", "error", "notApplicable"},
	}
	ends := []hostapi.State{hostapi.Success, hostapi.Failure, hostapi.Error, hostapi.Canceled}
	for _, provider := range providers {
		t.Run(provider, func(t *testing.T) {
			host := newHost(t, hostapitest.Options{Forgejo: provider == hostapitest.Forgejo})
			c := newClient(t, hostapi.Options{Provider: provider, URL: host.URL})
			for i, end := range ends {
				s := status(hostapi.Pending)
				s.Previous = post(t, c, s) // a new build of the same commit
				s.Begun, s.State = time.Unix(1700000000, 0), hostapi.Running
				s.Previous = post(t, c, s)
				s.Ended, s.State = time.Unix(1700000060, 0), end
				post(t, c, s)

				told := host.Statuses()
				if len(told) != 3*(i+1) {
					t.Fatalf("told %d times: %+v", len(told), told)
				}
				for j, n := range []int{0, 1, 2 + i} {
					got := told[3*i+j]
					got.ID, got.User, got.Ref = "", "", ""
					want := hostapitest.Status{
						Provider: provider, Repository: "acme/shop", Commit: commit, Context: "buildbridge/cart",
						State: words[provider][n], Description: "build 7 says so", TargetURL: "https://ci.example.com/7",
					}
					if got != want {
						t.Errorf("told %+v, want %+v", got, want)
					}
				}
				if shown := host.Shown(); len(shown) != 1 || shown[0].State != words[provider][2+i] {
					t.Errorf("shown: %+v, want one, %s", shown, words[provider][2+i])
				}
			}
			if c.SaysRunning() != (words[provider][0] != words[provider][1]) {
				t.Errorf("says running: %v", c.SaysRunning())
			}
		})
	}
}

// TestRequests looks at each request as it is sent: its address, where the token is, its body.
func TestRequest(t *testing.T) {
	basic := func(user string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+token)) }
	const public, enterprise = "", "https://git.example.com/sub"
	tests := map[string]struct {
		provider, url, user string
		repository          string // acme/shop if not set
		address             string
		header, value       string
		body                string // a part of it
	}{
		"github":              {provider: "github", url: public, address: "https://api.github.com/repos/acme/shop/statuses/" + commit, header: "Authorization", value: "Bearer " + token},
		"github.com":          {provider: "github", url: "https://github.com", address: "https://api.github.com/repos/acme/shop/statuses/" + commit, header: "X-GitHub-Api-Version", value: "2022-11-28"},
		"github, ghe.com":     {provider: "github", url: "https://acme.ghe.com", address: "https://api.acme.ghe.com/repos/acme/shop/statuses/" + commit, header: "User-Agent", value: "buildbridge"},
		"github server":       {provider: "github", url: "https://git.example.com", address: "https://git.example.com/api/v3/repos/acme/shop/statuses/" + commit},
		"github, not ghe.com": {provider: "github", url: "https://notghe.com", address: "https://notghe.com/api/v3/repos/acme/shop/statuses/" + commit},
		"gitlab":              {provider: "gitlab", url: public, repository: "acme/sub group/shop", address: "https://gitlab.com/api/v4/projects/acme%2Fsub%20group%2Fshop/statuses/" + commit, header: "PRIVATE-TOKEN", value: token, body: `"ref":"main"`},
		"gitlab in a folder":  {provider: "gitlab", url: enterprise, address: "https://git.example.com/sub/api/v4/projects/acme%2Fshop/statuses/" + commit},
		"gitee":               {provider: "gitee", url: public, address: "https://gitee.com/api/v5/repos/acme/shop/check-runs", body: "access_token=" + token},
		"gitee on premises":   {provider: "gitee", url: enterprise, address: "https://git.example.com/sub/api/v5/repos/acme/shop/check-runs", body: "head_sha=" + commit},
		"gitea":               {provider: "gitea", url: enterprise, repository: "ac me/s#h?o%p", address: "https://git.example.com/sub/api/v1/repos/ac%20me/s%23h%3Fo%25p/statuses/" + commit, header: "Authorization", value: "token " + token},
		"forgejo":             {provider: "forgejo", url: "https://git.example.com/", repository: "acme/магазин", address: "https://git.example.com/api/v1/repos/acme/%D0%BC%D0%B0%D0%B3%D0%B0%D0%B7%D0%B8%D0%BD/statuses/" + commit},
		"bitbucket":           {provider: "bitbucket", url: public, address: "https://api.bitbucket.org/2.0/repositories/acme/shop/commit/" + commit + "/statuses/build", header: "Authorization", value: "Bearer " + token, body: `"refname":"main"`},
		"bitbucket, a person": {provider: "bitbucket", url: "https://bitbucket.org", user: "me@example.com", address: "https://api.bitbucket.org/2.0/repositories/acme/shop/commit/" + commit + "/statuses/build", header: "Authorization", value: basic("me@example.com")},
		"bitbucket elsewhere": {provider: "bitbucket", url: "http://127.0.0.1:9", address: "http://127.0.0.1:9/2.0/repositories/acme/shop/commit/" + commit + "/statuses/build"},
		"bitbucket-server":    {provider: "bitbucket-server", url: enterprise, repository: "~me/shop", address: "https://git.example.com/sub/rest/api/latest/projects/~me/repos/shop/commits/" + commit + "/builds", header: "Authorization", value: "Bearer " + token, body: `"ref":"refs/heads/main"`},
		"bitbucket-server, a": {provider: "bitbucket-server", url: enterprise, user: "ci", address: "https://git.example.com/sub/rest/api/latest/projects/acme/repos/shop/commits/" + commit + "/builds", header: "Authorization", value: basic("ci")},
		"azure-devops":        {provider: "azure-devops", url: "https://dev.azure.com/acme", repository: "My Shop/the shop", address: "https://dev.azure.com/acme/My%20Shop/_apis/git/repositories/the%20shop/commits/" + commit + "/statuses?api-version=7.1", header: "Authorization", value: basic(""), body: `"context":{"genre":"buildbridge","name":"cart"}`},
		"azure-devops server": {provider: "azure-devops", url: "https://tfs.example.com/tfs/Default/", address: "https://tfs.example.com/tfs/Default/acme/_apis/git/repositories/shop/commits/" + commit + "/statuses?api-version=7.1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var req *http.Request
			var body string
			c := newClient(t, hostapi.Options{Provider: test.provider, URL: test.url, Username: test.user, Transport: transport(func(r *http.Request) (*http.Response, error) {
				b, _ := io.ReadAll(r.Body)
				req, body = r, string(b)
				if r.Method == http.MethodGet {
					return answer(200, `{"check_runs":[]}`), nil
				}
				if test.provider == "bitbucket-server" {
					return answer(204, ""), nil
				}
				return answer(201, `{}`), nil
			})})
			s := status(hostapi.Success)
			if test.repository != "" {
				s.Repository = test.repository
			}
			post(t, c, s)
			if req.Method != http.MethodPost || req.URL.String() != test.address {
				t.Errorf("%s %s, want %s", req.Method, req.URL, test.address)
			}
			if got := req.Header.Get(test.header); test.header != "" && got != test.value {
				t.Errorf("%s: %q, want %q", test.header, got, test.value)
			}
			if !strings.Contains(body, test.body) {
				t.Errorf("body %s", body)
			}
			if strings.Contains(req.URL.String(), token) || test.provider != "gitee" && strings.Contains(body, token) {
				t.Errorf("the token is where it should not be: %s %s", req.URL, body)
			}
		})
	}
}

func TestTags(t *testing.T) {
	for provider, ref := range map[string]string{
		hostapitest.GitLab: "v1", hostapitest.Bitbucket: "", hostapitest.BitbucketServer: "",
	} {
		t.Run(provider, func(t *testing.T) {
			host := newHost(t, hostapitest.Options{TagCommits: []string{commit}})
			s := status(hostapi.Success)
			s.Ref = "refs/tags/v1"
			post(t, newClient(t, hostapi.Options{Provider: provider, URL: host.URL}), s)
			if got := host.Statuses()[0].Ref; got != ref {
				t.Errorf("ref %q, want %q", got, ref)
			}
		})
	}
}

// TestTexts gives each host what is too long for it.
func TestTexts(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider, func(t *testing.T) {
			host := newHost(t, hostapitest.Options{Forgejo: provider == hostapitest.Forgejo})
			c := newClient(t, hostapi.Options{Provider: provider, URL: host.URL})
			s := status(hostapi.Failure)
			s.Description = strings.Repeat("ä", 100) + "\r\n\tb\x00" + strings.Repeat("界", 100)
			s.TargetURL = "https://ci.example.com/" + strings.Repeat("x", 3000)
			s.Context = "buildbridge/" + strings.Repeat("ö", 300)
			post(t, c, s)
			s.Context += "and another"
			post(t, c, s)

			told := host.Statuses()
			if want := strings.Repeat("ä", 100) + " b " + strings.Repeat("界", 36) + "…"; told[0].Description != want {
				t.Errorf("description %q, want %q", told[0].Description, want)
			}
			page := map[string]string{
				hostapitest.Bitbucket:       host.URL + "/acme/shop/commits/" + commit,
				hostapitest.BitbucketServer: host.URL + "/projects/acme/repos/shop/commits/" + commit,
			}[provider]
			if told[0].TargetURL != page {
				t.Errorf("a link that is too long became %q, want %q", told[0].TargetURL, page)
			}
			if told[0].Context == told[1].Context && provider != hostapitest.Gitea && provider != hostapitest.Forgejo {
				t.Errorf("two contexts became %q", told[0].Context)
			}
		})
	}
	for target, want := range map[string]string{
		"":                          "",
		"ftp://ci.example.com/7":    "",
		"ci.example.com/7":          "",
		"https://ci.example.com/ä?": "https://ci.example.com/ä?",
	} {
		host := newHost(t, hostapitest.Options{})
		s := status(hostapi.Success)
		s.TargetURL = target
		post(t, newClient(t, hostapi.Options{Provider: hostapitest.GitHub, URL: host.URL}), s)
		if got := host.Statuses()[0].TargetURL; got != want {
			t.Errorf("link %q became %q", target, got)
		}
	}
}

func TestLimit(t *testing.T) {
	for _, provider := range providers {
		got := newClient(t, hostapi.Options{Provider: provider, URL: "http://127.0.0.1"}).Limit()
		if provider == hostapitest.GitHub {
			if perHour := got.PerSecond * 3600; perHour < 399 || perHour > 401 || got.Burst != 60 {
				t.Errorf("%s: %+v", provider, got)
			}
		} else if got != (mapping.RateLimit{}) {
			t.Errorf("%s: %+v", provider, got)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, test := range map[string]struct {
		o    hostapi.Options
		says string
	}{
		"no host":       {hostapi.Options{Token: secret(token)}, `provider "" is not known; these are: azure-devops, bitbucket, bitbucket-server, codearts-repo, codeup, forgejo, gerrit, gitcode, gitea, gitee, github, gitlab, gogs, tgit`},
		"no token":      {hostapi.Options{Provider: "github"}, "Options.Token is missing"},
		"no address":    {hostapi.Options{Provider: "gitea", Token: secret(token)}, "its URL is missing"},
		"no URL":        {hostapi.Options{Provider: "gitea", Token: secret(token), URL: "https://a b:c"}, "is not a URL"},
		"no scheme":     {hostapi.Options{Provider: "gitea", Token: secret(token), URL: "git.example.com"}, "https://HOST"},
		"no web":        {hostapi.Options{Provider: "gitea", Token: secret(token), URL: "ssh://git.example.com"}, "https://HOST"},
		"a user in it":  {hostapi.Options{Provider: "gitea", Token: secret(token), URL: "https://a:b@git.example.com"}, "more than"},
		"a query in it": {hostapi.Options{Provider: "gitea", Token: secret(token), URL: "https://git.example.com?a"}, "more than"},
	} {
		if _, err := hostapi.New(test.o); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNotSent is about what never gets to the host.
func TestNotSent(t *testing.T) {
	host := newHost(t, hostapitest.Options{})
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitHub, URL: host.URL})
	for name, change := range map[string]func(*hostapi.Status){
		"no repository":   func(s *hostapi.Status) { s.Repository = "" },
		"no owner":        func(s *hostapi.Status) { s.Repository = "shop" },
		"no name":         func(s *hostapi.Status) { s.Repository = "acme/" },
		"three parts":     func(s *hostapi.Status) { s.Repository = "acme/sub/shop" },
		"the folder over": func(s *hostapi.Status) { s.Repository = "../shop" },
		"no commit":       func(s *hostapi.Status) { s.Commit = "" },
		"no context":      func(s *hostapi.Status) { s.Context = "" },
	} {
		s := status(hostapi.Success)
		change(&s)
		if r := refusal(t, c, s); r.Fate != hostapi.FateFinal || r.Code != "not_sent" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	gone := errors.New("file is gone")
	for name, read := range map[string]func() (mapping.Secret, error){
		"a token that cannot be read": func() (mapping.Secret, error) { return "", gone },
		"an empty token":              secret(" \n"),
		"two tokens":                  secret(token + "\n" + token),
	} {
		c := newClient(t, hostapi.Options{Provider: hostapitest.GitHub, URL: host.URL, Token: read})
		r := refusal(t, c, status(hostapi.Success))
		if r.Fate != hostapi.FateSource || r.Code != "not_sent" || !strings.Contains(r.Error(), "token") {
			t.Errorf("%s: %+v", name, r)
		}
		if name == "a token that cannot be read" && !errors.Is(r, gone) {
			t.Errorf("%s: %v", name, r)
		}
	}
	if told := host.Statuses(); len(told) != 0 {
		t.Errorf("told %+v", told)
	}
}

func TestBase(t *testing.T) {
	// A host in a folder, with all that has to be escaped.
	simulator := hostapitest.New(hostapitest.Options{Token: token})
	c := newClient(t, hostapi.Options{Provider: hostapitest.GitLab, URL: "http://host/sub", Transport: transport(func(r *http.Request) (*http.Response, error) {
		path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/sub")
		if !ok {
			t.Errorf("path %s", r.URL)
		}
		r.URL, _ = url.Parse(path)
		return serve(simulator, r), nil
	})})
	s := status(hostapi.Success)
	s.Repository, s.Ref = "a group/sub#?%/ünï", "refs/heads/feature/a b?"
	post(t, c, s)
	if told := simulator.Statuses()[0]; told.Repository != s.Repository || told.Ref != "feature/a b?" {
		t.Errorf("told %+v", told)
	}
}
