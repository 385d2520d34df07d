package handlers

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// A sender that is refused while it still sends the body should read why. If the
// connection were closed at once, what still arrives would make the system reset it,
// and the sender's system would throw away the answer before the sender has read it.
// So the connection is read for a while. This is done for a limited number of connections
// at a time: a stranger must not hold them all.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 32 << 20 // more than the largest body of a known code host, 25 MB
	lingerers   = 64       // connections at a time; others are closed at once
)

// lingering has next answer at once, even if the body was not read: net/http would wait
// for the rest of the body, and a client that stalls would hold a connection. It closes
// the connection after such an answer, and reads it for a while before.
func lingering(next http.Handler) http.Handler {
	slots := make(chan struct{}, lingerers)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		header := w.Header()
		header.Set(echo.HeaderConnection, "close")
		next.ServeHTTP(w, r)
		if header.Get(echo.HeaderConnection) == "" {
			return // keepConnection was called
		}
		until := time.Now()
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			until = until.Add(lingerTime)
		default:
		}
		connection := http.NewResponseController(w)
		// Recorders in tests have no deadlines, and their bodies may have no end.
		if connection.SetReadDeadline(until) != nil || connection.Flush() != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, r.Body, lingerBytes) // the body is not used, and an error changes nothing
	})
}

// keepConnection keeps the connection for a next call: the whole body was read.
func keepConnection(c echo.Context) { c.Response().Header().Del(echo.HeaderConnection) }
