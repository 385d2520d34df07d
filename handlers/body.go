package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// firstRead is how much room a body gets before any of it has arrived, however
// long it says it is.
const firstRead = 64 << 10

// What happens when the bodies of others take all the memory there is for them,
// or all the turns: a sender is kept waiting for a moment, for memory by not
// reading on, and then told to come again. Many code hosts never do.
const (
	busyWait       = 2 * time.Second
	busyRetryAfter = 5 * time.Second
)

// smallBody is the size in bytes up to which a body is read into memory that was
// another's before: most are that small, and would be half of all garbage.
const smallBody = 16 << 10

// readBody reads the whole body once, at most limit bytes, within the body
// timeout. What it takes is counted against the memory of all bodies, as it
// arrives: raw and held are to be released when the body is done with, after an
// error too.
func (s *Server) readBody(c echo.Context, limit int64) (raw []byte, held int64, err error) {
	r := c.Request()
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Content-Encoding"), ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return nil, 0, refuse(http.StatusUnsupportedMediaType, encoding, "send the body without Content-Encoding", nil)
		}
	}
	if r.ContentLength > limit {
		return nil, 0, larger(limit)
	}

	// The deadline may pass later without harm: net/http cancels the request's
	// context then, and the work does not depend on it. Recorders in tests have no
	// deadlines, hence no error is looked at.
	_ = http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Now().Add(s.options.BodyTimeout))

	most := limit // that the body can have, and a byte that notices its end
	if r.ContentLength >= 0 {
		most = r.ContentLength
	}
	most++
	until := time.Now().Add(busyWait)
	body := http.MaxBytesReader(c.Response().Writer, r.Body, limit)
	for {
		if len(raw) == cap(raw) {
			room := min(max(2*held, firstRead), most)
			if err := s.takeMemory(r.Context(), until, room-held); err != nil {
				return raw, held, err
			}
			held = room
			raw = append(s.room(room), raw...) // a small one may take up to smallBody, uncounted
		}
		n, err := body.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return raw, held, larger(limit)
			}
			return raw, held, refuse(http.StatusBadRequest, malformed, "the body ended early or came too slowly", err)
		}
	}
	bodyIsRead(c)
	return raw, held, nil
}

// room is memory for a body, or for the beginning of one.
func (s *Server) room(bytes int64) []byte {
	if bytes <= smallBody {
		if used, ok := s.small.Get().(*[smallBody]byte); ok {
			return used[:0]
		}
		bytes = smallBody
	}
	return make([]byte, 0, bytes)
}

// release gives back what readBody took. Nobody may have kept any of it.
func (s *Server) release(raw []byte, held int64) {
	if cap(raw) == smallBody {
		s.small.Put((*[smallBody]byte)(raw[:smallBody]))
	}
	s.bodies.Release(held)
}

// larger refuses a body.
func larger(limit int64) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, tooLarge, fmt.Sprintf("the body is larger than %d bytes", limit), nil)
}

// takeMemory takes bytes of the memory of all bodies, and waits for them until that
// time. Bodies that wait hold what they have of it; so that they do not all wait
// for each other, none does so for long.
func (s *Server) takeMemory(ctx context.Context, until time.Time, bytes int64) error {
	// The time is that of the whole body: one that comes slowly outlives it, and is to
	// have what nobody else wants.
	if s.bodies.TryAcquire(bytes) {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if err := s.bodies.Acquire(ctx, bytes); err != nil {
		return comeAgain()
	}
	return nil
}

// takeTurn waits until a large body may be decoded, and gives how to end its turn.
// A sender that hangs up meanwhile does not stop it: the body is all there.
func (s *Server) takeTurn(began time.Time) (end func(), err error) {
	timer := time.NewTimer(s.left(began, answerWithin-atLeast, busyWait)) // the store has to follow
	defer timer.Stop()
	select {
	case s.large <- struct{}{}:
		return func() { <-s.large }, nil
	case <-timer.C:
		return nil, comeAgain()
	}
}

// comeAgain refuses a call for those of others.
func comeAgain() *refusal {
	return &refusal{answer: answer{
		status: http.StatusServiceUnavailable, Outcome: unavailable, Reason: busy,
		Detail: "too many bodies at once; send it again", retryAfter: busyRetryAfter,
	}}
}
