package codehost

import (
	"fmt"
	"net/http"

	"buildbridge/mapping"
)

// hosts are all code hosts. A host that also sends the headers of another stands
// behind it: Forgejo sends Gitea's too, both send Gogs', and all three GitHub's.
var hosts = []*host{ //nolint:gochecknoglobals // a table that is only read
	&github,
	&gogs,
	&gitea,
	&forgejo,
	&gitlab,
	&gitee,
	&bitbucketServer,
	&bitbucket,
	&azureDevOps,
	&codeArtsRepo,
}

// Providers gives what the rules have to know of the code hosts, for [mapping.Parse].
func Providers() []mapping.Provider {
	providers := make([]mapping.Provider, len(hosts))
	for i, h := range hosts {
		providers[i] = h.Provider
	}
	return providers
}

// host is all that differs between the code hosts. Each has a file of its own.
type host struct {
	mapping.Provider

	eventHeaders []string // the first that is there names the event
	eventInBody  bool     // the body names it where no header does
	idHeaders    []string // the first that is there is the delivery's id
	idOfPush     bool     // the id may be that of a push, whose refs are sent one by one
	pingHeader   string   // is "true" for a test; "" for none, else canonical

	// ownHeaders tell a delivery of this host: no host before it in the table sends
	// them.
	ownHeaders []string
	// formerly is the provider whose headers the older versions of this host send.
	formerly string

	forms        bool     // can send payload= in a form
	signsInner   bool     // signs the JSON in the form, not the form
	secretFields []string // fields at the top of its JSON that hold secrets

	proof proof // how it proves who it is

	// decode fills a delivery whose Event and HostID are those of the headers.
	decode func(d *Delivery, body []byte) error

	// guess names the event of a body that was saved without its headers, by the
	// fields that only this event has; "" if they do not tell. nil where no header
	// names the event.
	guess func(topFields) string
}

// hostOf finds a host by the name of its provider.
func hostOf(provider string) (*host, error) {
	for _, h := range hosts {
		if h.Name == provider {
			return h, nil
		}
	}
	return nil, fmt.Errorf("unknown provider %q", provider)
}

// Sign adds to the headers of a delivery what the host sends to prove who it is, for
// tests and for the demo: a signature of the body, or the secret. Where a host can be
// set up in several ways it is the one without a time: GitLab's token, Gitee's
// password. CodeArts Repo sends its default header, and Azure DevOps Basic with the
// user name "buildbridge".
//
// The body is what the host signs: for Gitea, Forgejo and Gogs the JSON, even if it
// is sent in a form.
func Sign(provider, secret string, h http.Header, body []byte) {
	host, err := hostOf(provider)
	if err != nil {
		panic("codehost: " + err.Error())
	}
	host.proof.sign(secret, h, body)
}
