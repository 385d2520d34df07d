package handlers_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/handlers"
)

// large is more than the largest body of a host, and than the default of max_body. Most
// cases send a smaller one.
const large, smaller = 26 << 20, 8 << 20

// A sender that reads only after it has sent a body gets the reason why it was refused,
// whatever the size and the reason are.
func TestRefusedSenderReadsWhy(t *testing.T) {
	b := newBridge(t, nil)
	b.Swap(stateOf(t, strings.Replace(rules, "per_second: 0.1", "per_second: 0.0001", 1)))
	b.post(request("slow", push("acme/shop", "refs/heads/main", commit))) // takes the only token
	const expect = "Expect: 100-continue\r\n"
	for name, test := range map[string]struct {
		request string
		header  string
		status  int
		reason  string
	}{
		"too large":                  {"POST /webhooks/github", "", 413, "too_large"},
		"too large, sent unasked":    {"POST /webhooks/github", expect, 413, "too_large"},
		"compressed":                 {"POST /webhooks/github", "Content-Encoding: gzip\r\n", 415, "encoding"},
		"from another address":       {"POST /webhooks/inside", "", 403, "address"},
		"too soon":                   {"POST /webhooks/slow", "", 429, "rate_limit"},
		"for nobody":                 {"POST /webhooks/nobody", "", 404, "no_source"},
		"for nobody, sent unasked":   {"POST /webhooks/nobody", expect, 404, "no_source"},
		"for a path that is nowhere": {"POST /elsewhere", "", 404, "no_source"},
		"by another method":          {"PUT /webhooks/github", "", 405, "method"},
	} {
		for _, chunked := range []bool{false, true} {
			for _, scheme := range []string{"http", "https"} {
				size := smaller
				if name == "too large" && scheme == "http" {
					size = large
				}
				t.Run(fmt.Sprintf("%s, %d bytes by %s, chunked: %t", name, size, scheme, chunked), func(t *testing.T) {
					connection := b.dial(t, scheme)
					if err := sendAll(connection, test.request+" HTTP/1.1\r\nHost: bridge\r\n"+test.header, size, chunked); err != nil {
						t.Errorf("the body is not taken: %v", err)
					}
					answers := bufio.NewReader(connection)
					response, err := http.ReadResponse(answers, nil)
					if err == nil && response.StatusCode == http.StatusContinue {
						response, err = http.ReadResponse(answers, nil)
					}
					if err != nil {
						t.Fatalf("no answer: %v", err)
					}
					defer response.Body.Close()
					got := body(t, response.Body)
					if response.StatusCode != test.status || got["reason"] != test.reason || !response.Close {
						t.Errorf("status %d, answer %v, connection closed: %t; want %d %s", response.StatusCode, got, response.Close, test.status, test.reason)
					}
				})
			}
		}
	}
}

// sendAll sends a header and a body of a size.
func sendAll(to io.Writer, header string, size int, chunked bool) error {
	const chunk = 1 << 20
	length, before, part, last := fmt.Sprintf("Content-Length: %d\r\n", size), "", strings.Repeat("x", chunk), ""
	if chunked {
		length, before, part, last = "Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n", chunk), part+"\r\n", "0\r\n\r\n"
	}
	if _, err := io.WriteString(to, header+length+"\r\n"); err != nil {
		return err
	}
	for range size / chunk {
		if _, err := io.WriteString(to, before+part); err != nil {
			return err
		}
	}
	_, err := io.WriteString(to, last)
	return err
}

// dial opens a connection to a server that is never in a hurry: how fast the machine is
// does not matter.
func (b *bridge) dial(t *testing.T, scheme string) net.Conn {
	server := httptest.NewUnstartedServer(nil)
	server.Config = handlers.NewHTTPServer(b.Public(), slog.New(slog.DiscardHandler))
	server.Listener = patientListener{server.Listener}
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = new(net.Dialer)
	if scheme == "https" {
		dialer = &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	connection, err := dialer.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// patientListener accepts connections on which every deadline that is still to come is
// left out, such as that of the reading on, which TestReadingOnIsBounded checks.
type patientListener struct{ net.Listener }

func (l patientListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return patientConn{connection.(*net.TCPConn)}, nil
}

// patientConn embeds a TCP connection for its CloseWrite, which net/http calls.
type patientConn struct{ *net.TCPConn }

func (c patientConn) SetReadDeadline(at time.Time) error {
	return c.TCPConn.SetReadDeadline(pastOnly(at))
}

func (c patientConn) SetWriteDeadline(at time.Time) error {
	return c.TCPConn.SetWriteDeadline(pastOnly(at))
}

func (c patientConn) SetDeadline(at time.Time) error { return c.TCPConn.SetDeadline(pastOnly(at)) }

// pastOnly is a deadline that has passed, or none.
func pastOnly(at time.Time) time.Time {
	if time.Until(at) > 0 {
		return time.Time{}
	}
	return at
}

// serve serves the public handler until the test ends.
func (b *bridge) serve(t *testing.T, listener net.Listener) {
	server := handlers.NewHTTPServer(b.Public(), slog.New(slog.DiscardHandler))
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
}

// pipes is a listener without a network.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if connection, ok := <-p; ok {
		return connection, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error { close(p); return nil }
func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// refused sends the beginning of a body to an unknown source, reads the refusal, and gives
// the connection.
func (p pipes) refused(t *testing.T, header string) net.Conn {
	near, far := net.Pipe()
	p <- far
	if _, err := io.WriteString(near, "POST /webhooks/nobody HTTP/1.1\r\nHost: bridge\r\n"+header+"\r\nx"); err != nil {
		t.Error(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(near), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := body(t, response.Body); response.StatusCode != http.StatusNotFound || got["reason"] != "no_source" {
		t.Errorf("status %d, answer %v", response.StatusCode, got)
	}
	return near
}

// The reading on after a refusal is bounded in time, in bytes and in the number of
// connections.
func TestReadingOnIsBounded(t *testing.T) {
	const short, long = "Content-Length: 1000\r\n", "Content-Length: 1000000000\r\n"
	serve := func(t *testing.T) pipes {
		p := make(pipes)
		newBridge(t, nil).serve(t, p)
		return p
	}
	closed := func(t *testing.T, connection net.Conn) time.Duration {
		began := time.Now()
		if _, err := connection.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection is not closed: %v", err)
		}
		return time.Since(began)
	}
	t.Run("in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if took := closed(t, serve(t).refused(t, short)); took != 2*time.Second {
				t.Errorf("the connection of a sender that stalls is closed after %s, want 2s", took)
			}
		})
	})
	t.Run("in bytes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			connection := serve(t).refused(t, long)
			sent, err := io.Copy(connection, io.LimitReader(&endless{}, 1<<30))
			if err == nil || sent < 32<<20-1 || sent > 34<<20 {
				t.Errorf("%d bytes are read, error %v, want about 32 MiB", sent, err)
			}
		})
	})
	t.Run("in number", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := serve(t)
			var held []net.Conn
			for range 64 {
				held = append(held, p.refused(t, short))
			}
			if took := closed(t, p.refused(t, short)); took != 0 {
				t.Errorf("the 65th is read on for %s", took)
			}
			_ = held[0].Close()
			synctest.Wait()
			if took := closed(t, p.refused(t, short)); took != 2*time.Second {
				t.Errorf("one that comes when a slot is free again is read on for %s, want 2s", took)
			}
			for _, connection := range held {
				_ = connection.Close()
			}
		})
	})
}
