package handlers_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/handlers"
)

// Bodies that are still arriving take memory from others, by what has arrived of
// them; who finds none left is told to come again.
func TestBodiesShareMemory(t *testing.T) {
	for name, test := range map[string]struct {
		arrived int   // bytes of the body under way
		says    int64 // its Content-Length; -1 for a chunked one
		status  int   // of a large body meanwhile
	}{
		"much has arrived":                       {arrived: 180_000, says: 350_000, status: 503},
		"much has arrived, of an unknown length": {arrived: 180_000, says: -1, status: 503},
		"much is announced and little arrived":   {arrived: 10, says: 350_000, status: 202},
		"little arrived, of an unknown length":   {arrived: 10, says: -1, status: 202},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { bodiesShareMemory(t, test.arrived, test.says, test.status) })
		})
	}
}

func bodiesShareMemory(t *testing.T, arrived int, says int64, status int) {
	large := push("acme/shop", "refs/heads/main", commit)
	large = strings.Replace(large, "a message", strings.Repeat("long ", 40_000), 1) // 200 kB
	b := newBridge(t, func(o *handlers.Options) { o.MaxBodyMemory = 400 << 10 })
	b.Swap(stateOf(t, strings.Replace(rules, "max_body: 4096", "max_body: 1MiB", 1)))
	body, sender := io.Pipe()
	done := make(chan *httptest.ResponseRecorder)
	go func() {
		r := request("github", "")
		r.Body, r.ContentLength = body, says
		done <- b.post(r)
	}()
	if _, err := io.WriteString(sender, strings.Repeat("x", arrived)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for kind, length := range map[string]int64{"a large one": int64(len(large)), "a large one of unknown length": -1} {
		r := request("github", large)
		r.ContentLength = length
		w := b.post(r)
		if w.Code != status {
			t.Errorf("%s meanwhile: status %d, want %d: %s", kind, w.Code, status, w.Body)
		}
		if busy := w.Code == http.StatusServiceUnavailable; busy && (w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), `"busy"`)) {
			t.Errorf("%s meanwhile: Retry-After %q, answer %s", kind, w.Header().Get("Retry-After"), w.Body)
		}
	}
	if waited := time.Since(begun); status == http.StatusServiceUnavailable && waited != 4*time.Second || status == http.StatusAccepted && waited != 0 {
		t.Errorf("both of them waited for %s", waited)
	}
	if w := b.post(request("github", push("acme/shop", "refs/heads/main", commit))); w.Code != http.StatusAccepted {
		t.Errorf("a small one meanwhile: status %d, want 202", w.Code)
	}

	// One that waits gets what becomes free.
	waiting := make(chan *httptest.ResponseRecorder)
	go func() { waiting <- b.post(request("github", large)) }()
	synctest.Wait()
	_ = sender.CloseWithError(errors.New("gone")) // never fails
	if w := <-done; w.Code != http.StatusBadRequest {
		t.Errorf("the one under way: status %d, want 400", w.Code)
	}
	if w := <-waiting; w.Code != http.StatusAccepted {
		t.Errorf("the one that waited for it: status %d, want 202", w.Code)
	}
	for range 3 { // nothing is held on to
		if w := b.post(request("github", large)); w.Code != http.StatusAccepted {
			t.Errorf("a large one after it: status %d, want 202", w.Code)
		}
	}
}

// A body that could never be read for lack of memory is too large: to come again
// would not help.
func TestBodyBeyondAllMemoryIsTooLarge(t *testing.T) {
	b := newBridge(t, func(o *handlers.Options) { o.MaxBodyMemory = 1 << 10 })
	for name, length := range map[string]int64{"with a length": 2 << 10, "without a length": -1} {
		r := request("github", strings.Repeat("x", 2<<10))
		r.ContentLength = length
		if w := b.post(r); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d, want 413", name, w.Code)
		}
	}
}
