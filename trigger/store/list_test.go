package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/mapping"
	"buildbridge/trigger/store"
)

func buildsAreListed(t *testing.T, open func() *store.Store) {
	s := open()
	var all []string
	results := map[int]store.Result{1: store.Failure, 2: store.Running, 4: store.Success, 5: store.Failure}
	for i := range 7 {
		b := accept(t, s, func(b *store.Build) {
			b.Rule, b.Ref = fmt.Sprint("rule", i%2), fmt.Sprint("refs/heads/", i)
			if i == 4 {
				b.Ref = "refs/tags/6"
			}
			b.Origin = mapping.OriginWebhook
			if i == 3 || i == 5 {
				b.Origin = mapping.OriginManual
			}
			b.ReceivedAt = time.Unix(int64(1000+i), 0)
		})
		if i%3 == 0 {
			save(t, s, b, store.Dead)
		}
		if result := results[i]; result != store.NoResult {
			b.Result = result
			save(t, s, b, store.Started)
		}
		all = append(all, b.ID)
	}
	slices.Reverse(all)
	for phrase, c := range map[string]struct {
		filter store.BuildFilter
		want   []string
	}{
		"all of them":         {store.BuildFilter{}, all},
		"pages of two":        {store.BuildFilter{Limit: 2}, all},
		"by state":            {store.BuildFilter{State: "dead"}, []string{all[0], all[3], all[6]}},
		"by result":           {store.BuildFilter{Result: "failure"}, []string{all[1], all[5]}},
		"by success":          {store.BuildFilter{Result: "success", State: "started"}, []string{all[2]}},
		"by what runs":        {store.BuildFilter{Result: "running", Rule: "rule0"}, []string{all[4]}},
		"by a result of none": {store.BuildFilter{Result: "failure", State: "dead"}, nil},
		"by rule":             {store.BuildFilter{Rule: "rule1", Limit: 1}, []string{all[1], all[3], all[5]}},
		"by both":             {store.BuildFilter{State: "dead", Rule: "rule1"}, []string{all[3]}},
		"by origin":           {store.BuildFilter{Origin: "manual", Limit: 1}, []string{all[1], all[3]}},
		"by origin and state": {store.BuildFilter{Origin: "manual", State: "dead"}, []string{all[3]}},
		"by its result too":   {store.BuildFilter{Origin: "manual", Result: "failure"}, []string{all[1]}},
		"by webhook":          {store.BuildFilter{Origin: "webhook", Rule: "rule1"}, []string{all[5]}},
		"by webhook alone":    {store.BuildFilter{Origin: "webhook"}, []string{all[0], all[2], all[4], all[5], all[6]}},
		"by another origin":   {store.BuildFilter{Origin: "catch_up"}, nil},
		"by ref":              {store.BuildFilter{Ref: "refs/heads/6"}, all[:1]},
		"by a tag":            {store.BuildFilter{Ref: "refs/tags/6"}, all[2:3]},
		"by a short name":     {store.BuildFilter{Ref: "6"}, []string{all[0], all[2]}},
		"by half a ref":       {store.BuildFilter{Ref: "heads/6"}, nil},
		"by time":             {store.BuildFilter{Since: time.Unix(1002, 0), Until: time.Unix(1004, 0)}, []string{all[3], all[4]}},
		"by what is not":      {store.BuildFilter{Target: "south"}, nil},
		"by what is replayed": {store.BuildFilter{ReplayOf: all[0]}, nil},
		"by what is there":    {store.BuildFilter{Target: "north", JobID: "job", Repository: "acme/shop"}, all},
	} {
		t.Run(phrase, func(t *testing.T) {
			var got []string
			for {
				page, next, err := s.Builds(t.Context(), c.filter)
				if err != nil {
					t.Fatal(err)
				}
				if c.filter.Limit > 0 && len(page) > c.filter.Limit {
					t.Errorf("%d rows on a page of %d", len(page), c.filter.Limit)
				}
				for _, b := range page {
					got = append(got, b.ID)
				}
				if next == "" {
					break
				}
				c.filter.After = next
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, _, err := s.Builds(t.Context(), store.BuildFilter{After: "x"}); !errors.Is(err, store.ErrFilter) {
		t.Errorf("got %v", err)
	}
}

func deliveriesAreListed(t *testing.T, open func() *store.Store) {
	s := open()
	var all []string
	for i := range 5 {
		d := delivery(newID())
		d.Source, d.Commit = fmt.Sprint("source", i%2), fmt.Sprint("commit", i)
		d.Ref = []string{"refs/heads/main", "refs/heads/dev", "refs/tags/main", "refs/heads/x/main", ""}[i]
		if _, err := s.Accept(t.Context(), d, nil); err != nil {
			t.Fatal(err)
		}
		all = append(all, d.ID)
	}
	slices.Reverse(all)
	for phrase, c := range map[string]struct {
		filter store.DeliveryFilter
		want   []string
	}{
		"pages of two": {store.DeliveryFilter{Limit: 2}, all},
		"by source":    {store.DeliveryFilter{Source: "source1"}, []string{all[1], all[3]}},
		"by outcome":   {store.DeliveryFilter{Outcome: "ignored"}, nil},
		"by time":      {store.DeliveryFilter{Until: time.Unix(1000, 0)}, nil},
		"by ref":       {store.DeliveryFilter{Ref: "refs/heads/main"}, all[4:]},
		"by a name":    {store.DeliveryFilter{Ref: "main"}, []string{all[2], all[4]}},
	} {
		t.Run(phrase, func(t *testing.T) {
			var got []string
			for {
				page, next, err := s.Deliveries(t.Context(), c.filter)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range page {
					if want := fmt.Sprint("commit", 4-slices.Index(all, d.ID)); d.Commit != want {
						t.Errorf("the commit is %q, want %q", d.Commit, want)
					}
					got = append(got, d.ID)
				}
				if next == "" {
					break
				}
				c.filter.After = next
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
