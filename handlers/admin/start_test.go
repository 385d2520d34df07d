package admin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

func (a *api) start(body string, keys ...string) *httptest.ResponseRecorder {
	r := request(http.MethodPost, admin.Prefix+"/builds", writeToken)
	r.Body = io.NopCloser(strings.NewReader(body))
	r.Header[admin.IdempotencyKey] = keys
	return a.serve(r)
}

func TestStart(t *testing.T) {
	a := writable(t)
	a.answer = handlers.Answer{Status: http.StatusAccepted, Outcome: "accepted", Delivery: "d"}
	by := mapping.By{Actor: "write", Why: "it was off"}
	for body, want := range map[string]handlers.Start{
		`{"source":"github","repository":"acme/shop","branch":"main","reason":"it was off"}`: {Ref: "refs/heads/main"},
		`{"source":"github","repository":"acme/shop","tag":"v1","commit":"` + strings.Repeat("a", 40) + `","rules":["cart"],"reason":"it was off","dry_run":true}`: {
			Ref: "refs/tags/v1", Commit: strings.Repeat("a", 40), Rules: []string{"cart"}, DryRun: true,
		},
	} {
		a.started = nil
		w := a.start(body, "k")
		want.Source, want.Repository, want.Key, want.By = "github", "acme/shop", "k", by
		if diff := cmp.Diff([]handlers.Start{want}, a.started); diff != "" || w.Code != 202 {
			t.Errorf("%s gives %d %s: %s", body, w.Code, w.Body, diff)
		}
		var got handlers.Started
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Delivery != "d" || got.Repository != "acme/shop" {
			t.Errorf("got %s, %v", w.Body, err)
		}
	}
}

// A repository goes by the name that its deliveries have.
func TestStartSpellsTheRepositoryAsItsDeliveries(t *testing.T) {
	a := writable(t)
	a.answer = handlers.Answer{Status: http.StatusAccepted, Outcome: "accepted"}
	a.accept(func(d *store.Delivery, _ *store.Build) { d.Repository = "Acme/Shop" })
	a.accept(func(d *store.Delivery, _ *store.Build) { // what a person wrote is not how the code host does
		d.Source, d.Repository, d.Origin = "gitlab", "acme/SHOP", mapping.OriginManual
	})
	for source, want := range map[string]handlers.Start{
		"github": {Repository: "Acme/Shop", Seen: true},
		"gitlab": {Repository: "acme/SHOP"},
	} {
		for _, given := range []string{"acme/SHOP", want.Repository} {
			a.started = nil
			a.start(`{"source":"` + source + `","repository":"` + given + `","branch":"main"}`)
			if len(a.started) != 1 || a.started[0].Repository != want.Repository || a.started[0].Seen != want.Seen {
				t.Errorf("%s of %s is %+v, want %+v", given, source, a.started, want)
			}
		}
	}
}

func TestStartThatCannotBe(t *testing.T) {
	a := writable(t)
	const whole = `{"source":"github","repository":"acme/shop","branch":"main"}`
	for name, test := range map[string]struct {
		body   string
		keys   []string
		status int
		says   string
	}{
		"no body":           {"", nil, 400, "the body is not such as"},
		"two bodies":        {whole + whole, nil, 400, "the body is not such as"},
		"a misspelt field":  {`{"sources":"github"}`, nil, 400, "the body is not such as"},
		"no source":         {`{"repository":"acme/shop","branch":"main"}`, nil, 400, "source: missing"},
		"no repository":     {`{"source":"github","branch":"main"}`, nil, 400, "repository: missing"},
		"neither":           {`{"source":"github","repository":"acme/shop"}`, nil, 400, "give either branch or tag"},
		"both":              {`{"source":"github","repository":"acme/shop","branch":"main","tag":"v1"}`, nil, 400, "give either branch or tag"},
		"a reason in lines": {`{"source":"github","repository":"acme/shop","branch":"main","reason":"a\nb"}`, nil, 400, "reason: give one line"},
		"two keys":          {whole, []string{"a", "b"}, 400, "Idempotency-Key: give one"},
		"an empty key":      {whole, []string{""}, 400, "Idempotency-Key: give one"},
		"a long key":        {whole, []string{strings.Repeat("a", 201)}, 400, "Idempotency-Key: give one"},
		"what is refused":   {whole, nil, 409, "no rule names it"},
	} {
		t.Run(name, func(t *testing.T) {
			a.answer = handlers.Answer{Status: http.StatusConflict, Detail: "no rule names it"}
			a.started = nil
			w := a.start(test.body, test.keys...)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, test.status, test.says)
			}
			if test.status == 400 && len(a.started) > 0 {
				t.Error("it is started")
			}
		})
	}
	r := request(http.MethodPost, admin.Prefix+"/builds", "")
	r.Body = io.NopCloser(strings.NewReader(whole))
	if w := a.serve(r); w.Code != 401 {
		t.Errorf("without a token: %d", w.Code)
	}
}
