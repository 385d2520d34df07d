package store_test

import (
	"errors"
	"slices"
	"testing"

	"buildbridge/trigger/store"
)

// oldestFirst gives the repositories of the deliveries that fit, in pages.
func oldestFirst(t *testing.T, s *store.Store, f store.DeliveryFilter) (repositories []string) {
	t.Helper()
	for {
		page, next, err := s.DeliveriesOldestFirst(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			repositories = append(repositories, d.Repository)
		}
		if f.After = next; next == "" {
			return repositories
		}
	}
}

// sameOldestFirst wants what a list has, in the other order.
func sameOldestFirst(t *testing.T, s *store.Store, f store.DeliveryFilter, newestFirst []string) {
	t.Helper()
	f.Limit = 300
	got := oldestFirst(t, s, f)
	if slices.Reverse(got); !slices.Equal(got, newestFirst) {
		t.Errorf("%+v: the oldest first there are %d deliveries, the newest first %d, or in another order", f, len(got), len(newestFirst))
	}
}

func listedOldestFirst(t *testing.T, open func() *store.Store) {
	s := open()
	for range 3 {
		accept(t, s, nil)
	}
	page, next, err := s.DeliveriesOldestFirst(t.Context(), store.DeliveryFilter{Limit: 2})
	if err != nil || len(page) != 2 || next == "" {
		t.Fatal(len(page), next, err)
	}
	accept(t, s, nil) // after the first page was read
	if page, next, err = s.DeliveriesOldestFirst(t.Context(), store.DeliveryFilter{Limit: 2, After: next}); err != nil || len(page) != 1 || next != "" {
		t.Errorf("%d deliveries, next %q, %v: want the third alone", len(page), next, err)
	}
	for _, cursor := range []string{"x", "1", "1-2-3", "-1"} {
		if _, _, err := s.DeliveriesOldestFirst(t.Context(), store.DeliveryFilter{After: cursor}); !errors.Is(err, store.ErrFilter) {
			t.Errorf("the cursor %q gives %v", cursor, err)
		}
	}
}
