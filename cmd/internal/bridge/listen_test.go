package bridge_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"buildbridge/cmd/internal/bridge"
	"buildbridge/cmd/internal/certificate/certificatetest"
	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
	"buildbridge/trigger/codearts/codeartstest"
)

// insecurely speaks TLS with anybody, and HTTP/2 if the other side does.
func (w *world) insecurely() {
	w.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}
}

// served returns the name of the certificate that an https URL is served with.
func (w *world) served(url string, versions ...uint16) (string, error) {
	config := &tls.Config{InsecureSkipVerify: true}
	if len(versions) == 1 {
		config.MinVersion, config.MaxVersion = versions[0], versions[0]
	}
	connection, err := (&tls.Dialer{Config: config}).DialContext(w.t.Context(), "tcp", strings.TrimPrefix(url, "https://"))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestTLS(t *testing.T) {
	public, admin := t.TempDir(), t.TempDir()
	w := newWorld(t, func(o *bridge.Options) {
		o.TLS, o.AdminTLS = certificatetest.Write(t, public, "public"), certificatetest.Write(t, admin, "admin")
	})
	w.insecurely()
	w.accept("1", push(), "")
	w.finished("cart", "started", 1) // asks the admin listener

	for url, name := range map[string]string{w.PublicURL(): "public", w.AdminURL(): "admin"} {
		if got, err := w.served(url); err != nil || got != name {
			t.Errorf("%s has the certificate of %q, error %v, want that of %s", url, got, err, name)
		}
		if got, err := w.served(url, tls.VersionTLS12); err != nil || got != name {
			t.Errorf("%s by TLS 1.2: certificate of %q, error %v", url, got, err)
		}
		if _, err := w.served(url, tls.VersionTLS11); err == nil {
			t.Errorf("%s speaks TLS 1.1", url)
		}
	}
	res, err := w.http.Get(w.AdminURL() + "/healthz") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.ProtoMajor != 1 {
		t.Errorf("it speaks %s: a connection would be many calls", res.Proto)
	}

	// Both are replaced while they serve; a broken one is not taken up.
	certificatetest.Write(t, public, "public again")
	w.eventually("the new certificate is served", func() bool {
		got, err := w.served(w.PublicURL())
		return err == nil && got == "public again"
	})
	certificatetest.Replace(t, filepath.Join(admin, "tls.crt"), []byte("no certificate"))
	w.eventually("the broken certificate is told of", func() bool {
		if got, err := w.served(w.AdminURL()); err != nil || got != "admin" {
			t.Fatalf("the admin listener has the certificate of %q, error %v, want the old one", got, err)
		}
		return strings.Contains(w.logs.String(), "certificate not reloaded")
	})
	certificatetest.Write(t, admin, "admin again")
	w.eventually("the fixed certificate is served", func() bool {
		got, err := w.served(w.AdminURL())
		return err == nil && got == "admin again"
	})
	if strings.Contains(w.logs.String(), "PRIVATE") {
		t.Error("a key is in the log")
	}
}

// dial connects to the public listener, speaking nothing.
func (w *world) dial() net.Conn {
	w.t.Helper()
	connection, err := new(net.Dialer).DialContext(w.t.Context(), "tcp", strings.TrimPrefix(strings.TrimPrefix(w.PublicURL(), "http://"), "https://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(deadline)); err != nil {
		w.t.Fatal(err)
	}
	return connection
}

// unknown asks for a source that is not there, and wants to be told so.
func unknown(t *testing.T, connection net.Conn) {
	t.Helper()
	if _, err := io.WriteString(connection, "POST /webhooks/nobody HTTP/1.1\r\nHost: bridge\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("status %d, want 404", res.StatusCode)
	}
}

// Connections beyond the limit are not refused: they wait until one of the others
// ends.
func TestConnectionsAreLimited(t *testing.T) {
	w := newWorld(t, func(o *bridge.Options) { o.MaxConnections = 3 })
	var held []net.Conn
	for range 3 {
		connection := w.dial()
		unknown(t, connection) // it is served, and kept for a next call
		held = append(held, connection)
	}
	waiting := w.dial()
	if _, err := io.WriteString(waiting, "POST /webhooks/nobody HTTP/1.1\r\nHost: bridge\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := waiting.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := waiting.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatalf("the fourth connection of three is not kept waiting: %v", err)
	}
	unknown(t, held[0]) // the others are served meanwhile
	if status, _ := w.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz is %d: the admin listener has its own limit", status)
	}
	if err := held[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := waiting.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(waiting), nil)
	if err != nil {
		t.Fatalf("the one that waited is not served: %v", err)
	}
	_ = res.Body.Close()
}

// A connection that says nothing, half a header or half a handshake does not
// stay.
func TestHalfOpenConnectionsAreClosed(t *testing.T) {
	plain := newWorld(t, func(o *bridge.Options) { o.MaxConnections = 2 })
	secure := newWorld(t, func(o *bridge.Options) {
		o.TLS, o.MaxConnections = certificatetest.Write(t, t.TempDir(), "public"), 2
	})
	for name, test := range map[string]struct {
		world *world
		says  string
	}{
		"nothing":               {plain, ""},
		"half a header":         {plain, "POST /webhooks/github HTTP/1.1\r\nHost: bridge\r\nX-Slow: "},
		"nothing, by TLS":       {secure, ""},
		"half a handshake":      {secure, "\x16\x03\x01\x02\x00\x01\x00"},
		"HTTP where TLS spoken": {secure, "POST /"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connection := test.world.dial()
			if _, err := io.WriteString(connection, test.says); err != nil {
				t.Fatal(err)
			}
			// Whatever the last words are, the end comes: after 5 s.
			if _, err := io.Copy(io.Discard, connection); os.IsTimeout(err) {
				t.Error("the connection stays open")
			}
		})
	}
}

func TestHugeHeaderIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, header := range map[string]string{
		"one long one": "X-Long: " + strings.Repeat("x", 1<<20) + "\r\n",
		"many":         strings.Repeat("X-Many: x\r\n", 100_000),
		"a long path":  "",
	} {
		t.Run(name, func(t *testing.T) {
			connection := w.dial()
			path := "/webhooks/github"
			if header == "" {
				path += strings.Repeat("x", 1<<20)
			}
			// It may be closed before all is written.
			_, _ = io.WriteString(connection, "POST "+path+" HTTP/1.1\r\nHost: bridge\r\n"+header+"\r\n")
			res, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				t.Logf("cut off before the answer could be read, which is well too: %v", err)
				return
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("status %d, want 431", res.StatusCode)
			}
		})
	}
	w.accept("1", push(), "") // it serves on
}

// What a client says of its own address counts only if a trusted proxy passes it
// on; and a source's limit is one for all clients, whatever they say.
func TestAddressBehindAProxy(t *testing.T) {
	lines := []string{"    max_body: 4KiB\n", "    max_body: 4KiB\n    allow_from: [203.0.113.0/24]\n"}
	for name, test := range map[string]struct {
		trusted   []netip.Prefix
		forwarded string
		status    int
	}{
		"a trusted proxy passes on an address that is listed":     {trusted: loopback(), forwarded: "203.0.113.9", status: http.StatusAccepted},
		"a trusted proxy passes on another":                       {trusted: loopback(), forwarded: "198.51.100.1", status: http.StatusForbidden},
		"the client put a listed one before it":                   {trusted: loopback(), forwarded: "203.0.113.9, 198.51.100.1", status: http.StatusForbidden},
		"the client says it came by a trusted proxy":              {trusted: loopback(), forwarded: "203.0.113.9, 127.0.0.1, 198.51.100.1", status: http.StatusForbidden},
		"a trusted proxy passes on nothing":                       {trusted: loopback(), status: http.StatusForbidden},
		"nobody is trusted: the header is the client's invention": {forwarded: "203.0.113.9", status: http.StatusForbidden},
		"another proxy is trusted": {
			trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, forwarded: "203.0.113.9", status: http.StatusForbidden,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *bridge.Options) { o.Handlers.TrustedProxies = test.trusted })
			w.rules.Store(strings.Replace(w.rules.Load().(string), lines[0], lines[1], 1))
			w.Reload(t.Context())
			header, body := delivery("1", push(), "")
			if test.forwarded != "" {
				header.Set("X-Forwarded-For", test.forwarded)
			}
			if a := w.post("/webhooks/github", header, body); a.status != test.status {
				t.Errorf("status %d: %s, want %d", a.status, a.raw, test.status)
			}
		})
	}
	t.Run("a limit of deliveries is not got round by many addresses", func(t *testing.T) {
		w := newWorld(t, func(o *bridge.Options) { o.Handlers.TrustedProxies = loopback() })
		w.rules.Store(strings.Replace(w.rules.Load().(string), lines[0], lines[0]+"    rate_limit: {per_second: 0.001, burst: 3}\n", 1))
		w.Reload(t.Context())
		var got []int
		for i := range 5 {
			header, body := delivery(fmt.Sprint(i), push(), "")
			header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
			got = append(got, w.post("/webhooks/github", header, body).status)
		}
		if want := []int{202, 202, 202, 429, 429}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("statuses %v, want %v", got, want)
		}
	})
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// A full queue takes nothing, says so, and takes deliveries again when there is
// room.
func TestQueueFull(t *testing.T) {
	w := newWorld(t, func(o *bridge.Options) { o.Trigger.MaxWaiting = 1 })
	if err := w.simulator.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Status: 429, RetryAfter: 1}); err != nil {
		t.Fatal(err)
	}
	w.accept("1", push(), "")
	header, body := delivery("2", push(), "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.PublicURL()+"/webhooks/github", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := w.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !strings.Contains(string(text), `"queue_full"`) {
		t.Errorf("status %d, Retry-After %q: %s", res.StatusCode, res.Header.Get("Retry-After"), text)
	}
	if status, ready := w.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(ready, "too many builds wait already: 1 of at most 1") {
		t.Errorf("/readyz is %d: %s", status, ready)
	}
	if got := w.metric(`buildbridge_deliveries_total{outcome="unavailable",provider="github",reason="queue_full",source="github"}`); got != "1" {
		t.Errorf("queue_full is counted %q times, want 1", got)
	}
	w.simulator.ClearFaults()
	w.finished("cart", "started", 1)
	w.eventually("/readyz is well again", func() bool {
		status, _ := w.get("/readyz")
		return status == http.StatusOK
	})
	w.accept("2", push(), "")
	w.finished("cart", "started", 2)
}

// The files of a source's secrets are noticed by themselves, whatever the rules
// are like at that time.
func TestSecretFilesAreWatched(t *testing.T) {
	dir := t.TempDir()
	put := func(name, value string) { certificatetest.Replace(t, filepath.Join(dir, name), []byte(value)) }
	put("first", "old\n")
	put("second", "spare")
	w := newWorld(t)
	w.rules.Store(strings.Replace(fmt.Sprintf(rules, w.simulator.URL), "{env: E2E_SECRET}",
		"{file: "+filepath.Join(dir, "first")+"}, {file: "+filepath.Join(dir, "second")+"}", 1))
	w.Reload(t.Context())
	var n int
	status := func(secret string) int {
		n++
		header, body := codehosttest.GitHub(fmt.Sprint(n), push(), "")
		codehost.Sign("github", secret, header, body)
		return w.post("/webhooks/github", header, body).status
	}
	expect := func(secret string, want int) {
		t.Helper()
		if got := status(secret); got != want {
			t.Errorf("secret %q gives %d, want %d", secret, got, want)
		}
	}
	taken := func(secret string) {
		t.Helper()
		w.eventually("the secret "+secret+" is taken", func() bool { return status(secret) == http.StatusAccepted })
	}
	expect("old", http.StatusAccepted)
	expect("spare", http.StatusAccepted)

	const reloaded = "buildbridge_rules_reload_successful"
	w.rules.Store("\t{")
	w.Reload(t.Context())
	put("first", "new\n")
	taken("new")
	expect("old", http.StatusUnauthorized)
	expect("spare", http.StatusAccepted)
	if got := w.metric(reloaded); got != "0" {
		t.Errorf("%s is %q after the rotation, want 0: the rules are as broken as before", reloaded, got)
	}

	// What cannot be read changes nothing, and is told once.
	put("second", "")
	w.eventually("the empty file is told of", func() bool { return strings.Contains(w.logs.String(), "secrets cannot be read") })
	expect("new", http.StatusAccepted)
	expect("spare", http.StatusAccepted)
	put("second", "another")
	taken("another")
	expect("spare", http.StatusUnauthorized)
	if got := strings.Count(w.logs.String(), "secrets cannot be read"); got != 1 {
		t.Errorf("the empty file is told of %d times, want once", got)
	}
	if w.metric(`buildbridge_signature_key_used_total{key="secrets[0]",source="github"}`) != "3" ||
		w.metric(`buildbridge_signature_key_used_total{key="secrets[1]",source="github"}`) != "4" {
		_, text := w.get("/metrics")
		t.Errorf("keys are not counted by their places: %s", text)
	}
}
