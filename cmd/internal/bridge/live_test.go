package bridge_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A page that renews itself is an answer without an end: the stop ends it before it waits for answers.
func TestStopDoesNotWaitForPages(t *testing.T) {
	w := newWorld(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.AdminURL()+"/builds", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	res, err := w.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	until := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the page ends before %q: %v", text, lines.Err())
	}
	until("event: main")
	accepted := w.accept("1", push(), "")
	until(accepted.Builds[0].ID)

	begin := time.Now()
	if err := w.Stop(context.WithoutCancel(t.Context()), 20*time.Second); err != nil {
		t.Errorf("stop: %v", err)
	}
	w.Bridge = nil
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("the stop took %s", took)
	}
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the page was cut off: %v", err)
	}
}
