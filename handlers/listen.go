package handlers

import (
	"log/slog"
	"net/http"
	"time"
)

// NewHTTPServer gives a server for [Server.Public] or [Server.Admin] with
// limits on everything a client can draw out or blow up. It speaks HTTP/1.1
// alone, as code hosts do: one call a connection, so that a limit of connections
// is one of calls. The caller owns the listener, and shuts the server down.
func NewHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         &protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // from the first byte of the header; readBody and lingering set their own
		WriteTimeout:      60 * time.Second, // from the end of the header, so reading the body counts
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
