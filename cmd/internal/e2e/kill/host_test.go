package kill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"buildbridge/handlers/codehost"
	"buildbridge/handlers/codehost/codehosttest"
)

const secret = "It's a Secret to Everybody"

// delivery is what the host sends, and the builds it should have.
type delivery struct {
	id     string
	change codehosttest.Change
	object string   // of an annotated tag
	rules  []string // one build each; none for a delivery that builds nothing
}

// ref is what changed, as the rules see it.
func (d *delivery) ref() string {
	if d.change.Tag != "" {
		return "refs/tags/" + d.change.Tag
	}
	return "refs/heads/" + d.change.Branch
}

// as gives a delivery in the form of a provider. The body is GitHub's; for GitLab and Gitee it
// has what they name differently too.
func (d *delivery) as(provider string) (http.Header, []byte) {
	header, body := codehosttest.GitHub(d.id, d.change, d.object)
	if provider == "github" {
		return header, body
	}
	event := "Push Hook"
	if d.change.Tag != "" {
		event = "Tag Push Hook"
	}
	switch header = (http.Header{"Content-Type": {"application/json"}}); provider {
	case "gitea": // its body is the same, as far as it is read
		header.Set("X-Gitea-Event", "push")
		header.Set("X-Gitea-Delivery", d.id)
		return header, body
	case "gitlab":
		header.Set("X-Gitlab-Event", event)
		header.Set("Idempotency-Key", d.id)
	case "gitee": // it sends no id
		header.Set("X-Gitee-Event", event)
	}
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		panic(err)
	}
	repository := map[string]any{"path_with_namespace": d.change.Repository}
	fields["repository"], fields["project"], fields["checkout_sha"] = repository, repository, d.change.Commit
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return header, body
}

// host acts like a code host, except that it repeats a delivery, with the same id, until it is
// acknowledged.
type host struct {
	t        *testing.T
	provider func(repository string) string // which is also the source
	public   func() string                  // the URL of some process of the fleet
	client   *http.Client

	requests, unanswered, unavailable atomic.Int64
	accepted, duplicates              atomic.Int64

	mu        sync.Mutex
	sent      []*delivery // in the order they were acknowledged
	lastError error       // of the last request that was not answered
}

func newHost(t *testing.T, public func() string) *host {
	h := &host{
		t: t, provider: func(string) string { return "github" }, public: public,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 10 * time.Second},
	}
	t.Cleanup(h.client.CloseIdleConnections)
	return h
}

// send repeats a delivery until the answer is 2xx, and sometimes once more. It returns false
// if ctx ends before.
func (h *host) send(ctx context.Context, d *delivery) bool {
	if !h.deliver(ctx, d, false) {
		return false
	}
	h.mu.Lock()
	h.sent = append(h.sent, d)
	h.mu.Unlock()
	if rand.N(8) == 0 && len(d.rules) > 0 {
		return h.deliver(ctx, d, true)
	}
	return true
}

func (h *host) deliver(ctx context.Context, d *delivery, again bool) bool {
	for ctx.Err() == nil {
		status, outcome, err := h.post(ctx, d)
		h.requests.Add(1)
		switch {
		case err != nil:
			h.mu.Lock()
			h.lastError = err
			h.mu.Unlock()
			h.unanswered.Add(1)
		case status == http.StatusServiceUnavailable:
			h.unavailable.Add(1)
		case status == http.StatusAccepted && outcome == "accepted" && len(d.rules) > 0:
			if again {
				h.t.Errorf("delivery %s was accepted, and accepted again", d.id)
			}
			h.accepted.Add(1)
			return true
		case status == http.StatusOK && outcome == "duplicate" && len(d.rules) > 0:
			h.duplicates.Add(1)
			return true
		case status == http.StatusOK && outcome == "ignored" && len(d.rules) == 0:
			return true
		default:
			h.t.Errorf("delivery %s of %s: %d %s", d.id, d.ref(), status, outcome)
			return true
		}
		select {
		case <-time.After(20*time.Millisecond + rand.N(80*time.Millisecond)): // a host in a hurry
		case <-ctx.Done():
		}
	}
	return false
}

// allAnswered demands that no request so far was left without an answer.
func (h *host) allAnswered() {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.unanswered.Load(); n > 0 {
		h.t.Errorf("%d deliveries got no answer, want 503; the last one: %v", n, h.lastError)
	}
}

func (h *host) post(ctx context.Context, d *delivery) (status int, outcome string, err error) {
	provider := h.provider(d.change.Repository)
	header, body := d.as(provider)
	codehost.Sign(provider, secret, header, body)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.public()+"/webhooks/"+provider, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header = header
	// The server may close a connection that had no call yet at the moment when one is sent on it.
	// net/http repeats such a call on another connection only if it has this header.
	req.Header.Set("X-Idempotency-Key", d.id)
	res, err := h.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, "", err // a 2xx that was cut off is none
	}
	var a struct {
		Outcome string `json:"outcome"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return 0, "", fmt.Errorf("answer %d %q: %w", res.StatusCode, text, err)
	}
	return res.StatusCode, a.Outcome, nil
}

// sendAll sends what next returns, from many goroutines, until it returns nil.
func (h *host) sendAll(ctx context.Context, goroutines int, next func() *delivery) {
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for d := next(); d != nil; d = next() {
				if !h.send(ctx, d) {
					return
				}
			}
		})
	}
	wg.Wait()
}

// history generates pushes.
type history struct {
	mu      sync.Mutex
	commits int
	tags    map[string]string // the commits of tags
	last    map[string]string // a commit that was pushed to a repository
}

func newHistory() *history {
	return &history{tags: map[string]string{}, last: map[string]string{}}
}

// commitOf is the commit of a tag, for the simulator.
func (h *history) commitOf(tag string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tags[tag]
}

// push is a new commit on a branch.
func (h *history) push(repository, branch string, rules ...string) *delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commits++
	c := fmt.Sprintf("%040x", h.commits)
	h.last[repository] = c
	return newDelivery(codehosttest.Change{Repository: repository, Branch: branch, Before: fmt.Sprintf("%040x", 1<<40), Commit: c}, "", rules)
}

// branch is a new branch on a commit that is on another.
func (h *history) branch(repository string, rules ...string) *delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commits++
	return newDelivery(codehosttest.Change{Repository: repository, Branch: fmt.Sprintf("new-%d", h.commits), Commit: h.last[repository]}, "", rules)
}

// tag is a new tag on a commit that is on a branch; every other one is annotated.
func (h *history) tag(repository string, rules ...string) *delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commits++
	name, object := fmt.Sprintf("v%d", h.commits), ""
	if h.commits%2 == 0 {
		object = fmt.Sprintf("%040x", 1<<41+h.commits)
	}
	h.tags[name] = h.last[repository]
	return newDelivery(codehosttest.Change{Repository: repository, Tag: name, Commit: h.last[repository]}, object, rules)
}

func newDelivery(c codehosttest.Change, object string, rules []string) *delivery {
	c.Message, c.Files, c.Pusher = "Count twice", []string{"cart.go"}, "ann"
	return &delivery{id: uuid.NewString(), change: c, object: object, rules: rules}
}
