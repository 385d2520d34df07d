package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"buildbridge/handlers"
	"buildbridge/handlers/admin"
)

// Rejected deliveries are listed from memory, page by page, and shown by their id.
func TestRejectedDeliveries(t *testing.T) {
	a := writable(t)
	now := time.Now()
	for i := range 7 {
		a.rejected = append(a.rejected, handlers.Rejected{
			ID: newID(), ReceivedAt: now.Add(-time.Duration(i) * time.Minute), Source: []string{"github", "gitlab"}[i%2], Status: 401,
			Reason: "not_authenticated", Detail: fmt.Sprint("detail ", i), Client: "192.0.2.1", Event: "push", UserAgent: "agent",
		})
	}
	list := func(query string) (ids []string) {
		t.Helper()
		var page admin.DeliveryPage
		for after := ""; ; after = "&after=" + page.Next {
			page = admin.DeliveryPage{}
			a.ask("GET", "/deliveries?outcome=rejected&limit=2"+query+after, http.StatusOK, &page)
			for _, d := range page.Deliveries {
				ids = append(ids, d.ID)
			}
			if page.Next == "" {
				return ids
			}
		}
	}
	since := "&since=" + now.Add(-150*time.Second).UTC().Format(time.RFC3339)
	for query, want := range map[string]int{"": 7, "&source=github": 4, "&reason=not_authenticated": 7, "&reason=address": 0, since: 3} {
		if got := list(query); len(got) != want || want > 0 && got[0] != a.rejected[0].ID {
			t.Errorf("%q lists %v, want %d", query, got, want)
		}
	}
	var one admin.DeliveryDetail
	a.ask("GET", "/deliveries/"+a.rejected[3].ID, http.StatusOK, &one)
	if one.Detail != "detail 3" || one.Status != 401 || one.Client != "192.0.2.1" || one.UserAgent != "agent" || one.Outcome != "rejected" || one.Builds == nil {
		t.Errorf("got %+v", one)
	}
	a.rejected = append(a.rejected, handlers.Rejected{ID: "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e", Status: 401, Reason: "not_authenticated"})
	for _, id := range []string{"0197f3c2-7d5e-7b0a", "0197F3C27D5E", "0197f3c2-7d5e-7b0a-9d0e-1f2a3b4c5d6e"} { // a terminal shows 18 characters
		if a.ask("GET", "/deliveries/"+id, http.StatusOK, &one); one.ID != a.rejected[7].ID {
			t.Errorf("%s is %s", id, one.ID)
		}
		for method, path := range map[string]string{"POST": "/replay", "GET": "/explain"} {
			const says = "was rejected (401 not_authenticated): it has no body: have the code host send it again"
			if said := a.refused(method, "/deliveries/"+id+path, 409); !strings.Contains(said, says) {
				t.Errorf("%s of %s says %s", path, id, said)
			}
		}
	}
	if said := a.refused("GET", "/deliveries?outcome=rejected&repository=acme/shop", 400); !strings.Contains(said, "are not decoded") {
		t.Errorf("it says %s", said)
	}
	if w := newAPI(t, open(t), admin.Access{}).serve(request("GET", admin.Prefix+"/deliveries?outcome=rejected", "")); w.Code != 401 {
		t.Errorf("a stranger gets %d", w.Code)
	}
}
