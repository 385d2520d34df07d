package handlers_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/handlers"
	"buildbridge/mapping"
)

// Bodies that are arriving share the memory by what has arrived of them. A call that gets
// none is told to come again.
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

	// A body that waits gets memory that becomes free.
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

// A body for which there can never be memory is too large: to come again would not help.
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

// A body waits for memory once, not again for each step of its growth.
func TestGrowingBodyWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, func(o *handlers.Options) { o.MaxBodyMemory = 400 << 10 })
		b.Swap(stateOf(t, strings.Replace(rules, "max_body: 4096", "max_body: 1MiB", 1)))
		done := make(chan *httptest.ResponseRecorder)
		var others []*io.PipeWriter // each holds 64 KiB
		for range 5 {
			body, sender := io.Pipe()
			r := request("github", "")
			r.Body, r.ContentLength = body, 100_000
			go func() { done <- b.post(r) }()
			others = append(others, sender)
		}
		leave := func(senders ...*io.PipeWriter) {
			for _, sender := range senders {
				_ = sender.CloseWithError(errors.New("gone")) // never fails
				<-done
			}
		}
		synctest.Wait()
		begun := time.Now()
		time.AfterFunc(1500*time.Millisecond, func() { leave(others[0]) })
		w := b.post(request("github", strings.Repeat("x", 300_000))) // grows to 64, 128, 256 KiB and the whole
		if waited := time.Since(begun); w.Code != http.StatusServiceUnavailable || waited != 2*time.Second {
			t.Errorf("status %d after %s, want 503 after 2s", w.Code, waited)
		}
		leave(others[1:]...)
	})
}

// A slow body may grow at any time, if memory is free.
func TestSlowBodyGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, nil)
		b.Swap(stateOf(t, strings.Replace(rules, "max_body: 4096", "max_body: 1MiB", 1)))
		text := strings.Replace(push("acme/shop", "refs/heads/main", commit), "a message", strings.Repeat("long ", 40_000), 1)
		r := request("github", text)
		body, sender := io.Pipe()
		r.Body = body
		go func() {
			for i := 0; i < len(text); i += 20_000 {
				time.Sleep(time.Second)
				_, _ = io.WriteString(sender, text[i:min(i+20_000, len(text))])
			}
			_ = sender.Close()
		}()
		if w := b.post(r); w.Code != http.StatusAccepted {
			t.Errorf("status %d, want 202: %s", w.Code, w.Body)
		}
	})
}

// A large body waits for a slot, but not until its host has given up.
func TestSlotsOfLargeBodies(t *testing.T) {
	for name, test := range map[string]struct {
		arrives time.Duration // its end, since it began
		free    time.Duration // when a slot becomes free, since then
		status  int
		waits   time.Duration // since then
	}{
		"there is one soon":                   {free: time.Second, status: 202, waits: time.Second},
		"there is none":                       {free: time.Hour, status: 503, waits: 2 * time.Second},
		"there is none for one that ran late": {arrives: 2 * time.Second, free: time.Hour, status: 503, waits: 1500 * time.Millisecond},
		"there is none for a slow one":        {arrives: 10 * time.Second, free: time.Hour, status: 503, waits: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBridge(t, nil)
				b.Swap(stateOf(t, strings.Replace(rules, "max_body: 4096", "max_body: 2MiB", 1)))
				text := strings.Replace(push("acme/shop", "refs/heads/main", commit), "a message", strings.Repeat("long ", 250_000), 1)
				end := b.TakeSlots()
				time.AfterFunc(test.arrives+test.free, end)
				begun := time.Now()
				w := b.post(arriving(request("github", text), text, test.arrives))
				if waited := time.Since(begun) - test.arrives; w.Code != test.status || waited != test.waits {
					t.Errorf("status %d after %s, want %d after %s", w.Code, waited, test.status, test.waits)
				}
				if w.Code == http.StatusServiceUnavailable && (w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), `"busy"`)) {
					t.Errorf("Retry-After %q, answer %s", w.Header().Get("Retry-After"), w.Body)
				}
			})
		})
	}
}

// The commit gets the time that the body has left.
func TestCommitGetsWhatIsLeft(t *testing.T) {
	for name, test := range map[string]struct {
		arrives time.Duration // the end of the body, since it began
		want    time.Duration
	}{
		"of a body that comes at once": {want: 4 * time.Second},
		"of one that took a while":     {arrives: 2 * time.Second, want: 2500 * time.Millisecond},
		"of one that took too long":    {arrives: 10 * time.Second, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBridge(t, nil)
				b.store.accept = func(ctx context.Context, _ mapping.Delivery, _ []mapping.Build) (mapping.Receipt, error) {
					if deadline, _ := ctx.Deadline(); time.Until(deadline) != test.want {
						t.Errorf("Accept may take %s, want %s", time.Until(deadline), test.want)
					}
					return mapping.Receipt{Builds: []mapping.BuildReceipt{{ID: "1"}}}, nil
				}
				text := push("acme/shop", "refs/heads/main", commit)
				if w := b.post(arriving(request("github", text), text, test.arrives)); w.Code != http.StatusAccepted {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
			})
		})
	}
}

// arriving lets the whole body of a request arrive after a while.
func arriving(r *http.Request, text string, after time.Duration) *http.Request {
	body, sender := io.Pipe()
	r.Body = body
	go func() {
		time.Sleep(after)
		_, _ = io.WriteString(sender, text) // never fails, nor does Close
		_ = sender.Close()
	}()
	return r
}
