package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"buildbridge/cmd/internal/secret"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// mountAdmin adds the admin API to the admin listener, which must be listening.
func (b *Bridge) mountAdmin(ctx context.Context, db *store.Store) (err error) {
	access := admin.Access{}
	access.Host, _, _ = net.SplitHostPort(b.o.AdminListen)
	if tcp, ok := b.admin.Addr().(*net.TCPAddr); ok {
		access.Loopback = tcp.IP.IsLoopback()
	}
	if access.Read, err = adminTokens("admin read token", b.o.AdminReadToken); err != nil {
		return err
	}
	if access.Write, err = adminTokens("admin write token", b.o.AdminWriteToken); err != nil {
		return err
	}
	if file := AdminTokenFile(b.o.Database); file != "" && len(access.Write) == 0 {
		made, err := makeAdminToken(file)
		if err != nil {
			return fmt.Errorf("admin write token: %w", err)
		}
		if made {
			b.log.LogAttrs(ctx, slog.LevelInfo, "made a write token for the admin API", slog.String("file", file))
		}
		if closed, err := closeToOthers(file); err != nil {
			return fmt.Errorf("admin write token: %w", err)
		} else if closed {
			b.log.LogAttrs(ctx, slog.LevelWarn,
				"other users could read the admin write token; its file is closed to them now: to get a new token, delete it and restart",
				slog.String("file", file))
		}
		tokens, err := adminTokens("admin write token", []mapping.SecretRef{{File: file}})
		if err != nil {
			return err
		}
		access.Made = tokens[0]
	}
	api, err := admin.New(admin.Options{ //nolint:contextcheck // each request has its own
		Store: db, Builds: b.trigger, Deliveries: b.handlers, Access: access, Logger: b.log, LogLevel: b.o.LogLevel,
	})
	if err != nil {
		return err
	}
	b.handlers.MountAdmin(admin.Prefix, api)
	return nil
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

// adminTokens checks that tokens can be read and sent. Each token it returns is read again
// for each request.
func adminTokens(name string, refs []mapping.SecretRef) ([]admin.Token, error) {
	var (
		tokens []admin.Token
		errs   []error
	)
	for _, ref := range refs {
		if _, err := AdminToken(ref); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		tokens = append(tokens, func() (mapping.Secret, error) { return AdminToken(ref) })
	}
	return tokens, errors.Join(errs...)
}

// AdminToken reads a token. A token that a header cannot carry is an error.
func AdminToken(ref mapping.SecretRef) (mapping.Secret, error) {
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
