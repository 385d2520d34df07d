package handlers_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"buildbridge/handlers"
)

func TestAdmin(t *testing.T) {
	down := func(context.Context) error {
		return errors.Join(errors.New("database: no answer"), errors.New("disk: full"))
	}
	up := func(context.Context) error { return nil }
	tests := map[string]struct {
		method string
		path   string
		ready  func(context.Context) error
		noSwap bool
		status int
		body   string
	}{
		"alive":                        {path: "/healthz", status: 200, body: "ok\n"},
		"alive though nothing is well": {path: "/healthz", ready: down, noSwap: true, status: 200, body: "ok\n"},
		"ready":                        {path: "/readyz", ready: up, status: 200, body: `{"ready":true}` + "\n"},
		"ready, nobody asked":          {path: "/readyz", status: 200, body: `{"ready":true}` + "\n"},
		"not ready without a database": {path: "/readyz", ready: down, status: 503, body: `{"ready":false,"reasons":["database: no answer","disk: full"]}` + "\n"},
		"not ready without rules":      {path: "/readyz", noSwap: true, status: 503, body: `{"ready":false,"reasons":["rules: not loaded yet"]}` + "\n"},
		"not ready for two reasons": {
			path: "/readyz", ready: func(context.Context) error { return errors.New("database: no answer") }, noSwap: true, status: 503,
			body: `{"ready":false,"reasons":["rules: not loaded yet","database: no answer"]}` + "\n",
		},
		"no webhooks here":   {method: http.MethodPost, path: "/webhooks/github", status: 404, body: `{"error":"there is nothing at /webhooks/github; here are /healthz, /metrics, /readyz"}` + "\n"},
		"nothing is written": {method: http.MethodPost, path: "/healthz", status: 405, body: `{"error":"POST is not for this path"}` + "\n"},
		"a fault of ours": {
			path: "/readyz", ready: func(context.Context) error { panic("oh") }, status: 500,
			body: `{"error":"an error inside buildbridge: its log says which"}` + "\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server, err := handlers.New(handlers.Options{Acceptor: &memory{}, Ready: test.ready, Version: "v1"})
			if err != nil {
				t.Fatal(err)
			}
			if !test.noSwap {
				server.Swap(stateOf(t, rules))
			}
			if test.method == "" {
				test.method = http.MethodGet
			}
			if test.status == http.StatusMethodNotAllowed {
				server.MountAdmin("", http.NotFoundHandler()) // what is there does not get it
			}
			w := httptest.NewRecorder()
			server.Admin().ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
			if w.Code != test.status || w.Body.String() != test.body {
				t.Errorf("status %d, body %s; want %d, %s", w.Code, w.Body, test.status, test.body)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
		})
	}
}
