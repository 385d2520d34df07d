package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
)

// adminFlags say which bridge is asked, and by what right.
type adminFlags struct {
	Admin      string `group:"admin" default:"http://127.0.0.1:8081" env:"BUILDBRIDGE_ADMIN" placeholder:"URL" help:"Admin listener of the bridge."`
	AdminToken string `group:"admin" env:"BUILDBRIDGE_ADMIN_TOKEN" placeholder:"env:NAME|file:PATH" help:"Where its token is. Default: for a bridge on this machine, the file that serve made beside its database."`
	Database   string `group:"admin" default:"buildbridge.db" env:"BUILDBRIDGE_DATABASE" placeholder:"PATH" help:"The bridge's database, to find that file."`
	JSON       bool   `name:"json" help:"Print the API's JSON."`
}

const adminHelp = `It asks the admin API of a bridge that runs. On this machine, reading needs no token unless serve was given one; replaying needs the token that serve made beside its database, or was given.`

// client asks an admin API.
type client struct {
	base  string
	token mapping.Secret
	tried string // where the token was looked for
	http  *http.Client
}

// askTimeout is longer than the bridge works for one request.
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
		if c.token, err = bridge.AdminToken(ref); err != nil {
			return nil, fmt.Errorf("--admin-token: %w", err)
		}
		c.tried = "the token of " + f.AdminToken + " was sent"
		return c, nil
	}
	c.tried = "none was sent: --admin-token says where it is"
	file := bridge.AdminTokenFile(f.Database)
	if file == "" || !isLoopback(u.Hostname()) { // a token is for the machine it is on
		return c, nil
	}
	token, err := bridge.AdminToken(mapping.SecretRef{File: file})
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

// maxAnswer bounds what is read of an answer, in bytes: the largest body of a
// delivery, and some.
const maxAnswer = 256 << 20

// ask makes a request and decodes its answer. A filter that the bridge does not
// take is a mistake of the command line.
func (c *client) ask(ctx context.Context, method, path string, query url.Values, answer any) error {
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+string(c.token))
	}
	res, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("%w (--admin says where the bridge is)", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, address, err)
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return c.refused(res.StatusCode, address, body)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%s: the answer is not one of buildbridge: %w", address, err)
	}
	return nil
}

func (c *client) refused(status int, address string, body []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		return fmt.Errorf("%s: answered %d %s: is that the admin listener of a bridge?", address, status, http.StatusText(status))
	}
	text := printable(said.Error)
	switch status {
	case http.StatusBadRequest:
		return usageError(text)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s (%s)", text, c.tried)
	}
	return errors.New(text)
}

// listFlags say how much of a list is shown.
type listFlags struct {
	Limit int  `default:"50" min:"1" placeholder:"N" help:"Show at most N, the newest."`
	All   bool `help:"Show all of them, whatever --limit is."`
}

// pages asks for a list, page by page. each takes one and says how many rows it
// had, and the cursor of the next.
func (f *listFlags) pages(each func(page url.Values) (rows int, next string, err error)) (more bool, err error) {
	const most = 1000 // rows a page
	page := url.Values{}
	for got := 0; ; {
		size := most
		if !f.All {
			size = min(most, f.Limit-got)
		}
		page.Set("limit", strconv.Itoa(size))
		rows, next, err := each(page)
		if err != nil || next == "" {
			return false, err
		}
		if got += rows; !f.All && got >= f.Limit {
			return true, nil
		}
		page.Set("after", next)
	}
}

// parameters collects those of a query that are given: an empty one too, which the
// bridge refuses. A variable of a script that is not set must not widen a filter.
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

// with gives both together.
func with(filter, page url.Values) url.Values {
	all := url.Values{}
	for _, values := range []url.Values{filter, page} {
		for name := range values {
			all.Set(name, values.Get(name))
		}
	}
	return all
}
