package handlers

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Whoever is refused while the body is still on its way is to read why. To close the
// connection at once would not do: what arrives at a closed connection makes the
// system reset it, and the sender's system then throws away the answer that the
// sender has not read yet. So the connection is read on for a while. Only some are at
// a time: a stranger must not hold them all.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 32 << 20 // more than the largest body of a known code host, 25 MB
	lingerers   = 64       // at a time; the connections of others are closed at once
)

// lingering answers at once, whether the body was read or not: net/http would wait
// for the rest of it, and a client that stalls would hold us. Such an answer closes
// the connection, which is read on before.
func lingering(next http.Handler) http.Handler {
	turns := make(chan struct{}, lingerers)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		header := w.Header()
		header.Set(echo.HeaderConnection, "close")
		next.ServeHTTP(w, r)
		if header.Get(echo.HeaderConnection) == "" {
			return // see bodyIsRead
		}
		until := time.Now()
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			until = until.Add(lingerTime)
		default:
		}
		connection := http.NewResponseController(w)
		// Recorders in tests have no deadlines, and bodies that may never end.
		if connection.SetReadDeadline(until) != nil || connection.Flush() != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, r.Body, lingerBytes) // whatever ends it: nobody wants the body
	})
}

// bodyIsRead keeps the connection for a next call.
func bodyIsRead(c echo.Context) { c.Response().Header().Del(echo.HeaderConnection) }
