package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/mapping/printable"
)

// adminFlags say which bridge to ask, and with which token.
type adminFlags struct {
	Admin      string `group:"admin" default:"http://127.0.0.1:8081" env:"BUILDBRIDGE_ADMIN" placeholder:"URL" help:"Admin listener."`
	AdminToken string `group:"admin" env:"BUILDBRIDGE_ADMIN_TOKEN" placeholder:"env:NAME|file:PATH" help:"Token for it."`
	Database   string `group:"admin" default:"buildbridge.db" env:"BUILDBRIDGE_DATABASE" placeholder:"PATH" help:"Database of the bridge."`
	JSON       bool   `name:"json" help:"Print the API's JSON."`
}

const adminHelp = `Asks the admin API of a running bridge. On the bridge's own machine, reading needs no token unless serve was given
one. Replaying and stopping need a token: the one that serve was given, or the one in the file that it made beside its database,
which is used if --admin-token is not given.`

// client asks an admin API.
type client struct {
	base  string
	token mapping.Secret
	tried string // which token was sent, for error messages

	header http.Header // more of it, for each request; may be nil

	http *http.Client
}

// askTimeout is longer than the bridge may take for one request.
const askTimeout = time.Minute

func (f *adminFlags) client() (*client, error) {
	u, err := url.Parse(f.Admin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usageError("--admin takes a URL such as http://127.0.0.1:8081")
	}
	c := &client{
		base: strings.TrimRight(f.Admin, "/") + admin.Prefix,
		http: &http.Client{
			Timeout:       askTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if f.AdminToken != "" {
		ref := parseTokenRef(f.AdminToken)
		if err := checkTokenRef("--admin-token", ref); err != nil {
			return nil, usageError(err.Error())
		}
		if c.token, err = bridge.ReadAdminToken(ref); err != nil {
			return nil, fmt.Errorf("--admin-token: %w", err)
		}
		c.tried = "the token of " + f.AdminToken + " was sent"
		return c, nil
	}
	c.tried = "none was sent: --admin-token says where it is"
	file := bridge.AdminTokenFile(f.Database)
	if file == "" || !isLoopback(u.Hostname()) { // the token in the file is for a bridge on this machine
		return c, nil
	}
	token, err := bridge.ReadAdminToken(mapping.SecretRef{File: file})
	switch {
	case err == nil:
		c.token, c.tried = token, "the token of "+file+" was sent"
	case errors.Is(err, os.ErrNotExist):
		c.tried = "none was sent: there is no " + file + "; --admin-token or --database says where it is"
	default:
		c.tried = "none was sent: " + err.Error()
	}
	return c, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// maxAnswer is how many bytes of an answer are read: more than the largest delivery has.
const maxAnswer = 256 << 20

// ask makes a request and decodes the answer. If the bridge refuses a filter, the command
// line is wrong.
func (c *client) ask(ctx context.Context, method, path string, query url.Values, answer any) error {
	return c.send(ctx, method, path, query, nil, answer)
}

// send is ask with a body, as JSON; nil for none.
func (c *client) send(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return err
	}
	maps.Copy(r.Header, c.header)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := c.do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, address, err)
	}
	if err := json.Unmarshal(said, answer); err != nil {
		return fmt.Errorf("%s: the answer is not one of buildbridge: %w", address, err)
	}
	return nil
}

// do makes a request. An answer that refuses it is an error. The caller closes the body.
func (c *client) do(r *http.Request) (*http.Response, error) {
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+string(c.token))
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w (--admin says where the bridge is)", err)
	}
	if res.StatusCode < http.StatusMultipleChoices {
		return res, nil
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.URL, err)
	}
	ours, refusal := c.refused(res.StatusCode, r.URL.String(), said)
	return nil, refusedError{res.StatusCode, ours, refusal}
}

// refusedError is an answer that is not a 2xx.
type refusedError struct {
	status int  // of HTTP
	ours   bool // the bridge gave it, not a proxy before it
	error
}

func (e refusedError) Unwrap() error { return e.error }

func (c *client) refused(status int, address string, body []byte) (ours bool, refusal error) {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		return false, fmt.Errorf("%s: answered %d %s: is that the admin listener of a bridge?", address, status, http.StatusText(status))
	}
	text := printable.Text(said.Error)
	switch status {
	case http.StatusBadRequest:
		return true, usageError(text)
	case http.StatusUnauthorized, http.StatusForbidden:
		return true, fmt.Errorf("%s (%s)", text, c.tried)
	case http.StatusNotFound:
		return true, notFoundError(text)
	}
	return true, errors.New(text)
}

// notFoundError says that what was asked for is not there.
type notFoundError string

func (e notFoundError) Error() string { return string(e) }

// listFlags say how much of a list is shown.
type listFlags struct {
	Limit int  `default:"50" min:"1" placeholder:"N" help:"Show at most N, the newest."`
	All   bool `help:"Show all of them, whatever --limit is."`
}

// pages asks for a list, page by page. fetch gets the parameters of a page, and returns how
// many rows it had and the cursor of the next page.
func (f *listFlags) pages(fetch func(page url.Values) (rows int, next string, err error)) (more bool, err error) {
	const maxRows = 1000 // of a page
	page := url.Values{}
	for got := 0; ; {
		size := maxRows
		if !f.All {
			size = min(maxRows, f.Limit-got)
		}
		page.Set("limit", strconv.Itoa(size))
		rows, next, err := fetch(page)
		if err != nil || next == "" {
			return false, err
		}
		if got += rows; !f.All && got >= f.Limit {
			return true, nil
		}
		page.Set("after", next)
	}
}

// parameters are the filters of a query that are given. An empty one is among them, so that
// the bridge refuses it: an unset variable of a script must not widen the filter.
type parameters url.Values

func (p parameters) text(name string, value *string) {
	if value != nil {
		url.Values(p).Set(name, *value)
	}
}

func (p parameters) moment(name string, t time.Time) {
	if !t.IsZero() {
		url.Values(p).Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

// merge returns the parameters of both.
func merge(filter, page url.Values) url.Values {
	all := url.Values{}
	for _, values := range []url.Values{filter, page} {
		for name := range values {
			all.Set(name, values.Get(name))
		}
	}
	return all
}
