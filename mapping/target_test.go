package mapping

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
    follow: true
    console_url: 'https://devcloud.example/{project_id}/detail/history/{job_id}/{build_no}?record={record_id}#log'
  token: {region: tr-west-1, credentials: {token: {file: t}}, follow: false, console_url: 'https://devcloud.{region}.example'}
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
			Timeout:     30 * time.Second, RetryFor: 24 * time.Hour, Reconcile: usual, Follow: true,
		},
		{
			Name: "private", Endpoint: "https://build.example:8443",
			Credentials: Credentials{
				IAMUser:     &IAMUser{Domain: "d", Name: "n", Project: "p", Password: SecretRef{Env: "P"}},
				IAMEndpoint: "https://iam.example",
			},
			RateLimit: RateLimit{PerSecond: 5, Burst: 10},
			Timeout:   10 * time.Second, RetryFor: 36 * time.Hour,
			Reconcile: Reconcile{Window: 90 * time.Second, TimeZone: time.UTC}, Follow: true,
			ConsoleURL: "https://devcloud.example/{project_id}/detail/history/{job_id}/{build_no}?record={record_id}#log",
		},
		{
			Name: "token", Region: "tr-west-1", Credentials: Credentials{Token: &SecretRef{File: "t"}},
			Timeout: 30 * time.Second, RetryFor: 24 * time.Hour, Reconcile: usual, ConsoleURL: "https://devcloud.{region}.example",
		},
		{Name: "chain", Region: "cn-north-1", Credentials: Credentials{Chain: true}, Timeout: 30 * time.Second, RetryFor: 24 * time.Hour, Reconcile: usual, Follow: true},
	}
	if diff := cmp.Diff(want, rs.Targets(), cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
