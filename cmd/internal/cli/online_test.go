package cli

import (
	"testing"

	"buildbridge/mapping"
)

// An api at a host that takes no statuses is no fault: serve makes no client of it either.
func TestAskSourceWithAPI(t *testing.T) {
	t.Setenv("ONLINE_TOKEN", "t0ken")
	for _, provider := range []string{"github", "gogs", "codearts-repo"} {
		f := askSource(&mapping.Source{Name: "a", Provider: provider, Insecure: true, API: &mapping.API{
			URL: "https://git.example.com", Token: mapping.SecretRef{Env: "ONLINE_TOKEN"},
		}})
		if !f.OK {
			t.Errorf("%s: %s", provider, f)
		}
	}
}
