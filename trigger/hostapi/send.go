package hostapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

const (
	timeout   = 10 * time.Second // of one request
	maxAnswer = 1 << 20          // bytes; more is not read
	maxAfter  = time.Hour
)

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSHandshakeTimeout:    timeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// request is one to the API of the host.
type request struct {
	call   string
	method string
	path   string // escaped, after the base address
	json   any
	form   url.Values
	header http.Header
}

// answer is what the host answered, whatever its status.
type answer struct {
	status int
	header http.Header
	url    *url.URL // that was asked
	body   []byte
	said   string // the host's message in one line; "" if it has none
}

// send sends one request, and gives any answer of the host. The error is a *Refusal.
func (c *Client) send(ctx context.Context, r request) (*answer, error) {
	began := time.Now()
	a, err := c.roundTrip(ctx, r)
	c.sent(ctx, r, c.base+r.path, began, a, err)
	return a, err
}

// sent counts and logs a request.
func (c *Client) sent(ctx context.Context, r request, address string, began time.Time, a *answer, err error) {
	code := ""
	if a != nil {
		code = strconv.Itoa(a.status)
	} else if refusal, ok := errors.AsType[*Refusal](err); ok {
		code = refusal.Code
	}
	if c.o.Requests != nil {
		c.o.Requests(r.call, code)
	}
	attrs := []slog.Attr{
		slog.String("call", r.call), slog.String("method", r.method), slog.String("url", address), slog.String("code", code),
		slog.Float64("duration_ms", float64(time.Since(began).Microseconds())/1000),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	} else if a.said != "" && a.status >= 300 {
		attrs = append(attrs, slog.String("message", a.said))
	}
	c.o.Logger.LogAttrs(ctx, slog.LevelDebug, "request to the code host", attrs...)
}

// token reads the token. The error is a *Refusal.
func (c *Client) token() (string, error) {
	secret, err := c.o.Token()
	token := strings.TrimSpace(string(secret))
	switch {
	case err != nil:
	case token == "":
		err = errors.New("it is empty")
	case strings.ContainsFunc(token, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		err = errors.New("it has a blank or a line break within")
	}
	if err != nil {
		return "", &Refusal{Fate: FateSource, Code: CodeNotSent, Reason: "the token for the code host cannot be used", Err: err}
	}
	return token, nil
}

func (c *Client) roundTrip(ctx context.Context, r request) (*answer, error) {
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	ended := ctx.Err
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, secrets, err := c.httpRequest(ctx, r, token)
	if err != nil {
		return nil, &Refusal{Fate: FateFinal, Code: CodeNotSent, Reason: "the request to the code host cannot be written", Err: err}
	}
	res, err := c.exchange(ctx, req, secrets, c.base, ended)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil && res.StatusCode < 300 {
		return nil, &Refusal{Fate: FateAgain, Code: CodeTimeout, Reason: "the code host's answer broke off", Err: foreign(err, secrets)}
	}
	a := &answer{status: res.StatusCode, header: res.Header, url: req.URL, body: body}
	if a.isJSON() {
		a.said = oneLine(hide(message(body), secrets), 200)
	}
	return a, nil
}

// exchange sends a request, and gives the answer with its body unread. The error is a *Refusal.
// root is where the host is, and ended says why the caller does not wait any longer, if so.
func (c *Client) exchange(
	ctx context.Context, req *http.Request, secrets []string, root string, ended func() error,
) (*http.Response, error) {
	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	// Not an http.Client, which would look at redirects.
	res, err := c.o.Transport.RoundTrip(req)
	if err == nil {
		return res, nil
	}
	refusal := &Refusal{Fate: FateAgain, Code: CodeTimeout, Reason: "the code host gave no answer", Err: foreign(err, secrets)}
	if !connected.Load() {
		refusal.Code, refusal.Reason = CodeNotSent, "the code host cannot be reached at "+root
		if ended() == nil {
			refusal.Fate = FateSource
		}
	}
	return nil, refusal
}

// httpRequest gives the request, and what of it is secret.
func (c *Client) httpRequest(ctx context.Context, r request, token string) (*http.Request, []string, error) {
	var body []byte
	kind := ""
	switch {
	case r.json != nil:
		b, err := json.Marshal(r.json)
		if err != nil {
			return nil, nil, err
		}
		body, kind = b, "application/json"
	case r.form != nil:
		r.form.Set("access_token", token)
		body, kind = []byte(r.form.Encode()), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, errors.New("its address is not a URL")
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "buildbridge")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if r.form == nil {
		return req, authorize(req, c.o.Username, token, c.host.header), nil
	}
	return req, []string{token}, nil
}

// authorize puts the token into the header of a request, and gives what of it is secret.
func authorize(req *http.Request, username, token string, header func(username, token string) (name, value string)) []string {
	name, value := header(username, token)
	req.Header.Set(name, value)
	if _, encoded, ok := strings.Cut(value, "Basic "); ok {
		return []string{token, encoded}
	}
	return []string{token}
}

// basic gives Basic, with a user where none is given.
func basic(user string) func(username, token string) (name, value string) {
	return func(username, token string) (name, value string) {
		return "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(cmp.Or(username, user)+":"+token))
	}
}

// is reports whether the answer has one of the statuses, and JSON if the status is not 204.
func (a *answer) is(statuses ...int) bool {
	for _, status := range statuses {
		if a.status == status && (status == http.StatusNoContent || a.isJSON()) {
			return true
		}
	}
	return false
}

func (a *answer) isJSON() bool {
	return strings.Contains(strings.ToLower(a.header.Get("Content-Type")), "json")
}

// says reports whether the host's message has one of the texts, in any case.
func (a *answer) says(texts ...string) bool {
	said := strings.ToLower(a.said)
	for _, text := range texts {
		if strings.Contains(said, strings.ToLower(text)) {
			return true
		}
	}
	return false
}

// refuse makes a refusal of an answer: what is wrong, and what to do about it.
func (a *answer) refuse(fate Fate, what, todo string) *Refusal {
	reason := what + " (" + strconv.Itoa(a.status)
	if a.said != "" {
		reason += ": " + a.said
	}
	code := strconv.Itoa(a.status)
	if a.status/100 == 2 && a.status != http.StatusNonAuthoritativeInfo {
		code = CodePage
	}
	return &Refusal{Fate: fate, After: a.after(), Code: code, Reason: reason + "): " + todo}
}

// refusal is what an answer means where the host's own page says nothing else.
func (c *Client) refusal(a *answer) *Refusal {
	switch {
	case a.status/100 == 3:
		return c.redirected(a)
	case a.status == http.StatusUnauthorized:
		return a.refuse(FateSource, "the code host refuses the token", "it is wrong, expired or revoked; give a valid one to api.token")
	case a.status == http.StatusProxyAuthRequired:
		return a.refuse(FateSource, "a proxy before the code host asks for credentials", "give them in HTTPS_PROXY, or name the host in NO_PROXY")
	case a.status == http.StatusTooManyRequests, a.status == http.StatusForbidden && a.limited():
		r := a.refuse(FateSource, "the code host takes no more requests for now", "statuses of this source wait")
		if r.After == 0 {
			r.After = time.Minute // GitHub: at least a minute, if no header says when
		}
		return r
	case a.status == http.StatusForbidden:
		return a.refuse(FateFinal, "the token may not set statuses in this repository", c.host.scope)
	case a.status == http.StatusNotFound && !a.isJSON():
		return a.refuse(FateSource, "there is no API of the code host at "+c.base, "give the root of the host to api.url")
	case a.status == http.StatusNotFound:
		return a.refuse(FateFinal, "the repository has no such commit, or the token may not see the repository", c.host.scope)
	case a.status == http.StatusRequestTimeout, a.status == http.StatusConflict, a.status >= 500:
		return a.refuse(FateAgain, "the code host cannot set the status now", "it is tried again")
	case a.status/100 == 2:
		return a.refuse(FateSource, "the code host did not answer as its API does",
			"the token may be refused, which some hosts say with a sign-in page, or api.url is not the root of the host")
	}
	return a.refuse(FateFinal, "the code host does not take the status", "it may be of a version that buildbridge does not know")
}

// redirected tells a repository that has moved from a host that has: the token went to neither.
func (c *Client) redirected(a *answer) *Refusal {
	to, err := a.url.Parse(a.header.Get("Location"))
	switch {
	case err != nil || a.header.Get("Location") == "":
		return a.refuse(FateSource, "the code host redirects, and does not say where to", "check api.url, the root of the host")
	// A repository may be called login; Azure DevOps has its sign-in page where its API is.
	case strings.HasPrefix(to.String(), c.base+"/") && !strings.Contains(to.Path, "/_signin"):
		return a.renamed()
	case isSignIn(to):
		return a.refuse(FateSource, "the code host refuses the token, and sends to a sign-in page", "give a valid one to api.token")
	case to.Scheme == a.url.Scheme && to.Host == a.url.Host:
		return a.renamed()
	}
	return a.refuse(FateSource, "the code host redirects to another address, and the token is not sent there", "check api.url, its root")
}

func isSignIn(to *url.URL) bool {
	path := strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(to.Path))
	return strings.Contains(path, "signin") || strings.Contains(path, "login")
}

func (a *answer) renamed() *Refusal {
	return a.refuse(FateFinal, "the repository has another name now", "redirects are not followed; name it as the code host does")
}

// limited reports whether a 403 is about rates.
func (a *answer) limited() bool {
	return a.header.Get("Retry-After") != "" || a.header.Get("X-RateLimit-Remaining") == "0" || a.says("rate limit")
}

// after is when the host may be asked again, by Retry-After (RFC 9110, 10.2.3) or else, if
// nothing remains, by X-RateLimit-Reset (GitHub, Azure DevOps) or RateLimit-Reset (GitLab), in
// seconds since 1970. It counts from the host's own clock.
func (a *answer) after() time.Duration {
	now, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	var after time.Duration
	asked := a.header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(asked, 10, 32); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(asked); err == nil {
		after = at.Sub(now)
	} else if a.status == http.StatusTooManyRequests || a.header.Get("X-RateLimit-Remaining") == "0" {
		for _, name := range []string{"X-RateLimit-Reset", "RateLimit-Reset"} {
			if at, err := strconv.ParseInt(a.header.Get(name), 10, 64); err == nil && after <= 0 {
				after = time.Unix(at, 0).Sub(now)
			}
		}
	}
	return min(max(after, 0), maxAfter)
}

// unreadable is for an answer whose JSON is not the documented one.
func (a *answer) unreadable(err error) *Refusal {
	r := a.refuse(FateAgain, "the code host's answer cannot be read", "it is tried again")
	r.Err = fmt.Errorf("JSON: %w", err)
	return r
}
