package handlers

import (
	"log/slog"
	"net/http"
	"time"
)

// NewHTTPServer gives a server for [Server.Public] or [Server.Admin] that limits the time
// and the bytes that a client can take. It speaks HTTP/1.1 only, as code hosts do, with
// one call at a time on a connection: a limit of connections is one of calls. The caller
// owns the listener, and shuts the server down.
func NewHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         &protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // since the first byte of the header; readBody and lingering set their own
		WriteTimeout:      60 * time.Second, // since the end of the header: it includes reading the body
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
