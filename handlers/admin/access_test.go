package admin_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
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

func TestAccess(t *testing.T) {
	gone := func(role admin.Role) admin.Token {
		return admin.Token{Name: "gone", Role: role, Value: func() (mapping.Secret, error) { return "", errors.New("no such file") }}
	}
	tokens := func(list ...admin.Token) admin.Access { return admin.Access{Tokens: list} }
	here := admin.Access{Loopback: true, Made: token(admin.Write, madeToken)}
	there := admin.Access{Made: token(admin.Write, madeToken)}
	configured := admin.Access{Loopback: true, Tokens: []admin.Token{
		token(admin.Read, "an-older-token"), token(admin.Read, readToken), token(admin.Operate, operateToken), token(admin.Write, writeToken),
	}}
	readOnly := tokens(token(admin.Read, readToken))
	db := open(t)
	for name, test := range map[string]struct {
		access admin.Access
		token  string
		change func(*http.Request) // of a request from this machine
		read   int                 // the status of a GET
		write  int                 // that of a POST; 404 is behind the authentication
		says   string              // in the error of the last that is refused
	}{
		"this machine reads without a token": {here, "", nil, 200, 401, "operating needs a token with the role operate or write"},
		"the token that was made writes":     {here, madeToken, nil, 200, 404, ""},
		"a wrong token does not write":       {here, "guess", nil, 200, 401, "this token is unknown"},
		"what is open is open, whatever is sent": {
			here, "", func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }, 200, 401, "operating",
		},
		"by the name localhost": {here, "", func(r *http.Request) { r.Host = "LOCALHOST:8081" }, 200, 401, ""},
		"by its IPv6 address": {here, "", func(r *http.Request) {
			r.Host, r.RemoteAddr = "[::1]:8081", "[::1]:5000"
		}, 200, 401, ""},
		"without a port":                              {here, "", func(r *http.Request) { r.Host = "[::1]" }, 200, 401, ""},
		"by a name that somebody made up":             {here, "", func(r *http.Request) { r.Host = "evil.example:8081" }, 401, 401, ""},
		"by a name that looks like an address":        {here, "", func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }, 401, 401, ""},
		"by no name":                                  {here, "", func(r *http.Request) { r.Host = "" }, 401, 401, ""},
		"by a made-up name with a token":              {here, madeToken, func(r *http.Request) { r.Host = "evil.example" }, 200, 404, ""},
		"by the name that it listens on":              {admin.Access{Loopback: true, Host: "box.internal"}, "", func(r *http.Request) { r.Host = "box.internal:8081" }, 200, 401, ""},
		"from elsewhere, however it got there":        {here, "", func(r *http.Request) { r.RemoteAddr = "192.0.2.1:5000" }, 401, 401, ""},
		"through a proxy on this machine":             {here, "", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }, 401, 401, ""},
		"through another":                             {here, "", func(r *http.Request) { r.Header.Set("Forwarded", "for=192.0.2.1") }, 401, 401, ""},
		"another address needs a token, and says why": {there, "", nil, 401, 401, ""},
		"the token that was made opens that too":      {there, madeToken, nil, 200, 404, ""},
		"where tokens are configured all need one":    {configured, "", nil, 401, 401, ""},
		"a token for reading does not write":          {configured, readToken, nil, 200, 403, "this token is for reading"},
		"a token for operating operates, and reads":   {configured, operateToken, nil, 200, 404, ""},
		"any of them reads":                           {configured, "an-older-token", nil, 200, 403, ""},
		"a token for writing reads too":               {configured, writeToken, nil, 200, 404, ""},
		"a token nobody knows":                        {configured, "guess", nil, 401, 401, "this token is unknown"},
		"the beginning of a token":                    {configured, writeToken[:5], nil, 401, 401, ""},
		"two headers":                                 {configured, writeToken, func(r *http.Request) { r.Header.Add("Authorization", "Bearer x") }, 401, 401, ""},
		"the scheme in another case": {
			configured, "", func(r *http.Request) { r.Header.Set("Authorization", "bearer  "+writeToken) }, 200, 404, "",
		},
		"another scheme": {configured, "", func(r *http.Request) { r.Header.Set("Authorization", writeToken) }, 401, 401, ""},
		"no token":       {configured, "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, 401, 401, ""},
		"nobody may write where nothing says who": {
			readOnly, readToken, nil, 200, 403, "none is configured: start buildbridge serve with --admin-token NAME=operate:REF or --admin-write-token",
		},
		"nor without a token":                 {readOnly, "", nil, 401, 401, "--admin-write-token"},
		"one token for both writes":           {tokens(token(admin.Read, "x"), token(admin.Write, "x")), "x", nil, 200, 404, ""},
		"in any order":                        {tokens(token(admin.Operate, "x"), token(admin.Read, "x")), "x", nil, 200, 404, ""},
		"a token that cannot be read is none": {tokens(gone(admin.Read), token(admin.Write, "")), "x", nil, 401, 401, ""},
		"the others still are":                {tokens(gone(admin.Write), token(admin.Write, "x")), "x", nil, 200, 404, ""},
		"the zero value refuses everybody":    {admin.Access{}, "x", nil, 401, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, db, test.access)
			for method, want := range map[string]int{"GET": test.read, "POST": test.write} {
				path := map[string]string{"GET": "/builds", "POST": "/builds/0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e/replay"}[method]
				r := request(method, admin.Prefix+path, test.token)
				if test.change != nil {
					test.change(r)
				}
				w := a.serve(r)
				if w.Code != want {
					t.Errorf("%s gives %d: %s; want %d", method, w.Code, w.Body, want)
				}
				challenge := w.Header().Get("WWW-Authenticate")
				if refused := w.Code == 401 || w.Code == 403; refused != strings.HasPrefix(challenge, `Bearer realm="buildbridge"`) {
					t.Errorf("%s: status %d comes with the challenge %q", method, w.Code, challenge)
				}
				if method == "POST" && !strings.Contains(w.Body.String(), test.says) {
					t.Errorf("it says %s, want %s", w.Body, test.says)
				}
				var said struct{ Error string }
				if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || w.Code >= 400 && said.Error == "" {
					t.Errorf("%s is no answer", w.Body)
				}
			}
			for _, secret := range []string{readToken, operateToken, writeToken, madeToken} {
				if strings.Contains(a.log.String(), secret) {
					t.Errorf("the log has the token: %s", a.log.String())
				}
			}
		})
	}
}

// A caller that may not read without a token is told what it needs.
func TestWhyReadingIsRefused(t *testing.T) {
	db := open(t)
	for name, test := range map[string]struct {
		access admin.Access
		says   string
	}{
		"nothing is configured, and the listener is no loopback": {admin.Access{Made: token(admin.Write, madeToken)}, "--admin-read-token"},
		"a token is configured":                                  {admin.Access{Tokens: []admin.Token{token(admin.Read, readToken)}}, "Authorization: Bearer TOKEN"},
		"the host is not this machine":                           {admin.Access{Loopback: true}, "localhost as the host"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, db, test.access)
			r := request("GET", admin.Prefix+"/builds", "")
			r.Host = "evil.example"
			if w := a.serve(r); w.Code != 401 || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, test.says)
			}
		})
	}
}

// An unknown path needs a token too.
func TestStrangersLearnNothing(t *testing.T) {
	a := newAPI(t, open(t), admin.Access{})
	if w := a.serve(request("GET", admin.Prefix+"/nope", "")); w.Code != 401 {
		t.Errorf("got %d", w.Code)
	}
}

func TestTokensAreReadAgain(t *testing.T) {
	now := mapping.Secret("before")
	a := newAPI(t, open(t), admin.Access{Tokens: []admin.Token{
		{Name: "ann", Role: admin.Read, Value: func() (mapping.Secret, error) { return now, nil }},
	}})
	status := func(token string) int { return a.serve(request("GET", admin.Prefix+"/builds", token)).Code }
	if got := status("before"); got != 200 {
		t.Errorf("before: %d", got)
	}
	now = "after"
	if got := status("before"); got != 401 {
		t.Errorf("the old token: %d", got)
	}
	if got := status("after"); got != 200 {
		t.Errorf("the new token: %d", got)
	}
}

// Each path and method has its role, and nobody gets anywhere without a token. What is not
// there needs the highest.
func TestRoleOfEachRequest(t *testing.T) {
	var level slog.LevelVar
	a := newAPI(t, open(t), admin.Access{})
	h, err := admin.New(admin.Options{
		Store: a.store, Builds: builds{a}, Deliveries: deliveries{a}, LogLevel: &level,
		Access: admin.Access{Tokens: []admin.Token{
			token(admin.Read, readToken), token(admin.Operate, operateToken), token(admin.Write, writeToken),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const id = "/0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e"
	order := []string{readToken, operateToken, writeToken}
	for request, needs := range map[string]admin.Role{
		"GET /deliveries": admin.Read, "HEAD /deliveries": admin.Read, "GET /deliveries" + id: admin.Read,
		"POST /deliveries" + id + "/replay": admin.Operate,
		"GET /builds":                       admin.Read, "GET /builds/replay?state=dead": admin.Read, "GET /builds" + id: admin.Read,
		"POST /builds/replay?state=dead": admin.Operate, "POST /builds" + id + "/replay": admin.Operate, "POST /builds" + id + "/stop": admin.Operate,
		"GET /log-level": admin.Read, "PUT /log-level?level=info": admin.Write,
		"GET /nothing": admin.Read, "POST /nothing": admin.Write, "POST /builds/../log-level": admin.Write, "DELETE /log-level": admin.Write,
	} {
		method, path, _ := strings.Cut(request, " ")
		for i, token := range append([]string{"", "guess"}, order...) {
			may := i-1 >= int(needs)
			r := httptest.NewRequest(method, admin.Prefix+path, nil)
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			want := 0 // anything behind the authentication
			switch {
			case i < 2:
				want = http.StatusUnauthorized
			case !may:
				want = http.StatusForbidden
			}
			if got := w.Code; want == 0 && (got == 401 || got == 403) || want != 0 && got != want {
				t.Errorf("%s with %q gives %d: %s; it needs the role %s", request, token, got, w.Body, needs)
			}
		}
	}
}

// What is done is done under the name of the token, for the reason that is given.
func TestActorAndReason(t *testing.T) {
	named := admin.Token{Name: "ann@example.com", Role: admin.Operate, Value: func() (mapping.Secret, error) { return "hers", nil }}
	a := newAPI(t, open(t), admin.Access{Tokens: []admin.Token{named, token(admin.Write, writeToken)}})
	a.answer = handlers.Answer{Status: http.StatusOK, Outcome: "ignored"}
	d, b := a.accept(state(store.Dead))
	for path, status := range map[string]int{
		"/builds/" + b.ID + "/replay": 202, "/builds/replay?state=dead": 200, "/deliveries/" + d.ID + "/replay": 200,
	} {
		for body, why := range map[string]string{`{"reason":" the disk was full "}`: "the disk was full", "": ""} {
			r := request("POST", admin.Prefix+path, "hers")
			r.Body = io.NopCloser(strings.NewReader(body))
			a.asked = nil
			w := a.serve(r)
			want := []mapping.By{{Actor: "ann@example.com", Why: why}}
			if w.Code != status && w.Code != http.StatusConflict { // its replay is not resolved
				t.Errorf("%s gives %d: %s", path, w.Code, w.Body)
			}
			if diff := cmp.Diff(want, a.asked); diff != "" && len(a.asked) > 0 {
				t.Errorf("%s: %s", path, diff)
			}
		}
		for _, body := range []string{`{"reason":"two\nlines"}`, `{"why":"x"}`, `["x"]`, `{"reason":"` + strings.Repeat("x", 1025) + `"}`, `{} {}`} {
			r := request("POST", admin.Prefix+path, "hers")
			r.Body = io.NopCloser(strings.NewReader(body))
			if w := a.serve(r); w.Code != 400 {
				t.Errorf("%s with %s gives %d: %s", path, body, w.Code, w.Body)
			}
		}
	}
}
