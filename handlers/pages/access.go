package pages

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
)

// visitor is who looks at a page.
type visitor struct {
	Name string // of the token; "" without one
	Role admin.Role
}

const visitorKey = "visitor"

func visitorOf(c echo.Context) visitor {
	v, _ := c.Get(visitorKey).(visitor)
	return v
}

// authorized refuses requests of visitors who may not read.
func (p *pages) authorized(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !p.API.Access.Open(c.Request()) {
			return &handlers.Refusal{Answer: handlers.Answer{Status: http.StatusUnauthorized, Detail: "Reading needs a token."}}
		}
		c.Set(visitorKey, visitor{Role: admin.Read})
		return next(c)
	}
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
