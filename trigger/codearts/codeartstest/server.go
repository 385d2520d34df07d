package codeartstest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server is a simulator that listens on 127.0.0.1.
type Server struct {
	*Simulator
	URL string // http://127.0.0.1:port, without a slash at the end

	server *http.Server
	done   chan struct{}
}

// NewServer starts a simulator on a free port. Like httptest.NewServer it panics if it cannot
// listen. The caller must close it.
func NewServer(o Options) *Server {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("codeartstest: listen: %v", err))
	}
	simulator := New(o)
	s := &Server{
		Simulator: simulator,
		URL:       "http://" + listener.Addr().String(),
		server:    &http.Server{Handler: simulator, ReadHeaderTimeout: time.Minute},
		done:      make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(listener) // it ends with http.ErrServerClosed
	}()
	return s
}

// Close stops listening, and cuts all connections, including those of calls that run.
func (s *Server) Close() {
	_ = s.server.Close()
	<-s.done
}
