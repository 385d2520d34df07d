package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// What is rejected is kept for those who set up a webhook, with the reason that the log has and
// the sender does not get, and without anything secret.
func TestRejectedIsKept(t *testing.T) {
	b := newBridge(t, nil)
	main := push("acme/shop", "refs/heads/main", commit)
	b.post(request("github", main))
	if got := b.Rejected(); len(got) != 0 {
		t.Errorf("an accepted delivery is among them: %+v", got)
	}
	r := request("github", main, "X-Hub-Signature-256", "", "X-GitHub-Event", "", "X-GitHub-Delivery", "")
	r.Header.Set("X-Gitlab-Event", "Push Hook\x1b[2J")
	r.Header.Set("Webhook-Id", "u-1")
	r.Header.Set("X-Gitlab-Token", "s3cret")
	r.Header.Set("Authorization", "Bearer s3cret")
	r.Header.Set("User-Agent", strings.Repeat("a", 5000))
	w := b.post(r)
	got := b.Rejected()
	if len(got) != 1 {
		t.Fatalf("got %+v", got)
	}
	one := got[0]
	if one.Source != "github" || one.Provider != "github" || one.Status != 401 || one.Reason != "not_authenticated" || one.Client != "192.0.2.1" ||
		one.Event != `Push Hook\x1b[2J` || one.HostID != "u-1" || len(one.UserAgent) > 210 || one.ID == "" || one.ReceivedAt.IsZero() ||
		!strings.Contains(one.Detail, "header X-Hub-Signature-256 is missing; X-Gitlab-Event came: is the provider gitlab?") {
		t.Errorf("got %+v", one)
	}
	if text := fmt.Sprint(got); strings.Contains(text, "s3cret") {
		t.Errorf("a secret is kept: %s", text)
	}
	if strings.Contains(w.Body.String(), "gitlab") {
		t.Errorf("the stranger is told: %s", w.Body)
	}
	b.post(request(strings.Repeat("x", 5000), main))
	if one := b.Rejected()[0]; one.Status != 404 || one.Provider != "" || len(one.Source) > 210 {
		t.Errorf("the newest is %+v", one)
	}
}

// Strangers in a flood take the memory of a hundred, and the newest are kept. They push out
// nothing of a source.
func TestRejectedIsBounded(t *testing.T) {
	b := newBridge(t, nil)
	b.post(request("github", "", "X-Hub-Signature-256", ""))
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for n := range 600 {
				b.post(request(fmt.Sprintf("nobody-%d-%d", i, n), ""))
				if n%100 == 0 {
					b.Rejected()
				}
			}
		})
	}
	group.Wait()
	b.post(request("last", ""))
	got := b.Rejected()
	if len(got) != 101 || got[0].Source != "last" || got[0].Status != http.StatusNotFound || got[100].Source != "github" {
		t.Errorf("%d are kept, the newest is %+v, the oldest %+v", len(got), got[0], got[len(got)-1])
	}
	for range 1000 {
		b.post(request("github", "", "X-Hub-Signature-256", ""))
	}
	b.post(request("last", ""))
	if got := b.Rejected(); len(got) != 1000 || got[0].Source != "last" || got[1].Source != "github" || got[900].Source != "github" {
		t.Errorf("%d are kept, the newest are %+v", len(got), got[:2])
	}
}
