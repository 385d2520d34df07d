// Package pages are the pages that people look at: why a build was started, how it goes, and what
// does not work.
//
// A page is a [view], which reads what it shows from the admin API's methods, and a template. All
// links are relative to Root, so that the pages work below any path of a proxy. Without JavaScript
// everything works; with it, pages renew themselves.
package pages

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
)

// Options of the pages. API is required.
type Options struct {
	API      *admin.API
	Access   *admin.Access // nil means that of API
	ReadOnly bool          // nothing can be changed, whoever asks
	Links    Links
	Version  string       // of the program
	Logger   *slog.Logger // nil means no log

	// Running ends before the listener is shut, which waits for answers: pages that renew themselves
	// stop doing so. nil means never.
	Running context.Context
}

// pages are the pages of one listener.
type pages struct {
	Options

	sameSite *http.CrossOriginProtection
	streams  *streams
}

// New gives the handler of all pages. It is safe for concurrent use.
func New(o Options) (http.Handler, error) {
	if o.API == nil {
		return nil, errors.New("pages: Options.API is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Running == nil {
		o.Running = context.Background()
	}
	if o.Access == nil {
		o.Access = &o.API.Access
	}
	p := &pages{Options: o, sameSite: http.NewCrossOriginProtection(), streams: newStreams()}
	if external, err := url.Parse(o.Links.External); err == nil && external.Host != "" { // a proxy may say another host
		if err := p.sameSite.AddTrustedOrigin(origin(external)); err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
	}
	e := handlers.NewPagesRouter(o.Logger, p.sendError)
	e.Use(p.logged, protected, p.identified, p.authorized, bounded)
	for path, view := range map[string]view{
		"/":               p.home,
		"/builds":         p.builds,
		"/builds/:id":     p.build,
		"/deliveries":     p.deliveries,
		"/deliveries/:id": p.delivery,
		"/rules":          p.rules,
		"/rules/*":        p.rule, // a name can have slashes
		"/repositories/*": p.repository,
		"/targets":        p.targets,
		"/missed":         p.missed,
	} {
		e.Match(reading, path, p.show(view))
	}
	e.Match(reading, loginPath, p.showLogin) // for strangers too: it is no page that renews itself
	e.Match(reading, "/search", p.search)
	e.Match(reading, "/texts/rules/*", p.ruleText)
	e.Match(reading, "/deliveries/:id/body", p.deliveryBody)
	e.Match(reading, "/builds/:id/body", p.buildBody)
	e.POST(loginPath, p.logIn)
	e.POST(logoutPath, p.logOut)
	for path, do := range map[string]action{
		"/deliveries/:id/replay": p.replayDelivery,
		"/builds/:id/replay":     p.replayBuild,
		"/builds/:id/stop":       p.stopBuild,
		"/builds/:id/cancel":     p.cancelBuild,
	} {
		e.POST(path, p.act(do))
	}
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"icon.svg", "pages.js", "style.css"} { // a handler of the folder would list it
		e.Match(reading, staticPath+name, func(c echo.Context) error {
			http.ServeFileFS(c.Response(), c.Request(), files, name)
			return nil
		})
	}
	return e, nil
}

// origin is the origin of a web address as browsers write it: in lower case, without the port that its scheme has
// anyway (RFC 6454).
func origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}

var reading = []string{http.MethodGet, http.MethodHead}

const staticPath = "/static/"

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var static embed.FS

// view reads what a page shows. An error is a [handlers.Refusal], or a fault of buildbridge.
type view func(c echo.Context) (page, error)

// page is what a view gives.
type page struct {
	Template string // its file in templates, without .html
	Title    string
	Data     any // what the template shows
}

// frame is what a template gets.
type frame struct {
	page

	Root    string // the relative address of the first page: "", "../", …
	Section string // the first part of the path: builds, rules, …
	Query   url.Values
	Live    bool // it can renew itself: see live
	Version string
	Visitor visitor
	CanAct  bool // the visitor may change something here

	Wrong string // what makes no sense in the query of a list; "" if nothing does

	Status   int    // of HTTP
	Here     string // the address of the page, relative to Root
	CanLogIn bool   // the visitor may do more after a login
}

// Of is the frame for a template that shows a part.
func (f frame) Of(data any) frame {
	f.Data = data
	return f
}

// Self is the address of the page. In two parts html/template would take one with a colon for one with a scheme.
func (f frame) Self() string { return "./" + f.Root + f.Here }

// Heading is the title for the browser.
func (f frame) Heading() string {
	if f.Title == "buildbridge" {
		return f.Title
	}
	return f.Title + " · buildbridge"
}

// templates has each page's template with the layout and the parts around it. It is parsed once.
var templates = sync.OnceValue(func() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	all := map[string]*template.Template{}
	for _, file := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name != "layout" && name != "parts" {
			all[name] = template.Must(template.Must(shared.Clone()).ParseFS(templateFiles, file))
		}
	}
	return all
})

// viewFor is how long somebody waits for a page whose database does not answer.
const viewFor = 15 * time.Second

// bounded ends what takes longer than viewFor, but for streams and actions, which have limits of their own.
func bounded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !slices.Contains(reading, r.Method) || wantsEvents(r) {
			return next(c)
		}
		ctx, cancel := context.WithTimeout(r.Context(), viewFor)
		defer cancel()
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

// show answers with the page of a view, or with its stream.
func (p *pages) show(view view) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Add(echo.HeaderVary, echo.HeaderAccept)
		if wantsEvents(c.Request()) {
			return p.live(c, view)
		}
		shown, err := view(c)
		if wrong, ok := errors.AsType[*wrongQuery](err); ok {
			f := p.frame(c, wrong.page)
			f.Wrong = wrong.Detail
			return sendFrame(c, wrong.Status, f)
		}
		if err != nil {
			return err
		}
		f := p.frame(c, shown)
		f.Live = true
		return sendFrame(c, http.StatusOK, f)
	}
}

// send sends a page that does not renew itself.
func (p *pages) send(c echo.Context, status int, shown page) error {
	return sendFrame(c, status, p.frame(c, shown))
}

// sendFrame sends a page. It is rendered before the first byte, so that a fault of a template is an error.
func sendFrame(c echo.Context, status int, f frame) error {
	var html bytes.Buffer
	f.Status = status
	if err := templates()[f.Template].ExecuteTemplate(&html, "layout", f); err != nil {
		return err
	}
	return c.HTMLBlob(status, html.Bytes())
}

// frame puts what all pages have around a page.
func (p *pages) frame(c echo.Context, shown page) frame {
	r, v := c.Request(), visitorOf(c)
	section, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return frame{
		page: shown, Root: root(r), Section: section, Query: c.QueryParams(), Version: p.Version,
		Visitor: v, CanAct: !p.ReadOnly && v.Role >= admin.Operate,
		Here: here(r), CanLogIn: p.canLogIn(v),
	}
}

// canLogIn says whether somebody may do more after a login.
func (p *pages) canLogIn(v visitor) bool {
	return !p.ReadOnly && v.Role < admin.Operate && p.Access.Missing(admin.Operate) == ""
}

// root is the address of the first page, relative to the one of a request.
func root(r *http.Request) string {
	return strings.Repeat("../", max(strings.Count(r.URL.EscapedPath(), "/")-1, 0))
}

// sendError answers with a page that says what is wrong.
func (p *pages) sendError(c echo.Context, a handlers.Answer) error {
	switch {
	case a.Detail != "":
	case a.Status == http.StatusNotFound:
		a.Detail = "There is no page at " + plain(handlers.ShownPath(c.Request().URL.Path))
	case a.Status == http.StatusMethodNotAllowed:
		a.Detail = c.Request().Method + " is not for this page"
	}
	if len(a.See) > 0 {
		return p.send(c, a.Status, page{"see", http.StatusText(a.Status), a})
	}
	return p.send(c, a.Status, page{"error", http.StatusText(a.Status), a.Detail})
}
