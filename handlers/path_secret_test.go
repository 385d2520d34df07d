package handlers_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"buildbridge/handlers"
	"buildbridge/handlers/codehost"
	"buildbridge/mapping"
)

const gerritRules = `
version: 1
sources:
  gerrit: {provider: gerrit, secrets: [{env: OLD}, {env: NEW}], max_body: 4096}
  office: {provider: gerrit, secrets: [{env: NEW}], allow_from: 10.0.0.0/8}
  A-z_0.9: {provider: gerrit, secrets: [{env: NEW}]}
  lab: {provider: gerrit, insecure: true}
  github: {provider: github, secrets: [{env: NEW}]}
targets:
  north: {region: cn-north-4, credentials: {token: {env: TOKEN}}}
rules:
  - name: shop
    repository: shop
    when: {push: {branches: [main]}}
    jobs: [{job_id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1}]
`

// The secret in the path of a call proves who it is, and is told to nobody, whatever becomes of the call.
func TestSecretInThePath(t *testing.T) {
	const secret, wrong = "5d41402abc4b2a76", "b9719d911017c592"
	update := `{"type":"ref-updated","refUpdate":{"oldRev":"` + before + `","newRev":"` + commit + `","refName":"refs/heads/main","project":"shop"}`
	var logged lines
	spans := tracetest.NewSpanRecorder()
	b := newBridge(t, func(o *handlers.Options) {
		o.Logger = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.TracerProvider = sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	})
	rules, refusals := gerritRules, map[string]int{"gerrit": 401, "A-z_0.9": 401, "office": 403, "lab": 404, "github": 404, "gerit": 404, "": 404}
	for _, provider := range codehost.Providers() {
		refusals["of-"+provider.Name] = 404
		rules = strings.Replace(rules, "\ntargets:", "\n  of-"+provider.Name+": {provider: "+provider.Name+", insecure: true}\ntargets:", 1)
	}
	st := stateOf(t, rules)
	for _, source := range st.Sources {
		for i := range source.Keys.Secrets {
			source.Keys.Secrets[i] = mapping.Secret([]string{secret, "another"}[(len(source.Keys.Secrets)-1-i)%2])
		}
	}
	b.Swap(st)

	type call struct {
		method, path, body string // "" for POST and a push
		listener           http.Handler
		panics             bool
		status             int
	}
	tests := map[string]call{
		"the secret":                    {path: "/webhooks/gerrit/" + secret, status: 202},
		"the secret and a slash":        {path: "/webhooks/gerrit/" + secret + "/", status: 202},
		"escaped, as a proxy may do":    {path: "/webhooks/gerrit/%35" + secret[1:], status: 202},
		"no secret":                     {path: "/webhooks/gerrit", status: 401},
		"no secret and a slash":         {path: "/webhooks/gerrit/", status: 401},
		"an empty one":                  {path: "/webhooks/gerrit//", status: 401},
		"a wrong one":                   {path: "/webhooks/gerrit/" + wrong, status: 401},
		"half of it":                    {path: "/webhooks/gerrit/" + secret[:8], status: 401},
		"more behind it":                {path: "/webhooks/gerrit/" + secret + "/" + wrong, status: 401},
		"an escaped slash behind it":    {path: "/webhooks/gerrit/" + secret + "%2F" + wrong, status: 401},
		"a slash before it":             {path: "/webhooks/gerrit//" + secret, status: 401},
		"in the query":                  {path: "/webhooks/gerrit?secret=" + secret, status: 401},
		"another method":                {method: "GET", path: "/webhooks/gerrit/" + secret, status: 405},
		"an unknown source":             {path: "/webhooks/gerit/" + secret, status: 404},
		"no source":                     {path: "/webhooks//" + secret, status: 404},
		"a source of another provider":  {path: "/webhooks/github/" + secret, status: 404},
		"a source without secrets":      {path: "/webhooks/lab/" + secret, status: 404},
		"no webhook":                    {path: "/webhook/gerrit/" + secret, status: 404},
		"an address that is not listed": {path: "/webhooks/office/" + secret, status: 403},
		"a body that is too large":      {path: "/webhooks/gerrit/" + secret, body: strings.Repeat(" ", 5000), status: 413},
		"a body that is no JSON":        {path: "/webhooks/gerrit/" + secret, body: "{", status: 400},
		"a body of nothing":             {path: "/webhooks/gerrit/" + secret, body: "{}", status: 400},
		"an event that is none":         {path: "/webhooks/gerrit/" + secret, body: `{"type":"comment-added"}`, status: 200},
		"a fault of buildbridge":        {path: "/webhooks/gerrit/" + secret, panics: true, status: 503},
		"the admin listener":            {path: "/webhooks/gerrit/" + secret, listener: b.Admin(), status: 404},
		"a name of all kinds":           {path: "/webhooks/A-z_0.9/" + secret, status: 202},
	}
	// What may stand in place of the "/", such as one that a proxy escaped twice.
	for _, before := range []string{
		"%252F", "%25252f", "%5C", "%255C", "%3F", "%23", "%20", "%00", "%0A", "%22", "%FF", "%C2%A0", "%E2%88%95", "%3B/", ";", ":", "@", "=", "&", ",", "~",
	} {
		for source, status := range refusals {
			tests["at "+source+before] = call{path: "/webhooks/" + source + before + secret, status: status}
		}
	}
	said := ""
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b.store.accept = nil
			if test.panics {
				b.store.accept = func(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) { panic("a fault") }
			}
			if test.method == "" {
				test.method = http.MethodPost
			}
			if test.body == "" {
				test.body = fmt.Sprintf(`%s,"eventCreatedOn":%d}`, update, len(said)) // no duplicate
			}
			if test.listener == nil {
				test.listener = b.Public()
			}
			r := httptest.NewRequestWithContext(t.Context(), test.method, test.path, strings.NewReader(test.body))
			r.Header.Set(codehost.PathSecret, secret) // as nobody can send it
			w := httptest.NewRecorder()
			test.listener.ServeHTTP(w, r)
			if w.Code != test.status {
				t.Errorf("status %d, want %d: %s", w.Code, test.status, w.Body)
			}
			if got := strings.TrimSpace(w.Body.String()); w.Code == 401 && got != `{"outcome":"rejected","reason":"not_authenticated"}` {
				t.Errorf("a stranger is told %s", got)
			}
			said += fmt.Sprintln(name, w.Body, w.Header())
		})
	}
	if n := len(b.store.accepted); n != 4 {
		t.Errorf("%d are accepted, want 4", n)
	}
	metrics := httptest.NewRecorder()
	b.Admin().ServeHTTP(metrics, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	places := map[string]string{
		"an answer": said, "the log": logged.text(), "the metrics": metrics.Body.String(),
		"the rejected": fmt.Sprintf("%+v", b.Rejected()), "what is stored": fmt.Sprintf("%+v", b.store),
	}
	for _, span := range spans.Ended() {
		places["the traces"] += fmt.Sprintf("%s %v %v\n", span.Name(), span.Attributes(), span.Events())
	}
	for place, text := range places {
		for _, hidden := range []string{secret, wrong, secret[:8]} {
			if i := strings.Index(text, hidden); i >= 0 {
				t.Errorf("%q is in %s: %.300s", hidden, place, text[max(0, i-200):])
			}
		}
		if !strings.Contains(text, "gerrit") {
			t.Errorf("this test looks at nothing in %s: %.300s", place, text)
		}
	}
}
