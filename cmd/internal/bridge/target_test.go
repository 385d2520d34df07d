package bridge_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
)

// Each kind of credentials gets through to a service that verifies them.
func TestNewClientsCredentials(t *testing.T) {
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
			clients, _, err := bridge.NewClients(&mapping.Target{
				Name: "north", Endpoint: simulator.URL, Credentials: test.credentials, Timeout: time.Minute,
			}, nil)
			if err == nil {
				defer clients.Close()
				_, err = clients.Builds.RunJob(t.Context(), []byte(`{"job_id":"`+pushJob+`"}`))
			}
			if test.error == "" && err != nil || test.error != "" && (err == nil || !strings.Contains(err.Error(), test.error)) {
				t.Errorf("error %v, want %q", err, test.error)
			}
		})
	}
}

// Both clients try again what the target says passes by itself.
func TestRetryCodes(t *testing.T) {
	simulator := codeartstest.NewServer(codeartstest.Options{Tokens: []string{"a-token"}})
	defer simulator.Close()
	if err := simulator.AddFault(codeartstest.Fault{Status: http.StatusBadRequest, Code: "DEVPIPE.00019999"}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TOKEN", "a-token")
	for fate, codes := range map[codearts.Fate][]string{codearts.FateDead: {"DEVPIPE.1"}, codearts.FateRetry: {"DEVPIPE.1", "DEVPIPE.00019999"}} {
		clients, _, err := bridge.NewClients(&mapping.Target{
			Name: "north", Endpoint: simulator.URL, PipelineEndpoint: simulator.URL, Timeout: time.Minute, RetryCodes: codes,
			Credentials: mapping.Credentials{Token: &mapping.SecretRef{Env: "TOKEN"}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer clients.Close()
		_, job := clients.Builds.RunJob(t.Context(), []byte(`{"job_id":"`+pushJob+`"}`))
		_, pipeline := clients.Pipelines.RunPipeline(t.Context(), codearts.Pipeline{ProjectID: pushJob, ID: pushJob}, nil)
		for _, err := range []error{job, pipeline} {
			if e, ok := errors.AsType[*codearts.Error](err); !ok || e.Fate != fate {
				t.Errorf("with %q: %v, want fate %v", codes, err, fate)
			}
		}
	}
}

// A target has a client of pipelines where their address is known, and only there.
func TestEndpoints(t *testing.T) {
	const build, pipelines = "https://build.example.com", "https://pipelines.example.com"
	for name, test := range map[string]struct {
		target                  mapping.Target
		wantBuild, wantPipeline string
	}{
		"a region": {
			mapping.Target{Region: "cn-north-4"},
			"https://cloudbuild-ext.cn-north-4.myhuaweicloud.com", codearts.PipelineEndpoint("cn-north-4"),
		},
		"a region with another address of pipelines": {
			mapping.Target{Region: "cn-north-4", PipelineEndpoint: pipelines}, "https://cloudbuild-ext.cn-north-4.myhuaweicloud.com", pipelines,
		},
		"a region whose pipelines are not known": {
			mapping.Target{Region: "moon-1"}, "https://cloudbuild-ext.moon-1.myhuaweicloud.com", "",
		},
		"an endpoint":         {mapping.Target{Endpoint: build}, build, ""},
		"an endpoint of each": {mapping.Target{Endpoint: build, PipelineEndpoint: pipelines}, build, pipelines},
	} {
		t.Run(name, func(t *testing.T) {
			if got := bridge.Endpoint(&test.target); got != test.wantBuild {
				t.Errorf("builds at %s, want %s", got, test.wantBuild)
			}
			if got := bridge.PipelineEndpoint(&test.target); got != test.wantPipeline {
				t.Errorf("pipelines at %s, want %s", got, test.wantPipeline)
			}
			t.Setenv("TOKEN", "a-token")
			test.target.Timeout, test.target.Credentials.Token = time.Minute, &mapping.SecretRef{Env: "TOKEN"}
			clients, _, err := bridge.NewClients(&test.target, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer clients.Close()
			if has := clients.Target(&test.target).Pipelines != nil; has != (test.wantPipeline != "") {
				t.Errorf("there are pipelines: %v, with the address %q", has, test.wantPipeline)
			}
		})
	}
}
