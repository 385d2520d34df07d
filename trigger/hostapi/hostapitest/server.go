package hostapitest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a simulator that listens on 127.0.0.1.
type Server struct {
	*Simulator
	URL string // http://127.0.0.1:port, without a slash at the end: the root of every host

	mu     sync.Mutex
	server *http.Server // nil while it is down
	done   chan struct{}
}

// NewServer starts a simulator on a free port. Like httptest.NewServer it panics if it cannot
// listen. The caller must close it.
func NewServer(o Options) *Server {
	s := &Server{Simulator: New(o)}
	s.listen("127.0.0.1:0")
	return s
}

func (s *Server) listen(address string) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		panic(fmt.Sprintf("hostapitest: listen: %v", err))
	}
	s.URL = "http://" + listener.Addr().String()
	server := &http.Server{Handler: s.Simulator, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	s.server, s.done = server, done
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it ends with http.ErrServerClosed
	}()
}

// SetDown stops listening, or listens again at the same address with all that it knew.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case down && s.server != nil:
		_ = s.server.Close()
		<-s.done
		s.server = nil
	case !down && s.server == nil:
		s.listen(s.URL[len("http://"):])
	}
}

// Close stops listening, and cuts all connections, including those of calls that run.
func (s *Server) Close() { s.SetDown(true) }
