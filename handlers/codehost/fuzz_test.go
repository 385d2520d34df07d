package codehost

import (
	"errors"
	"net/http"
	"path/filepath"
	"testing"

	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/mapping"
)

func FuzzDecodeGitHub(f *testing.F)          { fuzzDecode(f, "github") }
func FuzzDecodeGitLab(f *testing.F)          { fuzzDecode(f, "gitlab") }
func FuzzDecodeGitee(f *testing.F)           { fuzzDecode(f, "gitee") }
func FuzzDecodeGitea(f *testing.F)           { fuzzDecode(f, "gitea") }
func FuzzDecodeForgejo(f *testing.F)         { fuzzDecode(f, "forgejo") }
func FuzzDecodeGogs(f *testing.F)            { fuzzDecode(f, "gogs") }
func FuzzDecodeBitbucket(f *testing.F)       { fuzzDecode(f, "bitbucket") }
func FuzzDecodeBitbucketServer(f *testing.F) { fuzzDecode(f, "bitbucket-server") }
func FuzzDecodeAzureDevOps(f *testing.F)     { fuzzDecode(f, "azure-devops") }
func FuzzDecodeCodeArtsRepo(f *testing.F)    { fuzzDecode(f, "codearts-repo") }

// fuzzDecode holds that whatever a host sends, it is malformed or it is a
// delivery as every other.
func fuzzDecode(f *testing.F, provider string) {
	host, err := hostOf(provider)
	if err != nil {
		f.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join("testdata", provider, "*.http"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		header, body := readDelivery(f, path)
		event := ""
		for _, name := range host.eventHeaders {
			event = firstOf(event, header.Get(name))
		}
		f.Add(event, header.Get("Content-Type") == formType, body)
	}
	f.Fuzz(func(t *testing.T, event string, form bool, body []byte) {
		header := http.Header{}
		for _, name := range host.eventHeaders {
			header.Set(name, event)
		}
		if form {
			header.Set("Content-Type", formType)
		}
		WithEvent(provider, nil, body)
		m, err := Trust(provider, header, body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
			return
		}
		m.Stored()
		d, err := m.Decode()
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Error(err)
			}
			return
		}
		checkDelivery(t, provider, d)
	})
}

// FuzzAuthenticate holds that no headers open a source without its secret, and
// that the secret does, whatever else is sent.
func FuzzAuthenticate(f *testing.F) {
	const secret = "5d41402abc4b2a76b9719d911017c592"
	for i, provider := range providerNames() {
		h := signed(provider, "another", []byte("{}"))
		for _, values := range h {
			f.Add(i, values[0], "1772356830", "application/json", []byte("{}"))
			f.Add(i, values[0]+"\x00", "1772356830000", formType, []byte("payload=%7B%7D"))
		}
	}
	h := http.Header{}
	codehosttest.SignGitLab(string(signingToken('x')), "id", testNow(), h, []byte("{}"))
	f.Add(1, h.Get("Webhook-Signature"), h.Get("Webhook-Timestamp"), "", []byte("{}"))
	f.Fuzz(func(t *testing.T, i int, proof, stamp, contentType string, body []byte) {
		providers := providerNames()
		provider := providers[uint(i)%uint(len(providers))]
		header := http.Header{"Content-Type": {contentType}, "Webhook-Timestamp": {stamp}, "X-Gitee-Timestamp": {stamp}}
		for _, name := range []string{
			"X-Hub-Signature-256", "X-Hub-Signature", "X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature",
			"X-Gitlab-Token", "Webhook-Signature", "Webhook-Id", "X-Gitee-Token", "Authorization", "X-Repo-Token",
		} {
			header.Set(name, proof)
		}
		keys := keysOf(provider, secret)
		if len(body)%2 == 1 && provider == "gitlab" {
			keys.SigningTokens = []mapping.Secret{signingToken('s')}
		}
		if _, err := Authenticate(provider, keys, header, body, testNow()); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%s believes %q: %v", provider, proof, err)
		}

		header = signed(provider, secret, body)
		keys.SigningTokens = nil
		m, err := Authenticate(provider, keys, header, body, testNow())
		if err != nil {
			t.Fatalf("%s does not believe its secret: %v", provider, err)
		}
		if string(m.Payload()) != string(body) {
			t.Error("the payload is not the body")
		}
	})
}
