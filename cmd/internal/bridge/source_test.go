package bridge_test

import (
	"net/netip"
	"strings"
	"testing"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/mapping"
)

// A secret that ends a path must be one segment of it as it stands. The error does not show it.
func TestSecretsInPaths(t *testing.T) {
	for name, test := range map[string]struct {
		provider, secret string
		refused          bool
	}{
		"hexadecimal":                    {"gerrit", "5d41402abc4b2a76b9719d911017c592", false},
		"all that is never escaped":      {"gerrit", "aZ09-._~", false},
		"a dot among others":             {"gerrit", ".x", false},
		"a slash":                        {"gerrit", "5d41/402a", true},
		"base64":                         {"gerrit", "5d41+402a==", true},
		"an escape":                      {"gerrit", "5d41%2F402a", true},
		"a question mark":                {"gerrit", "5d41?402a", true},
		"a space":                        {"gerrit", "correct horse", true},
		"a line break at the end":        {"gerrit", "5d41402a\n", true},
		"no ASCII":                       {"gerrit", "geheimnüß", true},
		"a dot":                          {"gerrit", ".", true},
		"two dots":                       {"gerrit", "..", true},
		"another provider's is free":     {"github", "correct horse / battery", false},
		"an empty one has its own error": {"gerrit", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH_SECRET", test.secret)
			s := &mapping.Source{Name: "review", Provider: test.provider, Secrets: []mapping.SecretRef{{Env: "PATH_SECRET"}}}
			_, err := bridge.ResolveSource(s)
			if (err != nil) != test.refused {
				t.Fatalf("refused: %v", err)
			}
			if err == nil {
				return
			}
			if text := err.Error(); !strings.HasPrefix(text, `source "review": secrets[0]: `) || len(test.secret) > 2 && strings.Contains(text, test.secret) {
				t.Errorf("the error is %q", text)
			}
		})
	}
}

// Addresses in place of secrets let a call through the authentication; the list itself is checked before. A
// source is not called insecure for that.
func TestAddressesInPlaceOfSecrets(t *testing.T) {
	t.Setenv("PATH_SECRET", "s")
	secrets, addresses := []mapping.SecretRef{{Env: "PATH_SECRET"}}, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	for name, test := range map[string]struct {
		source mapping.Source
		open   bool
	}{
		"addresses alone":       {mapping.Source{Provider: "gerrit", AllowFrom: addresses}, true},
		"addresses and secrets": {mapping.Source{Provider: "gerrit", AllowFrom: addresses, Secrets: secrets}, false},
		"insecure":              {mapping.Source{Provider: "gerrit", Insecure: true}, true},
		"neither":               {mapping.Source{Provider: "gerrit"}, false},
	} {
		resolved, err := bridge.ResolveSource(&test.source)
		if err != nil {
			t.Fatal(err)
		}
		if resolved.Keys.Insecure != test.open || resolved.Insecure != test.source.Insecure {
			t.Errorf("%s: keys insecure %t, source %t", name, resolved.Keys.Insecure, resolved.Insecure)
		}
	}
}
