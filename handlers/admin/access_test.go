package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
)

func TestAccess(t *testing.T) {
	gone := func() (mapping.Secret, error) { return "", errors.New("no such file") }
	empty := func() (mapping.Secret, error) { return "", nil }
	here := admin.Access{Loopback: true, Made: token(madeToken)}
	there := admin.Access{Made: token(madeToken)}
	configured := admin.Access{
		Loopback: true, Read: []admin.Token{token("an-older-token"), token(readToken)}, Write: []admin.Token{token(writeToken)},
	}
	readOnly := admin.Access{Read: []admin.Token{token(readToken)}}
	db := open(t)
	for name, test := range map[string]struct {
		access admin.Access
		token  string
		change func(*http.Request) // of a request from this machine
		read   int                 // the status of a GET
		write  int                 // that of a POST; 404 is behind the authentication
		says   string              // in the error of the last that is refused
	}{
		"this machine reads without a token": {here, "", nil, 200, 401, "writing needs a token for writing"},
		"the token that was made writes":     {here, madeToken, nil, 200, 404, ""},
		"a wrong token does not write":       {here, "guess", nil, 200, 401, "this token is unknown"},
		"what is open is open, whatever is sent": {
			here, "", func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }, 200, 401, "writing",
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
			readOnly, readToken, nil, 200, 403, "none is configured: start buildbridge serve with --admin-write-token",
		},
		"nor without a token":                 {readOnly, "", nil, 401, 401, "--admin-write-token"},
		"one token for both writes":           {admin.Access{Read: []admin.Token{token("x")}, Write: []admin.Token{token("x")}}, "x", nil, 200, 404, ""},
		"a token that cannot be read is none": {admin.Access{Read: []admin.Token{gone, empty}}, "x", nil, 401, 401, ""},
		"the others still are":                {admin.Access{Write: []admin.Token{gone, token("x")}}, "x", nil, 200, 404, ""},
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
			for _, secret := range []string{readToken, writeToken, madeToken} {
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
		"nothing is configured, and the listener is no loopback": {admin.Access{Made: token(madeToken)}, "--admin-read-token"},
		"a token is configured":                                  {admin.Access{Read: []admin.Token{token(readToken)}}, "Authorization: Bearer TOKEN"},
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
	a := newAPI(t, open(t), admin.Access{Read: []admin.Token{func() (mapping.Secret, error) { return now, nil }}})
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
