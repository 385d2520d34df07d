package mapping

import (
	"slices"
	"strings"
)

// Provider is what the rules have to know of a code host: what a source of it may be
// configured with. [Parse] is given all that there are.
type Provider struct {
	Name string // as in `provider: github`

	SigningTokens bool // a source may have signing_tokens
	Basic         bool // a source may have basic

	// TokenHeader: a source may have token_header. NeedsTokenHeader: its secrets are
	// sent in that header alone, so that neither makes sense without the other.
	TokenHeader, NeedsTokenHeader bool

	// PathSecret: a secret is the last segment of the path of the webhook's address, for the host sends no
	// other proof. In place of secrets a source may have allow_from alone.
	PathSecret bool

	NoOwner bool // names of repositories may be without a "/"

	Statuses bool // the host takes statuses on commits
	// URLForm is how the url of a source with api looks, for people, where it is required;
	// "" if it may be left out.
	URLForm string
}

// keys says which fields of a source hold its keys.
func (p *Provider) keys() string {
	fields := []string{"secrets"}
	if p.NeedsTokenHeader {
		fields[0] = "token_header with secrets"
	}
	if p.SigningTokens {
		fields = append(fields, "signing_tokens")
	}
	if p.Basic {
		fields = append(fields, "basic")
	}
	if p.PathSecret {
		fields = append(fields, "allow_from with the addresses of the host")
	}
	return strings.Join(fields, " or ")
}

// providers are the code hosts that a set of rules may name.
type providers []Provider

// find gives the provider of a name, nil if there is none.
func (ps providers) find(name string) *Provider {
	if i := slices.IndexFunc(ps, func(p Provider) bool { return p.Name == name }); i >= 0 {
		return &ps[i]
	}
	return nil
}

// names gives the names of the providers that have a property.
func (ps providers) names(has func(*Provider) bool) []string {
	var names []string
	for i := range ps {
		if has(&ps[i]) {
			names = append(names, ps[i].Name)
		}
	}
	return names
}

func anyProvider(*Provider) bool        { return true }
func hasSigningTokens(p *Provider) bool { return p.SigningTokens }
func hasBasic(p *Provider) bool         { return p.Basic }
func hasTokenHeader(p *Provider) bool   { return p.TokenHeader }
