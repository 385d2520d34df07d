package admin_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

// A backup is for those who may write, and is a database.
func TestBackup(t *testing.T) {
	a := newAPI(t, open(t), admin.Access{Loopback: true, Tokens: []admin.Token{token(admin.Read, readToken), token(admin.Write, writeToken)}})
	server := httptest.NewServer(a)
	defer server.Close()
	get := func(token, query string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/backup"+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || int64(len(body)) != res.ContentLength {
			t.Fatal(len(body), err)
		}
		return res.StatusCode, body
	}
	for token, want := range map[string]int{readToken: http.StatusForbidden, "guess": http.StatusUnauthorized} {
		if status, body := get(token, ""); status != want {
			t.Errorf("the token %s gets %d: %s", token, status, body)
		}
	}
	if status, body := get(writeToken, "?to=x"); status != http.StatusBadRequest {
		t.Errorf("with a parameter: %d %s", status, body)
	}
	status, body := get(writeToken, "")
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, body, 0o600); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	s, err := store.Open(t.Context(), store.Options{Database: path, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if log := a.log.String(); !strings.Contains(log, "a backup was taken") {
		t.Errorf("it is not logged: %s", log)
	}
}

// elsewhere is a store that fails its backups.
type elsewhere struct {
	*store.Store
	err error
}

func (e elsewhere) Backup(context.Context, func(int64) io.Writer) error { return e.err }

func TestBackupThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		says   string
	}{
		"PostgreSQL":    {store.ErrNoBackup, http.StatusConflict, "pg_dump --format=custom"},
		"a bad disk":    {io.ErrUnexpectedEOF, http.StatusServiceUnavailable, "the database cannot be read"},
		"cut by itself": {context.Canceled, http.StatusServiceUnavailable, "the database cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			api, err := admin.New(admin.Options{
				Store: elsewhere{open(t), test.err}, Builds: builds{}, Deliveries: deliveries{}, Access: admin.Access{Tokens: []admin.Token{token(admin.Write, writeToken)}},
			})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/backup", http.NoBody)
			r.Header.Set("Authorization", "Bearer "+writeToken)
			answer := httptest.NewRecorder()
			api.ServeHTTP(answer, r)
			if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.says) {
				t.Errorf("got %d %s", answer.Code, answer.Body)
			}
		})
	}
}
