package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/store"
)

func ignoredIsKept(t *testing.T, open func() *store.Store) {
	s := open()
	d := delivery("k")
	d.Outcome, d.Reason, d.Verdicts = store.Ignored, "no_match", []byte(`[{"rule":"cart"}]`)
	s.LogIgnored(d)
	if err := s.Close(); err != nil { // writes what waits
		t.Fatal(err)
	}
	s = open()
	got, err := s.Delivery(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, got); diff != "" {
		t.Error(diff)
	}
	again := delivery("k") // an ignored one committed nothing: this is no duplicate of it
	if of, err := s.Accept(t.Context(), again, []*store.Build{build(again)}); err != nil || of != "" {
		t.Errorf("got %q, %v", of, err)
	}
}

// The memory of a body is used again: each delivery has its own body all the same.
func bodiesAreTheirOwn(t *testing.T, open func() *store.Store) {
	s := open()
	want := map[string]string{}
	for i := range 50 {
		d := delivery(newID())
		d.Body = []byte(`{"ref":"` + strings.Repeat(fmt.Sprintf("%03d", i), 100) + `"}`)
		want[d.ID] = string(d.Body)
		s.LogIgnored(d)
		clear(d.Body) // it is the next call's
	}
	if err := s.Close(); err != nil { // writes them
		t.Fatal(err)
	}
	s = open()
	for id, body := range want {
		d, err := s.Delivery(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if string(d.Body) != body {
			t.Fatalf("delivery %s has the body %.40s, want %.40s", id, d.Body, body)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
