package mapping

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// API is how the API of a code host is reached.
type API struct {
	// URL is the root of a self-hosted host, such as https://git.example.com/sub, without a
	// slash at its end: the addresses of its API and of clones follow from it. "" means the
	// provider's public service.
	URL      string
	Username string // where Basic needs one; "" for the provider's default
	Token    SecretRef
}

// api checks how the host of a source is asked and told, nil if that is not configured.
// Where it may be, and could not be read, the result is not nil: a fault was reported.
// provider is nil if it is at fault.
func (s scope) api(source *sourceDocument, field string, provider *Provider) *API {
	if source.Report.Value {
		s.checkReport(source, field+".report", provider)
	}
	doc := source.API
	if doc == nil {
		if source.MayHave("api") {
			return new(API)
		}
		return nil
	}
	field += ".api"
	out := &API{URL: s.address(doc.URL, field+".url"), Username: doc.Username.Value}
	if token := s.secret(doc.Token, field+".token"); token != nil {
		out.Token = *token
	}
	if provider != nil && provider.URLForm != "" && !doc.URL.At.Known() && !doc.MayHave("url") {
		s.fault(doc.At, field+".url", "required for %s: write %s", provider.Name, provider.URLForm)
	}
	if path := apiPath.FindString(out.URL); path != "" {
		s.warn(doc.URL.At, field+".url", "the address of the API follows from the root: leave %s out", path)
	}
	if strings.HasPrefix(out.URL, "http:") && !loopback(out.URL) {
		s.warn(doc.URL.At, field+".url", "the token is sent without encryption: everybody on the way can read it. Use https")
	}
	return out
}

// apiPath is where the API of some code host is, under its root.
var apiPath = regexp.MustCompile(`(/api/v[0-9]+|/rest(/api/[^/]+)?|/2\.0|/_apis)$`)

func (s scope) checkReport(source *sourceDocument, field string, provider *Provider) {
	switch {
	case provider != nil && !provider.Statuses:
		s.fault(source.Report.At, field, "%s has no statuses on commits: remove this, or write false", provider.Name)
	case source.API == nil && !source.MayHave("api"):
		s.fault(source.Report.At, field, "needs api: statuses are set with its token")
	}
}

// loopback says whether an address is one of this machine.
func loopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback() || strings.EqualFold(u.Hostname(), "localhost")
}
