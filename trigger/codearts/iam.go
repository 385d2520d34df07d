package codearts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// IAMUserOptions say who logs in and where.
type IAMUserOptions struct {
	// Endpoint is the address of IAM, an http or https URL without a path; see [IAMEndpoint].
	// Required.
	Endpoint string
	// Domain is the name of the account, Name that of the user. Required.
	Domain, Name string
	// Password is the user's. Required.
	Password SecretFunc
	// Project is the name of the project that tokens are for: the name of the region, unless
	// the account has sub-projects. Required.
	Project string

	Logger *slog.Logger // as in Options
}

// IAMUser logs in as an IAM user, and sends the user token. A token expires 24 hours after it
// was issued, and is kept until shortly before. All calls share one login. The first call logs
// in.
func IAMUser(o IAMUserOptions) (Credentials, error) {
	endpoint, err := parseEndpoint(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("iam user: Endpoint: %w", err)
	}
	for _, field := range []struct{ name, value string }{{"Domain", o.Domain}, {"Name", o.Name}, {"Project", o.Project}} {
		if field.value == "" {
			return nil, fmt.Errorf("iam user: %s is missing", field.name)
		}
	}
	if o.Password == nil {
		return nil, errors.New("iam user: Password is missing")
	}
	transport := newTransport()
	transport.DisableKeepAlives = true // there is one login a day
	return &iamUser{
		IAMUserOptions: o,
		url:            endpoint.String() + "/v3/auth/tokens?nocatalog=1", // without some 20 KiB of addresses in the answer
		timeout:        15 * time.Second,
		sender:         newSender(transport, o.Logger),
	}, nil
}

type iamUser struct {
	IAMUserOptions
	url     string
	timeout time.Duration // of a login
	sender  *sender

	logins singleflight.Group

	mu    sync.Mutex
	token string
	until time.Time // when to get another token
	// After a refusal the same password is not tried again for a while: IAM locks a user for
	// 15 minutes after 5 wrong passwords.
	refusal    *Error
	password   string    // that was refused
	retryAfter time.Time // when it may be tried again
}

const (
	tokenLifetime = 23 * time.Hour   // if IAM does not say it; its documentation says 24 hours
	tokenMargin   = 10 * time.Minute // how long before its end a token is replaced
	refusalPause  = 5 * time.Minute
)

func (u *iamUser) Authorize(ctx context.Context, req *http.Request, _ []byte) error {
	token, err := u.current(ctx)
	if err != nil {
		return err
	}
	req.Header.Set(headerToken, token)
	return nil
}

// Refresh drops the refused token. A token becomes invalid within 30 minutes after the password
// or permissions of the user were changed.
func (u *iamUser) Refresh(_ context.Context, refused *http.Request, _ []byte) (bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.token == refused.Header.Get(headerToken) {
		u.token = ""
	}
	return true, nil
}

func (u *iamUser) cached() (string, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.token, u.token != "" && u.sender.now().Before(u.until)
}

func (u *iamUser) current(ctx context.Context) (string, error) {
	return lookUp(ctx, &u.logins, "a token", u.cached, func() (string, error) {
		// The login is for all calls that wait: it must not end with the first of them.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.timeout)
		defer cancel()
		return u.login(ctx)
	})
}

const opToken = "get user token"

func (u *iamUser) login(ctx context.Context) (string, error) {
	password, err := reveal("password", u.Password)
	if err != nil {
		return "", err
	}
	u.mu.Lock()
	refusal := u.refusal
	if password != u.password || !u.sender.now().Before(u.retryAfter) {
		refusal = nil
	}
	u.mu.Unlock()
	if refusal != nil {
		return "", refusal
	}

	body, err := json.Marshal(tokenRequest(u.Domain, u.Name, password, u.Project))
	if err != nil {
		return "", fmt.Errorf("%s: %w", opToken, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("%s: %w", opToken, err)
	}
	req.Header.Set("Content-Type", "application/json;charset=utf8")
	req.Header.Set("User-Agent", userAgent)
	asked := u.sender.now()
	r, err := u.sender.send(ctx, opToken, req, password)
	if err != nil {
		return "", harmless(err)
	}
	token := strings.TrimSpace(r.header.Get("X-Subject-Token"))
	if r.status != http.StatusCreated && r.status != http.StatusOK || token == "" {
		return "", u.failed(r, password)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.token, u.until, u.refusal = token, renewAt(r.body, asked), nil
	return token, nil
}

func (u *iamUser) failed(r reply, password string) *Error {
	r.content = parseContent(r.body, r.secrets...)
	r.message = "" // it may contain a few characters of the password, and says no more than the status
	e := r.error(opToken)
	switch {
	case r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		e.what = "IAM refused the login"
		e.todo = "check domain, name, password and project of iam_user: the user needs programmatic access, and no " +
			"login protection by a second factor"
	case e.Fate == FateUnknown:
		e.Fate = FateRetry
	}
	if e.Fate == FateDead {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.refusal, u.password, u.retryAfter = e, password, u.sender.now().Add(refusalPause)
	}
	return e
}

// renewAt is when to get another token: ten minutes before the token expires, or a tenth of its
// life if that is less.
func renewAt(body []byte, asked time.Time) time.Time {
	var a struct {
		Token struct {
			ExpiresAt time.Time `json:"expires_at"`
		} `json:"token"`
	}
	life := tokenLifetime
	if err := json.Unmarshal(body, &a); err == nil && !a.Token.ExpiresAt.IsZero() {
		life = a.Token.ExpiresAt.Sub(asked)
	}
	return asked.Add(life - min(tokenMargin, life/10))
}

// tokenRequest is the body of "Obtaining a User Token Through Password Authentication" in the
// IAM reference.
func tokenRequest(domain, name, password, project string) map[string]any {
	return map[string]any{"auth": map[string]any{
		"identity": map[string]any{
			"methods": []string{"password"},
			"password": map[string]any{"user": map[string]any{
				"name": name, "password": password, "domain": map[string]any{"name": domain},
			}},
		},
		"scope": map[string]any{"project": map[string]any{"name": project}},
	}}
}
