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
  lab: {provider: gitea, insecure: true}
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
  repo: {provider: codearts-repo, token_header: X-Auth-Token, secrets: [{env: A}]}
`)})
	want := []*Source{
		{Name: "github", Provider: "github", Secrets: []SecretRef{{Env: "A"}, {File: "/run/secrets/b"}}, MaxBody: 25 << 20},
		{Name: "lab", Provider: "gitea", Insecure: true, MaxBody: 25 << 20},
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
		{Name: "repo", Provider: "codearts-repo", TokenHeader: "X-Auth-Token", Secrets: []SecretRef{{Env: "A"}}, MaxBody: 25 << 20},
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

func TestTargets(t *testing.T) {
	rs := mustParse(t, File{Name: "a.yaml", Data: []byte(`
version: 1
targets:
  north:
    region: cn-north-4
    credentials: {access_key: {env: A}, secret_key: {env: B}, security_token: {env: C}}
  private:
    endpoint: https://build.example:8443/
    credentials: {iam_user: {domain: d, name: n, project: p, password: {env: P}}, iam_endpoint: https://iam.example}
    rate_limit: {per_second: 5, burst: 10}
    timeout: 10s
    retry_for: 1d12h
    reconcile: {window: 1m30s, patience: 0s, time_zone: UTC}
  token: {region: tr-west-1, credentials: {token: {file: t}}}
  chain: {region: cn-north-1, credentials: {chain: true}}
`)})
	shanghai := rs.Targets()[0].Reconcile.TimeZone
	if name, offset := time.Date(2026, 7, 1, 0, 0, 0, 0, shanghai).Zone(); offset != 8*60*60 {
		t.Errorf("default time zone: %s %d", name, offset)
	}
	usual := Reconcile{Window: 3 * time.Second, Patience: 2 * time.Minute, TimeZone: shanghai}
	want := []*Target{
		{
			Name: "north", Region: "cn-north-4",
			Credentials: Credentials{AccessKey: &SecretRef{Env: "A"}, SecretKey: &SecretRef{Env: "B"}, SecurityToken: &SecretRef{Env: "C"}},
			Timeout:     30 * time.Second, RetryFor: 24 * time.Hour, Reconcile: usual,
		},
		{
			Name: "private", Endpoint: "https://build.example:8443",
			Credentials: Credentials{
				IAMUser:     &IAMUser{Domain: "d", Name: "n", Project: "p", Password: SecretRef{Env: "P"}},
				IAMEndpoint: "https://iam.example",
			},
			RateLimit: RateLimit{PerSecond: 5, Burst: 10},
			Timeout:   10 * time.Second, RetryFor: 36 * time.Hour,
			Reconcile: Reconcile{Window: 90 * time.Second, TimeZone: time.UTC},
		},
		{Name: "token", Region: "tr-west-1", Credentials: Credentials{Token: &SecretRef{File: "t"}}, Timeout: 30 * time.Second, RetryFor: 24 * time.Hour, Reconcile: usual},
		{Name: "chain", Region: "cn-north-1", Credentials: Credentials{Chain: true}, Timeout: 30 * time.Second, RetryFor: 24 * time.Hour, Reconcile: usual},
	}
	if diff := cmp.Diff(want, rs.Targets(), cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s, ok := rs.Target("token"); !ok || s != rs.Targets()[2] {
		t.Error("token is not found")
	}
	if _, ok := rs.Target("none"); ok {
		t.Error("a target that is not there is found")
	}
}

// What is in one file may be referred to in another, and the order of files is
// that of the rules.
func TestMerge(t *testing.T) {
	rules := File{Name: "rules.yaml", Data: []byte(`
version: 1
rules:
  - {name: z, source: github, when: {push: }, jobs: [` + goodJob + `, {job_id: 0b7c1d52e0f94c54a1d3f1f7c2a98e60, target: north}]}
`)}
	more := File{Name: "more.yaml", Data: []byte("version: 1\nrules: [{name: a, when: {tag: }, jobs: [" + goodJob + "]}]\n")}
	ends := File{Name: "ends.yaml", Data: []byte("version: 1\n" + goodSources + goodTargets)}
	rs := mustParse(t, rules, more, ends)
	if diff := cmp.Diff([]string{"z", "a"}, rs.RuleNames()); diff != "" || rs.Len() != 2 {
		t.Errorf("names: %s", diff)
	}
	var jobs []Job
	for j := range rs.Jobs() {
		jobs = append(jobs, j)
	}
	want := []Job{{"z", "north", jobA}, {"z", "north", jobB}, {"a", "north", jobA}}
	if diff := cmp.Diff(want, jobs); diff != "" {
		t.Errorf("jobs: %s", diff)
	}
	for range rs.Jobs() {
		break // must not go on
	}
}

func TestNoFile(t *testing.T) {
	rs, _, err := Parse(testProviders)
	if rs != nil || err == nil {
		t.Errorf("no file is no fault: %v", err)
	}
}
