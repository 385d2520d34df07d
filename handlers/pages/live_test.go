package pages

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
)

// living is a page that a test changes, behind a real server.
type living struct {
	*httptest.Server
	t       *testing.T
	pages   *pages
	text    atomic.Value // of the page; an error or a string
	renders atomic.Int64
	ended   sync.WaitGroup // streams that are open
	token   atomic.Value   // string: who has it may read
	log     strings.Builder
	limit   time.Duration // of the server for an answer; the usual ones if not set
	stop    context.CancelFunc
}

func newLiving(t *testing.T, change ...func(*living)) *living {
	t.Helper()
	l := &living{t: t}
	l.text.Store("first")
	l.token.Store("a-token")
	logger := slog.New(slog.NewTextHandler(&l.log, nil))
	running, stop := context.WithCancel(t.Context())
	l.stop = stop
	l.pages = &pages{
		Options: Options{Logger: logger, Running: running, Access: &admin.Access{Tokens: []admin.Token{{
			Name: "ann", Role: admin.Operate, Value: func() (mapping.Secret, error) { return mapping.Secret(l.token.Load().(string)), nil },
		}}}},
		streams: &streams{every: time.Millisecond, beat: time.Hour, patience: time.Minute, most: 2},
	}
	for _, c := range change {
		c(l)
	}
	e := handlers.NewPagesRouter(logger, l.pages.sendError)
	e.Use(protected, l.pages.identified, l.pages.authorized, func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			l.ended.Add(1)
			defer l.ended.Done()
			return next(c)
		}
	})
	e.GET("/page/:id", l.pages.show(func(c echo.Context) (page, error) {
		l.renders.Add(1)
		text := l.text.Load().(string)
		switch {
		case c.Param("id") != "7":
			return page{}, &handlers.Refusal{Answer: handlers.Answer{Status: http.StatusNotFound, Detail: "There is no such page."}}
		case strings.HasPrefix(text, "away"):
			return page{}, &handlers.Refusal{Answer: handlers.Answer{Status: http.StatusServiceUnavailable, Detail: text}}
		}
		return page{"error", "Page " + c.Param("id"), text}, nil
	}))
	l.Server = httptest.NewUnstartedServer(nil)
	l.Config = handlers.NewHTTPServer(e, logger)
	l.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(4 << 10); err != nil {
			t.Error(err)
		}
		return ctx
	}
	if l.limit != 0 {
		l.Config.ReadTimeout, l.Config.WriteTimeout = l.limit, l.limit
	}
	l.Start()
	t.Cleanup(func() {
		l.stop()
		l.ended.Wait()
		l.Close()
	})
	return l
}

// reader reads an answer, which may be a stream.
type reader struct {
	t      *testing.T
	status int
	header http.Header
	body   io.ReadCloser // closed at the end of the test
	scan   *bufio.Scanner
}

func (l *living) get(path string, header ...string) *reader {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.URL+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer a-token")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := l.Client().Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = res.Body.Close() })
	return &reader{t: l.t, status: res.StatusCode, header: res.Header, body: res.Body, scan: bufio.NewScanner(res.Body)}
}

// until waits until something is so, which takes far less than a minute.
func (l *living) until(what string, is func() bool) {
	l.t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("a minute later there is not: %s", what)
		}
	}
}

func (l *living) stream(header ...string) *reader {
	l.t.Helper()
	r := l.get("/page/7", append([]string{"Accept", "text/event-stream"}, header...)...)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "text/event-stream" {
		l.t.Fatalf("got %d, %s", r.status, r.header)
	}
	return r
}

// all is what is left of an answer that ends.
func (r *reader) all() string {
	r.t.Helper()
	text, err := io.ReadAll(r.body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// next is the next event, its lines joined by |. "" is the end.
func (r *reader) next() string {
	var lines []string
	for r.scan.Scan() {
		if r.scan.Text() == "" && len(lines) > 0 {
			break
		}
		if line := r.scan.Text(); line != "data: " {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "|")
}

func (r *reader) want(parts ...string) {
	r.t.Helper()
	got := r.next()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			r.t.Fatalf("the next event is %q, want %q", got, part)
		}
	}
}

func TestStreamSendsWhatChanges(t *testing.T) {
	t.Parallel()
	l := newLiving(t, func(l *living) { l.limit = 5 * time.Second })
	r := l.stream()
	for name, value := range map[string]string{"X-Accel-Buffering": "no", "Cache-Control": "no-store, no-transform", "Vary": "Accept"} {
		if got := r.header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	r.want("event: title|data: Page 7 · buildbridge")
	r.want("event: main|", "<h1>Page 7</h1>", "first")
	l.text.Store("two\r\nlines & \rthree <b>")
	r.want("event: main|", "two|data: lines &amp; |data: three &lt;b&gt;")

	// The same page is not sent again: the next event is of the next change, also after the
	// limits that the server has for other answers.
	began, seen := time.Now(), l.renders.Load()
	l.until("20 more renderings, of a stream older than the limits", func() bool {
		return l.renders.Load() >= seen+20 && time.Since(began) > l.limit+time.Second
	})
	l.text.Store("last")
	r.want("event: main|", "last")
}

// What cannot be read is said once, and the page comes again when it can be.
func TestStreamOutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	l := newLiving(t)
	r := l.stream()
	r.want("event: title")
	r.want("event: main", "first")
	l.text.Store("away: the database does not answer")
	r.want("event: trouble|data: away: the database does not answer")
	seen := l.renders.Load()
	l.until("10 more renderings", func() bool { return l.renders.Load() >= seen+10 })
	l.text.Store("first")
	r.want("event: title")
	r.want("event: main", "first")
	_ = r.body.Close()
	l.ended.Wait()
	if n := strings.Count(l.log.String(), "a page cannot renew itself"); n != 1 {
		t.Errorf("it is logged %d times:\n%s", n, &l.log)
	}
}

func TestStreamShowsThatItIsAlive(t *testing.T) {
	t.Parallel()
	l := newLiving(t, func(l *living) { l.pages.streams.every, l.pages.streams.beat = time.Hour, time.Millisecond })
	r := l.stream()
	r.want("event: title")
	r.want("event: main")
	for range 3 {
		if got := r.next(); got != ":" {
			t.Errorf("got %q, want a comment", got)
		}
	}
	if renders := l.renders.Load(); renders != 1 {
		t.Errorf("the page was rendered %d times", renders)
	}
}

func TestRestAfterARendering(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		took time.Duration
		open int64
		want time.Duration
	}{
		"quick":            {time.Millisecond, 1, time.Second},
		"slow":             {200 * time.Millisecond, 1, 4 * time.Second},
		"many":             {20 * time.Millisecond, 100, 4 * time.Second},
		"many, and quick":  {2 * time.Millisecond, 100, time.Second},
		"at its limit, 5%": {50 * time.Millisecond, 10, time.Second},
	} {
		s := newStreams()
		s.open.Store(test.open)
		if got := s.rest(test.took); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// An error is no page that could renew itself, and too many streams are refused as long as they are too many.
func TestStreamsThatAreRefused(t *testing.T) {
	t.Parallel()
	l := newLiving(t)
	refused := func(path string, status int, text string, header ...string) *reader {
		t.Helper()
		r := l.get(path, append([]string{"Accept", "text/event-stream"}, header...)...)
		if body := r.all(); r.status != status || !strings.Contains(body, text) || strings.Contains(body, "data-live") {
			t.Errorf("%s: %d:\n%s", path, r.status, body)
		}
		return r
	}
	refused("/page/8", http.StatusNotFound, "There is no such page.")
	refused("/page/7", http.StatusUnauthorized, "unknown", "Authorization", "Bearer another")
	l.text.Store("away")
	refused("/page/7", http.StatusServiceUnavailable, "away")
	l.text.Store("here")

	first, second := l.stream(), l.stream()
	if r := refused("/page/7", http.StatusServiceUnavailable, "Too many pages"); r.header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	_, _ = first.body.Close(), second.body.Close()
	l.until("an end of both streams", func() bool { return l.pages.streams.open.Load() == 0 })
	l.stream().want("event: title")

	// As a page it is there anyway.
	if page := l.get("/page/7").all(); !strings.Contains(page, `<main id="main" tabindex="-1" data-live>`) {
		t.Error(page)
	}
}

func TestStreamsEndWithTheProgram(t *testing.T) {
	t.Parallel()
	l := newLiving(t, func(l *living) { l.pages.streams.every = time.Hour })
	r := l.stream()
	r.want("event: title")
	r.want("event: main")
	l.stop()
	if err := l.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := r.next(); got != "" || r.scan.Err() != nil {
		t.Errorf("got %q, error %v, want the end", got, r.scan.Err())
	}
}

func TestStreamEndsWithTheToken(t *testing.T) {
	t.Parallel()
	l := newLiving(t)
	r := l.stream()
	r.want("event: title")
	r.want("event: main")
	l.token.Store("another")
	if got := r.next(); got != "" || r.scan.Err() != nil {
		t.Errorf("got %q, error %v, want the end", got, r.scan.Err())
	}
}

func TestStreamEndsWithTheSession(t *testing.T) {
	t.Parallel()
	l := newLiving(t)
	text := strconv.FormatInt(time.Now().Add(5*time.Second).Unix(), 10) + "|ann"
	cookie := l.pages.cookieName() + "=" + text + "|" + l.pages.sign("a-token", "session", text)
	r := l.stream("Authorization", "", "Cookie", cookie)
	r.want("event: title")
	r.want("event: main")
	if got := r.next(); got != "" || r.scan.Err() != nil {
		t.Errorf("got %q, error %v, want the end", got, r.scan.Err())
	}
	if r := l.get("/page/7", "Authorization", "", "Cookie", cookie, "Accept", eventStream); r.status != http.StatusUnauthorized {
		t.Errorf("got %d", r.status)
	}
}

// A reader who takes nothing holds neither a stream nor a connection.
func TestStreamCutsOffWhoReadsNothing(t *testing.T) {
	t.Parallel()
	l := newLiving(t, func(l *living) {
		l.pages.streams.patience, l.limit = 50*time.Millisecond, time.Hour // so it is not the server that cuts it off
	})
	l.text.Store(strings.Repeat("x", 1<<20))
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	request := "GET /page/7 HTTP/1.1\r\nHost: here\r\nAccept: text/event-stream\r\nAuthorization: Bearer a-token\r\n\r\n"
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	l.until("a rendering", func() bool { return l.renders.Load() > 0 })
	l.until("an end of the stream", func() bool { return l.pages.streams.open.Load() == 0 })
}
