package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"buildbridge/mapping/printable"
)

type healthCommand struct {
	Admin   string        `env:"BUILDBRIDGE_ADMIN" placeholder:"URL" help:"Admin listener. Default: that of serve on this machine."`
	Timeout time.Duration `default:"5s" placeholder:"DURATION" help:"How long to wait for the answer."`
}

func (healthCommand) Help() string {
	return `Asks /readyz of a bridge, and prints one line. The exit code is 0 if a delivery sent now would be stored, and 1 if it would not. It
needs no token. It is for containers, which have no shell and no curl.

Without --admin and BUILDBRIDGE_ADMIN it asks the port of BUILDBRIDGE_ADMIN_LISTEN, or else 8081, on this machine: by https if
BUILDBRIDGE_ADMIN_TLS_CERT is set.

Examples:

    buildbridge health
    buildbridge health --admin https://bridge.example.com:8081`
}

// Run asks whether a bridge is ready.
func (c *healthCommand) Run(ctx context.Context, env *Environment) error {
	base := cmp.Or(strings.TrimRight(c.Admin, "/"), localAdmin())
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usageError("--admin takes a URL such as http://127.0.0.1:8081")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // as net/http documents
	if isLoopback(u.Hostname()) {
		// No certificate is for 127.0.0.1, and nothing secret is sent.
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // as above
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	res, err := transport.RoundTrip(r)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", c.Timeout)
	}
	if err != nil {
		return c.not(env, base+": "+err.Error())
	}
	defer res.Body.Close()
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return c.not(env, base+": "+err.Error())
	}
	var said struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons"`
	}
	switch err := json.Unmarshal(body, &said); {
	case err != nil || res.StatusCode == http.StatusOK != said.Ready:
		return c.not(env, fmt.Sprintf("%s answered %d: is that the admin listener of a bridge?", base, res.StatusCode))
	case !said.Ready:
		return c.not(env, strings.Join(said.Reasons, "; "))
	}
	env.printf("ready\n")
	return nil
}

func (*healthCommand) not(env *Environment, why string) error {
	env.printf("not ready: %s\n", printable.Text(why))
	return errReported
}

// localAdmin is the admin listener of a serve with the variables of this process.
func localAdmin() string {
	_, port, _ := net.SplitHostPort(os.Getenv("BUILDBRIDGE_ADMIN_LISTEN"))
	scheme := "http"
	if os.Getenv("BUILDBRIDGE_ADMIN_TLS_CERT") != "" {
		scheme = "https"
	}
	return scheme + "://127.0.0.1:" + cmp.Or(port, "8081")
}
