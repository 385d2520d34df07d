package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"buildbridge/cmd/internal/secret"
	"buildbridge/handlers"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

// ResolveSource reads the secrets of a source. The error names all that are missing, each
// with its field.
func ResolveSource(s *mapping.Source) (*handlers.Source, error) {
	r := resolver{place: fmt.Sprintf("source %q", s.Name)}
	resolved := &handlers.Source{Source: *s, Keys: codehost.Keys{
		TokenHeader: s.TokenHeader,
		Insecure:    s.Insecure || s.ByAddress(),
	}}
	for i, ref := range s.Secrets {
		field := fmt.Sprintf("secrets[%d]", i)
		value := r.resolve(field, &ref)
		if value != "" && codehost.TakesPathSecret(s.Provider) {
			r.note(field, codehost.CheckPathSecret(value))
		}
		resolved.Keys.Secrets = append(resolved.Keys.Secrets, value)
	}
	for i, ref := range s.SigningTokens {
		field := fmt.Sprintf("signing_tokens[%d]", i)
		token := r.resolve(field, &ref)
		if token != "" {
			r.note(field, codehost.CheckSigningToken(s.Provider, token))
		}
		resolved.Keys.SigningTokens = append(resolved.Keys.SigningTokens, token)
	}
	for i, ref := range s.Basic {
		password := r.resolve(fmt.Sprintf("basic[%d].password", i), &ref.Password)
		resolved.Keys.Basic = append(resolved.Keys.Basic, codehost.Basic{Username: ref.Username, Password: password})
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	resolved.Doubts = r.doubts
	return resolved, nil
}

// resolver resolves the secrets of one source or target and collects the errors.
type resolver struct {
	place  string
	errs   []error
	doubts []string // the warnings of secret.Read, with the field
}

func (r *resolver) resolve(field string, ref *mapping.SecretRef) mapping.Secret {
	if ref == nil {
		return ""
	}
	value, doubt, err := secret.Read(*ref)
	r.note(field, err)
	if doubt != "" {
		r.doubts = append(r.doubts, field+": "+doubt)
	}
	return value
}

func (r *resolver) note(field string, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %s: %w", r.place, field, err))
	}
}

// warn logs warnings about the secrets of a source or target.
func warn(ctx context.Context, log *slog.Logger, kind, name string, doubts []string) {
	for _, doubt := range doubts {
		log.LogAttrs(ctx, slog.LevelWarn, "secrets: warning", slog.String(kind, name), slog.String("error", doubt))
	}
}

func (r *resolver) err() error { return errors.Join(r.errs...) }
