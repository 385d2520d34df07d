package postgrestest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Proxy forwards connections to a database. It reads what they send, and breaks them when a test
// asks for that. It ends with its test.
type Proxy struct {
	URL string // of the database through the proxy

	listener net.Listener
	socket   string
	done     sync.WaitGroup

	mu    sync.Mutex // for all below, and for each wire
	made  int
	wires map[*wire]bool // that are open; nil after the end
	cuts  []*cut
}

// cut is a break of a connection that is still to come.
type cut struct {
	text string
	n    int // how many commits until then
	made chan struct{}
}

// wire is one connection.
type wire struct {
	client, server net.Conn
	silent         bool
	prepared       map[string]string // text by name of statement
	ran            map[string]bool   // texts of statements, and "" from the start
	open           []string          // texts of the statements of the open transaction
	exchanges      []*exchange       // that are not answered; the last one is not sent yet
}

// exchange is what a client sends until it waits for an answer.
type exchange struct {
	ran    []string // texts of statements
	undone bool     // it failed, or was rolled back
}

// NewProxy starts a proxy in front of a database of this package.
func NewProxy(t testing.TB, database string) *Proxy {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{socket: filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"), wires: map[*wire]bool{}}
	if p.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = p.listener.Addr().String(), "sslmode=disable"
	p.URL = u.String()
	p.done.Go(p.serve)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.mu.Lock()
		for w := range p.wires {
			w.close()
		}
		p.wires = nil
		p.mu.Unlock()
		p.done.Wait()
	})
	return p
}

// CutAfterCommit breaks the connection of the n-th transaction from now on that runs a statement
// with this text in it: after the server has committed, and before the client gets the answer. A
// statement without BEGIN is a transaction too: the client does not get its rows. The channel is
// closed when the connection breaks.
func (p *Proxy) CutAfterCommit(text string, n int) <-chan struct{} {
	c := &cut{text: text, n: n, made: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = append(p.cuts, c)
	return c.made
}

// Silence makes connections silent that ran a statement with this text in it, or all for "": from
// now on nothing is forwarded in either direction, and neither end hears that the other has
// gone. It returns how many connections these are.
func (p *Proxy) Silence(text string) (connections int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.wires {
		for ran := range w.ran {
			if !w.silent && strings.Contains(ran, text) {
				w.silent = true
				connections++
			}
		}
	}
	return connections
}

// Made is how many connections there were.
func (p *Proxy) Made() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.socket) //nolint:noctx // it answers at once
		if err != nil {
			_ = client.Close()
			continue
		}
		w := &wire{
			client: client, server: server,
			prepared: map[string]string{}, ran: map[string]bool{"": true},
			exchanges: []*exchange{{}, {}}, // the first is the start of the connection
		}
		p.mu.Lock()
		over := p.wires == nil
		if !over {
			p.made++
			p.wires[w] = true
		}
		p.mu.Unlock()
		if over {
			w.close()
			return
		}
		p.done.Go(func() { p.forward(w) })
		p.done.Go(func() { p.back(w) })
	}
}

// forward copies from the client to the server. The first message of a client has no type.
func (p *Proxy) forward(w *wire) {
	defer p.end(w, w.client)
	from := bufio.NewReader(w.client)
	for first := true; ; first = false {
		m, err := message(from, first)
		if err != nil {
			return
		}
		p.mu.Lock()
		if !first {
			w.sent(m[0], m[5:])
		}
		silent := w.silent
		p.mu.Unlock()
		if !silent {
			_, _ = w.server.Write(m)
		}
	}
}

// back copies from the server to the client. It keeps the answer to a commit that is to be cut
// until the server is ready for the next statement.
func (p *Proxy) back(w *wire) {
	defer p.end(w, w.server)
	from := bufio.NewReader(w.server)
	var kept []byte
	for {
		m, err := message(from, false)
		if err != nil {
			return
		}
		kept = append(kept, m...)
		p.mu.Lock()
		keep := w.got(m[0], m[5:], p.cuts)
		if !keep && m[0] == 'Z' && p.cutNow(w, m[5]) {
			w.close()
			p.mu.Unlock()
			return
		}
		silent := w.silent
		p.mu.Unlock()
		if keep {
			continue
		}
		if !silent {
			_, _ = w.client.Write(kept)
		}
		kept = kept[:0]
	}
}

// end closes a connection one end of which has gone. If it is silent, the other end stays.
func (p *Proxy) end(w *wire, gone net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.silent {
		_ = gone.Close()
		return
	}
	w.close()
	delete(p.wires, w)
}

func (w *wire) close() {
	_, _ = w.client.Close(), w.server.Close()
}

// message reads one message.
func message(r *bufio.Reader, untyped bool) ([]byte, error) {
	head := make([]byte, 5)
	if untyped {
		head = head[:4]
	}
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	rest := int(binary.BigEndian.Uint32(head[len(head)-4:])) - 4 // the length counts itself
	if rest < 0 {
		return nil, io.ErrUnexpectedEOF
	}
	m := append(head, make([]byte, rest)...)
	_, err := io.ReadFull(r, m[len(head):])
	return m, err
}

// sent records what the client sent
// (https://www.postgresql.org/docs/current/protocol-message-formats.html).
func (w *wire) sent(kind byte, body []byte) {
	last := w.exchanges[len(w.exchanges)-1]
	run := func(text string) {
		w.ran[text] = true
		last.ran = append(last.ran, text)
	}
	switch kind {
	case 'P':
		var m pgproto3.Parse
		if m.Decode(body) == nil {
			w.prepared[m.Name] = m.Query
		}
	case 'B':
		var m pgproto3.Bind
		if m.Decode(body) == nil {
			run(w.prepared[m.PreparedStatement])
		}
	case 'Q':
		var m pgproto3.Query
		if m.Decode(body) == nil {
			run(m.String)
		}
		w.exchanges = append(w.exchanges, &exchange{})
	case 'S':
		w.exchanges = append(w.exchanges, &exchange{})
	}
}

// got records what the server sent, and reports whether to keep it: if the transaction may be cut,
// until the exchange ends.
func (w *wire) got(kind byte, body []byte, cuts []*cut) (keep bool) {
	now := w.exchanges[0]
	switch kind {
	case 'C':
		now.undone = now.undone || strings.HasPrefix(string(body), "ROLLBACK")
	case 'E':
		now.undone = true
	case 'Z':
		return false
	}
	for _, c := range cuts {
		if c.about(w.open) || c.about(now.ran) {
			return true
		}
	}
	return false
}

// cutNow ends an exchange, and reports whether to cut the connection.
func (p *Proxy) cutNow(w *wire, status byte) (cut bool) {
	now := w.exchanges[0]
	w.exchanges = w.exchanges[1:]
	w.open = append(w.open, now.ran...)
	if status != 'I' { // in a transaction
		return false
	}
	open := w.open
	w.open = nil
	if now.undone {
		return false
	}
	left := p.cuts[:0]
	for _, c := range p.cuts {
		if c.about(open) {
			c.n--
		}
		if c.n > 0 {
			left = append(left, c)
			continue
		}
		close(c.made)
		cut = true
	}
	p.cuts = left
	return cut
}

func (c *cut) about(ran []string) bool {
	for _, text := range ran {
		if strings.Contains(text, c.text) {
			return true
		}
	}
	return false
}
