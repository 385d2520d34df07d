package codearts

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/provider"
)

// The SDK renews temporary keys 40 minutes before they expire. Of all calls at the same time one does that.
func TestChainRenewsTemporaryKeys(t *testing.T) {
	var given atomic.Int32
	var down atomic.Bool
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, `{"credentials":{"access":"AK%d","secret":"SK","securitytoken":"ST","expires_at":"%s"}}`,
			given.Add(1), time.Now().Add(time.Minute).UTC().Format("2006-01-02T15:04:05Z"))
	}))
	t.Cleanup(metadata.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("pod"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HC_CONTAINER_CREDENTIALS_FULL_URI", metadata.URL)
	t.Setenv("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)

	var now atomic.Int64
	chain := &chainCredentials{
		provide: provider.BasicCredentialPodIdentityProvider().GetCredentials,
		now:     func() time.Time { return time.Unix(now.Load(), 0) },
	}
	authorize := func() (*http.Request, error) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://x/v3/jobs/build", http.NoBody)
		return req, chain.Authorize(t.Context(), req, nil)
	}
	all := func() string {
		t.Helper()
		var group sync.WaitGroup
		var used sync.Map
		for range 16 {
			group.Go(func() {
				req, err := authorize()
				if err != nil {
					t.Error(err)
					return
				}
				access, _, _ := strings.Cut(req.Header.Get("Authorization"), ",")
				used.Store(access+" "+req.Header.Get("X-Security-Token"), true)
			})
		}
		group.Wait()
		var names []string
		used.Range(func(name, _ any) bool { names = append(names, name.(string)); return true })
		return strings.Join(names, "; ")
	}

	// The first lookup renews at once, because these keys expire in a minute.
	first := all()
	if n := given.Load(); strings.Contains(first, ";") || n > 2 {
		t.Fatalf("used %s of %d", first, n)
	}
	asked := given.Load()
	if again := all(); again != first || given.Load() != asked {
		t.Errorf("within a minute: used %s, %d more given", again, given.Load()-asked)
	}
	now.Add(60)
	if renewed := all(); renewed == first || strings.Contains(renewed, ";") || given.Load() != asked+1 {
		t.Errorf("after a minute: used %s, %d more given", renewed, given.Load()-asked)
	}

	// Keys that cannot be renewed are used until they are refused.
	down.Store(true)
	now.Add(60)
	last := all()
	if !strings.Contains(last, fmt.Sprintf("AK%d", given.Load())) {
		t.Errorf("while renewal fails: used %s", last)
	}
	req, err := authorize()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := chain.Refresh(t.Context(), req, nil); again || err == nil {
		t.Errorf("refresh while renewal fails: %v, %v", again, err)
	}
	down.Store(false)
	if again, err := chain.Refresh(t.Context(), req, nil); !again || err != nil {
		t.Errorf("refresh: %v, %v", again, err)
	}
}

// If there are no keys, the error says for each source why.
func TestChainNamesThePlaces(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for _, name := range []string{"HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_IDP_ID", "HUAWEICLOUD_SDK_CREDENTIALS_FILE", "HC_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	chain := &chainCredentials{
		provide: firstOf(
			keySource{"environment", provider.BasicCredentialEnvProvider()},
			keySource{"profile", provider.BasicCredentialProfileProvider()},
			keySource{"CCE pod identity", provider.BasicCredentialPodIdentityProvider()},
		),
		now: time.Now,
	}
	err := chain.Authorize(t.Context(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://x/", http.NoBody), nil)
	if err == nil {
		t.Fatal("there are keys")
	}
	for _, part := range []string{
		"credential chain: environment: AK&SK or IdpId&IdTokenFile does not exist; ",
		"; profile: open ", "; CCE pod identity: HC_CONTAINER_CREDENTIALS_FULL_URI must be set",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
}
