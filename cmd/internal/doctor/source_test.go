package doctor

import (
	"testing"

	"buildbridge/mapping"
)

// An api at a host that takes no statuses is no fault: serve makes no client of it either.
func TestSecretsOfSourceWithAPI(t *testing.T) {
	t.Setenv("ONLINE_TOKEN", "t0ken")
	for _, provider := range []string{"github", "gogs", "codearts-repo"} {
		f := secretsOf(&mapping.Source{Name: "a", Provider: provider, Insecure: true, API: &mapping.API{
			URL: "https://git.example.com", Token: mapping.SecretRef{Env: "ONLINE_TOKEN"},
		}})
		if !f.OK {
			t.Errorf("%s: %+v", provider, f)
		}
	}
}
