package hostapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"buildbridge/mapping"
)

// Options of a client. Provider and Token are required.
type Options struct {
	Provider string // as in the rules: github, bitbucket-server
	// URL is the root of the host, as in [mapping.API]; "" for the provider's public service.
	URL      string
	Username string // for Basic; "" for the provider's default
	// Token is asked before each request, because a token rotates.
	Token func() (mapping.Secret, error)

	// Transport sends the requests; nil for one of the client's own, with the proxies of the
	// environment. It must not follow redirects.
	Transport http.RoundTripper
	Logger    *slog.Logger // a line at debug for each request; nil for none
	// Requests is told of each request: its call ([CallStatus], [CallCheckRuns], [CallRefs]), and the
	// HTTP status as text, [CodeTimeout] or [CodeNotSent]. It may be nil.
	Requests func(call, code string)
}

// The calls that a client makes.
const (
	CallStatus    = "status"     // sets a status
	CallCheckRuns = "check_runs" // lists what Gitee has of a commit
	CallRefs      = "refs"       // reads branches and tags, by the protocol of Git
)

// Client is a client of one code host. It is safe for concurrent use. It keeps no state but
// connections: what the next status of a build needs is in what Post returns.
type Client struct {
	host host
	root string // of the host, for people
	base string // of its API
	git  string // the root of its repositories
	o    Options
	own  *http.Transport // nil if the transport was given
}

// host is what a client has to know of a code host.
type host struct {
	public string                     // the root of the public service; "" if there is none
	api    func(root *url.URL) string // the address of the API
	header func(username, token string) (name, value string)
	scope  string // what the token has to be allowed
	// running: the host has a word for a build that runs.
	running bool
	limit   mapping.RateLimit
	// post is nil if the host takes no statuses.
	post func(ctx context.Context, c *Client, s Status) (ref string, err error)

	clone func(repository string) (path string, err error) // of a repository under the root, for Git
	// login is header for Git. Where the user does not matter, and none is given, it is one that
	// the host's documentation names.
	login func(username, token string) (name, value string)
	reads string // what the token has to be allowed to read refs
}

// hosts are the code hosts. Each names its source, here or in its file.
var hosts = map[string]host{
	"github":           gitHub,
	"gitlab":           gitLab,
	"gitee":            gitee,
	"gitea":            gitea,
	"forgejo":          gitea,
	"bitbucket":        bitbucket,
	"bitbucket-server": bitbucketServer,
	"azure-devops":     azureDevOps,
	"gogs":             gogs,
	// An access token goes with private-token:
	// https://support.huaweicloud.com/intl/en-us/usermanual-codeartsrepo/codeartsrepo_03_0021.html
	"codearts-repo": gitOnly("", "private-token"),
	// The users are those of public scripts.
	"gitcode": gitOnly("https://gitcode.com", "oauth2"),
	"codeup":  gitOnly("https://codeup.aliyun.com", "oauth2"),
	"tgit":    gitOnly("https://git.code.tencent.com", "private"),
	"gerrit":  gerrit,
}

// New makes a client. It sends nothing. The caller must close it.
func New(o Options) (*Client, error) {
	h, ok := hosts[o.Provider]
	if !ok {
		return nil, fmt.Errorf("provider %q is not known; these are: %s", o.Provider, strings.Join(slices.Sorted(maps.Keys(hosts)), ", "))
	}
	if o.Token == nil {
		return nil, errors.New("Options.Token is missing")
	}
	if o.URL == "" {
		o.URL = h.public
	}
	root, err := url.Parse(o.URL)
	switch {
	case o.URL == "":
		return nil, fmt.Errorf("provider %s has no public service: its URL is missing", o.Provider)
	case err != nil:
		return nil, errors.New("the URL of the code host is not a URL")
	case root.Scheme != "http" && root.Scheme != "https", root.Host == "":
		return nil, errors.New("the URL of the code host does not begin with https://HOST or http://HOST")
	case root.User != nil, root.RawQuery != "", root.Fragment != "":
		return nil, errors.New("the URL of the code host has more than a scheme, a host and a path")
	}
	c := &Client{host: h, root: strings.TrimRight(root.String(), "/"), o: o}
	c.base = strings.TrimRight(h.api(root), "/")
	c.git = strings.TrimRight(web(root), "/")
	if c.o.Logger == nil {
		c.o.Logger = slog.New(slog.DiscardHandler)
	}
	if c.o.Transport == nil {
		c.own = newTransport()
		c.o.Transport = c.own
	}
	return c, nil
}

// Post sets a status. It gives what the next status of the same build has to have as Previous;
// "" if the host needs nothing. It takes at most 10 s for each request: one, at Gitee up to
// four, and two or three at a host of an older version; none is sent after ctx ends. The error
// is a *[Refusal].
//
// To post a status twice does no harm.
func (c *Client) Post(ctx context.Context, s Status) (ref string, err error) {
	if s.Repository == "" || s.Commit == "" || s.Context == "" {
		return "", &Refusal{Fate: FateFinal, Code: CodeNotSent, Reason: "a status needs a repository, a commit and a context"}
	}
	if !c.TakesStatuses() {
		return "", &Refusal{Fate: FateFinal, Code: CodeNotSent, Reason: "the code host has no statuses on commits"}
	}
	return c.host.post(ctx, c, s)
}

// TakesStatuses reports whether the host has statuses on commits: whether Post can do anything.
func (c *Client) TakesStatuses() bool { return c.host.post != nil }

// SaysRunning reports whether the host has a word for a build that runs.
func (c *Client) SaysRunning() bool { return c.host.running }

// Limit is how many statuses the host takes; the zero value means that it has no such limit, or
// none that is known.
func (c *Client) Limit() mapping.RateLimit { return c.host.limit }

// Close closes the connections that are not in use.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}
