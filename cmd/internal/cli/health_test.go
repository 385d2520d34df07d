package cli

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				status = http.StatusTeapot
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, test := range map[string]struct {
		answer  http.HandlerFunc
		timeout string
		code    int
		says    string
	}{
		"ready":           {answer(200, `{"ready":true}`), "10s", 0, "ready\n"},
		"not ready":       {answer(503, `{"ready":false,"reasons":["starting","the queue\nis full"]}`), "10s", 1, "not ready: starting; the queue\\nis full\n"},
		"a stranger":      {answer(200, `hello`), "10s", 1, " answered 200: is that the admin listener of a bridge?\n"},
		"one who is late": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "100ms", 1, "no answer within 100ms\n"},
	} {
		t.Run(name, func(t *testing.T) {
			plain, secure := httptest.NewServer(test.answer), httptest.NewTLSServer(test.answer)
			defer plain.Close()
			defer secure.Close()
			ask := func(args ...string) {
				t.Helper()
				var out, errs bytes.Buffer
				code := Run(t.Context(), append([]string{"health", "--timeout", test.timeout}, args...), Environment{Stdout: &out, Stderr: &errs})
				if code != test.code || !strings.HasSuffix(out.String(), test.says) || errs.Len() > 0 || strings.Count(out.String(), "\n") != 1 {
					t.Errorf("%q exits with %d: %s%s", args, code, out.String(), errs.String())
				}
			}
			ask("--admin", plain.URL+"/")
			ask("--admin", secure.URL)
			_, port, _ := net.SplitHostPort(plain.Listener.Addr().String())
			t.Setenv("BUILDBRIDGE_ADMIN_LISTEN", "0.0.0.0:"+port)
			ask()
			_, port, _ = net.SplitHostPort(secure.Listener.Addr().String())
			t.Setenv("BUILDBRIDGE_ADMIN_LISTEN", ":"+port)
			t.Setenv("BUILDBRIDGE_ADMIN_TLS_CERT", "cert.pem")
			ask()
		})
	}
	var out bytes.Buffer
	if code := Run(t.Context(), []string{"health", "--admin", "http://127.0.0.1:1"}, Environment{Stdout: &out, Stderr: &out}); code != 1 ||
		!strings.HasPrefix(out.String(), "not ready: http://127.0.0.1:1: ") {
		t.Errorf("nobody there: %d, %s", code, out.String())
	}
	out.Reset()
	if code := Run(t.Context(), []string{"health", "--admin", "8081"}, Environment{Stdout: &out, Stderr: &out}); code != 2 {
		t.Errorf("no URL: %d, %s", code, out.String())
	}
}
