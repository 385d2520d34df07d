package hostapitest_test

import (
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"buildbridge/mapping"
	"buildbridge/trigger/hostapi"
	"buildbridge/trigger/hostapi/hostapitest"
	"buildbridge/trigger/hostapi/hostapitest/gittest"
)

const setRefs = `{"repository":"acme/shop","refs":{"refs/heads/main":"` + sha1 + `","refs/tags/v1":"` + sha1 + `"}}`

const (
	sha1   = "3f786850e387550fdab836ed7e6dc881de23001b"
	sha256 = "3f786850e387550fdab836ed7e6dc881de23001b3f786850e387550fdab83600"
)

// The refs that were set are what the client of each host reads, in both versions of the protocol.
func TestRefs(t *testing.T) {
	const token = "tok3n-0f-the-h0st"
	s := hostapitest.NewServer(hostapitest.Options{Tokens: []hostapitest.Token{{Value: token, ReadOnly: true}}})
	t.Cleanup(s.Close)
	set := func(body string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/_refs", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.Body.Close() != nil || res.StatusCode != want {
			t.Fatalf("%v, %+v", err, res)
		}
	}
	for name, body := range map[string]string{
		"a short name":  `{"repository":"acme/shop","refs":{"main":"` + sha1 + `"}}`,
		"no id":         `{"repository":"acme/shop","refs":{"refs/heads/main":"main"}}`,
		"no repository": `{"refs":{}}`,
		"misspelt":      `{"repository":"acme/shop","ref":{}}`,
		"no JSON":       `{`,
	} {
		t.Run(name, func(*testing.T) { set(body, 400) })
	}
	set(setRefs, 201)
	set(`{"repository":"acme/empty","refs":{}}`, 201)
	set(`{"repository":"acme/new","refs":{"refs/heads/main":"`+sha256+`"}}`, 201)

	for _, provider := range []string{
		"github", "gitlab", "gitee", "gitea", "forgejo", "gogs", "bitbucket", "bitbucket-server", "azure-devops", "codearts-repo",
		"gitcode", "codeup", "tgit",
	} {
		for _, version := range []string{"version=2", ""} {
			c, err := hostapi.New(hostapi.Options{
				Provider: provider, URL: s.URL, Token: func() (mapping.Secret, error) { return token, nil },
				Transport: protocol(version),
			})
			if err != nil {
				t.Fatal(err)
			}
			for repository, want := range map[string][]string{
				"ACME/Shop": {"refs/heads/main " + sha1, "refs/tags/v1 " + sha1}, "acme/empty": nil, "acme/new": {"refs/heads/main " + sha256},
			} {
				var refs []string
				err := c.Refs(t.Context(), repository, func(r hostapi.Ref) error { refs = append(refs, r.Name+" "+r.Commit); return nil })
				if err != nil || !slices.Equal(refs, want) {
					t.Errorf("%s, %q, %s: %q, %v", provider, version, repository, refs, err)
				}
			}
			if err := c.Refs(t.Context(), "acme/none", nil); err == nil || !strings.Contains(err.Error(), "(404: Repository not found.)") {
				t.Errorf("%s: no repository: %v", provider, err)
			}
			c.Close()
		}
	}

	c, err := hostapi.New(hostapi.Options{
		Provider: "gitea", URL: s.URL, Token: func() (mapping.Secret, error) { return "wr0ng", nil }, Transport: protocol("version=2"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Refs(t.Context(), "acme/shop", nil); err == nil || !strings.Contains(err.Error(), "(401: Authentication failed)") {
		t.Errorf("a wrong token: %v", err)
	}
	if err := s.AddFault(hostapitest.Fault{Provider: hostapitest.Git, Status: 503, Message: "later"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Refs(t.Context(), "acme/shop", nil); err == nil || !strings.Contains(err.Error(), "(503: later)") {
		t.Errorf("a fault: %v", err)
	}
}

// protocol sends requests in a version of the protocol of Git, on connections of their own.
type protocol string

func (p protocol) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Git-Protocol", string(p))
	transport := &http.Transport{DisableKeepAlives: true}
	return transport.RoundTrip(r)
}

// The real program reads them too.
func TestGitReadsRefs(t *testing.T) {
	s := hostapitest.NewServer(hostapitest.Options{})
	t.Cleanup(s.Close)
	if err := s.SetRefs("acme/shop", map[string]string{"refs/heads/main": sha1, "refs/tags/v1": sha1}); err != nil {
		t.Fatal(err)
	}
	git := gittest.Program(t)
	for _, version := range []string{"0", "2"} {
		out, err := exec.CommandContext(t.Context(), git, "-c", "protocol.version="+version, "ls-remote", s.URL+"/acme/shop.git").Output()
		if want := sha1 + "\trefs/heads/main\n" + sha1 + "\trefs/tags/v1\n"; err != nil || string(out) != want {
			t.Errorf("version %s: %v, %s", version, err, out)
		}
	}
}
