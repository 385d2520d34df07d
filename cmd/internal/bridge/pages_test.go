package bridge_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/cmd/internal/certificate/certificatetest"
	"buildbridge/mapping"
)

// page asks for a page below an address, with a token or "".
func (w *world) page(method, url, token string) (status int, html string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return w.do(req)
}

// The listener of the pages has its own tokens, nothing but pages, and changes nothing.
func TestPagesForReading(t *testing.T) {
	t.Setenv("READERS", "for-readers")
	t.Setenv("WRITE", "for-writers")
	w := newWorld(t, func(o *bridge.Options) {
		o.PagesListen, o.PagesToken = "127.0.0.1:0", []mapping.SecretRef{{Env: "READERS"}}
		o.AdminWriteToken = []mapping.SecretRef{{Env: "WRITE"}}
	})
	for _, test := range []struct {
		method, path, token string
		status              int
	}{
		{"GET", "/builds", "", 401},
		{"GET", "/builds", "for-writers", 401},
		{"GET", "/builds", "for-readers", 200},
		{"GET", "/healthz", "for-readers", 404},
		{"GET", "/metrics", "for-readers", 404},
		{"GET", "/api/v1/builds", "for-readers", 404},
		{"POST", "/builds", "for-readers", 405},
	} {
		if got, html := w.page(test.method, w.PagesURL()+test.path, test.token); got != test.status {
			t.Errorf("%s %s with %q gives %d, want %d: %s", test.method, test.path, test.token, got, test.status, html)
		}
	}
	if got, _ := w.page("GET", w.AdminURL()+"/builds", "for-readers"); got != 401 {
		t.Errorf("their token opens the pages of the admin listener: %d", got)
	}
	if got, html := w.page("GET", w.AdminURL()+"/builds", "for-writers"); got != 200 || !strings.Contains(html, "admin-write-token (write)") {
		t.Errorf("the admin listener gives %d: %s", got, html)
	}
	if logs := w.logs.String(); !strings.Contains(logs, `"pages_listen":"127.0.0.1:`) || strings.Contains(logs, "for-readers") {
		t.Errorf("the log does not say where they are, or has the token: %s", logs)
	}
}

func TestOpenPages(t *testing.T) {
	cert := certificatetest.Write(t, t.TempDir(), "pages")
	w := newWorld(t, func(o *bridge.Options) { o.PagesListen, o.PagesOpen, o.PagesTLS = "127.0.0.1:0", true, cert })
	w.insecurely()
	if got, html := w.page("GET", w.PagesURL()+"/builds", ""); got != 200 {
		t.Errorf("they give %d: %s", got, html)
	}
	if got, err := w.served(w.PagesURL()); err != nil || got != "pages" {
		t.Errorf("they have the certificate of %q, %v", got, err)
	}
}

// Whoever may read the pages must not be able to use the token elsewhere.
func TestTokenOfPagesIsNoOther(t *testing.T) {
	t.Setenv("BOTH", "x")
	w := newWorld(t)
	w.stop()
	o := w.options()
	o.PagesListen = "127.0.0.1:0"
	o.PagesToken, o.AdminWriteToken = []mapping.SecretRef{{Env: "BOTH"}}, []mapping.SecretRef{{Env: "BOTH"}}
	b, err := bridge.Start(t.Context(), o)
	if err == nil {
		_ = b.Stop(t.Context(), 0)
	}
	if !errors.Is(err, bridge.ErrTokens) || !strings.Contains(err.Error(), "--admin-write-token and as --pages-token") {
		t.Errorf("got %v", err)
	}
}

// The log links to the pages of deliveries and builds where they have an address.
func TestLogLinksToPages(t *testing.T) {
	w := newWorld(t, func(o *bridge.Options) { o.ExternalURL = "https://ci.example.com/bb" })
	a := w.accept("1", push(), "")
	w.finished("cart", "started", 1)
	for _, url := range []string{"deliveries/" + a.Delivery, "builds/" + a.Builds[0].ID} {
		w.eventually("the log has the address of "+url, func() bool {
			return strings.Contains(w.logs.String(), `"url":"https://ci.example.com/bb/`+url+`"`)
		})
	}
}
