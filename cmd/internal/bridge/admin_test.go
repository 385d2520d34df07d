package bridge_test

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store/postgrestest"
)

// builds asks the admin API for builds and gives the status and the answer.
func (w *world) builds(method, path, token string) (int, string) {
	w.t.Helper()
	// An address that is reached from here, whatever it listens on.
	url := strings.Replace(w.AdminURL(), "[::]", "127.0.0.1", 1)
	req, err := http.NewRequestWithContext(w.t.Context(), method, url+"/api/v1/builds"+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return w.do(req)
}

const replayDead = "/replay?state=dead"

func TestTokenIsMadeOnce(t *testing.T) {
	w := newWorld(t)
	file := w.database + ".admin-token"
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	made, err := os.ReadFile(file)
	token := strings.TrimSpace(string(made))
	if err != nil || len(token) < 43 { // 256 bits
		t.Fatalf("%q, %v", made, err)
	}
	check := func() {
		t.Helper()
		for _, c := range []struct {
			method, path, token string
			want                int
		}{
			{"GET", "", "", 200},
			{"POST", replayDead, "", 401},
			{"POST", replayDead, token, 200},
		} {
			if got, answer := w.builds(c.method, c.path, c.token); got != c.want {
				t.Errorf("%s %s gives %d: %s", c.method, c.path, got, answer)
			}
		}
	}
	check()
	w.stop()
	w.start()
	check()
	if again, err := os.ReadFile(file); err != nil || string(again) != string(made) {
		t.Errorf("at the second start it is %q, %v", again, err)
	}
	if logs := w.logs.String(); strings.Count(logs, filepath.Base(file)) != 1 || strings.Contains(logs, token) {
		t.Errorf("the path is not logged once, or the token is: %s", logs)
	}
}

// A token that was made, or put back, so that others could read it is theirs no longer.
func TestTokenOpenToOthers(t *testing.T) {
	w := newWorld(t)
	file := w.database + ".admin-token"
	w.stop()
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	w.start()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if logs := w.logs.String(); !strings.Contains(logs, "other users could read the admin write token") || !strings.Contains(logs, `"level":"WARN"`) {
		t.Errorf("nothing is said: %s", logs)
	}
}

func TestAdminAPIBeyondLoopback(t *testing.T) {
	w := newWorld(t, func(o *bridge.Options) { o.AdminListen = ":0" })
	token, err := os.ReadFile(w.database + ".admin-token")
	if err != nil {
		t.Fatal(err)
	}
	if got, answer := w.builds("GET", "", ""); got != 401 || !strings.Contains(answer, "--admin-read-token") {
		t.Errorf("without a token: %d %s", got, answer)
	}
	if got, answer := w.builds("GET", "", strings.TrimSpace(string(token))); got != 200 {
		t.Errorf("with the one that was made: %d %s", got, answer)
	}
}

func TestConfiguredTokens(t *testing.T) {
	t.Setenv("READ", "r")
	t.Setenv("WRITE", "w")
	w := newWorld(t, func(o *bridge.Options) {
		o.AdminReadToken, o.AdminWriteToken = []mapping.SecretRef{{Env: "READ"}}, []mapping.SecretRef{{Env: "WRITE"}}
	})
	if _, err := os.Stat(w.database + ".admin-token"); err == nil {
		t.Error("a token was made besides")
	}
	for token, want := range map[string][2]int{"": {401, 401}, "r": {200, 403}, "w": {200, 200}} {
		read, _ := w.builds("GET", "", token)
		write, _ := w.builds("POST", replayDead, token)
		if read != want[0] || write != want[1] {
			t.Errorf("token %q reads with %d and writes with %d, want %v", token, read, write, want)
		}
	}
}

// Nothing is beside a Postgres database: no token is made.
func TestNoTokenIsMadeForPostgres(t *testing.T) {
	var server postgrestest.Server
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	database := server.Database(t)
	t.Chdir(t.TempDir())
	w := newWorld(t, func(o *bridge.Options) { o.Database = database })
	if got, answer := w.builds("GET", "", ""); got != 200 {
		t.Errorf("reading gives %d: %s", got, answer)
	}
	if got, answer := w.builds("POST", replayDead, "guess"); got != 401 || !strings.Contains(answer, "--admin-write-token") {
		t.Errorf("writing gives %d: %s", got, answer)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) > 0 {
		t.Errorf("there are %v, %v", files, err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	if logs := w.logs.String(); !strings.Contains(logs, `"database":"postgres://`+u.Host+u.Path+`"`) || strings.Contains(logs, u.User.String()+"@") {
		t.Errorf("the log has the URL of the database, and with it a password: %s", logs)
	}
}

func TestAdminTokensThatCannotBe(t *testing.T) {
	t.Setenv("UMLAUT", "schlüssel")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("two words"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(lines, []byte("token\r\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ref  mapping.SecretRef
		says string
	}{
		"it has an empty line behind it":  {mapping.SecretRef{File: lines}, "lines ends in more white space than one line break"},
		"it is not there":                 {mapping.SecretRef{Env: "NONE"}, "--admin-read-token: environment variable NONE is not set"},
		"no header can carry it":          {mapping.SecretRef{Env: "UMLAUT"}, "characters that a header cannot carry"},
		"it has a space in it, in a file": {mapping.SecretRef{File: file}, "characters that a header cannot carry"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.stop()
			o := w.options()
			o.AdminReadToken = []mapping.SecretRef{test.ref}
			b, err := bridge.Start(t.Context(), o)
			if err == nil {
				_ = b.Stop(t.Context(), 0)
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "schl") {
				t.Errorf("got %v, want %s", err, test.says)
			}
		})
	}
}

// Tokens with names and roles, beside those without. A start with one that has two owners is
// refused, and shows no token.
func TestNamedTokens(t *testing.T) {
	for name, value := range map[string]string{"READ": "r", "ANN": "a", "ANN_NEXT": "b", "OPS": "o", "W": "w"} {
		t.Setenv(name, value)
	}
	named := func(name string, role admin.Role, env string) bridge.AdminToken {
		return bridge.AdminToken{Name: name, Role: role, Ref: mapping.SecretRef{Env: env}}
	}
	w := newWorld(t, func(o *bridge.Options) {
		o.AdminTokens = []bridge.AdminToken{
			named("ann", admin.Operate, "ANN"), named("ann", admin.Operate, "ANN_NEXT"), named("ops", admin.Write, "OPS"),
		}
		o.AdminReadToken = []mapping.SecretRef{{Env: "READ"}}
	})
	if _, err := os.Stat(w.database + ".admin-token"); err == nil {
		t.Error("a token was made besides")
	}
	for token, want := range map[string][2]int{"": {401, 401}, "guess": {401, 401}, "r": {200, 403}, "a": {200, 200}, "b": {200, 200}, "o": {200, 200}} {
		read, _ := w.builds("GET", "", token)
		write, _ := w.builds("POST", replayDead, token)
		if read != want[0] || write != want[1] {
			t.Errorf("token %q reads with %d and operates with %d, want %v", token, read, write, want)
		}
	}
	w.stop()
	for name, tokens := range map[string][]bridge.AdminToken{
		"as --admin-token ann=read and as --admin-token bob=read":    {named("ann", admin.Read, "ANN"), named("bob", admin.Read, "ANN")},
		"as --admin-token ann=read and as --admin-token ann=operate": {named("ann", admin.Read, "ANN"), named("ann", admin.Operate, "ANN")},
		"as --admin-token ann=read and as --admin-read-token":        {named("ann", admin.Read, "READ")},
	} {
		o := w.options()
		o.AdminTokens, o.AdminReadToken = tokens, []mapping.SecretRef{{Env: "READ"}}
		b, err := bridge.Start(t.Context(), o)
		if err == nil {
			_ = b.Stop(t.Context(), 0)
		}
		if !errors.Is(err, bridge.ErrTokens) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}
