package logwriter_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"buildbridge/cmd/internal/logwriter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reader takes lines unless it stands still, or is full or gone.
type reader struct {
	still chan struct{} // closed when it stands still no more; nil if it does not
	text  bytes.Buffer
	room  int // in bytes; then it is full. Below 0 there is no end of it.
}

func (r *reader) Write(p []byte) (int, error) {
	if r.still != nil {
		<-r.still
	}
	n := len(p)
	if r.room >= 0 {
		n = min(n, r.room)
		r.room -= n
	}
	r.text.Write(p[:n])
	if n < len(p) {
		return n, errors.New("full")
	}
	return n, nil
}

func gap(lines int) []byte { return fmt.Appendf(nil, "%d are missing\n", lines) }

// write writes lines with numbers, of 1 kB each, and gives them.
func write(t *testing.T, w io.Writer, from, to int) string {
	var all strings.Builder
	for i := from; i < to; i++ {
		line := fmt.Sprintf("%1023d\n", i)
		if n, err := io.WriteString(w, line); n != len(line) || err != nil {
			t.Errorf("line %d: %d bytes, error %v", i, n, err)
		}
		all.WriteString(line)
	}
	return all.String()
}

// dropped compares the count.
func dropped(t *testing.T, w *logwriter.Writer, want int64) {
	t.Helper()
	if got := w.Dropped(); got != want {
		t.Errorf("%d lines are counted as dropped, want %d", got, want)
	}
}

// wrote compares what the reader has.
func (r *reader) wrote(t *testing.T, want string) {
	t.Helper()
	if got := r.text.String(); got != want {
		t.Errorf("it has %d bytes that end in %q, want %d that end in %q", len(got), got[max(0, len(got)-60):], len(want), want[max(0, len(want)-60):])
	}
}

func TestAllIsWrittenInOrder(t *testing.T) {
	r := &reader{room: -1}
	w := logwriter.New(r, gap)
	var writers sync.WaitGroup
	for i := range 10 {
		writers.Go(func() {
			for j := range 100 {
				_, _ = fmt.Fprintf(w, "%d %d\n", i, j)
			}
		})
	}
	writers.Wait()
	w.Close(time.Minute)
	next := make([]int, 10)
	for line := range strings.Lines(r.text.String()) {
		var i, j int
		if _, err := fmt.Sscanf(line, "%d %d\n", &i, &j); err != nil || next[i] != j {
			t.Fatalf("line %q: %v, want number %d", line, err, next[i])
		}
		next[i]++
	}
	for i, n := range next {
		if n != 100 {
			t.Errorf("writer %d has %d lines, want 100", i, n)
		}
	}
	dropped(t, w, 0)
}

// 4 MiB of lines wait, beside those that are being written; the rest is dropped, and
// the gap is told of in its place.
func TestReaderStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{room: -1, still: make(chan struct{})}
		w := logwriter.New(r, gap)
		want := write(t, w, 0, 1)
		synctest.Wait() // it is being written
		want += write(t, w, 1, 4097)
		write(t, w, 4097, 5000)
		dropped(t, w, 903)
		close(r.still)
		synctest.Wait()
		want += "903 are missing\n"
		want += write(t, w, 5000, 5002)
		synctest.Wait()
		r.wrote(t, want)
		w.Close(time.Minute)
		dropped(t, w, 903)
	})
}

func TestReaderIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{room: 1024 + 500}
		w := logwriter.New(r, gap)
		want := write(t, w, 0, 1)
		synctest.Wait()
		want += write(t, w, 1, 2)[:500]
		for i := 2; i < 7; i++ {
			synctest.Wait() // each by itself: there is nothing to wait for
			write(t, w, i, i+1)
		}
		synctest.Wait()
		dropped(t, w, 6)
		r.room = -1 // it is back
		want += "\n6 are missing\n" + write(t, w, 7, 9)
		synctest.Wait()
		r.wrote(t, want)
		w.Close(time.Minute)
		dropped(t, w, 6)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{room: -1, still: make(chan struct{})}
		w := logwriter.New(r, gap)
		want := write(t, w, 0, 10)
		begin := time.Now()
		w.Close(time.Second)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it waited for %s for a reader that stands still, want 1s", took)
		}
		write(t, w, 10, 20)
		dropped(t, w, 10)
		close(r.still)
		begin = time.Now()
		w.Close(time.Second)
		if took := time.Since(begin); took != 0 {
			t.Errorf("it waited for %s more", took)
		}
		r.wrote(t, want+"10 are missing\n")
	})
}

// BenchmarkWrite is what a line costs whoever logs it.
func BenchmarkWrite(b *testing.B) {
	w := logwriter.New(io.Discard, gap)
	defer w.Close(time.Minute)
	line := bytes.Repeat([]byte{'x'}, 500)
	line[499] = '\n'
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Write(line)
	}
}
