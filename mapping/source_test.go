package mapping

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSources(t *testing.T) {
	rs := mustParse(t, File{Name: "a.yaml", Data: []byte(`
version: 1
sources:
  github:
    provider: github
    secrets: [{env: A}, {file: /run/secrets/b}]
    api: {token: {env: G}}
    report: true
    catch_up: {every: 10m, missed: build}
  lab: {provider: gitea, insecure: true, api: {token: {file: /run/secrets/t}, url: 'https://git.example.com:8443/sub//', username: bot}, catch_up: {}}
  gitlab:
    provider: gitlab
    secrets: [{env: T}]
    signing_tokens: [{env: W}]
    max_body: 10MB
    allow_from: [10.1.2.3/8, 192.0.2.1, '2001:db8::/32', '::ffff:198.51.100.7']
    rate_limit: {per_second: 2.5}
  azure:
    provider: azure-devops
    basic: [{username: hooks, password: {file: p}}]
    max_body: 2.048e3
    allow_from: 192.0.2.1
    rate_limit: {per_second: 1e-1, burst: 0.7e1}
  repo: {provider: codearts-repo, token_header: X-Auth-Token, secrets: [{env: A}], api: {token: {env: R}, url: https://codehub.example}, report: false}
`)})
	want := []*Source{
		{
			Name: "github", Provider: "github", Secrets: []SecretRef{{Env: "A"}, {File: "/run/secrets/b"}}, MaxBody: 25 << 20,
			API: &API{Token: SecretRef{Env: "G"}}, Report: true, CatchUp: &CatchUp{Every: 10 * time.Minute, Build: true},
		},
		{
			Name: "lab", Provider: "gitea", Insecure: true, MaxBody: 25 << 20,
			API:     &API{Token: SecretRef{File: "/run/secrets/t"}, URL: "https://git.example.com:8443/sub", Username: "bot"},
			CatchUp: &CatchUp{Every: DefaultCatchUp},
		},
		{
			Name: "gitlab", Provider: "gitlab", Secrets: []SecretRef{{Env: "T"}}, SigningTokens: []SecretRef{{Env: "W"}}, MaxBody: 10_000_000,
			AllowFrom: []netip.Prefix{
				netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"),
				netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("198.51.100.7/32"),
			},
			RateLimit: RateLimit{PerSecond: 2.5, Burst: 3},
		},
		{
			Name: "azure", Provider: "azure-devops", Basic: []BasicRef{{Username: "hooks", Password: SecretRef{File: "p"}}}, MaxBody: 2048,
			AllowFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
			RateLimit: RateLimit{PerSecond: 0.1, Burst: 7},
		},
		{Name: "repo", Provider: "codearts-repo", TokenHeader: "X-Auth-Token", Secrets: []SecretRef{{Env: "A"}}, MaxBody: 25 << 20, API: &API{Token: SecretRef{Env: "R"}, URL: "https://codehub.example"}},
	}
	if diff := cmp.Diff(want, rs.Sources(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s, ok := rs.Source("lab"); !ok || s != rs.Sources()[1] {
		t.Error("lab is not found")
	}
	if _, ok := rs.Source("Lab"); ok {
		t.Error("a source is found by another name")
	}
}
