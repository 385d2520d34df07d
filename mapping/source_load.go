package mapping

import (
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// source checks one source as a whole.
func (s scope) source(name string, doc *sourceDocument) *Source {
	field := "sources." + name
	out := &Source{
		Name:          name,
		Provider:      doc.Provider.value,
		Secrets:       s.secrets(doc.Secrets, field+".secrets"),
		SigningTokens: s.secrets(doc.SigningTokens, field+".signing_tokens"),
		TokenHeader:   doc.TokenHeader.value,
		Insecure:      doc.Insecure.value,
		MaxBody:       DefaultMaxBody,
		RateLimit:     rate(doc.RateLimit),
	}
	for i := range doc.Basic {
		b := &doc.Basic[i]
		if ref := s.secret(b.Password, indexed(field+".basic", i)+".password"); ref != nil {
			out.Basic = append(out.Basic, BasicRef{Username: b.Username.value, Password: *ref})
		}
	}
	if doc.MaxBody.at.present() {
		out.MaxBody = doc.MaxBody.bytes
	}
	for i, t := range doc.AllowFrom {
		if !t.at.present() {
			continue
		}
		prefix, ok := parsePrefix(t.value)
		if !ok && wholePrefix.MatchString(t.value) {
			s.fault(t.at, indexed(field+".allow_from", i), "%q is not an IP address or a CIDR such as 203.0.113.0/24", clip(t.value))
			continue
		}
		out.AllowFrom = append(out.AllowFrom, prefix)
	}
	if provider := s.providers.named(out.Provider); provider != nil {
		s.checkAuthentication(field, doc, provider)
	} else if doc.Provider.at.present() && !slices.Contains(doc.wrong, "provider") {
		names := s.providers.names(anyProvider)
		s.fault(doc.Provider.at, field+".provider", "%q is not %s%s", clip(out.Provider), oneOf(names), Suggest(out.Provider, names))
	}
	return out
}

// checkAuthentication says whether the secrets fit the provider and each other.
func (s scope) checkAuthentication(field string, doc *sourceDocument, provider *Provider) {
	fits := func(field string, at place, has func(*Provider) bool) {
		if at.present() && !has(provider) {
			s.fault(at, field, "not for %s: it goes with %s only", provider.Name, strings.Join(s.providers.names(has), " and "))
		}
	}
	signing, basic, secrets := placeOf(doc.SigningTokens), place{}, placeOf(doc.Secrets)
	if len(doc.Basic) > 0 {
		basic = doc.Basic[0].at
	}
	fits(field+".signing_tokens", signing, hasSigningTokens)
	fits(field+".basic", basic, hasBasic)
	fits(field+".token_header", doc.TokenHeader.at, hasTokenHeader)
	if provider.NeedsTokenHeader && secrets.present() && !doc.TokenHeader.at.present() {
		s.fault(secrets, field+".secrets", "%s sends a secret only in a header of your choice: name it with token_header, or use basic", provider.Name)
	}
	if provider.NeedsTokenHeader && !secrets.present() && doc.TokenHeader.at.present() {
		s.fault(doc.TokenHeader.at, field+".token_header", "the header carries a secret: list it under secrets")
	}
	some := secrets.present() || signing.present() || basic.present()
	switch {
	case doc.Insecure.value && some:
		s.fault(doc.Insecure.at, field+".insecure", "insecure: true accepts anybody, and excludes secrets: remove one or the other")
	case !doc.Insecure.value && !some && !doc.doubts("secrets", "signing_tokens", "basic", "insecure"):
		s.fault(doc.at, field, "no secret: add %s, or write insecure: true to accept deliveries from anybody", provider.keys())
	}
}

func placeOf(list []secretDocument) place {
	if len(list) == 0 {
		return place{}
	}
	return list[0].at
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
	if doc == nil || !doc.at.present() || doc.lost || len(doc.wrong) > 0 {
		return nil
	}
	env, file := doc.Env.at.present(), doc.File.at.present()
	if env == file {
		s.fault(doc.at, field, "want exactly one of env and file")
		return nil
	}
	return &SecretRef{Env: doc.Env.value, File: doc.File.value}
}

func rate(doc *rateDocument) RateLimit {
	if doc == nil {
		return RateLimit{}
	}
	r := RateLimit{PerSecond: doc.PerSecond.value, Burst: int(doc.Burst.value)}
	if !doc.Burst.at.present() {
		r.Burst = max(1, int(math.Ceil(r.PerSecond)))
	}
	return r
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return netip.Prefix{}, false
		}
		a := p.Addr()
		if a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), true
}

func indexed(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// wholePrefix is the pattern of allow_from: what it refuses is reported already.
var wholePrefix = regexp.MustCompile(`^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`)
