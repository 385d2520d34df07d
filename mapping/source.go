package mapping

import (
	"fmt"
	"math"
	"net/netip"
	"strings"

	"buildbridge/mapping/internal/yamldoc"
	"buildbridge/mapping/notation"
)

// DefaultMaxBody is the largest body accepted where a source sets no max_body:
// 25 MiB, the most that GitHub and GitLab send.
const DefaultMaxBody = 25 << 20

// narrowEnough is the shortest prefix of addresses that are believed without a secret, in bits: that of the
// private addresses of IPv6, fc00::/7. Two prefixes of one bit are everybody.
const narrowEnough = 7

// Source is one caller: POST /webhooks/<Name>.
type Source struct {
	Name     string
	Provider string // the name of a [Provider]

	Secrets       []SecretRef // shared secrets, tokens or passwords; any one matches; Gerrit: in the path of the webhook's address
	SigningTokens []SecretRef // GitLab's and GitCode's; where there is one, a signature is required
	Basic         []BasicRef  // Bitbucket Data Center and Azure DevOps
	TokenHeader   string      // CodeArts Repo: the header of the token; "" means X-Repo-Token
	Insecure      bool        // accepts anybody; only without any secret

	MaxBody   int64          // bytes; DefaultMaxBody if not set
	AllowFrom []netip.Prefix // client addresses; empty means all
	RateLimit RateLimit      // of deliveries; the zero value means no limit

	API    *API // how to ask and tell this host; nil if that is not configured
	Report bool // statuses on commits, where a rule says nothing else; only with API

	CatchUp *CatchUp // how pushes are found whose delivery never came; nil for not at all; only with API
}

// ByAddress reports whether AllowFrom alone says who may call.
func (s *Source) ByAddress() bool {
	return !s.Insecure && len(s.AllowFrom) > 0 && len(s.Secrets) == 0 && len(s.SigningTokens) == 0 && len(s.Basic) == 0
}

// BasicRef is one pair of HTTP Basic credentials.
type BasicRef struct {
	Username string
	Password SecretRef
}

// RateLimit is a token bucket. The zero value does not limit anything.
type RateLimit struct {
	PerSecond float64
	Burst     int // at least 1 where PerSecond is set
}

// source checks one source as a whole.
func (s scope) source(name string, doc *sourceDocument) *Source {
	field := "sources." + name
	out := &Source{
		Name:          name,
		Provider:      doc.Provider.Value,
		Secrets:       s.secrets(doc.Secrets, field+".secrets"),
		SigningTokens: s.secrets(doc.SigningTokens, field+".signing_tokens"),
		TokenHeader:   doc.TokenHeader.Value,
		Insecure:      doc.Insecure.Value,
		MaxBody:       int64(doc.MaxBody.Or(DefaultMaxBody)),
		RateLimit:     rateLimit(doc.RateLimit),
		Report:        doc.Report.Value,
	}
	for i := range doc.Basic {
		b := &doc.Basic[i]
		if ref := s.secret(b.Password, indexed(field+".basic", i)+".password"); ref != nil {
			out.Basic = append(out.Basic, BasicRef{Username: b.Username.Value, Password: *ref})
		}
	}
	for i, t := range doc.AllowFrom {
		if !t.At.Known() || t.Bad {
			continue // reported by the decoder
		}
		prefix, ok := notation.Prefix(t.Value)
		if !ok {
			s.fault(t.At, indexed(field+".allow_from", i), "%q is not an IP address or a CIDR such as 203.0.113.0/24", clip(t.Value))
		}
		out.AllowFrom = append(out.AllowFrom, prefix)
	}
	provider := s.providers.find(out.Provider)
	s.noOwner = s.noOwner || provider != nil && provider.NoOwner
	out.API = s.api(doc, field, provider)
	out.CatchUp = s.catchUp(doc, field)
	if provider != nil {
		s.checkAuthentication(field, doc, provider)
	} else if doc.Provider.At.Known() && !doc.Provider.Bad {
		names := s.providers.names(anyProvider)
		s.fault(doc.Provider.At, field+".provider", "%q is not %s", clip(out.Provider), yamldoc.OneOf(out.Provider, names))
	}
	return out
}

// checkAuthentication says whether the secrets fit the provider and each other.
func (s scope) checkAuthentication(field string, doc *sourceDocument, provider *Provider) {
	fits := func(field string, at yamldoc.Position, has func(*Provider) bool) {
		if at.Known() && !has(provider) {
			s.fault(at, field, "not for %s: it goes with %s only", provider.Name, strings.Join(s.providers.names(has), " and "))
		}
	}
	var secrets, signing, basic yamldoc.Position
	if len(doc.Secrets) > 0 {
		secrets = doc.Secrets[0].At
	}
	if len(doc.SigningTokens) > 0 {
		signing = doc.SigningTokens[0].At
	}
	if len(doc.Basic) > 0 {
		basic = doc.Basic[0].At
	}
	if provider.PathSecret && !doc.Insecure.Value {
		for i, t := range doc.AllowFrom {
			if prefix, ok := notation.Prefix(t.Value); ok && prefix.Bits() < narrowEnough && len(doc.Secrets) == 0 {
				s.fault(t.At, indexed(field+".allow_from", i), "%s is wider than a /%d: name the addresses of %s, add secrets, or write "+
					"insecure: true to accept deliveries from anybody", t.Value, narrowEnough, provider.Name)
			}
		}
	}
	fits(field+".signing_tokens", signing, hasSigningTokens)
	fits(field+".basic", basic, hasBasic)
	fits(field+".token_header", doc.TokenHeader.At, hasTokenHeader)
	if provider.NeedsTokenHeader && secrets.Known() && !doc.TokenHeader.At.Known() {
		s.fault(secrets, field+".secrets",
			"%s sends a secret only in a header of your choice: name it with token_header, or use basic", provider.Name)
	}
	if provider.NeedsTokenHeader && !secrets.Known() && doc.TokenHeader.At.Known() {
		s.fault(doc.TokenHeader.At, field+".token_header", "the header carries a secret: list it under secrets")
	}
	some := secrets.Known() || signing.Known() || basic.Known()
	addresses := provider.PathSecret && (len(doc.AllowFrom) > 0 || doc.MayHave("allow_from"))
	switch {
	case doc.Insecure.Value && some:
		s.fault(doc.Insecure.At, field+".insecure", "insecure: true accepts anybody, and excludes secrets: remove one or the other")
	case !doc.Insecure.Value && !some && !addresses && !doc.MayHave("secrets", "signing_tokens", "basic", "insecure"):
		s.fault(doc.At, field, "no secret: add %s, or write insecure: true to accept deliveries from anybody", provider.keys())
	}
}

func (s scope) secrets(docs []secretDocument, field string) []SecretRef {
	var out []SecretRef
	for i := range docs {
		if ref := s.secret(&docs[i], indexed(field, i)); ref != nil {
			out = append(out, *ref)
		}
	}
	return out
}

// secret checks a reference; nil if there is none or it is at fault.
func (s scope) secret(doc *secretDocument, field string) *SecretRef {
	if doc == nil || !doc.Sound() {
		return nil
	}
	if doc.Env.At.Known() == doc.File.At.Known() {
		s.fault(doc.At, field, "want exactly one of env and file")
		return nil
	}
	return &SecretRef{Env: doc.Env.Value, File: doc.File.Value}
}

func rateLimit(doc *rateDocument) RateLimit {
	if doc == nil {
		return RateLimit{}
	}
	r := RateLimit{PerSecond: doc.PerSecond.Value, Burst: int(doc.Burst.Value)}
	if !doc.Burst.At.Known() {
		r.Burst = max(1, int(math.Ceil(r.PerSecond)))
	}
	return r
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
