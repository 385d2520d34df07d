// Package certificate serves TLS with a certificate that can be replaced on disk
// while it is served.
package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"buildbridge/cmd/internal/filestate"
)

// interval is how often the files are looked at, at the most. They are looked at when a
// client connects, so not at all if none does.
const interval = 2 * time.Second

// Files is a certificate, with the chain behind it, and its private key, both PEM. The
// zero value means no TLS. The tags are for the command line, which sets listener.
type Files struct {
	Cert string `placeholder:"PATH" help:"Certificate for ${listener}, with its chain, PEM. Read again when it changes."`
	Key  string `placeholder:"PATH" help:"Private key of the certificate for ${listener}, PEM."`
}

// Load reads the files and returns a server's configuration: TLS 1.2 and above, HTTP/1.1.
// A client that connects two seconds after the last look, or later, gets files that have
// changed. If the new pair cannot be used, because it is broken or only half replaced, that
// is logged, and the old pair stays in use.
func (f Files) Load(log *slog.Logger) (*tls.Config, error) {
	if f.Cert == "" || f.Key == "" {
		return nil, errors.New("a certificate and its key belong together: give both files")
	}
	p := &pair{files: f, log: log, looked: time.Now(), state: filestate.Of(f.Cert, f.Key)}
	var err error
	if p.cert, err = f.read(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return p.current(hello.Context()), nil
		},
	}, nil
}

// read reads the pair. The error never contains the key.
func (f Files) read() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	return &cert, nil
}

// pair is the certificate in use.
type pair struct {
	files Files
	log   *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate
	state  string // of the files, when they were last read, with success or not
	looked time.Time
}

// current returns the certificate, after reading it again if its files have changed.
func (p *pair) current(ctx context.Context) *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) < interval {
		return p.cert
	}
	p.looked = time.Now()
	state := filestate.Of(p.files.Cert, p.files.Key)
	if state == p.state {
		return p.cert
	}
	p.state = state
	cert, err := p.files.read()
	if err != nil {
		p.log.LogAttrs(ctx, slog.LevelError, "certificate not reloaded, the old one stays in use", slog.String("error", err.Error()))
		return p.cert
	}
	p.cert = cert
	p.log.LogAttrs(ctx, slog.LevelInfo, "certificate reloaded",
		slog.String("certificate", p.files.Cert), slog.Time("not_after", cert.Leaf.NotAfter))
	return cert
}
