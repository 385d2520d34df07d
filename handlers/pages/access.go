package pages

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
)

// visitor is who looks at a page.
type visitor struct {
	Name string // of the token; "" without one
	Role admin.Role
	// FormToken is what a form has to send along, which no other site knows. It is the same as
	// long as the session. "" for those who may not act.
	FormToken string

	until time.Time // when the session ends; the zero time without one
	why   string    // a token or a session that came does not count; "" if none came, or it counts
}

const visitorKey = "visitor"

func visitorOf(c echo.Context) visitor {
	v, _ := c.Get(visitorKey).(visitor)
	return v
}

// identified finds out who looks: by the token or the session that came or, without one that
// counts, as somebody who may read where everybody on this machine may.
func (p *pages) identified(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		v := p.visitor(r)
		if v.Role < admin.Read && p.Access.Open(r) {
			v.Role = admin.Read
		}
		c.Set(visitorKey, v)
		if !v.until.IsZero() { // also for a page that renews itself
			ctx, cancel := context.WithDeadline(r.Context(), v.until)
			defer cancel()
			c.SetRequest(r.WithContext(ctx))
		}
		return next(c)
	}
}

// authorized shows the login page to visitors who may not read.
func (p *pages) authorized(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		switch v := visitorOf(c); {
		case (v.Role < admin.Read || p.canLogIn(v)) && p.fromElsewhere(c.Request()):
			return p.send(c, http.StatusOK, page{"again", "One moment", nil})
		case v.Role >= admin.Read, c.Path() == loginPath, c.Path() == logoutPath, strings.HasPrefix(c.Path(), staticPath):
			return next(c)
		case v.why != "":
			return p.askToLogIn(c, http.StatusUnauthorized, v.why)
		}
		return p.askToLogIn(c, http.StatusUnauthorized, "These pages are for those who have a token.")
	}
}

// fromElsewhere says whether a browser follows a link of another site: it keeps the cookie of the session back, as
// SameSite=Strict says, and sends it when a page of this site leads to the same address. Browsers tell where they
// come from by TLS, and on this machine (https://www.w3.org/TR/fetch-metadata).
func (p *pages) fromElsewhere(r *http.Request) bool {
	_, err := r.Cookie(p.cookieName())
	return err != nil && r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site" &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate"
}

// protected sets the headers that keep a browser from doing anything that the pages do not need.
func protected(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderCacheControl, "no-store")
		h.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set(echo.HeaderReferrerPolicy, "same-origin")
		return next(c)
	}
}

// logged logs each request at debug, without its query.
func (p *pages) logged(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		p.Logger.LogAttrs(c.Request().Context(), slog.LevelDebug, "page request",
			slog.String("method", c.Request().Method), slog.String("path", c.Path()),
			slog.Int("status", c.Response().Status), slog.String("client", c.Request().RemoteAddr),
			slog.String("actor", visitorOf(c).Name), slog.Float64("duration_ms", float64(time.Since(began).Microseconds())/1000))
		return nil
	}
}

// here is the address of the page that a request is about, relative to the first page. A form is
// sent to the address of its page and what is to be done.
func here(r *http.Request) string {
	path := strings.TrimPrefix(handlers.ShownPath(r.URL.EscapedPath()), "/")
	if r.Method == http.MethodPost {
		return path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	return path
}
