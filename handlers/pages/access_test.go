package pages_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/handlers/pages"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// site has the pages of a listener on an empty database, or on one that is away.
type site struct {
	http.Handler
	t      *testing.T
	log    strings.Builder
	access admin.Access
}

// away is a database that does not answer.
type away struct{ admin.Store }

func (away) Builds(context.Context, store.BuildFilter) ([]*store.Build, string, error) {
	return nil, "", errors.New("connection refused")
}

func newSite(t *testing.T, db admin.Store, access admin.Access, change ...func(*pages.Options)) *site {
	t.Helper()
	s := &site{t: t, access: access}
	log := slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	api, err := admin.New(admin.Options{
		Store: db, Builds: struct{ admin.Builds }{}, Deliveries: struct{ admin.Deliveries }{}, Access: access, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	o := pages.Options{API: api, Logger: log}
	for _, change := range change {
		change(&o)
	}
	if s.Handler, err = pages.New(o); err != nil {
		t.Fatal(err)
	}
	return s
}

func emptyDatabase(t *testing.T) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Database: filepath.Join(t.TempDir(), "test.db"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// from is a request from this machine.
func from(method, path string, body url.Values) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body.Encode()))
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:8081"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

func (s *site) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s *site) get(path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := from(http.MethodGet, path, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return s.serve(r)
}

// logIn enters the token of ann, and gives the cookie.
func (s *site) logIn() *http.Cookie {
	s.t.Helper()
	w := s.serve(from(http.MethodPost, "/login", url.Values{"token": {annToken}}))
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || len(cookies) != 1 {
		s.t.Fatalf("the login gives %d, %s", w.Code, w.Body)
	}
	return cookies[0]
}

const (
	annToken  = "the-token-of-ann"
	madeToken = "a-token-that-was-made"
)

func namedToken(name string, role admin.Role, value mapping.Secret) admin.Token {
	return admin.Token{Name: name, Role: role, Value: func() (mapping.Secret, error) { return value, nil }}
}

func configured() admin.Access {
	return admin.Access{Loopback: true, Tokens: []admin.Token{namedToken("ann", admin.Operate, annToken), namedToken("admin-read-token", admin.Read, readToken)}}
}

// Who may look: everybody on this machine if no token is configured, else who has one.
func TestReading(t *testing.T) {
	here := admin.Access{Loopback: true, Made: namedToken("local", admin.Write, madeToken)}
	db := emptyDatabase(t)
	for name, test := range map[string]struct {
		access admin.Access
		change func(*http.Request)
		status int
		says   string
	}{
		"this machine, without a token":       {here, nil, 200, "Log in"},
		"by a name that somebody made up":     {here, func(r *http.Request) { r.Host = "evil.example" }, 401, "with an address or localhost as the host"},
		"through a proxy":                     {here, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }, 401, "not through a proxy"},
		"another machine":                     {here, func(r *http.Request) { r.RemoteAddr = "192.0.2.1:5000" }, 401, "this machine"},
		"where tokens are configured":         {configured(), nil, 401, "for those who have a token"},
		"with a token":                        {configured(), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+readToken) }, 200, "admin-read-token (read)"},
		"with the token that was made":        {here, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+madeToken) }, 200, "local (write)"},
		"with a token nobody knows":           {configured(), func(r *http.Request) { r.Header.Set("Authorization", "Bearer guess") }, 401, "This token is unknown"},
		"what is open is open":                {here, func(r *http.Request) { r.Header.Set("Authorization", "Bearer guess") }, 200, ""},
		"everybody":                           {admin.Access{Everybody: true}, func(r *http.Request) { r.RemoteAddr = "192.0.2.1:5000" }, 200, ""},
		"nobody, where nothing is configured": {admin.Access{}, nil, 401, "start buildbridge serve with --admin-token NAME=read:REF"},
		"a method that changes something":     {here, func(r *http.Request) { r.Method = http.MethodDelete }, 405, "DELETE is not for this page"},
		"a method for strangers":              {configured(), func(r *http.Request) { r.Method = http.MethodDelete }, 401, ""},
		"the header alone":                    {here, func(r *http.Request) { r.Method = http.MethodHead }, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, db, test.access)
			r := from(http.MethodGet, "/builds", nil)
			if test.change != nil {
				test.change(r)
			}
			w := s.serve(r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("got %d, want %d with %q: %s", w.Code, test.status, test.says, w.Body)
			}
			if w.Code == 401 != strings.Contains(w.Body.String(), `type="password"`) || w.Code == 401 != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("%d, and the page is %s", w.Code, w.Body)
			}
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s is %q", name, got)
				}
			}
			policy := w.Header().Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("the policy is %q", policy)
			}
		})
	}
}

// A browser that follows a link of another site keeps the cookie back, and sends it when a page of this site leads there.
func TestLinkOfAnotherSite(t *testing.T) {
	s := newSite(t, emptyDatabase(t), configured())
	cookie := s.logIn()
	for name, test := range map[string]struct {
		site, mode, cookie, says string
	}{
		"a link of another site":      {"cross-site", "navigate", "", `<meta http-equiv="refresh" content="0">`},
		"that page leads on":          {"same-origin", "navigate", cookie.Value, "ann (operate)"},
		"that page, without a login":  {"same-origin", "navigate", "", `type="password"`},
		"a login that does not count": {"cross-site", "navigate", "x", `type="password"`},
		"an address that was typed":   {"none", "navigate", "", `type="password"`},
		"what is no link":             {"cross-site", "no-cors", "", `type="password"`},
	} {
		r := from(http.MethodGet, "/builds?since=2026-01-02T03:04:05Z", nil)
		r.Header.Set("Sec-Fetch-Site", test.site)
		r.Header.Set("Sec-Fetch-Mode", test.mode)
		if test.cookie != "" {
			r.Header.Set("Cookie", cookie.Name+"="+test.cookie)
		}
		page := s.serve(r).Body.String()
		if !strings.Contains(page, test.says) {
			t.Errorf("%s: %s", name, page)
		}
		if strings.Contains(page, "refresh") && !strings.Contains(page, `href="./builds?since=2026-01-02T03:04:05Z">Go on`) {
			t.Errorf("%s: there is no link: %s", name, page)
		}
	}
	// Where all may read without a login, nobody is sent around.
	s = newSite(t, emptyDatabase(t), admin.Access{Everybody: true})
	r := from(http.MethodGet, "/builds", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	if w := s.serve(r); strings.Contains(w.Body.String(), "refresh") {
		t.Error(w.Body)
	}
}

func TestLogin(t *testing.T) {
	s := newSite(t, emptyDatabase(t), configured())
	w := s.get("/builds?state=dead")
	if !strings.Contains(w.Body.String(), `name="to" value="builds?state=dead"`) {
		t.Fatalf("the login page leads elsewhere: %s", w.Body)
	}
	w = s.serve(from(http.MethodPost, "/login", url.Values{"token": {" " + annToken + "\n"}, "to": {"builds?state=dead"}}))
	cookie := w.Result().Cookies()[0]
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "./builds?state=dead" {
		t.Errorf("the login gives %d to %q", w.Code, w.Header().Get("Location"))
	}
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.MaxAge != 12*60*60 || cookie.Secure {
		t.Errorf("the cookie is %v", cookie)
	}
	if w := s.get("/builds", cookie); w.Code != 200 || !strings.Contains(w.Body.String(), "ann (operate)") {
		t.Errorf("with the cookie: %d %s", w.Code, w.Body)
	}
	if w := s.get("/login", cookie); w.Code != 200 || !strings.Contains(w.Body.String(), "You are logged in as ann") {
		t.Errorf("the login page after it: %d %s", w.Code, w.Body)
	}
	r := from(http.MethodPost, "/logout", nil)
	r.AddCookie(cookie)
	w = s.serve(r)
	if gone := w.Result().Cookies(); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "./login" || len(gone) != 1 || gone[0].MaxAge >= 0 {
		t.Errorf("the logout gives %d to %q with %v", w.Code, w.Header().Get("Location"), gone)
	}
	if w := s.get("/login"); w.Code != 200 {
		t.Errorf("the login page gives strangers %d", w.Code)
	}
	r = from(http.MethodGet, "/login", nil)
	r.Header.Set("Accept", "text/event-stream") // streams are few, and for those who may read
	if w := s.serve(r); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("the login page gives strangers a stream: %s", w.Header())
	}
	if w := s.get("/static/"); w.Code != 401 {
		t.Errorf("the list of files: %d", w.Code)
	}
	if w := s.get("/static/style.css"); w.Code != 200 {
		t.Errorf("the style sheet gives strangers %d", w.Code)
	}
	log := s.log.String()
	if strings.Contains(log, annToken) || strings.Contains(log, cookie.Value) {
		t.Errorf("the log has a secret: %s", log)
	}
	if !strings.Contains(log, `msg="login to the pages" actor=ann role=operate client=127.0.0.1:5000`) {
		t.Errorf("the log does not name the actor: %s", log)
	}
}

func TestWrongToken(t *testing.T) {
	s := newSite(t, emptyDatabase(t), configured())
	for _, token := range []string{"guess", "", annToken[:5]} {
		s.log.Reset()
		w := s.serve(from(http.MethodPost, "/login", url.Values{"token": {token}, "to": {"builds"}}))
		if w.Code != http.StatusUnauthorized || len(w.Result().Cookies()) != 0 || !strings.Contains(w.Body.String(), "This token is unknown") ||
			!strings.Contains(w.Body.String(), `value="builds"`) {
			t.Errorf("%q gives %d %s", token, w.Code, w.Body)
		}
		log := s.log.String()
		if !strings.Contains(log, "level=WARN") || !strings.Contains(log, "client=127.0.0.1:5000") || token != "" && strings.Contains(log, token) {
			t.Errorf("the log says %s", log)
		}
	}
}

// A cookie is sent over TLS alone, where there is TLS.
func TestSecureCookie(t *testing.T) {
	db := emptyDatabase(t)
	for name, test := range map[string]struct {
		url, external, origin string
		secure                bool
	}{
		"HTTP":                               {"/login", "", "http://bridge.example", false},
		"TLS":                                {"https://bridge.example/login", "", "https://bridge.example", true},
		"TLS before a proxy":                 {"/login", "https://bridge.example/bb", "https://bridge.example", true},
		"HTTP on another host than people's": {"http://10.0.0.7:8081/login", "https://bridge.example", "http://10.0.0.7:8081", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, db, configured(), func(o *pages.Options) { o.Links.External = test.external })
			r := from(http.MethodPost, test.url, url.Values{"token": {annToken}})
			r.Header.Set("Origin", test.origin)
			if cookie := s.serve(r).Result().Cookies()[0]; cookie.Secure != test.secure {
				t.Errorf("the cookie is %v", cookie)
			}
		})
	}
}

// After a login the browser goes nowhere but to a page.
func TestWhereALoginLeads(t *testing.T) {
	s := newSite(t, emptyDatabase(t), configured())
	for to, want := range map[string]string{
		"":                          "./",
		"builds/0197?x=y&z=%2F":     "./builds/0197?x=y&z=%2F",
		"rules/a%2Fb/c":             "./rules/a%2Fb/c",
		"https://evil.example/":     "./",
		"//evil.example":            "./",
		`\\evil.example`:            "./",
		"/\\evil.example":           "./",
		"javascript:alert(1)":       "./",
		"../other":                  "./",
		"builds/../../other":        "./",
		"builds/%2e%2e/%2E%2E/x":    "./",
		"builds\r\nSet-Cookie: a=b": "./",
	} {
		w := s.serve(from(http.MethodPost, "/login", url.Values{"token": {annToken}, "to": {to}}))
		if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
			t.Errorf("%q leads to %q with %d, want %q", to, got, w.Code, want)
		}
	}
}

// A form from another site, one that is too large, or what is no form logs nobody in.
func TestFormsThatAreNone(t *testing.T) {
	s := newSite(t, emptyDatabase(t), configured())
	for name, test := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"another site":   {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"another origin": {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") }, 403},
		"JSON":           {func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 415},
		"no type":        {func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		"too large": {func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("token=" + strings.Repeat("x", 20<<10)))
		}, 413},
		"unreadable": {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("token=%zz")) }, 400},
		"a token in the address": {func(r *http.Request) {
			r.URL.RawQuery, r.Body = "token="+annToken, http.NoBody
		}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := from(http.MethodPost, "/login", url.Values{"token": {annToken}})
			test.change(r)
			if w := s.serve(r); w.Code != test.status || len(w.Result().Cookies()) != 0 {
				t.Errorf("got %d, want %d: %s", w.Code, test.status, w.Body)
			}
		})
	}
}

// A session ends after 12 hours, with its token, and counts nowhere else. Nothing is asked of the
// database for that.
func TestEndOfASession(t *testing.T) {
	var value mapping.Secret // of the token
	for name, test := range map[string]struct {
		change func(cookie string) string
		status int
		says   string
	}{
		"it counts":                {func(c string) string { return c }, 503, "the database does not answer"},
		"almost at the end":        {func(c string) string { time.Sleep(12*time.Hour - time.Minute); return c }, 503, ""},
		"after its end":            {func(c string) string { time.Sleep(12 * time.Hour); return c }, 401, "Your login has ended: it lasts for 12 hours."},
		"its token is replaced":    {func(c string) string { value = "another"; return c }, 401, "its token was replaced"},
		"its token is unreadable":  {func(c string) string { value = ""; return c }, 401, "its token was replaced or taken away"},
		"its end is moved":         {func(c string) string { return "9" + c }, 401, "does not count"},
		"its name is changed":      {func(c string) string { return strings.Replace(c, "ann", "bob", 1) }, 401, "does not count"},
		"its signature is missing": {func(c string) string { return c[:strings.LastIndex(c, "|")] }, 401, "does not count"},
		"there is nothing in it":   {func(string) string { return "" }, 401, "does not count"},
		"there is noise in it":     {func(string) string { return "||||" }, 401, "does not count"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				value = annToken
				s := newSite(t, away{}, admin.Access{Tokens: []admin.Token{
					{Name: "ann", Role: admin.Operate, Value: func() (mapping.Secret, error) { return value, nil }},
					namedToken("bob", admin.Write, "the-token-of-bob"),
				}})
				cookie := s.logIn()
				r := from(http.MethodGet, "/builds", nil)
				r.Header.Set("Cookie", cookie.Name+"="+test.change(cookie.Value))
				w := s.serve(r)
				if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
					t.Errorf("got %d, want %d with %q: %s", w.Code, test.status, test.says, w.Body)
				}
			})
		})
	}
}

// A session of another replica or before a restart counts; one of the other listener does not, also if
// the token is the same.
func TestWhereASessionCounts(t *testing.T) {
	readOnly := func(o *pages.Options) { o.ReadOnly = true }
	db := emptyDatabase(t)
	admins, others := newSite(t, db, configured()), newSite(t, db, configured(), readOnly)
	cookie := admins.logIn()
	if w := newSite(t, db, configured()).get("/builds", cookie); w.Code != 200 {
		t.Errorf("in another replica: %d", w.Code)
	}
	r := from(http.MethodGet, "/builds", nil)
	r.Header.Set("Cookie", cookie.Name+"="+cookie.Value+"; "+others.logIn().Name+"="+cookie.Value)
	if w := others.serve(r); w.Code != 401 {
		t.Errorf("on the other listener: %d", w.Code)
	}
}
