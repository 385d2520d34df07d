package pages_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/handlers/pages"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// Only who may operate changes something, by a form of a page that they got.
func TestActing(t *testing.T) {
	b := newBridge(t, func(s *setup) {
		s.Access.Tokens = append(configured().Tokens, namedToken("bob", admin.Write, "the-token-of-bob"))
	})
	logIn := func(token string) *http.Cookie {
		t.Helper()
		w := b.serve(from(http.MethodPost, "/login", url.Values{"token": {token}}))
		if w.Code != http.StatusSeeOther {
			t.Fatalf("the login gives %d: %s", w.Code, w.Body)
		}
		return w.Result().Cookies()[0]
	}
	formOf := func(path string, cookie *http.Cookie) string {
		t.Helper()
		r := from(http.MethodGet, path, nil)
		r.AddCookie(cookie)
		found := formToken.FindStringSubmatch(b.serve(r).Body.String())
		if found == nil {
			t.Fatalf("%s has no form", path)
		}
		return found[1]
	}
	ann, bob, reader := logIn(annToken), logIn("the-token-of-bob"), logIn(readToken)
	cookie := func(c *http.Cookie) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Cookie", c.Name+"="+c.Value) }
	}
	for name, test := range map[string]struct {
		change func(r *http.Request)
		form   func(form url.Values)
		status int
		says   string
	}{
		"who may operate":     {status: 303},
		"without a reason":    {form: func(f url.Values) { f.Del("reason") }, status: 303},
		"with a token alone":  {change: func(r *http.Request) { r.Header.Del("Cookie"); r.Header.Set("Authorization", "Bearer "+annToken) }, status: 403, says: "earlier login"},
		"a browser of before": {change: func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "http://127.0.0.1:8081") }, status: 303},
		"nobody":              {change: func(r *http.Request) { r.Header.Del("Cookie") }, status: 401, says: "These pages are for those who have a token"},
		"who may read":        {change: cookie(reader), status: 403, says: "admin-read-token has the role read"},
		"a forged session":    {change: func(r *http.Request) { r.Header.Set("Cookie", ann.Name+"=9"+ann.Value) }, status: 401, says: "Your login does not count any more"},
		"no form token":       {form: func(f url.Values) { f.Del("form_token") }, status: 403, says: "the form is of an earlier login"},
		"that of another":     {change: cookie(bob), status: 403, says: "the form is of an earlier login"},
		"in the address":      {change: func(r *http.Request) { r.URL.RawQuery = "form_token=x" }, form: func(f url.Values) { f.Del("form_token") }, status: 403},
		"another site":        {change: func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, status: 403, says: "by a page of another site"},
		"another part of it":  {change: func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, status: 403, says: "by a page of another site"},
		"what is no form":     {change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, status: 415, says: "Send a form"},
		"a form of megabytes": {change: func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("reason=" + strings.Repeat("x", 1<<20)))
		}, status: 413, says: "too large"},
		"a reason of lines": {form: func(f url.Values) { f.Set("reason", "a\nb") }, status: 400, says: "reason: give one line"},
		"a reason too long": {form: func(f url.Values) { f.Set("reason", strings.Repeat("ä", 600)) }, status: 400, says: "at most 1024 bytes"},
		"by GET":            {change: func(r *http.Request) { r.Method = http.MethodGet }, status: 405, says: "GET is not for this page"},
	} {
		t.Run(name, func(t *testing.T) {
			built := b.build()
			path := "/builds/" + built.ID
			form := url.Values{"reason": {" wrong branch "}, "form_token": {formOf(path, ann)}}
			if test.form != nil {
				test.form(form)
			}
			r := from(http.MethodPost, path+"/cancel", form)
			cookie(ann)(r)
			if test.change != nil {
				test.change(r)
			}
			w := b.serve(r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Fatalf("got %d, want %d with %q: %s", w.Code, test.status, test.says, w.Body)
			}
			after, err := b.store.Build(t.Context(), built.ID)
			if err != nil {
				t.Fatal(err)
			}
			if done := after.State != store.Waiting; done != (test.status == 303) {
				t.Errorf("it is %s after %d", after.State, w.Code)
			}
			if test.status == 303 && (!strings.HasPrefix(after.Reason, "canceled by ann") || w.Header().Get("Location") != "./../../builds/"+built.ID) {
				t.Errorf("it is %q, and leads to %q", after.Reason, w.Header().Get("Location"))
			}
			if asks := strings.Contains(w.Body.String(), `value="builds/`+built.ID+`"`); asks != (test.status == 401 || strings.Contains(test.says, "has the role")) {
				t.Errorf("the page that asks to log in, and leads back, is %v: %s", asks, w.Body)
			}
		})
	}
}

// Who may read but not act sees the way to a login in place of the forms; where nothing can be changed
// there is neither.
func TestWhereFormsAre(t *testing.T) {
	here := admin.Access{Loopback: true, Made: namedToken("local", admin.Write, madeToken)}
	for name, test := range map[string]struct {
		access     admin.Access
		readOnly   bool
		token      string
		form, link bool
	}{
		"this machine, without a token":        {access: here, link: true},
		"with the token that was made":         {access: here, token: madeToken, form: true},
		"with a token for reading":             {access: configured(), token: readToken, link: true},
		"with a token for operating":           {access: configured(), token: annToken, form: true},
		"where no token may operate":           {access: admin.Access{Loopback: true}},
		"pages for reading":                    {access: here, readOnly: true},
		"pages for reading, with a good token": {access: configured(), readOnly: true, token: annToken},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, func(s *setup) { s.Access, s.pages.ReadOnly = test.access, test.readOnly })
			path := "/builds/" + b.build().ID
			html := b.serve(request(http.MethodGet, path, test.token)).Body.String()
			if form := strings.Contains(html, "form_token"); form != test.form {
				t.Errorf("a form is %v: %s", form, html)
			}
			if link := strings.Contains(html, "Log in to act"); link != test.link {
				t.Errorf("the link is %v: %s", link, html)
			}
			if !test.readOnly {
				if w := b.serve(from(http.MethodPost, path+"/cancel", nil)); w.Code != http.StatusUnauthorized {
					t.Errorf("a form of nobody gives %d: %s", w.Code, w.Body)
				} else if test.token == "" {
					has(t, w.Body.String(), "Nothing was changed: that needs a token with the role operate or write.", `type="password"`)
				}
				return
			}
			r := from(http.MethodPost, path+"/cancel", nil)
			r.Header.Set("Authorization", "Bearer "+test.token)
			if w := b.serve(r); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "these pages are for reading") {
				t.Errorf("a form gives %d: %s", w.Code, w.Body)
			}
		})
	}
}

// An address that a proxy gives the pages is one of this site.
func TestFormThroughAProxy(t *testing.T) {
	s := newSite(t, emptyDatabase(t), configured(), func(o *pages.Options) { o.Links.External = "https://CI.example.com:443/bb" })
	for origin, status := range map[string]int{"https://ci.example.com": 303, "https://ci.example.org": 403} {
		r := from(http.MethodPost, "/login", url.Values{"token": {annToken}})
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set("Origin", origin)
		if w := s.serve(r); w.Code != status {
			t.Errorf("%s: got %d: %s", origin, w.Code, w.Body)
		}
	}
}

// silent is a database that takes longer than anybody waits.
type silent struct{ admin.Store }

func (silent) Builds(ctx context.Context, _ store.BuildFilter) ([]*store.Build, string, error) {
	<-ctx.Done()
	return nil, "", ctx.Err()
}

// A page without its database says so, and how to go on.
func TestDatabaseThatIsAway(t *testing.T) {
	for says, db := range map[string]admin.Store{"the database does not answer": away{}, "the database took too long": silent{}} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, db, admin.Access{Loopback: true})
			w := s.get("/builds?since=2026-01-02T03:04:05Z")
			has(t, w.Body.String(), says, `<a href="./builds?since=2026-01-02T03:04:05Z">Try again</a>`)
			if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "refused") {
				t.Errorf("got %d: %s", w.Code, w.Body)
			}
			if log := s.log.String(); !strings.Contains(log, "level=ERROR") {
				t.Errorf("the log says %s", log)
			}
		})
	}
}

func (silent) Build(ctx context.Context, _ string) (*store.Build, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Also what is no page of a view ends.
func TestBodyOfASilentDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := newSite(t, silent{}, admin.Access{Loopback: true}).get("/builds/" + newID() + "/body")
		if took := time.Since(began); w.Code != http.StatusServiceUnavailable || took > 20*time.Second {
			t.Errorf("got %d after %s: %s", w.Code, took, w.Body)
		}
	})
}

// canceled notes who cancels a build.
type canceled struct {
	admin.Builds
	by *mapping.By
}

func (c canceled) Cancel(_ context.Context, id string, by mapping.By) (*store.Build, error) {
	*c.by = by
	return &store.Build{ID: id}, nil
}

// What is done is done by the owner of the token, for the reason that they give.
func TestActorOfAForm(t *testing.T) {
	var by mapping.By
	b := newBridge(t, func(s *setup) { s.Access, s.Builds = configured(), canceled{by: &by} })
	path := "/builds/" + b.build().ID
	page := b.serve(request(http.MethodGet, path, annToken)).Body.String()
	r := from(http.MethodPost, path+"/cancel", url.Values{"form_token": {formToken.FindStringSubmatch(page)[1]}, "reason": {" wrong branch "}})
	r.Header.Set("Authorization", "Bearer "+annToken)
	var w *httptest.ResponseRecorder
	if w = b.serve(r); w.Code != http.StatusSeeOther || by != (mapping.By{Actor: "ann", Why: "wrong branch"}) {
		t.Errorf("got %d, by %+v: %s", w.Code, by, w.Body)
	}
	if log := b.log.String(); !strings.Contains(log, "method=POST path=/builds/:id/cancel status=303") || !strings.Contains(log, "actor=ann") {
		t.Errorf("the log does not name the actor: %s", log)
	}
}
