package hostapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// CallHooks reads webhooks, and what is needed to know them.
const CallHooks = "webhooks"

// maxHookPages is how many pages of webhooks are read, of 50 or 100.
const maxHookPages = 10

// Webhooks reads the webhooks of repositories, and what was sent to them. All requests are GETs.
// What is the same for several repositories, such as the webhooks of an organisation, is asked
// once. It is safe for concurrent use.
type Webhooks struct {
	c    *Client
	host hookHost

	mu    sync.Mutex
	asked map[string]*wider
}

// wider are the webhooks of more than a repository.
type wider struct {
	mu    sync.Mutex // held while they are asked for
	known bool
	hooks []Hook
	err   error // why they cannot be seen
}

// hookHost is what differs between hosts.
type hookHost struct {
	scope string // what a token has to be allowed to see webhooks
	// token checks the token; nil where no call is known that every token may make.
	token func(ctx context.Context, w *Webhooks) (TokenInfo, error)
	hooks func(ctx context.Context, w *Webhooks, repository string) (RepositoryHooks, error)
	// deliveries are the last ones, newest first; nil if the host has no list.
	deliveries func(ctx context.Context, w *Webhooks, h Hook) ([]HookDelivery, error)
}

// hookHosts are the hosts whose webhooks can be read.
var hookHosts = map[string]hookHost{
	"github": {
		scope: "the token needs read on Webhooks (fine-grained) or the scope read:repo_hook (classic), and to administer the repository",
		token: gitHubToken, hooks: gitHubHooks, deliveries: gitHubDeliveries,
	},
	"gitlab": {
		scope: "the token needs the scope api and the role Maintainer",
		token: gitLabToken, hooks: gitLabHooks, deliveries: gitLabDeliveries,
	},
	"gitee": {
		scope: "the token needs the scope hook, and its user has to be an administrator of the repository",
		token: userToken, hooks: giteeHooks,
	},
	"gitea":   giteaHookHost,
	"forgejo": giteaHookHost,
	"gogs": {
		scope: "the token's user has to be an administrator of the repository",
		token: userToken, hooks: gogsHooks,
	},
	"bitbucket": {
		scope: "the token needs the scope webhook",
		hooks: bitbucketHooks,
	},
	"bitbucket-server": {
		scope: "the token needs the permission to administer the repository",
		hooks: bitbucketServerHooks, deliveries: bitbucketServerDeliveries,
	},
	"azure-devops": {
		scope: "the token's user needs the permission View subscriptions",
		hooks: azureDevOpsHooks, deliveries: azureDevOpsDeliveries,
	},
}

var giteaHookHost = hookHost{
	scope: "the token needs the scope write:repository, and its user has to be an administrator of the repository",
	token: userToken, hooks: giteaHooks,
}

// Webhooks gives a reader of webhooks, nil if those of this host cannot be read.
func (c *Client) Webhooks() *Webhooks {
	h, ok := hookHosts[c.o.Provider]
	if !ok {
		return nil
	}
	return &Webhooks{c: c, host: h, asked: map[string]*wider{}}
}

// TokenInfo is what a host says of the token. What it does not say is zero.
type TokenInfo struct {
	User    string
	Scopes  []string // nil if the host does not say
	Expires time.Time
}

// RepositoryHooks are the webhooks that get the pushes of a repository.
type RepositoryHooks struct {
	Name  string // of the repository, as the host writes it
	Hooks []Hook
	// Blind is why the repository's own webhooks cannot be seen; nil if they can be.
	Blind error
	// Unseen names whose webhooks may send for the repository too, and cannot be seen, such as
	// "the organisation acme"; "" if there are none that are known of.
	Unseen string
	unseen error // why
}

// Hook is a webhook. Its secrets are not in it.
type Hook struct {
	ID  string
	URL string // scheme, host and path, which have no secret
	Of  string // whose it is, such as "the organisation acme"; "" for the repository's own

	Push, Tag bool   // it sends pushes to branches, and of tags
	Off       string // why it does not send, or not what is needed; "" if it does
	Branches  string // the only branches that it sends; "" for all
	Unchecked bool   // it does not verify the bridge's certificate
	Secret    Known  // whether it has a secret

	// Last is the last delivery, of hosts that have it with the webhook.
	Last *HookDelivery

	path string // of its deliveries
}

// Known is a truth value that a host may not tell.
type Known int

// The values.
const (
	Unknown Known = iota
	Yes
	No
)

// HookDelivery is one that a host sent, or tried to.
type HookDelivery struct {
	ID     string    // as the delivery itself has it; "" if it is not known
	At     time.Time // zero if it is not known
	Taken  bool      // the answer was a 2xx
	Status int       // of the answer; 0 if there was none, or it is not known
}

// Scope is what a token has to be allowed to see webhooks, for people.
func (w *Webhooks) Scope() string { return w.host.scope }

// Token checks the token. known is false if the host has no call that says whether it is valid,
// or does not let this kind of token make it; what else is read says so then. The error is a
// *[Refusal].
func (w *Webhooks) Token(ctx context.Context) (info TokenInfo, known bool, err error) {
	if w.host.token == nil {
		return TokenInfo{}, false, nil
	}
	info, err = w.host.token(ctx, w)
	if r, ok := errors.AsType[*Refusal](err); ok && (r.Code == "403" || r.Code == "404") && r.Fate == FateFinal {
		return TokenInfo{}, false, nil
	}
	return info, err == nil, err
}

// Of reads the webhooks of a repository. It takes at most 10 s for each request. The error, a
// *[Refusal], means that the repository cannot be seen.
func (w *Webhooks) Of(ctx context.Context, repository string) (RepositoryHooks, error) {
	return w.host.hooks(ctx, w, repository)
}

// Deliveries reads the last deliveries of pushes to a webhook, at most 50, the newest first.
// known is false if the host has no list of them, or does not show it.
func (w *Webhooks) Deliveries(ctx context.Context, h Hook) (list []HookDelivery, known bool, err error) {
	if w.host.deliveries == nil {
		return nil, false, nil
	}
	list, err = w.host.deliveries(ctx, w, h)
	if r, ok := errors.AsType[*Refusal](err); ok && r.Fate == FateFinal {
		return nil, false, nil
	}
	return list, err == nil, err
}

// get reads a resource. what names it in errors. The header is that of the answer.
func (w *Webhooks) get(ctx context.Context, what, path string, query url.Values, into any) (http.Header, error) {
	r := request{call: CallHooks, method: http.MethodGet, path: path}
	if w.c.o.Provider == "github" {
		r.header = http.Header{"X-Github-Api-Version": {"2022-11-28"}}
	}
	if len(query) > 0 {
		r.path += "?" + query.Encode()
	}
	a, err := w.c.send(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNoContent:
		return a.header, nil
	case !a.is(http.StatusOK):
		return nil, w.refusal(a, what)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		r := a.unreadable(err)
		r.Reason = fmt.Sprintf("%s: the code host's answer cannot be read", what)
		return nil, r
	}
	return a.header, nil
}

// refusal is what an answer to a question means.
func (w *Webhooks) refusal(a *answer, what string) *Refusal {
	switch {
	case a.status == http.StatusNonAuthoritativeInfo: // Azure DevOps
		return a.refuse(FateSource, "the code host refuses the token, and answers with a sign-in page", "give a valid one to api.token")
	case a.status == http.StatusForbidden && !a.limited(),
		a.status == http.StatusUnauthorized && a.says("permission", "permitted"): // Bitbucket Data Center, of a good token
		return a.refuse(FateFinal, "the token may not see "+what, w.host.scope)
	case a.status == http.StatusNotFound && a.isJSON():
		return a.refuse(FateFinal, "the code host has not "+what+", or the token may not see it", w.host.scope)
	case a.status == http.StatusTooManyRequests, a.status == http.StatusForbidden:
		r := w.c.refusal(a)
		r.Reason = strings.Replace(r.Reason, "statuses of this source wait", "ask again later", 1)
		return r
	case a.status == http.StatusRequestTimeout, a.status == http.StatusConflict, a.status >= 500:
		return a.refuse(FateAgain, "the code host cannot show "+what+" now", "ask again later")
	case a.status == http.StatusBadRequest, a.status == http.StatusUnprocessableEntity, a.status == http.StatusMethodNotAllowed,
		a.status == http.StatusGone:
		return a.refuse(FateFinal, "the code host does not show "+what, "it may be of a version that buildbridge does not know")
	}
	return w.c.refusal(a)
}

// refused reports whether an error is about one resource only, which is not to be seen.
func refused(err error) bool {
	r, ok := errors.AsType[*Refusal](err)
	return ok && r.Fate == FateFinal
}

// list reads a list page by page: page gives the query of page i, from 0.
func list[T any](ctx context.Context, w *Webhooks, what, path string, size int, page func(i int) url.Values) ([]T, error) {
	var all []T
	for i := range maxHookPages {
		var some []T
		if _, err := w.get(ctx, what, path, page(i), &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < size {
			break
		}
	}
	return all, nil
}

// numbered are the pages of most hosts.
func numbered(sizeName string, size int) func(int) url.Values {
	return func(i int) url.Values {
		return url.Values{sizeName: {strconv.Itoa(size)}, "page": {strconv.Itoa(i + 1)}}
	}
}

// add adds webhooks of the repository to what is known, or why they cannot be seen. The error is
// one that ends all questions.
func (r *RepositoryHooks) add(hooks []Hook, err error) error {
	if err != nil && !refused(err) {
		return err
	}
	r.Hooks, r.Blind = append(r.Hooks, hooks...), err
	return nil
}

// addWider adds those of more than the repository, which are asked for once. of names whose they
// are. The error is one that ends all questions, and is not kept: the host may only ask to wait.
func (r *RepositoryHooks) addWider(w *Webhooks, of string, ask func() ([]Hook, error)) error {
	w.mu.Lock()
	all := w.asked[of]
	if all == nil {
		all = new(wider)
		w.asked[of] = all
	}
	w.mu.Unlock()
	all.mu.Lock()
	defer all.mu.Unlock()
	if !all.known {
		hooks, err := ask()
		if f, ok := errors.AsType[*Refusal](err); ok && f.Fate == FateSource {
			return err
		}
		for i := range hooks {
			hooks[i].Of = of
		}
		all.known, all.hooks, all.err = true, hooks, err
	}
	if all.err != nil {
		r.Unseen, r.unseen = strings.TrimPrefix(r.Unseen+" or "+of, " or "), all.err
	}
	r.Hooks = append(r.Hooks, all.hooks...)
	return nil
}

// shown is a URL without what may be secret in it.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return oneLine((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), 300)
}

func yes(set bool) Known {
	if set {
		return Yes
	}
	return No
}

// userToken asks for the user of the token.
func userToken(ctx context.Context, w *Webhooks) (TokenInfo, error) {
	var user struct {
		Login string `json:"login"`
	}
	_, err := w.get(ctx, "the token's user", "/user", nil, &user)
	return TokenInfo{User: oneLine(user.Login, 100)}, err
}

// ownerName is the repository of hosts that call it by owner and name.
type ownerName struct {
	FullName string `json:"full_name"`
	Owner    struct {
		Login string `json:"login"`
		Type  string `json:"type"` // at GitHub
	} `json:"owner"`
}

// repository reads a repository of such a host, and gives the path of its resources.
func (w *Webhooks) repository(ctx context.Context, under, repository string) (found ownerName, path string, err error) {
	owner, name, err := split(repository)
	if err != nil {
		return ownerName{}, "", err
	}
	path = at(under, owner, name)
	_, err = w.get(ctx, "the repository", path, nil, &found)
	found.Owner.Login = cmp.Or(found.Owner.Login, owner)
	return found, path, err
}
