package bridge_test

import (
	"strings"
	"testing"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
)

// Each kind of credentials gets through to a service that verifies them.
func TestNewClientCredentials(t *testing.T) {
	simulator := codeartstest.NewServer(codeartstest.Options{
		Keys: []codeartstest.Key{
			{AccessKey: "AK", SecretKey: "SK"},
			{AccessKey: "temporary", SecretKey: "SK", SecurityToken: "ST"},
		},
		Users:  []codeartstest.User{{Domain: "acme", Name: "builder", Password: "pw"}},
		Tokens: []string{"a-token"},
	})
	defer simulator.Close()
	t.Setenv("HUAWEICLOUD_SDK_AK", "AK")
	t.Setenv("HUAWEICLOUD_SDK_SK", "SK")
	ref := func(name, value string) *mapping.SecretRef {
		t.Setenv(name, value)
		return &mapping.SecretRef{Env: name}
	}
	for name, test := range map[string]struct {
		credentials mapping.Credentials
		error       string
	}{
		"access key": {credentials: mapping.Credentials{AccessKey: ref("AK", "AK"), SecretKey: ref("SK", "SK")}},
		"temporary access key": {credentials: mapping.Credentials{
			AccessKey: ref("TAK", "temporary"), SecretKey: ref("SK", "SK"), SecurityToken: ref("ST", "ST"),
		}},
		"token": {credentials: mapping.Credentials{Token: ref("TOKEN", "a-token")}},
		"chain": {credentials: mapping.Credentials{Chain: true}},
		"IAM user": {credentials: mapping.Credentials{
			IAMUser:     &mapping.IAMUser{Domain: "acme", Name: "builder", Password: *ref("PW", "pw"), Project: "cn-north-4"},
			IAMEndpoint: simulator.URL,
		}},
		"a wrong token": {credentials: mapping.Credentials{Token: ref("WRONG", "wrong")}, error: "credentials refused"},
		"none":          {error: "none are configured"},
	} {
		t.Run(name, func(t *testing.T) {
			client, _, err := bridge.NewClient(&mapping.Target{
				Name: "north", Endpoint: simulator.URL, Credentials: test.credentials, Timeout: time.Minute,
			}, nil)
			if err == nil {
				defer client.Close()
				_, err = client.RunJob(t.Context(), []byte(`{"job_id":"`+pushJob+`"}`))
			}
			if test.error == "" && err != nil || test.error != "" && (err == nil || !strings.Contains(err.Error(), test.error)) {
				t.Errorf("error %v, want %q", err, test.error)
			}
		})
	}
}

func TestEndpoint(t *testing.T) {
	for want, target := range map[string]mapping.Target{
		"https://cloudbuild-ext.cn-north-4.myhuaweicloud.com": {Region: "cn-north-4"},
		"https://build.example.com":                           {Endpoint: "https://build.example.com"},
	} {
		if got := bridge.Endpoint(&target); got != want {
			t.Errorf("endpoint %s, want %s", got, want)
		}
	}
}
