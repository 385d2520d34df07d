package bridge

import (
	"fmt"
	"log/slog"

	"buildbridge/cmd/internal/secret"
	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts"
)

// Clients are the clients of a target, with the same credentials.
type Clients struct {
	Builds    *codearts.Client // of CodeArts Build
	Pipelines *codearts.Client // of CodeArts Pipeline; nil if the target has no address of it
}

// NewClients makes the clients of a target, after checking that its secrets can be read. The
// doubts are warnings about them. The clients read them again for each call. NewClients
// makes no call. log may be nil.
func NewClients(t *mapping.Target, log *slog.Logger) (c Clients, doubts []string, err error) {
	r := resolver{place: fmt.Sprintf("target %q", t.Name)}
	r.resolve("credentials.access_key", t.Credentials.AccessKey)
	r.resolve("credentials.secret_key", t.Credentials.SecretKey)
	r.resolve("credentials.security_token", t.Credentials.SecurityToken)
	r.resolve("credentials.token", t.Credentials.Token)
	if user := t.Credentials.IAMUser; user != nil {
		r.resolve("credentials.iam_user.password", &user.Password)
	}
	if err := r.err(); err != nil {
		return Clients{}, nil, err
	}
	o := codearts.Options{Endpoint: Endpoint(t), Timeout: t.Timeout, Logger: log, RetryCodes: t.RetryCodes}
	if o.Credentials, err = credentialsOf(t, log); err != nil {
		return Clients{}, nil, fmt.Errorf("target %q: credentials: %w", t.Name, err)
	}
	if c.Builds, err = codearts.New(o); err == nil && PipelineEndpoint(t) != "" {
		o.Endpoint = PipelineEndpoint(t)
		c.Pipelines, err = codearts.New(o)
	}
	if err != nil {
		return Clients{}, nil, fmt.Errorf("target %q: %w", t.Name, err)
	}
	return c, r.doubts, nil
}

// Target is the target with its clients.
func (c Clients) Target(t *mapping.Target) trigger.Target {
	target := trigger.Target{Target: *t, Service: c.Builds}
	if c.Pipelines != nil {
		target.Pipelines = c.Pipelines
	}
	return target
}

// Close closes the idle connections of the clients.
func (c Clients) Close() {
	c.Builds.Close()
	if c.Pipelines != nil {
		c.Pipelines.Close()
	}
}

// PipelineEndpoint is the address of a target's API of pipelines; "" if that is not known.
func PipelineEndpoint(t *mapping.Target) string {
	if t.PipelineEndpoint != "" || t.Region == "" {
		return t.PipelineEndpoint
	}
	return codearts.PipelineEndpoint(t.Region)
}

// Endpoint is the address of a target's API of builds.
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
