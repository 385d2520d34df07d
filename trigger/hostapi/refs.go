package hostapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"buildbridge/trigger/hostapi/gitrefs"
)

// Ref is a branch or a tag: its full name, and its commit, for an annotated tag that which the
// tag is of.
type Ref = gitrefs.Ref

// Limits of one list of refs.
const (
	refsWithin = time.Minute // for all requests, all that is read, and what each does with it
	maxRefs    = 64 << 20    // bytes; 50,000 refs are 4 MB
	maxMoves   = 3           // redirects
)

// Refs reads the branches and tags of a repository, by its full name, and gives one after the other
// to each, by the smart HTTP protocol of Git (version 2, or 0 where a server knows no other). An
// empty repository has none. Names are valid UTF-8; others are left out, as is every ref that is
// neither a branch nor a tag.
//
// It takes at most a minute and 64 MiB, and keeps one ref in memory. A repository that has moved is
// followed to another address of the same host; the token goes nowhere else.
//
// The error is a *[Refusal], or what each returned, which ends the reading. What each got before an
// error is not all that there is.
func (c *Client) Refs(ctx context.Context, repository string, each func(Ref) error) error {
	path, err := c.host.clone(repository)
	if err != nil {
		return err
	}
	ended := ctx.Err
	ctx, cancel := context.WithTimeout(ctx, refsWithin)
	defer cancel()
	l := &refList{c: c, ended: ended, clone: c.git + path, left: maxRefs}
	give := func(r Ref) error {
		l.stopped = each(r)
		return l.stopped
	}
	var said gitrefs.Advertisement
	var moved *answer
	for range 1 + maxMoves {
		moved, err = l.ask(ctx, http.MethodGet, gitrefs.AdvertisementPath, nil, func(r io.Reader) (err error) {
			said, err = gitrefs.ReadAdvertisement(r, give)
			return err
		})
		if moved == nil {
			break
		}
	}
	switch {
	case err != nil:
		return err
	case moved != nil:
		return moved.refuse(FateFinal, "the repository has moved too often", "name it as the code host does")
	case said.Version != 2:
		return nil
	}
	moved, err = l.ask(ctx, http.MethodPost, gitrefs.RequestPath, said.Request(), func(r io.Reader) error {
		return gitrefs.ReadRefs(r, give)
	})
	if moved != nil {
		return moved.refuse(FateAgain, "the repository moved just now", "it is tried again")
	}
	return err
}

// refList is the list of one repository while it is read.
type refList struct {
	c       *Client
	ended   func() error // why the caller does not wait any longer, which is not the host's fault
	clone   string       // the URL of the repository
	left    int64        // how many bytes may still come
	stopped error        // what each returned
	secrets []string     // what must not be shown
}

// ask sends a request, and has the answer read. moved is not nil if the repository has moved to
// another address of the host, which is l.clone then.
func (l *refList) ask(ctx context.Context, method, path string, body []byte, read func(io.Reader) error) (moved *answer, err error) {
	began := time.Now()
	address := l.clone + path
	a, err := l.roundTrip(ctx, method, address, body, read)
	l.c.sent(ctx, request{call: CallRefs, method: method}, address, began, a, err)
	if err != nil || a.status/100 == 2 {
		return nil, err
	}
	if l.follow(a) {
		return a, nil
	}
	return nil, l.refusal(a)
}

// roundTrip gives an answer, nil if there is none that is whole. A 2xx was read if the error is nil.
func (l *refList) roundTrip(ctx context.Context, method, address string, body []byte, read func(io.Reader) error) (*answer, error) {
	token, err := l.c.token()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, &Refusal{Fate: FateFinal, Code: CodeNotSent, Reason: "the repository's address is not a URL"}
	}
	kind := gitrefs.AdvertisementType
	if method == http.MethodPost {
		kind = gitrefs.ResultType
		req.Header.Set("Content-Type", gitrefs.RequestType)
	}
	req.Header.Set("Accept", kind)
	req.Header.Set(gitrefs.ProtocolHeader, gitrefs.ProtocolV2)
	// Some hosts tell Git from a browser by it, as libgit2 has found out.
	req.Header.Set("User-Agent", "git/2.0 (buildbridge)")
	l.secrets = authorize(req, l.c.o.Username, token, l.c.host.login)

	res, err := l.c.exchange(ctx, req, l.secrets, l.c.git, l.ended)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	a := &answer{status: res.StatusCode, header: res.Header, url: req.URL}
	got, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode != http.StatusOK || got != kind {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 16<<10)) // why it broke off is of no interest
		a.body = text
		switch {
		case a.isJSON():
			a.said = l.quote(message(text))
		case got == "text/plain" && res.StatusCode/100 != 2:
			a.said = l.quote(string(text))
		}
		if res.StatusCode/100 == 2 {
			return a, l.refusal(a)
		}
		return a, nil
	}
	if err = read(&bounded{res.Body, &l.left}); err == nil {
		return a, nil
	}
	if l.stopped != nil {
		return a, l.stopped
	}
	server, isServer := errors.AsType[*gitrefs.ServerError](err)
	_, isFormat := errors.AsType[*gitrefs.FormatError](err)
	switch {
	case isServer:
		a.said = l.quote(server.Message)
		r := a.refuse(FateAgain, "the code host does not list the repository's branches and tags", "it is tried again")
		r.Code = "200"
		return a, r
	case errors.Is(err, errTooMuch):
		return a, a.refuse(FateFinal, fmt.Sprintf("the repository's list of refs has more than %d MiB", maxRefs>>20),
			"hide the refs that are neither branches nor tags, or delete branches and tags")
	case isFormat:
		r := a.refuse(FateAgain, "the code host's list of refs cannot be read", "it is tried again")
		r.Err = foreign(err, l.secrets)
		return a, r
	}
	r := &Refusal{Fate: FateAgain, Code: CodeTimeout, Reason: "the code host's list of refs broke off", Err: foreign(err, l.secrets)}
	if ctx.Err() != nil && l.ended() == nil {
		r.Reason = fmt.Sprintf("the code host did not send all refs within %v", refsWithin)
	}
	return nil, r
}

// quote makes a text of the host fit to be shown.
func (l *refList) quote(text string) string { return oneLine(hide(text, l.secrets), 200) }

// follow reports whether an answer sends to the repository at another address below the same root:
// not to a sign-in page, and nowhere else.
func (l *refList) follow(a *answer) bool {
	location := a.header.Get("Location")
	to, err := a.url.Parse(location)
	if err != nil || location == "" || a.status/100 != 3 || !strings.HasPrefix(to.String(), l.c.git+"/") {
		return false
	}
	to.RawQuery, to.Fragment = "", ""
	moved, ok := strings.CutSuffix(to.String(), "/info/refs")
	if ok {
		l.clone = moved
	}
	return ok
}

// refusal is what an answer means that is no list of refs.
func (l *refList) refusal(a *answer) *Refusal {
	switch {
	case a.status/100 == 3:
		return l.redirected(a)
	case a.status == http.StatusUnauthorized:
		return a.refuse(FateSource, "the code host refuses the token",
			"it is wrong, expired or revoked, or it may not see this repository; give a valid one to api.token")
	case a.status == http.StatusNonAuthoritativeInfo:
		return a.refuse(FateSource, "the code host refuses the token, and answers with a sign-in page", "give a valid one to api.token")
	case a.status == http.StatusProxyAuthRequired:
		return a.refuse(FateSource, "a proxy before the code host asks for credentials", "give them in HTTPS_PROXY, or name the host in NO_PROXY")
	case a.status == http.StatusTooManyRequests, a.status == http.StatusForbidden && a.limited():
		r := a.refuse(FateSource, "the code host takes no more requests for now", "it is tried again")
		if r.After == 0 {
			r.After = time.Minute
		}
		return r
	case a.status == http.StatusForbidden:
		return a.refuse(FateFinal, "the token may not read the repository", l.c.host.reads)
	case a.status == http.StatusNotFound:
		return a.refuse(FateFinal, "there is no such repository under "+l.c.git+", or the token may not see it", l.c.host.reads)
	case a.status == http.StatusRequestTimeout, a.status == http.StatusConflict, a.status >= 500:
		return a.refuse(FateAgain, "the code host cannot list the repository's branches and tags now", "it is tried again")
	case a.status/100 == 2 && strings.Contains(strings.ToLower(a.header.Get("Content-Type")), "html"):
		return a.refuse(FateSource, "the code host answers with a page in place of the repository's refs",
			"the token may be refused, which some hosts say with a sign-in page, or api.url is not the root of the host")
	case a.status/100 == 2:
		return a.refuse(FateSource, "the code host does not speak the smart HTTP protocol of Git",
			"api.url may not be the root of the host, or a plain web server serves its repositories")
	}
	return a.refuse(FateFinal, "the code host does not list the repository's branches and tags",
		"it may be of a version that buildbridge does not know")
}

// redirected is for a redirect that is not followed.
func (l *refList) redirected(a *answer) *Refusal {
	to, err := a.url.Parse(a.header.Get("Location"))
	switch {
	case err != nil || a.header.Get("Location") == "":
		return a.refuse(FateSource, "the code host redirects, and does not say where to", "check api.url, the root of the host")
	case !strings.HasSuffix(to.Path, "/info/refs") && isSignIn(to):
		return a.refuse(FateSource, "the code host refuses the token, and sends to a sign-in page", "give a valid one to api.token")
	}
	to.User, to.RawQuery, to.Fragment = nil, "", ""
	return a.refuse(FateSource, "the code host redirects to "+l.quote(to.String())+", and the token is not sent there",
		"give the root of the host to api.url, and name the repository as the host does")
}

// bounded reads no more than what is left.
type bounded struct {
	io.Reader

	left *int64
}

var errTooMuch = errors.New("too much")

func (b *bounded) Read(p []byte) (int, error) {
	if *b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.Reader.Read(p[:min(int64(len(p)), *b.left)])
	*b.left -= int64(n)
	return n, err
}

// web is the root for people and for Git, where the address of the API was given.
func web(root *url.URL) string {
	name := strings.ToLower(root.Hostname())
	switch {
	case name == "api.github.com", name == "www.github.com", name == "api.bitbucket.org", name == "www.bitbucket.org":
		return "https://" + name[4:]
	case strings.HasPrefix(name, "api.") && strings.HasSuffix(name, ".ghe.com"):
		return "https://" + name[4:]
	}
	return root.String()
}

// twoParts is the path of a clone where a repository has an owner and a name.
func twoParts(repository string) (string, error) { return under("", repository) }

func under(folder, repository string) (string, error) {
	owner, name, err := split(repository)
	if err != nil {
		return "", err
	}
	return folder + at(owner, name) + ".git", nil
}

// anyParts is the path of a clone where there are groups in groups.
func anyParts(repository string) (string, error) {
	if !strings.Contains(repository, "/") {
		return "", errNoGroup()
	}
	path, err := allParts(repository)
	return path + ".git", err
}

// allParts is the path of a repository, however many parts its name has.
func allParts(repository string) (string, error) {
	parts := strings.Split(repository, "/")
	for _, part := range parts {
		if part == "" || part == "." || part == ".." {
			return "", errNoGroup()
		}
	}
	return at(parts...), nil
}

func errNoGroup() error {
	return &Refusal{Fate: FateFinal, Code: CodeNotSent, Reason: "the repository's name does not have the form group/name"}
}
