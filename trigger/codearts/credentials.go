package codearts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/signer"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/request"
	"golang.org/x/sync/singleflight"

	"buildbridge/mapping"
)

// Credentials authorize requests. Implementations are safe for concurrent use.
type Credentials interface {
	// Authorize sets the headers that authenticate req, whose body is body. All other headers
	// of req are set already. Authorize may ask a service, within ctx.
	Authorize(ctx context.Context, req *http.Request, body []byte) error
	// Refresh drops the credentials of a request that was refused with a 401, and reports
	// whether to authorize and send it again: not if there are no new ones.
	Refresh(ctx context.Context, refused *http.Request, body []byte) (again bool, err error)
}

// SecretFunc gives the current value of a secret. It is called for every request, so that a
// rotated file is noticed: it must be cheap, and safe for concurrent use.
type SecretFunc = func() (mapping.Secret, error)

const (
	headerToken         = "X-Auth-Token" //nolint:gosec // the name of a header
	headerDate          = "X-Sdk-Date"
	headerSecurityToken = "X-Security-Token"
	headerProject       = "X-Project-Id"
	headerAuthorization = "Authorization"

	dateFormat = "20060102T150405Z"
)

// AccessKey signs requests with an access key and its secret key. securityToken is for
// temporary keys, and nil for permanent ones.
func AccessKey(accessKey, secretKey, securityToken SecretFunc) Credentials {
	return accessKeyCredentials{accessKey, secretKey, securityToken}
}

type accessKeyCredentials struct {
	accessKey, secretKey, securityToken SecretFunc
}

func (c accessKeyCredentials) keys() (keys, error) {
	var k keys
	var err error
	if k.access, err = reveal("access key", c.accessKey); err != nil {
		return keys{}, err
	}
	if k.secret, err = reveal("secret key", c.secretKey); err != nil {
		return keys{}, err
	}
	if c.securityToken != nil {
		if k.securityToken, err = reveal("security token", c.securityToken); err != nil {
			return keys{}, err
		}
	}
	return k, nil
}

func (c accessKeyCredentials) Authorize(_ context.Context, req *http.Request, body []byte) error {
	k, err := c.keys()
	if err != nil {
		return err
	}
	return k.sign(req, body)
}

func (c accessKeyCredentials) Refresh(_ context.Context, refused *http.Request, body []byte) (bool, error) {
	k, err := c.keys()
	if err != nil {
		return false, err
	}
	return k.differ(refused, body)
}

// Token sends a project-scoped user token.
func Token(token SecretFunc) Credentials { return tokenCredentials{token} }

type tokenCredentials struct{ token SecretFunc }

func (c tokenCredentials) Authorize(_ context.Context, req *http.Request, _ []byte) error {
	token, err := reveal("token", c.token)
	if err != nil {
		return err
	}
	req.Header.Set(headerToken, token)
	return nil
}

func (c tokenCredentials) Refresh(_ context.Context, refused *http.Request, _ []byte) (bool, error) {
	token, err := reveal("token", c.token)
	return err == nil && token != refused.Header.Get(headerToken), err
}

// reveal reads a secret for a header. Its errors do not contain the value.
func reveal(name string, secret SecretFunc) (string, error) {
	if secret == nil {
		return "", fmt.Errorf("%s: not configured", name)
	}
	value, err := secret()
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	s := strings.TrimSpace(string(value))
	switch {
	case s == "":
		return "", fmt.Errorf("%s: empty", name)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("%s: contains a line break or another control character", name)
	}
	return s, nil
}

// lookUp gives what is cached, or looks it up: once for all calls that wait at the same time,
// each until its ctx ends.
func lookUp[T any](ctx context.Context, lookups *singleflight.Group, what string, cached func() (T, bool), look func() (T, error),
) (T, error) {
	if found, ok := cached(); ok {
		return found, nil
	}
	lookup := lookups.DoChan("", func() (any, error) {
		if found, ok := cached(); ok {
			return found, nil
		}
		return look()
	})
	select {
	case <-ctx.Done():
		return *new(T), fmt.Errorf("waiting for %s: %w", what, ctx.Err())
	case result := <-lookup:
		return result.Val.(T), result.Err //nolint:forcetypeassert // as look gives it
	}
}

// keys are what SDK-HMAC-SHA256 signs with.
type keys struct {
	access, secret string
	securityToken  string // "" for permanent keys
	project        string // "" for the default project
}

// sign sets the headers of a signed request. All other headers must be set before: the SDK
// signs all but Content-Type.
func (k keys) sign(req *http.Request, body []byte) error {
	if k.securityToken != "" {
		req.Header.Set(headerSecurityToken, k.securityToken)
	}
	if k.project != "" {
		req.Header.Set(headerProject, k.project)
	}
	authorization, err := k.signature(req, body)
	if err != nil {
		return err
	}
	req.Header.Set(headerAuthorization, authorization)
	return nil
}

// signature computes the Authorization header of req as it is.
func (k keys) signature(req *http.Request, body []byte) (string, error) {
	b := request.NewHttpRequestBuilder().
		WithEndpoint(req.URL.Scheme+"://"+req.URL.Host).
		WithMethod(req.Method).
		WithPath(req.URL.Path).
		WithBody("", string(body)) // a string is signed as it is
	for name, values := range req.Header {
		if name != headerAuthorization {
			b.AddHeaderParam(name, values[0])
		}
	}
	for name, values := range req.URL.Query() {
		b.AddQueryParam(name, reflect.ValueOf(values))
	}
	headers, err := signer.Sign(b.Build(), k.access, k.secret)
	if err != nil {
		return "", errors.New("sign: " + err.Error())
	}
	return headers[headerAuthorization], nil
}

// differ reports whether req was signed with other keys.
func (k keys) differ(req *http.Request, body []byte) (bool, error) {
	if k.securityToken != req.Header.Get(headerSecurityToken) {
		return true, nil
	}
	authorization, err := k.signature(req, body)
	return authorization != req.Header.Get(headerAuthorization), err
}
