package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
)

// A page's own address, asked with Accept: text/event-stream, gives events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html): title and main, each when it
// differs from the last one, main as the HTML inside of <main>; and trouble, with a sentence, while the
// page cannot be read. After trouble main comes again. A comment now and then shows that the
// connection is alive.
//
// A stream takes at most a twentieth of a core, and all streams of a listener a half: a page that
// takes long to render is rendered less often. Who asks is looked at anew before each rendering: a
// stream ends with its session or its token.

// streams are the pages of one listener that are open somewhere and renew themselves.
type streams struct {
	every    time.Duration // between two renderings, at least
	beat     time.Duration // between two comments
	patience time.Duration // for a rendering, and for a reader to take an event
	most     int64         // streams at a time

	open atomic.Int64
}

func newStreams() *streams {
	return &streams{every: time.Second, beat: 5 * time.Second, patience: 10 * time.Second, most: 100}
}

// rest is how long to wait after a rendering took so long.
func (s *streams) rest(took time.Duration) time.Duration {
	return max(s.every, took*max(20, time.Duration(2*s.open.Load())))
}

// wantsEvents says whether a request is for the stream of a page.
func wantsEvents(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get(echo.HeaderAccept), eventStream)
}

const eventStream = "text/event-stream"

// live answers with the stream of a page.
func (p *pages) live(c echo.Context, view view) error {
	defer p.streams.open.Add(-1)
	if p.streams.open.Add(1) > p.streams.most || p.Running.Err() != nil {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(60))
		return p.send(c, http.StatusServiceUnavailable, page{
			Template: "error", Title: http.StatusText(http.StatusServiceUnavailable),
			Data: "Too many pages renew themselves now. This one does not, until others are closed.",
		})
	}
	ctx, cancel := context.WithCancel(c.Request().Context())
	defer cancel()
	defer context.AfterFunc(p.Running, cancel)()

	began := time.Now()
	title, main, err := p.renewed(ctx, c, view)
	if err != nil {
		return err // there is no page that could renew itself
	}
	s := &stream{Writer: c.Response(), control: http.NewResponseController(c.Response().Writer), patience: p.streams.patience}
	// The server's limits are for requests that end. A reader that takes nothing is cut off by the
	// limit of each event.
	if err := s.control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, eventStream)
	h.Set(echo.HeaderCacheControl, "no-store, no-transform") // compressed, events would wait for each other
	h.Set("X-Accel-Buffering", "no")                         // the same at nginx
	c.Response().WriteHeader(http.StatusOK)

	beat := time.NewTicker(p.streams.beat)
	defer beat.Stop()
	for ctx.Err() == nil && !errors.Is(err, errNotAdmitted) {
		if !s.show(title, main, err) {
			return nil
		}
		if s.news != nil { // once, and not each second
			p.Logger.LogAttrs(ctx, slog.LevelWarn, "a page cannot renew itself", slog.String("path", c.Path()), slog.Any("error", s.news))
		}
		next := time.After(p.streams.rest(time.Since(began)))
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case <-beat.C:
				if !s.send(":\n\n") {
					return nil
				}
			case <-next:
				waiting = false
			}
		}
		began = time.Now()
		title, main, err = p.renewed(ctx, c, view)
	}
	return nil
}

// errNotAdmitted means that the visitor may not see the page any more.
var errNotAdmitted = errors.New("not admitted")

// renewed renders a page anew, for whoever the request comes from now.
func (p *pages) renewed(ctx context.Context, c echo.Context, view view) (title, main string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.streams.patience)
	defer cancel()
	// A context of its own: whatever is answered to a visitor who is not admitted must not get into the stream.
	again := c.Echo().NewContext(c.Request().WithContext(ctx), unheard{})
	again.SetPath(c.Path())
	again.SetParamNames(c.ParamNames()...)
	again.SetParamValues(c.ParamValues()...)
	admitted := false
	err = p.identified(p.authorized(func(c echo.Context) error { //nolint:contextcheck // again has it
		admitted = true
		shown, err := view(c)
		if err != nil {
			return err
		}
		f := p.frame(c, shown)
		var html bytes.Buffer
		if err := templates()[f.Template].ExecuteTemplate(&html, "main", f); err != nil {
			return err
		}
		title, main = f.Heading(), html.String()
		return nil
	}))(again)
	if !admitted {
		err = errors.Join(errNotAdmitted, err)
	}
	return title, main, err
}

// unheard is where an answer goes that nobody gets.
type unheard struct{}

func (unheard) Header() http.Header         { return http.Header{} }
func (unheard) Write(b []byte) (int, error) { return len(b), nil }
func (unheard) WriteHeader(int)             {}

// stream is what one reader was sent.
type stream struct {
	io.Writer
	control  *http.ResponseController
	patience time.Duration

	title, main, trouble string
	news                 error // the last error, if it is another one than before
}

// show sends what differs. It reports whether the reader is still there.
func (s *stream) show(title, main string, err error) bool {
	var events strings.Builder
	s.news = nil
	if err != nil {
		text := "An error inside buildbridge: its log says which."
		if refusal, ok := errors.AsType[*handlers.Refusal](err); ok && refusal.Detail != "" {
			text = refusal.Detail
		}
		if text != s.trouble {
			s.news = err
			write(&events, "trouble", text)
		}
		s.title, s.main, s.trouble = "", "", text
	} else {
		if title != s.title {
			write(&events, "title", title)
		}
		if main != s.main {
			write(&events, "main", main)
		}
		s.title, s.main, s.trouble = title, main, ""
	}
	return events.Len() == 0 || s.send(events.String())
}

// ends are the ends of lines of an event. HTML does not tell them apart.
var ends = strings.NewReplacer("\r\n", "\n", "\r", "\n")

func write(to *strings.Builder, event, data string) {
	fmt.Fprintf(to, "event: %s\ndata: %s\n\n", event, strings.ReplaceAll(ends.Replace(data), "\n", "\ndata: "))
}

// send reports whether the reader took it.
func (s *stream) send(text string) bool {
	if s.control.SetWriteDeadline(time.Now().Add(s.patience)) != nil {
		return false
	}
	_, err := io.WriteString(s, text)
	return err == nil && s.control.Flush() == nil
}
