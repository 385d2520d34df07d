// Package logwriter writes a log without ever blocking the program.
//
// A [Writer] keeps lines in memory and writes them in the background, in order. If nobody
// reads the log fast enough, or at all, lines are dropped and counted. As soon as lines can
// be written again, one says how many are missing in that place.
package logwriter

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// limit is how many bytes may wait: about 8,000 lines.
	limit = 4 << 20
	// usual is how many bytes of memory are kept after the lines have been written.
	usual = 64 << 10
)

// Writer is an io.Writer of whole lines. All methods are safe for concurrent use.
type Writer struct {
	to      io.Writer
	gap     func(lines int) []byte
	dropped atomic.Int64
	done    chan struct{}

	mu      sync.Mutex
	more    sync.Cond // signals that waiting or closed has changed
	waiting []byte
	behind  int // lines that were dropped after those in waiting
	closed  bool
}

// New returns a Writer to an io.Writer. gap returns the line that says how many lines are
// missing. The caller closes the Writer.
func New(to io.Writer, gap func(lines int) []byte) *Writer {
	w := &Writer{to: to, gap: gap, done: make(chan struct{})}
	w.more.L = &w.mu
	go w.run()
	return w
}

// Write takes one or more lines. It never blocks and never fails: lines that do not fit are
// dropped.
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

// Dropped is how many lines were dropped.
func (w *Writer) Dropped() int64 { return w.dropped.Load() }

// Close writes the lines that wait, for at most the given time. Lines after Close are
// dropped.
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

// drop counts lines as dropped.
func (w *Writer) drop(lines []byte) int {
	n := bytes.Count(lines, []byte{'\n'})
	w.dropped.Add(int64(n))
	return n
}

// take waits for lines, and returns them and how many were dropped after them; none after
// Close. It reuses the memory of the lines of the call before.
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
		missing int  // lines that no line in the log stands for yet
		torn    bool // whether the last line is incomplete
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
