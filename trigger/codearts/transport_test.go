package codearts_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"buildbridge/trigger/codearts"
)

const goodAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{\"actual_build_number\":\"1\"}"

// A service that answers the first request of each connection and then, having
// read the second, hangs up. net/http sends some requests again in that case;
// it must not do so here.
func TestPostIsNeverSentTwice(t *testing.T) {
	tests := map[string]func(net.Conn){
		"closed":           func(net.Conn) {},
		"reset":            func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
		"closed mid-reply": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 2") },
	}
	for name, hangUp := range tests {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			url := listen(t, func(conn net.Conn) {
				in := bufio.NewReader(conn)
				for range 2 {
					request, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					if requests.Add(1) == 1 {
						_, _ = io.WriteString(conn, goodAnswer)
					}
				}
				hangUp(conn)
			})
			client := newClient(t, codearts.Options{Endpoint: url})
			if _, err := client.RunJob(t.Context(), runBody(t)); err != nil {
				t.Fatal(err)
			}
			_, err := client.RunJob(t.Context(), runBody(t))
			if e := asError(t, err); e.Fate != codearts.FateUnknown {
				t.Errorf("fate %v, want unknown: %v", e.Fate, err)
			}
			if n := requests.Load(); n != 2 {
				t.Errorf("the service got %d requests for 2 calls", n)
			}
		})
	}
}

// A service closes each connection as soon as it has answered. Whether the client notices before it writes the
// next request is a race; but a call arrives at most once, and a call that arrived never counts as not sent.
func TestIdleConnectionClosed(t *testing.T) {
	var requests atomic.Int32
	url := listen(t, func(conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		requests.Add(1)
		_, _ = io.WriteString(conn, goodAnswer)
	})
	client := newClient(t, codearts.Options{Endpoint: url})
	for i := range 200 {
		before := requests.Load()
		_, err := client.RunJob(t.Context(), runBody(t))
		arrived := requests.Load() - before
		if err == nil && arrived != 1 {
			t.Fatalf("call %d: %d requests arrived for one success", i, arrived)
		}
		if err != nil {
			if e := asError(t, err); e.Fate != codearts.FateUnknown || arrived > 1 {
				t.Fatalf("call %d: fate %v, %d requests arrived: %v", i, e.Fate, arrived, err)
			}
		}
	}
}

// listen serves each connection with do and closes it after.
func listen(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() {
				defer conn.Close()
				do(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		connections.Wait()
	})
	return "http://" + listener.Addr().String()
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, status) })
		client := newClient(t, codearts.Options{Endpoint: url})
		if _, err := client.RunJob(t.Context(), runBody(t)); asError(t, err).Status != status {
			t.Errorf("%d: %v", status, err)
		}
		if _, err := client.HistoryParameters(t.Context(), jobID, "1"); asError(t, err).Status != status {
			t.Errorf("%d: %v", status, err)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func TestAnswerThatIsTooLong(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"actual_build_number": "1", "more": %q}`, strings.Repeat("a", 8<<20)) // the client hangs up
	})
	client := newClient(t, codearts.Options{Endpoint: url})
	_, err := client.RunJob(t.Context(), runBody(t))
	if e := asError(t, err); e.Fate != codearts.FateUnknown || !strings.Contains(e.Error(), "the answer is longer than 8 MiB") {
		t.Errorf("fate %v: %v", e.Fate, e)
	}
}

func TestProxyFromEnvironment(t *testing.T) {
	var asked atomic.Value
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.RequestURI)
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"actual_build_number":"1"}`)
	})
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("HTTPS_PROXY", proxy)
	t.Setenv("NO_PROXY", "direct.invalid")

	plain := newClient(t, codearts.Options{Endpoint: "http://service.invalid"})
	if _, err := plain.RunJob(t.Context(), runBody(t)); err != nil {
		t.Error("plain:", err)
	}
	if got, want := asked.Load(), "POST http://service.invalid/v3/jobs/build"; got != want {
		t.Errorf("the proxy was asked for %q, want %q", got, want)
	}
	secure := newClient(t, codearts.Options{Endpoint: "https://service.invalid"})
	_, err := secure.RunJob(t.Context(), runBody(t))
	if e := asError(t, err); e.Fate != codearts.FateRetry || e.Label() != "not_sent" {
		t.Errorf("a proxy that refuses the tunnel: fate %v, label %q: %v", e.Fate, e.Label(), err)
	}
	if got, want := asked.Load(), "CONNECT service.invalid:443"; got != want {
		t.Errorf("the proxy was asked for %q, want %q", got, want)
	}
	asked.Store("")
	direct := newClient(t, codearts.Options{Endpoint: "http://direct.invalid"})
	if _, err := direct.RunJob(t.Context(), runBody(t)); err == nil || asked.Load() != "" {
		t.Errorf("NO_PROXY is not heeded: %v", err)
	}
}

// Many calls at once leave their connections to the next calls.
// Errors quote proxies, and services that do not speak HTTP, and go into logs and databases.
func TestErrorsQuoteOthersSafely(t *testing.T) {
	tests := map[string]struct {
		answer string // %s is what authorized the request
		proxy  bool
	}{
		"a proxy that speaks GBK": {"HTTP/1.1 502 \xb4\xed\xce\xf3\r\nContent-Length: 0\r\n\r\n", true},
		"bytes for a header":      {"HTTP/1.1 200 OK\r\n\xff\xfe\x00\x1bgarbage\r\n\r\n", false},
		"what was sent, echoed":   {"HTTP/1.1 200 OK\r\nyou sent %s\r\n\r\n", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			url := listen(t, func(conn net.Conn) {
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = io.WriteString(conn, strings.Replace(test.answer, "%s", request.Header.Get("X-Auth-Token"), 1))
			})
			if test.proxy {
				t.Setenv("HTTPS_PROXY", url)
				url = "https://service.invalid"
			}
			client := newClient(t, codearts.Options{Endpoint: url, Credentials: codearts.Token(secret("MIIPAgYJKoZ"))})
			_, err := client.RunJob(t.Context(), runBody(t))
			text := asError(t, err).Error()
			if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text, "MIIP") {
				t.Errorf("got %q", text)
			}
		})
	}
}

func TestConnectionsAreKept(t *testing.T) {
	const calls = 64
	var opened atomic.Int32
	var arrived sync.WaitGroup
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		arrived.Wait() // All calls are under way at once.
		_, _ = io.WriteString(w, `{"actual_build_number":"1"}`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := newClient(t, codearts.Options{Endpoint: server.URL})
	defer client.Close()
	for range 3 {
		arrived.Add(calls)
		var group sync.WaitGroup
		for range calls {
			group.Go(func() {
				if _, err := client.RunJob(t.Context(), runBody(t)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	// A connection is free a moment after its answer was read, so a few more
	// may be opened; without a pool they would be three times as many.
	if n := opened.Load(); n > calls+calls/2 {
		t.Errorf("%d connections for %d calls at once", n, calls)
	}
}

// still is a context whose deadline passes while the process stands still: its
// timers have not noticed yet.
type still struct {
	context.Context //nolint:containedctx // as it says

	passed atomic.Bool
}

func (s *still) Deadline() (time.Time, bool) {
	if s.passed.Load() {
		return time.Now().Add(-time.Hour), true
	}
	return time.Now().Add(time.Minute), true
}

// sleepy are credentials that take until a deadline has passed.
type sleepy struct {
	codearts.Credentials
	sleep func()
}

func (s sleepy) Authorize(ctx context.Context, req *http.Request, body []byte) error {
	s.sleep()
	return s.Credentials.Authorize(ctx, req, body)
}

// A process that stood still while it connected or logged in, for longer than the
// call may take, does not send it any more, whether the header fits into one packet
// or not.
func TestCallIsNotSentTooLate(t *testing.T) {
	for name, test := range map[string]struct {
		dial, login bool
		token       string
	}{
		"while it connects":                  {dial: true, token: "token"},
		"while it connects, with long token": {dial: true, token: strings.Repeat("token", 4000)},
		"while it logs in":                   {login: true, token: "token"},
	} {
		t.Run(name, func(t *testing.T) {
			var started atomic.Int32
			url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				if _, err := io.ReadAll(r.Body); err == nil {
					started.Add(1)
				}
			})
			ctx := &still{Context: t.Context()}
			pass := func(now bool) func() {
				return func() {
					if now {
						ctx.passed.Store(true)
					}
				}
			}
			transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				defer pass(test.dial)()
				return new(net.Dialer).DialContext(context.WithoutCancel(ctx), network, address)
			}}
			defer transport.CloseIdleConnections()
			client := newClient(t, codearts.Options{
				Endpoint: url, Timeout: time.Hour, Transport: transport,
				Credentials: sleepy{codearts.Token(secret(test.token)), pass(test.login)},
			})
			_, err := client.RunJob(ctx, runBody(t))
			if e := asError(t, err); e.Fate != codearts.FateRetry || e.Label() != "not_sent" || !strings.Contains(e.Error(), "stood still") {
				t.Errorf("fate %v, label %q: %v", e.Fate, e.Label(), err)
			}
			if n := started.Load(); n != 0 {
				t.Errorf("%d requests arrived whole", n)
			}
		})
	}
}

// The service's clock is known by its answers, unless the machine's clock tells of
// another time since then: it was set, or the machine slept.
func TestClockOfTheService(t *testing.T) {
	for phrase, c := range map[string]struct {
		jump  time.Duration
		known bool
	}{
		"nothing happened":               {0, true},
		"the machine slept for a minute": {time.Minute, false},
		"its clock was set back":         {-time.Hour, false},
	} {
		t.Run(phrase, func(t *testing.T) {
			ahead := 20 * time.Minute
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
				_, _ = io.WriteString(w, `{"actual_build_number":"1"}`)
			}))
			defer server.Close()
			var jumped atomic.Int64
			client := newClient(t, codearts.Options{Endpoint: server.URL})
			codearts.SetClock(client, func() time.Time { return time.Now().Add(time.Duration(jumped.Load())) })
			if _, known := client.Clock(); known {
				t.Error("it is known before any answer")
			}
			if _, err := client.RunJob(t.Context(), runBody(t)); err != nil {
				t.Fatal(err)
			}
			jumped.Store(int64(c.jump))
			now, known := client.Clock()
			if known != c.known {
				t.Errorf("known: %t, want %t", known, c.known)
			}
			if off := time.Until(now) - ahead; known && off.Abs() > 5*time.Second {
				t.Errorf("it is off by %s", off)
			}
		})
	}
}
