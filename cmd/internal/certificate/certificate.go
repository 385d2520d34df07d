// Package certificate serves TLS with a certificate that can be replaced on disk
// while it is served.
package certificate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// look is how often the files are looked at, at the most: at a handshake, so a
// bridge that nobody calls looks at nothing.
const look = 2 * time.Second

// Files is a certificate, with the chain behind it, and its private key, both PEM. The
// zero value means no TLS. The tags are for the command line.
type Files struct {
	Cert string `placeholder:"PATH" help:"Certificate of the listener with its chain, PEM. Read again when it changes."`
	Key  string `placeholder:"PATH" help:"Its private key, PEM."`
}

// Load reads the files and gives a server's configuration: TLS 1.2 and above,
// HTTP/1.1. A handshake that comes at least two seconds after the last look takes
// up files that have changed. A new pair that cannot be used, because it is broken
// or only half replaced, is logged, and the old one serves on.
func (f Files) Load(log *slog.Logger) (*tls.Config, error) {
	if f.Cert == "" || f.Key == "" {
		return nil, errors.New("a certificate and its key belong together: give both files")
	}
	p := &pair{files: f, log: log, looked: time.Now()}
	p.seen = p.look()
	var err error
	if p.cert, err = f.read(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current(), nil },
	}, nil
}

// read reads the pair. The error never has anything of the key.
func (f Files) read() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	return &cert, nil
}

// pair is the certificate that is served.
type pair struct {
	files Files
	log   *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate
	seen   [2]os.FileInfo // as they were when they were last read, or tried to
	looked time.Time
}

func (p *pair) current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.looked) < look {
		return p.cert
	}
	p.looked = now
	seen := p.look()
	if same(seen[0], p.seen[0]) && same(seen[1], p.seen[1]) {
		return p.cert
	}
	p.seen = seen
	cert, err := p.files.read()
	if err != nil {
		p.log.Error("certificate not reloaded, the old one serves on", "error", err)
		return p.cert
	}
	p.cert = cert
	p.log.Info("certificate reloaded", "certificate", p.files.Cert, "not_after", cert.Leaf.NotAfter)
	return cert
}

// look gives what the files are, nil for one that is not there.
func (p *pair) look() (infos [2]os.FileInfo) {
	for i, name := range []string{p.files.Cert, p.files.Key} {
		if info, err := os.Stat(name); err == nil {
			infos[i] = info
		}
	}
	return infos
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
