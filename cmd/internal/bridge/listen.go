package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"

	"golang.org/x/net/netutil"

	"buildbridge/cmd/internal/certificate"
	"buildbridge/handlers"
)

// listener is an open address.
type listener struct {
	net.Listener
	name string
	tls  *tls.Config // nil for HTTP
}

// PublicURL is the address for code hosts, http://host:port or https. It has the port that
// was taken for port 0.
func (b *Bridge) PublicURL() string { return b.public.url() }

// AdminURL is the address of health, metrics and the admin API.
func (b *Bridge) AdminURL() string { return b.admin.url() }

// PagesURL is the address of the pages for reading; "" if there is no listener for them.
func (b *Bridge) PagesURL() string {
	if b.pages == nil {
		return ""
	}
	return b.pages.url()
}

func (l *listener) url() string {
	if l.tls != nil {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// listen opens the address of a flag until Stop. Connections beyond the limit wait in the
// queue of the operating system until others are closed.
func (b *Bridge) listen(ctx context.Context, name, flag, address string, files certificate.Files) (*listener, error) {
	l := &listener{name: name}
	var err error
	if files != (certificate.Files{}) {
		if l.tls, err = files.Load(b.log); err != nil { //nolint:contextcheck // each connection has its own
			return nil, fmt.Errorf("%s listener: %w", name, err)
		}
	}
	tcp, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s listener (%s): %w", name, flag, InUse(err))
	}
	l.Listener = tcp
	if limit := b.o.MaxConnections; limit > 0 {
		l.Listener = netutil.LimitListener(tcp, limit)
	}
	b.later(func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("%s listener: %w", name, err)
		}
		return nil
	})
	return l, nil
}

// InUse adds to the error of a listener what to do if another process has its address.
func InUse(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: stop the process that listens there, or give another address", err)
	}
	return err
}

// serve answers requests until shut is called. That waits for requests under way, at most
// until its ctx ends.
func (b *Bridge) serve(l *listener, handler http.Handler) (shut func(ctx context.Context) error) {
	server := handlers.NewHTTPServer(handler, b.log)
	server.TLSConfig = l.tls
	b.loops.Go(func() {
		var err error
		if l.tls != nil {
			err = server.ServeTLS(l, "", "")
		} else {
			err = server.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			b.failed <- fmt.Errorf("%s listener: %w", l.name, err)
		}
	})
	return func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // whoever is cut off was not answered
		}
		if err != nil {
			return fmt.Errorf("%s listener: %w", l.name, err)
		}
		return nil
	}
}
