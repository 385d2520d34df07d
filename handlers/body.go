package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"buildbridge/mapping"
)

const (
	// bodyTimeout bounds the reading of one body: no known code host waits longer.
	bodyTimeout = 15 * time.Second
	// firstRead is how much memory a body gets before any of it has arrived, whatever
	// its Content-Length says.
	firstRead = 64 << 10
	// smallBody is the size in bytes up to which bodies use the same memory one after the
	// other. Most bodies are that small, and would be half of all garbage.
	smallBody = 16 << 10
	// busyWait is how long a call waits if other bodies take all the memory or all the
	// slots. Then it is told to come again, which many code hosts never do. A call that
	// waits for memory does not read on.
	busyWait = 2 * time.Second
	// busyRetryAfter is when it should come again.
	busyRetryAfter = 5 * time.Second
)

// bodyMemory is the memory that all bodies under way share.
type bodyMemory struct {
	bytes *semaphore.Weighted // what is free of it
	small sync.Pool           // of *[smallBody]byte
}

// requestBody is a body, or the part of it that has arrived.
type requestBody struct {
	raw    []byte
	memory *bodyMemory
	held   int64 // bytes of the memory
}

// free gives the memory back. The body must not be used after it.
func (b *requestBody) free() {
	if cap(b.raw) == smallBody {
		b.memory.small.Put((*[smallBody]byte)(b.raw[:smallBody]))
	}
	b.memory.bytes.Release(b.held)
}

// readBody reads the whole body once, within the body timeout and the limit of the
// source. It counts what has arrived against the memory of all bodies. The caller frees
// the body.
func (s *Server) readBody(c echo.Context, source *Source) (b requestBody, err error) {
	r := c.Request()
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Content-Encoding"), ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return b, refuse(http.StatusUnsupportedMediaType, encoding, "send the body without Content-Encoding", nil)
		}
	}
	// A body that is larger than all the memory is too large: sending it again is no use.
	limit := min(cmp.Or(source.MaxBody, mapping.DefaultMaxBody), s.options.MaxBodyMemory-1)
	if r.ContentLength > limit {
		return b, larger(limit)
	}

	// If the deadline passes after the body was read, net/http cancels the request's
	// context, which the rest of the work does not use. Recorders in tests have no
	// deadlines: the error says no more than that.
	_ = http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Now().Add(bodyTimeout))

	most := limit // what the body can have, and a byte by which its end is noticed
	if r.ContentLength >= 0 {
		most = r.ContentLength
	}
	most++
	b.memory = &s.memory
	defer func() {
		if err != nil {
			b.free()
		}
	}()
	until := time.Now().Add(busyWait)
	reader := http.MaxBytesReader(c.Response().Writer, r.Body, limit)
	for {
		if len(b.raw) == cap(b.raw) {
			if err := b.grow(r.Context(), until, most); err != nil {
				return b, err
			}
		}
		n, err := reader.Read(b.raw[len(b.raw):cap(b.raw)])
		b.raw = b.raw[:len(b.raw)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
				return b, larger(limit)
			}
			return b, refuse(http.StatusBadRequest, malformed, "the body ended early or came too slowly", err)
		}
	}
	keepConnection(c)
	return b, nil
}

// grow doubles the memory of a body, up to a number of bytes. It waits for it until
// the time given, which is the same for all steps of a body. A body that waits keeps what it
// has: they do not wait for each other for long.
func (b *requestBody) grow(ctx context.Context, until time.Time, most int64) error {
	size := min(max(2*b.held, firstRead), most)
	// A slow body may grow after that time, if the memory is free.
	if !b.memory.bytes.TryAcquire(size - b.held) {
		ctx, cancel := context.WithDeadline(ctx, until)
		defer cancel()
		if b.memory.bytes.Acquire(ctx, size-b.held) != nil {
			return comeAgain()
		}
	}
	b.held = size
	if size > smallBody {
		b.raw = append(make([]byte, 0, size), b.raw...)
		return nil
	}
	// It may take up to smallBody, of which only size is counted.
	used, ok := b.memory.small.Get().(*[smallBody]byte)
	if !ok {
		used = new([smallBody]byte)
	}
	b.raw = append(used[:0], b.raw...)
	return nil
}

func larger(limit int64) *Refusal {
	return refuse(http.StatusRequestEntityTooLarge, tooLarge, fmt.Sprintf("the body is larger than %d bytes", limit), nil)
}

// inSlot decodes a body of a size. A large one waits for a slot first. A sender that hangs
// up meanwhile does not stop it: the whole body is there.
func (s *Server) inSlot(size int, began time.Time, decode func() error) error {
	if size <= largeBody {
		return decode()
	}
	timer := time.NewTimer(timeLeft(began, answerWithin-leastTime, busyWait)) // the commit takes time too
	defer timer.Stop()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
		return decode()
	case <-timer.C:
		return comeAgain()
	}
}

// comeAgain refuses a call while there are too many others.
func comeAgain() *Refusal {
	return &Refusal{Answer: Answer{
		Status: http.StatusServiceUnavailable, Outcome: unavailable, Reason: busy,
		Detail: "too many bodies at once; send it again", RetryAfter: busyRetryAfter,
	}}
}
