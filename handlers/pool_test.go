package handlers_test

import (
	"context"
	"net/http"
	"testing"

	"buildbridge/mapping"
)

// The memory of a body is used again only after the Acceptor has returned.
func TestBodyIsNobodyElsesMeanwhile(t *testing.T) {
	b := newBridge(t, nil)
	first := push("acme/shop", "refs/heads/main", commit)
	var inside bool
	b.store.accept = func(_ context.Context, d mapping.Delivery, _ []mapping.Build) (mapping.Receipt, error) {
		if inside {
			return mapping.Receipt{}, nil
		}
		inside = true
		for _, other := range []*http.Request{
			request("github", push("acme/shop", "refs/heads/release", commit)),
			request("github", push("other/thing", "refs/heads/main", commit)),
			request("github", `{"ref":1}`),
			request("github", "{}", "X-Hub-Signature-256", sign("guess", "{}")),
		} {
			b.post(other)
		}
		if string(d.Body) != first {
			t.Errorf("the body became %.80s", d.Body)
		}
		return mapping.Receipt{}, nil
	}
	if w := b.post(request("github", first)); w.Code != http.StatusAccepted {
		t.Fatalf("status %d", w.Code)
	}
}
