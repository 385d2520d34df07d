package codearts

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"buildbridge/trigger/internal/quoted"
)

// maxAnswer is how much of an answer is read. A page of 100 records has about 100 KiB. The detail of a
// run has all its steps and what they are set to, which may be scripts.
const maxAnswer = 8 << 20

// Options of a [Client].
type Options struct {
	// Endpoint is the address of the service, an http or https URL without a path; see
	// [RegionEndpoint] and [PipelineEndpoint]. Required.
	Endpoint string
	// Credentials authorize each request. Required.
	Credentials Credentials
	// Timeout bounds each call, the second request after a refresh included. Required.
	Timeout time.Duration
	// Transport sends the requests. nil means a transport of the client's own, with proxies
	// from the environment. Any other must not follow redirects, and not send a POST again.
	Transport http.RoundTripper
	// Logger gets a line for each request, at debug. nil means no log.
	Logger *slog.Logger
	// RetryCodes are codes of the service after which a call may succeed later, though they
	// would be FateDead.
	RetryCodes []string
}

// Client calls CodeArts Build, or CodeArts Pipeline: whichever Options.Endpoint leads to. It is
// safe for concurrent use.
type Client struct {
	endpoint    *url.URL
	credentials Credentials
	timeout     time.Duration
	retryCodes  []string
	sender      *sender
	userAgent   string // part of what is signed
}

// New makes a client. It makes no network call.
func New(o Options) (*Client, error) {
	endpoint, err := parseEndpoint(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("codearts: Endpoint: %w", err)
	}
	if o.Credentials == nil {
		return nil, errors.New("codearts: Credentials are missing")
	}
	if o.Timeout <= 0 {
		return nil, errors.New("codearts: Timeout is missing")
	}
	return &Client{
		endpoint:    endpoint,
		credentials: o.Credentials,
		timeout:     o.Timeout,
		retryCodes:  o.RetryCodes,
		sender:      newSender(o.Transport, o.Logger),
		userAgent:   userAgent,
	}, nil
}

const userAgent = "buildbridge"

// Close closes idle connections. Calls that run go on.
func (c *Client) Close() { c.sender.http.CloseIdleConnections() }

// Clock is the time by the clock of the service, or earlier by up to a second and the way of
// an answer. It is the Date of its last answer and the monotonic time since then, which does
// not depend on this machine's wall clock. known is false if there was no Date within the
// hour, or if the wall clock counted another time since: it was set, or the machine was
// suspended and did not count.
func (c *Client) Clock() (now time.Time, known bool) {
	d := c.sender.date.Load()
	if d == nil {
		return time.Time{}, false
	}
	age := time.Since(d.came)
	jumped := c.sender.now().Round(0).Sub(d.clock) - age
	return d.date.Add(age), age < time.Hour && jumped.Abs() < time.Second
}

func parseEndpoint(s string) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("missing; give the address of the service or a region")
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return nil, fmt.Errorf("%q is not an absolute http or https URL", u.Redacted())
	case u.User != nil, strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
		return nil, fmt.Errorf("%q has more than scheme, host and port", u.Redacted())
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// call is one request to the service.
type call struct {
	op     string
	method string
	path   string
	query  url.Values
	body   []byte
}

// do sends a call and reads its answer. A status other than 2xx is an error; what a 2xx says
// is for the caller to judge. All errors are [*Error].
func (c *Client) do(ctx context.Context, k call) (reply, error) {
	r, err := c.exchange(ctx, k)
	if err == nil && !r.ok() {
		return reply{}, r.error(k.op)
	}
	return r, err
}

// exchange is do for a caller that judges every status. If the credentials are refused they are
// refreshed, and the call is sent once more: nothing happened.
func (c *Client) exchange(ctx context.Context, k call) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		req, err := c.request(ctx, k)
		if err != nil {
			return reply{}, err
		}
		r, err := c.sender.send(ctx, k.op, req)
		if err != nil {
			return reply{}, err
		}
		r.content = parseContent(r.body, r.secrets...)
		r.retryCodes = c.retryCodes
		if attempt == 1 && r.buildNumber == "" && r.run.RunID == "" && judge(r.status, r.code).kind == refusedCredentials {
			again, err := c.credentials.Refresh(ctx, req, k.body)
			if err != nil {
				return reply{}, notAuthorized(k.op, err)
			}
			if again {
				continue
			}
		}
		return r, nil
	}
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	u := *c.endpoint
	u.Path = k.path
	// The signature is of %20, which is what the SDK sends.
	u.RawQuery = strings.ReplaceAll(k.query.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, k.method, u.String(), bytes.NewReader(k.body))
	if err != nil {
		return nil, &Error{Op: k.op, Fate: FateDead, what: "not sent", Err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set(headerDate, c.sender.now().UTC().Format(dateFormat))
	if err := c.credentials.Authorize(ctx, req, k.body); err != nil {
		return nil, notAuthorized(k.op, err)
	}
	return req, nil
}

// notAuthorized makes the error of a call for which there are no credentials. If a service was
// asked for them, its answer decides whether to try again; a secret that cannot be read may be
// there later.
func notAuthorized(op string, err error) *Error {
	e := &Error{Op: op, Fate: FateRetry, kind: noCredentials, what: "no credentials", Err: quoted.Error(err, nil)}
	if inner, ok := errors.AsType[*Error](err); ok {
		e.Fate, e.Timeout, e.RetryAfter = inner.Fate, inner.Timeout, inner.RetryAfter
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Timeout = true
	}
	return e
}

// reply is an HTTP response that was read.
type reply struct {
	content // of the body, once it was parsed

	status     int
	header     http.Header
	body       []byte
	retryAfter time.Duration
	secrets    []string // that the request had in its header and body
	retryCodes []string // see Options
}

func (r reply) ok() bool { return r.status >= 200 && r.status <= 299 }

// requestID is for the service's support.
func (r reply) requestID() string { return identifier(r.header.Get("X-Request-Id"), r.secrets) }

// error makes the error of an answer that is not a success.
func (r reply) error(op string) *Error {
	v := judge(r.status, r.code)
	if v.fate == FateDead && r.code != "" && slices.Contains(r.retryCodes, r.code) {
		v.fate = FateRetry
	}
	if v.fate == FateRetry {
		r.retryAfter = max(r.retryAfter, laterAfter)
	}
	e := &Error{
		Op: op, Fate: v.fate, Status: r.status, Code: r.code, Message: r.message,
		RequestID: cmp.Or(r.requestID(), r.content.requestID), RetryAfter: r.retryAfter, kind: v.kind, what: v.what, todo: v.todo,
	}
	if location := r.header.Get("Location"); location != "" && r.status >= 300 && r.status < 400 && e.Message == "" {
		if to, err := url.Parse(location); err == nil && to.Host != "" { // the rest may repeat what was sent
			e.Message = quoted.Line(quoted.Hide("to "+to.Scheme+"://"+to.Host, r.secrets), 200)
		}
	}
	return e
}

// laterAfter is how long to wait at least after an answer that says no for now. A client in live
// use waits that long for a pipeline with too many runs.
const laterAfter = 10 * time.Second

// cause takes an error out of the one that http.Client makes of it, which has the URL.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func timedOut(ctx context.Context, err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// retryAfter reads the header (RFC 9110, 10.2.3), seconds or a date: at most a day, 0 if there
// is none.
func retryAfter(s string, now func() time.Time) time.Duration {
	const most = 24 * time.Hour
	if s == "" {
		return 0
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(most/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(t.Sub(now()), 0), most)
	}
	return 0
}
