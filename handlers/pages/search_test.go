package pages_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"buildbridge/trigger/store"
)

func (b *bridge) searchFor(text string) (status int, to, page string) {
	b.t.Helper()
	w := b.serve(request(http.MethodGet, "/search?q="+url.QueryEscape(text), ""))
	return w.Code, w.Header().Get("Location"), w.Body.String()
}

func TestSearchLeadsToTheOneThing(t *testing.T) {
	b := newBridge(t)
	built := b.build(func(b *store.Build) {
		b.State, b.CalledAt, b.StartedAt, b.BuildNumber, b.Service = store.Started, time.Now(), time.Now(), "4711", "north"
	})
	ran := b.run(func(b *store.Build) {
		b.State, b.CalledAt, b.StartedAt, b.BuildNumber, b.Service = store.Started, time.Now(), time.Now(), runID, "north"
	})
	ignored := b.push("dev", func(body map[string]any) { body["after"] = strings.Repeat("3", 40) })
	b.stored(ignored.Delivery)
	b.server.Public().ServeHTTP(discard{}, request(http.MethodPost, "/webhooks/none", ""))
	refused := b.server.Rejected()[0].ID
	dashless := strings.ReplaceAll(built.ID, "-", "")
	for text, to := range map[string]string{
		built.ID:                    "builds/" + built.ID,
		dashless:                    "builds/" + built.ID,
		strings.ToUpper(built.ID):   "builds/" + built.ID,
		dashless[:20]:               "builds/" + built.ID,
		ignored.Delivery:            "deliveries/" + ignored.Delivery,
		" " + ignored.Delivery[:25]: "deliveries/" + ignored.Delivery,
		refused:                     "deliveries/" + refused,
		"4711":                      "builds/" + built.ID,
		"#4711":                     "builds/" + built.ID,
		runID:                       "builds/" + ran.ID,
		strings.ToUpper(runID[:7]):  "builds/" + ran.ID,
		commit:                      "builds/" + built.ID,
		commit[:7]:                  "builds/" + built.ID,
		strings.Repeat("3", 12):     "deliveries/" + ignored.Delivery,
		"releases":                  "rules/releases",
		"ELEAS":                     "rules/releases",
		"acme/shop":                 "repositories/acme/shop",
		"Shop":                      "repositories/acme/shop",
		"north":                     "targets#north",
	} {
		if status, got, page := b.searchFor(text); status != http.StatusSeeOther || got != to {
			t.Errorf("%q leads to %q (%d), want %q: %s", text, got, status, to, page)
		}
	}
}

func TestSearchShowsAllThatMayBeMeant(t *testing.T) {
	b := newBridge(t, func(s *setup) {
		s.rules = strings.Replace(rules, "name: releases", `name: "cart of `+strings.ReplaceAll(hostileName, `"`, `\"`)+`"`, 1)
	})
	one, two := b.build(), b.build()
	status, _, page := b.searchFor(commit[:8])
	if status != http.StatusOK {
		t.Fatal(status)
	}
	has(t, page, "Builds of the commit", "Deliveries of the commit", one.ID, two.ID, "builds?commit="+commit[:8], "deliveries?commit="+commit[:8])
	_, _, page = b.searchFor("main") // one build of a ref is not the only one for long
	has(t, page, "Builds of the branch or tag", "Deliveries of the branch or tag", `<a href="builds?ref=main">`, one.ID)
	ran := b.run()
	_, _, page = b.searchFor(strings.ToUpper(pipeline)) // and of a pipeline
	has(t, page, "Builds of the job or pipeline", `<a href="builds?job_id=`, ran.ID)
	hasNot(t, page, one.ID)
	_, _, page = b.searchFor("CAR")
	has(t, page, "<h2>Rules</h2>", `<a href="rules/cart">`, `rules/cart%20of%20%3Cscript%3E`)
	hasNot(t, page, "<script>alert")
	_, _, page = b.searchFor(one.ID[:8]) // both ids of both deliveries begin so
	has(t, page, "Builds whose id begins so", "Deliveries whose id begins so", "deliveries/"+one.Delivery)
	if status, to, _ := b.searchFor("cart"); status != http.StatusSeeOther || to != "rules/cart" {
		t.Errorf("the name of a rule leads to %q", to)
	}
}

func TestSearchFindsNothing(t *testing.T) {
	b := newBridge(t)
	b.build()
	for _, text := range []string{"nothing", hostileName, "%", "_", "' OR 1=1 --", "0000000", "99999999999999999999999", "-------", "12345", "../../builds", "\u202egpj", strings.Repeat("x", 4096)} {
		status, _, page := b.searchFor(text)
		if status != http.StatusOK {
			t.Errorf("%q: %d", text, status)
		}
		has(t, page, "Nothing was found for", "a build number")
		_, main, _ := strings.Cut(page, "<main")
		hasNot(t, main, "<script>alert", "\u202e")
	}
	for text, says := range map[string]string{"": "Nothing was given", "  \t": "Nothing was given", strings.Repeat("x", 4097): "longer than 4096 bytes", "a\xff": "not text", "a\x00": "not text"} {
		status, _, page := b.searchFor(text)
		if status != http.StatusBadRequest {
			t.Errorf("%q: %d", text, status)
		}
		has(t, page, says, "a build number")
	}
	has(t, b.get("/search", http.StatusBadRequest), "Nothing was given")
}

// slowStore takes forever for lists of builds, or fails.
type slowStore struct {
	*store.Store
	err error
}

func (s slowStore) Builds(ctx context.Context, _ store.BuildFilter) ([]*store.Build, string, error) {
	if s.err != nil {
		return nil, "", s.err
	}
	<-ctx.Done()
	return nil, "", ctx.Err()
}

func TestSearchSaysWhatTookTooLong(t *testing.T) {
	var slow slowStore
	b := newBridge(t, func(s *setup) { slow.Store = s.Store.(*store.Store); s.Store = &slow })
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		status, _, page := b.searchFor("car")
		if took := time.Since(began); status != http.StatusOK || took > 3*time.Second {
			t.Errorf("%d after %s", status, took)
		}
		has(t, page, "took too long", "branches and tags", `<a href="rules/cart">`)
	})
	slow.err = errors.New("the database is away")
	if status, _, page := b.searchFor("car"); status != http.StatusServiceUnavailable || strings.Contains(page, "is away") {
		t.Errorf("%d: %s", status, page)
	}
	for text, to := range map[string]string{"cart": "rules/cart", "NORTH": "targets#north", "acme/shop": "repositories/acme/shop"} { // the rules say it
		if status, got, page := b.searchFor(text); status != http.StatusSeeOther || got != to {
			t.Errorf("%q leads to %q (%d): %s", text, got, status, page)
		}
	}
}
