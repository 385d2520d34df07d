package admin_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

// ignore stores deliveries that built nothing, and gives their ids.
func (a *api) ignore(n int, reason string) (ids []string) {
	a.t.Helper()
	began := time.Now()
	for i := range n {
		d := &store.Delivery{
			Delivery: mapping.Delivery{
				ID: newID(), Source: "github", Provider: "github", ReceivedAt: began.Add(time.Duration(i-n) * time.Second), Body: []byte(`{}`),
			},
			Repository: "acme/shop", Ref: "refs/heads/main", Commit: a.commit, Outcome: store.Ignored, Reason: reason,
		}
		ids = append(ids, d.ID)
		a.store.LogIgnored(d)
	}
	a.await("the ignored log is written", func() bool {
		page, _, err := a.store.Deliveries(a.t.Context(), store.DeliveryFilter{Reason: reason, Limit: store.MaxPage})
		if err != nil {
			a.t.Fatal(err)
		}
		return len(page) == n
	})
	return ids
}

// await polls until something is so.
func (a *api) await(what string, so func() bool) {
	a.t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(time.Minute); !so(); <-poll.C {
		if time.Now().After(end) {
			a.t.Fatalf("not so: %s", what)
		}
	}
}

// All that match are replayed once, the oldest first, page by page.
func TestReplayOfDeliveriesThatMatch(t *testing.T) {
	a := writable(t)
	a.accept()
	ids := a.ignore(12, "no_rule")
	a.ignore(3, "ping")
	a.answer = handlers.Answer{Status: http.StatusOK, Outcome: "ignored", Reason: "no_match"}

	var count admin.DeliveryReplayCount
	a.ask("GET", "/deliveries/replay?reason=no_rule", http.StatusOK, &count)
	if count.Deliveries != 12 || len(count.First) != 10 || count.First[0].ID != ids[0] || count.First[0].Now.Outcome != "accepted" || count.Next == "" {
		t.Errorf("got %+v", count)
	}
	a.ask("GET", "/deliveries/replay?reason=no_rule&after="+count.Next, http.StatusOK, &count)
	if count.Deliveries != 2 || len(count.First) != 2 || count.First[0].ID != ids[10] {
		t.Errorf("the second page is %+v", count)
	}
	if len(a.decided) > 0 {
		t.Error("counting replays")
	}

	var got admin.DeliveryReplays
	for page := ""; ; page = "&after=" + got.Next {
		got = admin.DeliveryReplays{}
		a.ask("POST", "/deliveries/replay?reason=no_rule&limit=5"+page, http.StatusOK, &got)
		if got.Next == "" {
			break
		}
	}
	var decided []string
	for _, d := range a.decided {
		decided = append(decided, d.ID)
	}
	if !slices.Equal(decided, ids) || got.Left != 0 {
		t.Errorf("got %v, want %v", decided, ids)
	}
	for _, by := range a.asked {
		if by.Actor != "write" {
			t.Errorf("asked by %+v", by)
		}
	}

	// What was replayed is left out, and its replay stands for it.
	replay := &store.Delivery{
		Delivery: mapping.Delivery{ID: newID(), Source: "github", ReplayOf: ids[3], ReceivedAt: time.Now()},
		Outcome:  store.Ignored, Reason: "no_rule",
	}
	a.store.LogIgnored(replay)
	a.await("the replay is written", func() bool {
		a.ask("GET", "/deliveries/replay?reason=no_rule&limit=100", http.StatusOK, &count)
		return count.First[len(count.First)-1].ID == replay.ID
	})
	if count.Deliveries != 12 || slices.ContainsFunc(count.First, func(e admin.Explanation) bool { return e.ID == ids[3] }) {
		t.Errorf("got %+v", count)
	}

	// One that cannot be replayed is told, and does not stop the others.
	a.answer = handlers.Answer{Status: http.StatusConflict, Detail: "the rules have no source"}
	a.ask("POST", "/deliveries/replay?reason=ping", http.StatusOK, &got)
	if len(got.Skipped) != 3 || got.Skipped[0].Reason != "the rules have no source" || got.Left != 0 {
		t.Errorf("got %+v", got)
	}
	a.answer = handlers.Answer{Status: http.StatusServiceUnavailable, Detail: "not stored"}
	if said := a.refused("POST", "/deliveries/replay?reason=ping", 503); !strings.Contains(said, "0 deliveries were replayed, then: not stored") {
		t.Errorf("it says %s", said)
	}
	for path, says := range map[string]string{
		"/deliveries/replay":                   "give at least one filter",
		"/deliveries/replay?limit=3":           "give at least one filter",
		"/deliveries/replay?outcome=duplicate": "a delivery that is duplicate is not replayed",
		"/deliveries/replay?reasn=no_rule":     "no such parameter",
		"/deliveries/replay?reason=x&after=1":  "not the next of an earlier page",
	} {
		for _, method := range []string{"GET", "POST"} {
			if said := a.refused(method, path, 400); !strings.Contains(said, says) {
				t.Errorf("%s %s says %s, want %s", method, path, said, says)
			}
		}
	}
}

// What is replayed by somebody else while many are replayed is not replayed once more.
func TestReplayOfDeliveriesWhileOneIsReplayed(t *testing.T) {
	a := writable(t)
	ids := a.ignore(2, "no_rule")
	a.answer = handlers.Answer{Status: http.StatusAccepted, Outcome: "accepted"}
	a.deciding = func() {
		a.accept(func(d *store.Delivery, _ *store.Build) { d.ReplayOf = ids[1] })
	}
	var got admin.DeliveryReplays
	a.ask("POST", "/deliveries/replay?reason=no_rule", http.StatusOK, &got)
	var shown admin.DeliveryDetail
	if a.ask("GET", "/deliveries/"+ids[1], http.StatusOK, &shown); shown.ReplayedAs == "" {
		t.Errorf("got %+v", shown)
	}
	want := []admin.Skipped{{ID: ids[1], Reason: "it was replayed meanwhile"}}
	if len(got.Replayed) != 1 || !slices.Equal(got.Skipped, want) || got.Left != 0 || len(a.decided) != 1 {
		t.Errorf("got %+v, decided %d", got, len(a.decided))
	}
}

// A delivery whose ref and commit were built since is skipped, and one of a missed push that is not
// missed any more; by its id it is replayed all the same.
func TestReplayOfDeliveriesLeavesOutWhatIsDealtWith(t *testing.T) {
	a := writable(t)
	a.commit = strings.Repeat("c", 40)
	ids := a.ignore(1, "no_rule")
	missed := a.ignore(1, "missed")
	a.answer = handlers.Answer{Status: http.StatusAccepted, Outcome: "accepted"}
	counts := func(reason, skipped string) {
		t.Helper()
		var count admin.DeliveryReplayCount
		a.ask("GET", "/deliveries/replay?reason="+reason, http.StatusOK, &count)
		if len(count.First) != 1 || count.First[0].Skipped != skipped {
			t.Errorf("%s: got %+v", reason, count)
		}
	}
	counts("no_rule", "")
	counts("missed", "not missed any more: its branch or tag has moved on, or is gone")
	if err := a.store.SetRepositories(t.Context(), "github", []string{"acme/shop"}, time.Hour, 0); err != nil {
		t.Fatal(err)
	}
	due, err := a.store.DueRepositories(t.Context(), "github", 1)
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	l := &store.Look{Repository: due[0], Found: []*store.MissedRef{store.NewMissedRef(due[0], "refs/heads/main", a.commit, time.Now())}}
	if err := a.store.SaveLook(t.Context(), l, 0); err != nil {
		t.Fatal(err)
	}
	found, err := a.store.MissedOf(t.Context(), "github", "acme/shop")
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if due, err = a.store.DueRepositories(t.Context(), "github", 1); err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	found[0].MissedAt, found[0].Delivery = time.Now(), missed[0]
	if err := a.store.SaveLook(t.Context(), &store.Look{Repository: due[0], Missed: found}, 0); err != nil {
		t.Fatal(err)
	}
	counts("missed", "") // it still is
	since, _ := a.accept(func(d *store.Delivery, _ *store.Build) { d.Commit = a.commit })
	built := "built since as delivery " + since.ID
	for reason, id := range map[string]string{"no_rule": ids[0], "missed": missed[0]} {
		counts(reason, built)
		var got admin.DeliveryReplays
		a.ask("POST", "/deliveries/replay?reason="+reason, http.StatusOK, &got)
		if want := []admin.Skipped{{ID: id, Reason: built, Done: true}}; len(got.Replayed) > 0 || !slices.Equal(got.Skipped, want) {
			t.Errorf("%s: got %+v", reason, got)
		}
	}
	var one handlers.Answer
	if a.ask("POST", "/deliveries/"+ids[0]+"/replay", http.StatusAccepted, &one); len(a.decided) != 1 {
		t.Errorf("by its id: got %+v", one)
	}
}

// A delivery is shown as it was decided, and as it would be now.
func TestExplainDelivery(t *testing.T) {
	a := writable(t)
	d, b := a.accept()
	var got admin.Explanation
	a.ask("GET", "/deliveries/"+d.ID+"/explain", http.StatusOK, &got)
	if got.ID != d.ID || got.Outcome != store.Accepted || len(got.Builds) != 1 || got.Builds[0].ID != b.ID ||
		got.Now.Outcome != "accepted" || len(got.Now.Builds) != 1 {
		t.Errorf("got %+v", got)
	}
	if said := a.refused("GET", fmt.Sprintf("/deliveries/%s/explain", b.ID), 404); !strings.Contains(said, "it is the id of a build") {
		t.Errorf("it says %s", said)
	}
}
