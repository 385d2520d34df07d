package pages

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
)

// action does what a form asks for, and gives the address of the page of what came of it, relative
// to the first page: "builds/0197…". by is who asks and, as the field "reason" of the form, why; the
// methods of [admin.API] check it. The other fields are in c.Request().PostForm. An error is a
// [handlers.Refusal], or a fault of buildbridge.
type action func(c echo.Context, by mapping.By) (to string, err error)

const (
	// maxForm bounds a form: a reason of 1,024 bytes that are all escaped, and the ids beside it.
	maxForm = 16 << 10
	// actionFor bounds an action, which may ask a service.
	actionFor = 45 * time.Second
)

// act is the handler of forms that change something. It calls do only if the form was sent by a page
// that this visitor got, and the visitor may operate: the request comes from no other site, it is
// small enough and a form, and it has the form token. Afterwards the browser gets the page of
// what came of it (303).
//
// The path of the form is that of its page and a last segment, "builds/:id/replay", and the template
// has the hidden field by {{template "form-token" .}}:
//
//	{{if .CanAct}}<form method="post" action="{{.Root}}builds/{{.Data.ID}}/replay">{{template "form-token" .}}
//	<label>Reason <input name="reason" maxlength="340"></label> <button>Replay</button></form>
//	{{else}}{{template "log-in-to-act" .}}{{end}}
//
// A reason has 1,024 bytes at most, which is 340 of the longest characters that count as one there.
//
// Who may not act is asked to log in: 401 without a token, 403 with one of too low a role.
func (p *pages) act(do action) echo.HandlerFunc {
	return func(c echo.Context) error {
		if p.ReadOnly {
			return refuse(http.StatusForbidden, "Nothing can be changed here: these pages are for reading. "+
				"Those who run buildbridge have pages on its admin listener, where they can.")
		}
		form, err := p.form(c)
		if err != nil {
			return err
		}
		v := visitorOf(c)
		switch {
		case v.Role >= admin.Operate:
		case v.why != "":
			return p.askToLogIn(c, http.StatusUnauthorized, v.why+" Nothing was changed.")
		case v.Name == "":
			return p.askToLogIn(c, http.StatusUnauthorized, "Nothing was changed: that needs a token with the role operate or write.")
		default:
			return p.askToLogIn(c, http.StatusForbidden,
				fmt.Sprintf("Nothing was changed: that needs a token with the role operate or write, and %s has the role %s.", v.Name, v.Role))
		}
		if !hmac.Equal([]byte(form.Get("form_token")), []byte(v.FormToken)) {
			return refuse(http.StatusForbidden, "Nothing was changed: the form is of an earlier login. "+
				"Go back, load the page again, and send the form again.")
		}
		ctx, cancel := context.WithTimeout(c.Request().Context(), actionFor)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		to, err := do(c, mapping.By{Actor: v.Name, Why: strings.TrimSpace(form.Get("reason"))})
		if err != nil {
			return err
		}
		return p.seeOther(c, to)
	}
}

// form reads a form that was sent from a page of this site.
func (p *pages) form(c echo.Context) (url.Values, error) {
	r := c.Request()
	if err := p.sameSite.Check(r); err != nil {
		return nil, refuse(http.StatusForbidden, "Nothing was changed: the form was sent by a page of another site, or a proxy changed "+
			"the Host of the request. Those who run buildbridge have the proxy pass it on, or set --external-url.")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); err != nil || kind != echo.MIMEApplicationForm {
		return nil, refuse(http.StatusUnsupportedMediaType, "Send a form, as "+echo.MIMEApplicationForm+".")
	}
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxForm)
	err := r.ParseForm()
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("The form is too large: it may have %d bytes.", maxForm))
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "This form cannot be read.")
	}
	return r.PostForm, nil
}

// seeOther sends the browser to a page by its address relative to the first page.
func (p *pages) seeOther(c echo.Context, to string) error {
	// As a relative address, which http.Redirect would change: a proxy may have put a path before it.
	// After "./" nothing is a host or a scheme.
	c.Response().Header().Set(echo.HeaderLocation, "./"+root(c.Request())+to)
	return c.NoContent(http.StatusSeeOther)
}

func refuse(status int, detail string) error {
	return &handlers.Refusal{Answer: handlers.Answer{Status: status, Detail: detail}}
}
