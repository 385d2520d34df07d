package admin_test

import (
	"net/http"
	"testing"
	"time"

	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

func TestMissedPushes(t *testing.T) {
	db := open(t)
	a := newAPI(t, db, admin.Access{Loopback: true})
	if err := db.SetRepositories(t.Context(), "github", []string{"acme/shop"}, time.Hour, 0); err != nil {
		t.Fatal(err)
	}
	look := func(change func(l *store.Look)) {
		t.Helper()
		due, err := db.DueRepositories(t.Context(), "github", 1)
		if err != nil || len(due) != 1 {
			t.Fatal(due, err)
		}
		l := &store.Look{Repository: due[0]}
		change(l)
		if err := db.SaveLook(t.Context(), l, 0); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	look(func(l *store.Look) {
		for _, ref := range []string{"refs/heads/main", "refs/tags/v1"} {
			l.Found = append(l.Found, store.NewMissedRef(l.Repository, ref, "c0ffee", now))
		}
	})
	found, err := db.MissedOf(t.Context(), "github", "acme/shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range found {
		m.MissedAt, m.Delivery = now, newID()
	}
	look(func(l *store.Look) { l.Missed = found })

	var page admin.MissedPage
	a.ask("GET", "/missed?source=github&limit=1", http.StatusOK, &page)
	if len(page.Missed) != 1 || page.Next == "" {
		t.Fatalf("got %+v", page)
	}
	got := page.Missed[0]
	if got.Repository != "acme/shop" || got.Commit != "c0ffee" || got.Delivery == "" || got.Built || got.MissedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	a.ask("GET", "/missed?after="+page.Next, http.StatusOK, &page)
	if len(page.Missed) != 1 || page.Missed[0].Ref == got.Ref {
		t.Errorf("the next page is %+v", page)
	}
	a.ask("GET", "/missed?source=gitlab", http.StatusOK, &page)
	if page.Missed == nil || len(page.Missed) != 0 {
		t.Errorf("got %+v", page)
	}
	a.ask("GET", "/missed?sauce=github", http.StatusBadRequest, new(any))
	a.ask("GET", "/missed?after=x", http.StatusBadRequest, new(any))
}

func TestDeliveriesByOrigin(t *testing.T) {
	db := open(t)
	a := newAPI(t, db, admin.Access{Loopback: true})
	a.accept()
	d := &store.Delivery{
		Delivery: mapping.Delivery{ID: newID(), Source: "github", ReceivedAt: time.Now(), Origin: mapping.OriginCatchUp},
		Outcome:  store.Ignored, Reason: string(mapping.ReasonMissed),
	}
	if _, err := db.Accept(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	var page admin.DeliveryPage
	a.ask("GET", "/deliveries?origin=catch_up", http.StatusOK, &page)
	if len(page.Deliveries) != 1 || page.Deliveries[0].Origin != mapping.OriginCatchUp {
		t.Errorf("got %+v", page)
	}
	page = admin.DeliveryPage{}
	a.ask("GET", "/deliveries?origin=webhook", http.StatusOK, &page)
	if len(page.Deliveries) != 1 || page.Deliveries[0].Origin != "" {
		t.Errorf("got %+v", page)
	}
	a.ask("GET", "/deliveries?origin=nowhere", http.StatusBadRequest, new(any))
}
