// Package logwriter writes a log that may not hold the program up.
//
// A [Writer] keeps the lines it is given and writes them in the background, in their
// order. Whoever reads them may stand still, or be gone: then lines are dropped and
// counted once its memory is full, or cannot be written. A line in their place says
// how many there were, as soon as one can be written again.
package logwriter

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// limit is how many bytes of lines may wait: some 8,000 lines.
	limit = 4 << 20
	// usual is how much of their memory is kept when they have been written.
	usual = 64 << 10
)

// Writer is an io.Writer of whole lines. All methods are safe for concurrent use.
type Writer struct {
	to      io.Writer
	gap     func(lines int) []byte
	dropped atomic.Int64
	done    chan struct{}

	mu      sync.Mutex
	more    sync.Cond // waiting or closed changed
	waiting []byte
	behind  int //  lines dropped that would have come behind those waiting
	closed  bool
}

// New gives a Writer to an io.Writer. gap gives the line that says how many are not
// there. The caller closes the Writer.
func New(to io.Writer, gap func(lines int) []byte) *Writer {
	w := &Writer{to: to, gap: gap, done: make(chan struct{})}
	w.more.L = &w.mu
	go w.run()
	return w
}

// Write takes a line, or several. It never waits and never fails: lines for which
// there is no room are dropped.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.waiting)+len(lines) > limit {
		w.behind += w.drop(lines)
		return len(lines), nil
	}
	w.waiting = append(w.waiting, lines...)
	w.more.Signal()
	return len(lines), nil
}

// Dropped is how many lines were not written, and never will be.
func (w *Writer) Dropped() int64 { return w.dropped.Load() }

// Close writes what waits, and returns when that is done, or a time is over. Lines
// that come later are dropped.
func (w *Writer) Close(within time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.more.Signal()
	w.mu.Unlock()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
	}
}

// drop counts lines that are not written.
func (w *Writer) drop(lines []byte) int {
	n := bytes.Count(lines, []byte{'\n'})
	w.dropped.Add(int64(n))
	return n
}

// take waits for lines, and gives them and how many were dropped behind them, for
// memory that is not used any more. There are none at the end.
func (w *Writer) take(used []byte) (lines []byte, behind int) {
	if cap(used) > usual {
		used = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.waiting) == 0 && !w.closed {
		w.more.Wait()
	}
	lines, behind = w.waiting, w.behind
	w.waiting, w.behind = used[:0], 0
	return lines, behind
}

// run writes until Close.
func (w *Writer) run() {
	defer close(w.done)
	var (
		missing int  // lines, of which nobody was told
		torn    bool // the last line has no end
	)
	write := func(text []byte) (left []byte) {
		n, err := w.to.Write(text)
		if n > 0 {
			torn = text[n-1] != '\n'
		}
		if err != nil {
			return text[n:]
		}
		return nil
	}
	tell := func() {
		if missing == 0 {
			return
		}
		text := w.gap(missing)
		if torn {
			text = append([]byte{'\n'}, text...)
		}
		if write(text) == nil {
			missing = 0
		}
	}
	for lines, behind := w.take(nil); len(lines)+behind > 0; lines, behind = w.take(lines) {
		tell()
		missing += w.drop(write(lines)) + behind
		tell()
	}
}
