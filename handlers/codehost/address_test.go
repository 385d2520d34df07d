package codehost

import (
	"path/filepath"
	"strings"
	"testing"
)

// The address of a repository is that of a real delivery. Those of commits are as these hosts have them,
// and send them with a push where they do.
func TestCommitAddress(t *testing.T) {
	for provider, want := range map[string]string{
		"github":           "https://github.com/acme/shop/commit/",
		"gogs":             "https://gogs.example.com/acme/shop/commit/",
		"gitea":            "https://gitea.example.com/acme/shop/commit/",
		"forgejo":          "https://forgejo.example.com/acme/shop/commit/",
		"gitlab":           "https://gitlab.example.com/acme/web/shop/-/commit/",
		"gitee":            "https://gitee.com/acme/shop/commit/",
		"bitbucket":        "https://bitbucket.org/acme/shop/commits/",
		"bitbucket-server": "https://bitbucket.example.com/projects/ACME/repos/shop/commits/",
		"azure-devops":     "https://dev.azure.com/acme/Web%20Store/_git/shop/commit/",
		"codearts-repo":    "",
	} {
		header, body := readDelivery(t, filepath.Join("testdata", provider, "push.http"))
		event := decodeBody(t, provider, header, body).Events[0]
		if want != "" {
			want += event.Commit
		}
		if got := CommitAddress(provider, event.URL, event.Commit); got != want {
			t.Errorf("%s: got %q, want %q", provider, got, want)
		}
	}
}

// An address comes from a body, and becomes a link.
func TestRepositoryAddress(t *testing.T) {
	for sent, want := range map[string]string{
		"https://git.example.com/acme/shop/":                  "https://git.example.com/acme/shop",
		"http://git.example.com:8080/sub/acme/shop":           "http://git.example.com:8080/sub/acme/shop",
		"https://user:password@git.example.com/a?token=x#top": "https://git.example.com/a",
		"https://git.example.com/a b":                         "https://git.example.com/a%20b",
		`https://git.example.com/"><script>`:                  "https://git.example.com/%22%3E%3Cscript%3E",
		"javascript:alert(1)":                                 "",
		"javascript://git.example.com/%0aalert(1)":            "",
		"data:text/html,x":                                    "",
		"//git.example.com/acme":                              "",
		"/acme/shop":                                          "",
		"https:acme":                                          "",
		"git@git.example.com:acme/shop.git":                   "",
		"ssh://git@git.example.com/acme/shop.git":             "",
		"https://git.example.com/\x00":                        "",
		"":                                                    "",
	} {
		if got := RepositoryAddress(sent); got != want {
			t.Errorf("%q: got %q, want %q", sent, got, want)
		}
	}
	if got := CommitAddress("github", "https://github.com/acme/shop", "a/../"+strings.Repeat("b", 3)); got != "https://github.com/acme/shop/commit/a%2F..%2Fbbb" {
		t.Errorf("got %s", got)
	}
	for _, got := range []string{
		CommitAddress("nobody", "https://github.com/acme/shop", "a"), CommitAddress("github", "https://github.com/acme/shop", ""),
		CommitAddress("github", "javascript:alert(1)", "a"),
	} {
		if got != "" {
			t.Errorf("got %s", got)
		}
	}
}
