package trigger

import (
	"testing"
	"time"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts"
	"buildbridge/trigger/store"
)

func TestSearchAgainIn(t *testing.T) {
	t.Parallel()
	call := store.Attempt{Outcome: store.Unknown}
	search := func(times int, outcome store.State) store.Attempt {
		return store.Attempt{Search: true, Times: times, Outcome: outcome}
	}
	for phrase, c := range map[string]struct {
		patience time.Duration
		log      []store.Attempt
		want     time.Duration
	}{
		"after a crash":                     {time.Minute, nil, time.Second},
		"after a call":                      {time.Minute, []store.Attempt{call}, time.Second},
		"after three searches":              {time.Minute, []store.Attempt{call, search(3, store.Unknown)}, 8 * time.Second},
		"after many":                        {time.Minute, []store.Attempt{call, search(1000, store.Unknown)}, 15 * time.Second},
		"with little patience":              {time.Second, []store.Attempt{call}, 125 * time.Millisecond},
		"with none":                         {0, []store.Attempt{call}, 10 * time.Millisecond},
		"after the second call":             {time.Minute, []store.Attempt{call, search(6, store.Waiting), call}, time.Second},
		"before the second call is written": {time.Minute, []store.Attempt{call, search(6, store.Waiting)}, time.Second},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			at := &target{Target: Target{Target: mapping.Target{Reconcile: mapping.Reconcile{Patience: c.patience}}}}
			if got := searchAgainIn(at, &store.Build{Log: c.log}); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestOtherTimes(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	to := from.Add(10 * time.Minute)
	for phrase, c := range map[string]struct {
		starts []time.Time
		want   bool
	}{
		"no record":                 {nil, false},
		"in the window":             {[]time.Time{from.Add(time.Minute)}, false},
		"in its first second":       {[]time.Time{from.Truncate(time.Second)}, false},
		"without a time":            {[]time.Time{{}}, false},
		"hours before":              {[]time.Time{from.Add(-8 * time.Hour), {}}, true},
		"hours after":               {[]time.Time{to.Add(8 * time.Hour)}, true},
		"hours after, and one fits": {[]time.Time{to.Add(8 * time.Hour), to}, false},
	} {
		t.Run(phrase, func(t *testing.T) {
			t.Parallel()
			var records []codearts.Record
			for _, start := range c.starts {
				records = append(records, codearts.Record{Start: start})
			}
			if got := otherTimes(records, from, to); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
