package load

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const secret = "It's a Secret to Everybody"

// sequence numbers the deliveries of all tests, so that no two are equal.
var sequence atomic.Int64

// template is a delivery with placeholders for what differs between deliveries.
type template struct {
	head, body []byte
	id         int   // in head: 36 characters
	signature  int   // in head: 64 characters
	branches   []int // in body: 12 characters each
	commits    []int // in body: 40 characters each
}

const (
	idPlace        = "00000000-0000-4000-8000-000000000000"
	signaturePlace = "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"
	branchPlace    = "bbbbbbbbbbbb"
	commitPlace    = "cccccccccccccccccccccccccccccccccccccccc"
)

func newTemplate(body []byte) *template {
	head := "POST /webhooks/github HTTP/1.1\r\nHost: bridge.example\r\nUser-Agent: GitHub-Hookshot/0000000\r\nAccept: */*\r\n" +
		"Content-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Hook-ID: 292430182\r\n" +
		"X-GitHub-Delivery: " + idPlace + "\r\nX-Hub-Signature-256: sha256=" + signaturePlace + "\r\n" +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	return &template{
		head: []byte(head), body: body,
		id: strings.Index(head, idPlace), signature: strings.Index(head, signaturePlace),
		branches: places(body, branchPlace), commits: places(body, commitPlace),
	}
}

func places(text []byte, of string) (at []int) {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(of))
		if i < 0 {
			return at
		}
		at = append(at, from+i)
		from += i + len(of)
	}
}

// load is what one connection sends: the template, and a copy of it.
type load struct {
	*template
	text []byte
	mac  interface {
		io.Writer
		Sum(b []byte) []byte
		Reset()
	}
	digest [sha256.Size]byte
}

func (t *template) load() *load {
	return &load{template: t, text: slices.Concat(t.head, t.body), mac: hmac.New(sha256.New, []byte(secret))}
}

// next is the next delivery: a signed push to a new branch.
func (l *load) next() []byte {
	n := sequence.Add(1)
	body := l.text[len(l.head):]
	branch, commit := fmt.Appendf(nil, "b%011d", n), fmt.Appendf(nil, "%040x", n)
	for _, at := range l.branches {
		copy(body[at:], branch)
	}
	for _, at := range l.commits {
		copy(body[at:], commit)
	}
	copy(l.text[l.id+len(idPlace)-12:], branch[:12])
	l.mac.Reset()
	_, _ = l.mac.Write(body) // never fails
	hex.Encode(l.text[l.signature:], l.mac.Sum(l.digest[:0]))
	return l.text
}

// connection is a connection that is kept alive. It does without an HTTP client, so that the
// load does not cost more than what it measures.
type connection struct {
	conn net.Conn
	in   *bufio.Reader
	load *load
}

func dial(ctx context.Context, address string, t *template) (*connection, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, in: bufio.NewReader(conn), load: t.load()}, nil
}

// send sends a delivery and reads the status of its answer.
func (c *connection) send() (status int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	_, unsent := c.conn.Write(c.load.next())
	line, err := c.in.ReadSlice('\n') // the server may refuse before it has read all
	if err != nil {
		return 0, cmp.Or(unsent, err)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, fmt.Errorf("answer %q", line)
	}
	length := -1
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, err
		}
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), ":")
		if !ok {
			break
		}
		if strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("an answer without Content-Length")
	}
	_, err = c.in.Discard(length)
	return status, err
}

// result is the result of a load.
type result struct {
	took  time.Duration
	waits []time.Duration // of each delivery, in order of length
}

func (r *result) perSecond() float64 { return float64(len(r.waits)) / r.took.Seconds() }

// within is the longest wait of that part of the deliveries.
func (r *result) within(part float64) time.Duration {
	if len(r.waits) == 0 {
		return 0
	}
	return r.waits[min(len(r.waits)-1, int(part*float64(len(r.waits))))]
}

// connect runs do on that many connections and collects the waiting times that it returns.
func connect(t *testing.T, address string, what *template, connections int, do func(c *connection) []time.Duration) *result {
	t.Helper()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		r     = &result{}
		begin = time.Now()
	)
	for range connections {
		wg.Go(func() {
			c, err := dial(t.Context(), address, what)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.conn.Close()
			waits := do(c)
			mu.Lock()
			defer mu.Unlock()
			r.waits = append(r.waits, waits...)
		})
	}
	wg.Wait()
	r.took = time.Since(begin)
	slices.Sort(r.waits)
	return r
}

// want sends a delivery, and reports whether its answer has the status. If nothing is measured, it sends
// others while the bridge is too busy, for at most a minute.
func (c *connection) want(t *testing.T, status int) bool {
	t.Helper()
	got, err := c.send()
	for end := time.Now().Add(time.Minute); !*full && err == nil && got == http.StatusServiceUnavailable && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		got, err = c.send()
	}
	if err != nil || got != status {
		t.Errorf("status %d, want %d (%v)", got, status, err)
		return false
	}
	return true
}

// send sends by that many connections, each as fast as it is answered, until more
// says no; every answer must have the status.
func send(t *testing.T, address string, what *template, connections, status int, more func() bool) *result {
	t.Helper()
	return connect(t, address, what, connections, func(c *connection) (waits []time.Duration) {
		for more() {
			sent := time.Now()
			if !c.want(t, status) {
				break
			}
			waits = append(waits, time.Since(sent))
		}
		return waits
	})
}

// during says yes for so long.
func during(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().Before(end) }
}

// times says yes so often.
func times(n int) func() bool {
	left := atomic.Int64{}
	left.Store(int64(n))
	return func() bool { return left.Add(-1) >= 0 }
}

// offer sends at a steady rate, answered or not. The wait of each delivery counts
// from when it was due, not from when a connection was free for it.
func offer(t *testing.T, address string, what *template, connections, perSecond int, d time.Duration) *result {
	t.Helper()
	due := make(chan time.Time, int(d.Seconds()+1)*perSecond)
	go func() {
		defer close(due)
		gap := time.Second / time.Duration(perSecond)
		for begin, at := time.Now(), time.Now(); at.Before(begin.Add(d)); at = at.Add(gap) {
			time.Sleep(time.Until(at))
			due <- at
		}
	}()
	return connect(t, address, what, connections, func(c *connection) (waits []time.Duration) {
		for at := range due {
			if !c.want(t, http.StatusAccepted) {
				break
			}
			waits = append(waits, time.Since(at))
		}
		return waits
	})
}
