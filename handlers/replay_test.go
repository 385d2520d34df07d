package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
)

// kept sends a push to acme/shop and gives the delivery that the store got.
func (b *bridge) kept(t *testing.T) mapping.Delivery {
	t.Helper()
	if w := b.post(request("github", push("acme/shop", "refs/heads/main", commit))); w.Code != http.StatusAccepted {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return b.store.accepted[0].delivery
}

func TestReplayDecidesByTheRulesOfToday(t *testing.T) {
	for name, test := range map[string]struct {
		rules  string // put in place of "branches: [main]"
		status int
		want   string // of the answer, without its ids
	}{
		"the same": {
			"branches: [main]", 202,
			`{"outcome":"accepted","builds":[{"id":"build-1","rule":"cart","job_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"},` +
				`{"id":"build-2","rule":"cart","job_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2"}]}`,
		},
		"they do not match any more": {
			"branches: [dev]", 200,
			`{"outcome":"ignored","reason":"no_match","rules":[` +
				`{"rule":"cart","matched":false,"reason":"push.branches: \"main\" matches none of [dev]"},` +
				`{"rule":"releases","matched":false,"reason":"when: the event is a push, and the rule has tag only"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, nil)
			old := b.kept(t)
			b.Swap(stateOf(t, strings.Replace(rules, "branches: [main]", test.rules, 1)))
			before := b.series(t, "buildbridge_deliveries_total")
			matches := b.series(t, "buildbridge_rule_matches_total")
			got := b.Replay(t.Context(), old, mapping.By{})
			if got.Status != test.status || got.Delivery == "" || got.Delivery == old.ID || got.ReplayOf != old.ID {
				t.Errorf("got %+v", got)
			}
			if line := b.log.last(t); line["delivery"] != got.Delivery || line["replay_of"] != old.ID || line["outcome"] != got.Outcome {
				t.Errorf("the log has %v", line)
			}
			id := got.Delivery
			got.Delivery, got.ReplayOf = "", ""
			text, err := json.Marshal(got)
			if err != nil || string(text) != test.want {
				t.Errorf("got %s, %v\nwant %s", text, err, test.want)
			}
			var stored mapping.Delivery
			if test.status == http.StatusAccepted {
				stored = b.store.accepted[1].delivery
			} else {
				stored = b.store.ignored[0].delivery
			}
			if stored.ID != id || stored.ReplayOf != old.ID || stored.HostID != old.HostID || string(stored.Body) != string(old.Body) ||
				stored.ReceivedAt.Before(old.ReceivedAt) || stored.Events[0].Source != "github" {
				t.Errorf("the store got %+v", stored)
			}
			if diff := cmp.Diff(old.Header, stored.Header); diff != "" {
				t.Error(diff)
			}
			if got := moved(before, b.series(t, "buildbridge_deliveries_total")); len(got) > 0 {
				t.Errorf("it counts as a call of the webhook: %v", got)
			}
			if got := moved(matches, b.series(t, "buildbridge_rule_matches_total")); len(got) > 0 {
				t.Errorf("its matches are counted: %v", got)
			}
		})
	}
}

func TestReplayThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct {
		change func(d *mapping.Delivery, m *memory)
		status int
		detail string
	}{
		"its source is gone":    {func(d *mapping.Delivery, _ *memory) { d.Source = "gone" }, 409, `the rules have no source "gone" any more`},
		"its body is forgotten": {func(d *mapping.Delivery, _ *memory) { d.Body = nil }, 409, "the body of this delivery is not kept any more"},
		"it is malformed":       {func(d *mapping.Delivery, _ *memory) { d.Body = []byte(`{"ref":1}`) }, 400, "malformed"},
		"nobody knows its host": {func(d *mapping.Delivery, _ *memory) { d.Provider = "sourceforge" }, 503, "an error inside buildbridge"},
		"the store does not answer": {func(_ *mapping.Delivery, m *memory) {
			m.accept = func(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) {
				return mapping.Receipt{}, errors.New("disk full")
			}
		}, 503, "not known to be stored"},
		"the queue is full": {func(_ *mapping.Delivery, m *memory) {
			m.accept = func(context.Context, mapping.Delivery, []mapping.Build) (mapping.Receipt, error) {
				return mapping.Receipt{}, mapping.ErrFull
			}
		}, 503, "too many builds wait"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, nil)
			old := b.kept(t)
			test.change(&old, b.store)
			got := b.Replay(t.Context(), old, mapping.By{})
			if got.Status != test.status || !strings.Contains(got.Detail, test.detail) || strings.Contains(got.Detail, "disk") {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Detail, test.status, test.detail)
			}
			if len(b.store.accepted) != 1 || len(b.store.ignored) != 0 {
				t.Error("something was stored")
			}
		})
	}
}

func TestReplayOfWhatWasAReplay(t *testing.T) {
	b := newBridge(t, nil)
	old := b.kept(t)
	for range 2 { // never a duplicate
		if got := b.Replay(t.Context(), old, mapping.By{}); got.Outcome != "accepted" {
			t.Fatalf("got %+v", got)
		}
		old = b.store.accepted[len(b.store.accepted)-1].delivery
	}
}

func TestMountedOnTheAdminListener(t *testing.T) {
	b := newBridge(t, nil)
	b.MountAdmin("/api/v1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/panic" {
			panic("at the disco")
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	for target, want := range map[string]int{"/api/v1/builds": 418, "/api/v1/panic": 500, "/api/v2": 404, "/healthz": 200} {
		w := httptest.NewRecorder()
		b.Admin().ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != want {
			t.Errorf("%s gives %d, want %d", target, w.Code, want)
		}
	}
}
