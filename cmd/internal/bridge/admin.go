package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"buildbridge/cmd/internal/secret"
	"buildbridge/handlers/admin"
	"buildbridge/handlers/pages"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// mountAdmin adds the admin API and the pages to the admin listener, which must be listening. It gives
// the pages for those who only read.
func (b *Bridge) mountAdmin(ctx context.Context, db *store.Store) (forReading http.Handler, err error) {
	access := admin.Access{}
	access.Host, _, _ = net.SplitHostPort(b.o.AdminListen)
	if tcp, ok := b.admin.Addr().(*net.TCPAddr); ok {
		access.Loopback = tcp.IP.IsLoopback()
	}
	var readers []admin.Token
	if access.Tokens, readers, err = b.o.tokens(); err != nil {
		return nil, err
	}
	writes := func(t admin.Token) bool { return t.Role == admin.Write }
	if file := AdminTokenFile(b.o.Database); file != "" && !slices.ContainsFunc(access.Tokens, writes) {
		made, err := makeAdminToken(file)
		if err != nil {
			return nil, fmt.Errorf("admin write token: %w", err)
		}
		if made {
			b.log.LogAttrs(ctx, slog.LevelInfo, "made a write token for the admin API", slog.String("file", file))
		}
		if closed, err := closeToOthers(file); err != nil {
			return nil, fmt.Errorf("admin write token: %w", err)
		} else if closed {
			b.log.LogAttrs(ctx, slog.LevelWarn,
				"other users could read the admin write token; its file is closed to them now: to get a new token, delete it and restart",
				slog.String("file", file))
		}
		local := AdminToken{Name: localToken, Role: admin.Write, Ref: mapping.SecretRef{File: file}}
		if access.Made, _, err = local.open(); err != nil {
			return nil, fmt.Errorf("admin write token: %w", err)
		}
	}
	api, err := admin.New(admin.Options{ //nolint:contextcheck // each request has its own
		Store: db, Builds: b.trigger, Deliveries: b.handlers, Pauses: b.trigger, Status: b.overview, Rules: b.inForce.Load,
		Access: access, Logger: b.log, LogLevel: b.o.LogLevel,
	})
	if err != nil {
		return nil, err
	}
	b.handlers.MountAdmin(admin.Prefix, api)
	o := pages.Options{API: api, Links: b.o.links(), Version: b.o.Version, Logger: b.log, Running: b.life}
	shown, err := pages.New(o) //nolint:contextcheck // each request has its own
	if err != nil {
		return nil, err
	}
	b.handlers.MountAdmin("", shown)
	o.ReadOnly, o.Access = true, &admin.Access{Tokens: readers, Everybody: b.o.PagesOpen}
	return pages.New(o) //nolint:contextcheck // as above
}

// links are the addresses that the settings give.
func (s *Settings) links() pages.Links {
	return pages.Links{External: s.ExternalURL, Trace: s.TraceURL, Dashboard: s.DashboardURL}
}

// AdminTokenFile is the file of the write token that serve makes if none is configured. It
// is beside the SQLite file, and "" for a PostgreSQL database.
func AdminTokenFile(database string) string {
	if _, isURL := store.Scheme(database); isURL || database == "" {
		return ""
	}
	return database + ".admin-token"
}

// makeAdminToken makes the file with a token of 256 bits, unless it exists.
func makeAdminToken(file string) (made bool, err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the path is beside the user's own database
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = f.WriteString(rand.Text() + rand.Text() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, errors.Join(err, os.Remove(file)) // the next start would use half a token
	}
	return true, nil
}

// closeToOthers makes a file readable and writable for its owner alone, and reports whether
// other users could read or write it before.
func closeToOthers(file string) (closed bool, err error) {
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return false, err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		return false, fmt.Errorf("others can read it: change its mode to 0600, or delete it: %w", err)
	}
	return true, nil
}

// The names of the tokens that have none of their own.
const (
	readToken  = "admin-read-token"
	writeToken = "admin-write-token"
	localToken = "local"
	pagesToken = "pages-token"
)

// ErrTokens means that two tokens are one, with different names or roles.
var ErrTokens = errors.New("the same token is given twice")

// tokens checks that the configured tokens can be read, sent, and told apart. It gives those of the
// admin listener, and those of the listener of the pages.
func (s *Settings) tokens() (admins, readers []admin.Token, err error) {
	var (
		errs   []error
		owners = map[mapping.Secret]AdminToken{}
	)
	given := slices.Clone(s.AdminTokens)
	for _, ref := range s.AdminReadToken {
		given = append(given, AdminToken{readToken, admin.Read, ref})
	}
	for _, ref := range s.AdminWriteToken {
		given = append(given, AdminToken{writeToken, admin.Write, ref})
	}
	for _, ref := range s.PagesToken {
		given = append(given, AdminToken{pagesToken, admin.Read, ref})
	}
	for _, t := range given {
		token, value, err := t.open()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.flag(), err))
			continue
		}
		if t.Name == pagesToken {
			readers = append(readers, token)
		} else {
			admins = append(admins, token)
		}
		other, twice := owners[value]
		owners[value] = t
		if twice && (other.Name != t.Name || other.Role != t.Role) && (!other.unnamed() || !t.unnamed()) {
			errs = append(errs, fmt.Errorf("%w, as %s and as %s: it would not say who asks, or what they may do; make one for each",
				ErrTokens, other.flag(), t.flag()))
		}
	}
	return admins, readers, errors.Join(errs...)
}

// open reads the token, and gives what reads it again for each request.
func (t AdminToken) open() (token admin.Token, value mapping.Secret, err error) {
	value, err = ReadAdminToken(t.Ref)
	return admin.Token{Name: t.Name, Role: t.Role, Value: func() (mapping.Secret, error) { return ReadAdminToken(t.Ref) }}, value, err
}

// unnamed tells that the token is one of the flags without names. They may share a token.
func (t AdminToken) unnamed() bool { return t.Name == readToken || t.Name == writeToken }

// flag is how the token was given, for errors.
func (t AdminToken) flag() string {
	switch t.Name {
	case readToken, writeToken, pagesToken:
		return "--" + t.Name
	}
	return fmt.Sprintf("--admin-token %s=%s", t.Name, t.Role)
}

// CheckTokenName says what is wrong with the name of a token, which goes into logs and
// tables, "" if nothing is.
func CheckTokenName(name string) string {
	const most = 64
	switch {
	case name == "":
		return "it has no name"
	case name == readToken, name == writeToken, name == localToken, name == pagesToken:
		return fmt.Sprintf("the name %s is that of a token without a name", name)
	case len(name) > most || strings.Trim(name, nameCharacters) != "":
		return fmt.Sprintf("a name has at most %d of the characters a-z, A-Z, 0-9, and . _ - @", most)
	}
	return ""
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@"

// ReadAdminToken reads a token. A token that a header cannot carry is an error.
func ReadAdminToken(ref mapping.SecretRef) (mapping.Secret, error) {
	value, doubt, err := secret.Read(ref)
	switch {
	case err != nil:
		return "", err
	case doubt != "":
		return "", errors.New(doubt)
	case strings.ContainsFunc(string(value), func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", errors.New("it has characters that a header cannot carry: use letters and digits")
	}
	return value, nil
}
