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

	"buildbridge/mapping"
)

// Credentials authorize requests. Implementations are safe for concurrent use.
type Credentials interface {
	// Authorize sets the headers that authenticate req, whose body is body. It
	// may ask a service, within ctx. The request's own headers are final.
	Authorize(ctx context.Context, req *http.Request, body []byte) error
	// Refresh gets rid of what was used for a request that was refused with a
	// 401, and tells whether to authorize and send it again: false if there is
	// nothing new.
	Refresh(ctx context.Context, refused *http.Request, body []byte) (again bool, err error)
}

// SecretFunc gives a secret as it is now. It is called for every request, so
// that a rotated file is noticed; it must be cheap and safe for concurrent use.
type SecretFunc = func() (mapping.Secret, error)

const (
	headerToken         = "X-Auth-Token" //nolint:gosec // A header's name.
	headerDate          = "X-Sdk-Date"
	headerSecurityToken = "X-Security-Token"
	headerProject       = "X-Project-Id"
	headerAuthorization = "Authorization"

	dateFormat = "20060102T150405Z"
)

// AccessKey signs requests with an access key and its secret key.
// securityToken belongs to temporary keys and is nil for permanent ones.
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

// Token sends a fixed, project-scoped user token.
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

// reveal reads a secret that goes into a header. Its value never gets into an
// error.
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

// keys are what SDK-HMAC-SHA256 signs with.
type keys struct {
	access, secret string
	securityToken  string // "" for permanent keys
	project        string // "" for the default project
}

// sign sets the headers of a signed request. The SDK signs every header but
// Content-Type, so what it is to sign must be there before.
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
		WithBody("", string(body)) // A string is signed as it is.
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

// differ tells whether these keys are others than those that signed req.
func (k keys) differ(req *http.Request, body []byte) (bool, error) {
	if k.securityToken != req.Header.Get(headerSecurityToken) {
		return true, nil
	}
	authorization, err := k.signature(req, body)
	return authorization != req.Header.Get(headerAuthorization), err
}
