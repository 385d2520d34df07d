package codehost

import (
	"fmt"

	"buildbridge/mapping"
)

// hosts are all code hosts. A host that also sends the headers of another comes after it:
// Forgejo also sends Gitea's, both send Gogs', all three send GitHub's, and TGit sends GitLab's.
var hosts = []*host{
	&github,
	&gogs,
	&gitea,
	&forgejo,
	&gitlab,
	&tgit,
	&gitCode,
	&codeup,
	&gitee,
	&bitbucketServer,
	&bitbucket,
	&azureDevOps,
	&codeArtsRepo,
	&gerrit,
}

// ownServer is the URLForm of hosts that people run themselves.
const ownServer = "the address of the server, such as https://git.example.com"

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

	commitPath string // between the web addresses of a repository and of its commit; "" if that is not known

	eventHeaders []string // the first that is there names the event
	eventInBody  bool     // the body names it if no header does
	idHeaders    []string // the first that is there is the delivery's id
	idOfPush     bool     // the id may be that of a push, which is sent as a delivery for each ref
	pingHeader   string   // "true" or "test" in it means a test call; its canonical name, "" for none
	keptHeader   string   // a further header that decode reads; its canonical name, "" for none

	ownHeaders []string // see own; nil if they are the eventHeaders
	// formerly is the provider whose headers the older versions of this host send.
	formerly string

	forms        bool     // can send payload= in a form
	signsInner   bool     // signs the JSON in the form, not the form
	secretFields []string // fields at the top of its JSON that hold secrets

	proof proof // how it proves who it is; it has to sign too
	// signingToken says what is wrong with the form of a signing token; nil if that is any text.
	signingToken func(mapping.Secret) error

	// events are those that the headers may name, and why one is left out: nothing for those
	// that decode takes. They are nil if eventInBody.
	events map[string]LeftOut

	// decode decodes a body into a delivery, which has Event and HostID of the headers.
	decode func(d *Delivery, body []byte) error

	guesses []guess // the first that fits names the event of a body without headers
}

// own are the headers by which a delivery of this host is recognised: no host before it in
// the table sends them.
func (h *host) own() []string {
	if h.ownHeaders == nil {
		return h.eventHeaders
	}
	return h.ownHeaders
}

func hostOf(provider string) (*host, error) {
	for _, h := range hosts {
		if h.Name == provider {
			return h, nil
		}
	}
	return nil, fmt.Errorf("unknown provider %q", provider)
}
