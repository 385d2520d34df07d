package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"buildbridge/trigger/store"
)

// A backup under load has every delivery that was acknowledged before it began.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	open := func(name string) *store.Store {
		s, err := store.Open(t.Context(), store.Options{Database: filepath.Join(folder, name), Logger: logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open("a file #1?.db")
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		known []string // acknowledged
		quit  atomic.Bool
	)
	for range 4 {
		wg.Go(func() {
			for !quit.Load() {
				d := delivery(newID())
				d.Body = bytes.Repeat([]byte(newID()), 200)
				if _, err := s.Accept(t.Context(), d, []*store.Build{build(d)}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				known = append(known, d.ID)
				mu.Unlock()
			}
		})
	}
	acknowledged := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), known...)
	}
	await(t, "some are accepted", func() bool { return len(acknowledged()) > 200 })
	for _, name := range []string{"one.db", "two.db"} {
		before := acknowledged()
		file, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		var promised int64
		err = s.Backup(t.Context(), func(size int64) io.Writer {
			promised = size
			// The rest is read after many more were written.
			await(t, "more are accepted", func() bool { return len(acknowledged()) > len(before)+200 })
			return file
		})
		info, statErr := file.Stat()
		if err := errors.Join(err, statErr, file.Close()); err != nil || info.Size() != promised {
			t.Fatalf("%v: %d bytes, promised were %d", err, info.Size(), promised)
		}
		copied := open(name)
		for _, id := range before {
			d, err := copied.Delivery(t.Context(), id)
			if err != nil || len(d.Body) == 0 {
				t.Fatal(id, err)
			}
		}
		if faults := store.Integrity(t.Context(), copied); faults != "ok" {
			t.Error(faults)
		}
		if _, err := copied.Accept(t.Context(), delivery(newID()), nil); err != nil {
			t.Error(err)
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
	quit.Store(true)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// failingWriter takes some bytes and then fails.
type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("nobody listens")
	}
	return len(p), nil
}

func TestBackupThatFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	s, err := store.Open(t.Context(), store.Options{Database: path, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), func(int64) io.Writer { return &failingWriter{10_000} }); err == nil || err.Error() != "backup: nobody listens" {
		t.Errorf("got %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	if err := s.Backup(gone, func(int64) io.Writer { cancel(); return io.Discard }); !errors.Is(err, context.Canceled) {
		t.Errorf("who asked is gone: %v", err)
	}
	// A store that is closed does not wait for a slow reader.
	began, closed := make(chan struct{}), make(chan error)
	go func() {
		<-began
		closed <- s.Close()
	}()
	err = s.Backup(t.Context(), func(int64) io.Writer {
		close(began)
		await(t, "it closes", func() bool { return second(s.Accept(t.Context(), delivery(newID()), nil)) != nil })
		return io.Discard
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a backup goes on: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := s.Backup(t.Context(), nil); err == nil {
		t.Errorf("a closed store: %v", err)
	}
}

func TestBackupOfPostgres(t *testing.T) {
	t.Parallel()
	s := opener(t, server.Database(t))()
	if err := s.Backup(t.Context(), nil); !errors.Is(err, store.ErrNoBackup) {
		t.Errorf("got %v", err)
	}
}
