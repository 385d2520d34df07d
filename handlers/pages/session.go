package pages

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
)

// sessionFor is how long a session lasts: a working day.
const sessionFor = 12 * time.Hour

// A session is a cookie with the name of the token, when it ends, and a signature. The key is the
// token itself: all replicas know it, also after a restart, and whoever replaces a token ends the
// sessions that began with it. There is nothing to store.

// cookieName is the name of the cookie. A browser sends the cookies of a host to all of its ports:
// both listeners have one of their own.
func (p *pages) cookieName() string {
	if p.ReadOnly {
		return "buildbridge_pages_session"
	}
	return "buildbridge_session"
}

// sign gives the signature of a text for a purpose. A session of one listener, or what a form sends,
// is none of another.
func (p *pages) sign(key mapping.Secret, purpose, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(p.cookieName() + "|" + purpose + "|" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// newSession gives the cookie of a session that begins now.
func (p *pages) newSession(r *http.Request, name string, token mapping.Secret) *http.Cookie {
	text := strconv.FormatInt(time.Now().Add(sessionFor).Unix(), 10) + "|" + name
	return p.cookie(r, text+"|"+p.sign(token, "session", text), int(sessionFor.Seconds()))
}

// cookie gives the cookie with a value, for so many seconds; -1 deletes it.
func (p *pages) cookie(r *http.Request, value string, seconds int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure where there is TLS
		Name: p.cookieName(), Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.HasPrefix(r.Header.Get(echo.HeaderOrigin), "https:"), // a proxy may have the certificate
	}
}

// visitor finds out who sent a request, by its token or its session.
func (p *pages) visitor(r *http.Request) visitor {
	if token, ok := admin.Bearer(r.Header); ok {
		name, role := p.Access.Holder(r.Context(), p.Logger, admin.Equal(token))
		if role < admin.Read {
			return visitor{why: "This token is unknown."}
		}
		return p.actor(visitor{Name: name, Role: role}, mapping.Secret(token), name)
	}
	cookie, err := r.Cookie(p.cookieName())
	if err != nil {
		return visitor{}
	}
	end := strings.LastIndexByte(cookie.Value, '|')
	text, signature := cookie.Value[:max(end, 0)], cookie.Value[end+1:]
	ends, owner, _ := strings.Cut(text, "|")
	var key mapping.Secret
	name, role := p.Access.Holder(r.Context(), p.Logger, func(name string, token mapping.Secret) bool {
		ok := hmac.Equal([]byte(p.sign(token, "session", text)), []byte(signature)) && name == owner
		if ok {
			key = token
		}
		return ok
	})
	if role < admin.Read {
		return visitor{why: "Your login does not count any more: its token was replaced or taken away."}
	}
	seconds, _ := strconv.ParseInt(ends, 10, 64) // it was signed
	until := time.Unix(seconds, 0)
	if !time.Now().Before(until) {
		return visitor{why: "Your login has ended: it lasts for 12 hours."}
	}
	return p.actor(visitor{Name: name, Role: role, until: until}, key, text)
}

// actor gives a visitor the token of their forms, if they may act.
func (p *pages) actor(v visitor, key mapping.Secret, text string) visitor {
	if v.Role >= admin.Operate {
		v.FormToken = p.sign(key, "form", text)
	}
	return v
}
