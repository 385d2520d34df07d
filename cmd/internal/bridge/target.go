package bridge

import (
	"fmt"
	"log/slog"

	"buildbridge/cmd/internal/secret"
	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
)

// NewClient makes the client of a target, after checking that its secrets can be read. The
// doubts are warnings about them. The client reads them again for each call. NewClient
// makes no call. log may be nil.
func NewClient(t *mapping.Target, log *slog.Logger) (_ *codearts.Client, doubts []string, err error) {
	r := resolver{place: fmt.Sprintf("target %q", t.Name)}
	c := t.Credentials
	r.resolve("credentials.access_key", c.AccessKey)
	r.resolve("credentials.secret_key", c.SecretKey)
	r.resolve("credentials.security_token", c.SecurityToken)
	r.resolve("credentials.token", c.Token)
	if c.IAMUser != nil {
		r.resolve("credentials.iam_user.password", &c.IAMUser.Password)
	}
	if err := r.err(); err != nil {
		return nil, nil, err
	}
	credentials, err := credentialsOf(t, log)
	if err != nil {
		return nil, nil, fmt.Errorf("target %q: credentials: %w", t.Name, err)
	}
	client, err := codearts.New(codearts.Options{
		Endpoint:    Endpoint(t),
		Credentials: credentials,
		Timeout:     t.Timeout,
		Logger:      log,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("target %q: %w", t.Name, err)
	}
	return client, r.doubts, nil
}

// Endpoint is the address of a target's API.
func Endpoint(t *mapping.Target) string {
	if t.Endpoint != "" {
		return t.Endpoint
	}
	return codearts.RegionEndpoint(t.Region)
}

func credentialsOf(t *mapping.Target, log *slog.Logger) (codearts.Credentials, error) {
	c := t.Credentials
	switch {
	case c.AccessKey != nil:
		return codearts.AccessKey(now(c.AccessKey), now(c.SecretKey), now(c.SecurityToken)), nil
	case c.Token != nil:
		return codearts.Token(now(c.Token)), nil
	case c.IAMUser != nil:
		o := codearts.IAMUserOptions{
			Endpoint: c.IAMEndpoint,
			Domain:   c.IAMUser.Domain,
			Name:     c.IAMUser.Name,
			Password: now(&c.IAMUser.Password),
			Project:  c.IAMUser.Project,
			Logger:   log,
		}
		if o.Endpoint == "" {
			o.Endpoint = codearts.IAMEndpoint(t.Region)
		}
		if o.Project == "" {
			o.Project = t.Region
		}
		return codearts.IAMUser(o)
	case c.Chain:
		return codearts.Chain(), nil
	}
	return nil, fmt.Errorf("none are configured")
}

// now returns a function that reads a secret for each call; nil if none is configured.
func now(ref *mapping.SecretRef) codearts.SecretFunc {
	if ref == nil {
		return nil
	}
	return func() (mapping.Secret, error) { return secret.Resolve(*ref) }
}
