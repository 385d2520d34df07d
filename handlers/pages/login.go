package pages

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
)

const (
	loginPath  = "/login"
	logoutPath = "/logout"
)

// login is what the login page shows.
type login struct {
	Why     string // somebody has to log in
	Missing string // how to start serve so that there is a token; "" if there is one
	Made    bool   // buildbridge made a token
	To      string // the page to go to afterwards, relative to the first page
}

// showLogin is the page on which a token is entered.
func (p *pages) showLogin(c echo.Context) error {
	return p.send(c, http.StatusOK, p.loginPage(c, "", c.QueryParam("to")))
}

func (p *pages) loginPage(c echo.Context, why, to string) page {
	l := login{Why: why, Made: p.Access.Made.Value != nil, To: local(to)}
	switch {
	case visitorOf(c).Role < admin.Read:
		l.Missing = p.Access.Missing(admin.Read)
	case !p.ReadOnly:
		l.Missing = p.Access.Missing(admin.Operate)
	}
	return page{"login", "Log in", l}
}

// askToLogIn answers with the login page in place of the page that was asked for.
func (p *pages) askToLogIn(c echo.Context, status int, why string) error {
	if status == http.StatusUnauthorized {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="buildbridge"`)
	}
	return p.send(c, status, p.loginPage(c, why, here(c.Request())))
}

// logIn begins a session for who sends a token. Wrong attempts are logged, and not counted: nobody
// guesses a token of 128 bits, and a count would let strangers lock people out.
func (p *pages) logIn(c echo.Context) error {
	form, err := p.form(c)
	if err != nil {
		return err
	}
	r, to, token := c.Request(), form.Get("to"), strings.TrimSpace(form.Get("token"))
	name, role := p.Access.Holder(r.Context(), p.Logger, admin.Equal(token))
	if role < admin.Read {
		p.Logger.LogAttrs(r.Context(), slog.LevelWarn, "login to the pages with an unknown token", slog.String("client", r.RemoteAddr))
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="buildbridge"`)
		return p.send(c, http.StatusUnauthorized, p.loginPage(c, "This token is unknown.", to))
	}
	p.Logger.LogAttrs(r.Context(), slog.LevelInfo, "login to the pages",
		slog.String("actor", name), slog.String("role", role.String()), slog.String("client", r.RemoteAddr))
	c.SetCookie(p.newSession(r, name, mapping.Secret(token)))
	return p.seeOther(c, local(to))
}

// logOut has the browser forget the session.
func (p *pages) logOut(c echo.Context) error {
	if _, err := p.form(c); err != nil {
		return err
	}
	c.SetCookie(p.cookie(c.Request(), "", -1))
	return p.seeOther(c, strings.TrimPrefix(loginPath, "/"))
}

// local gives an address relative to the first page back if it is one, else "", the first page. Where
// it leads is in [pages.seeOther] too.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || strings.HasPrefix(u.Path, "/") || strings.Contains(u.Path, `\`) ||
		slices.Contains(strings.Split(u.Path, "/"), "..") {
		return ""
	}
	return u.String()
}
