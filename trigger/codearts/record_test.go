package codearts_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/trigger/codearts"
	"buildbridge/trigger/codearts/codeartstest"
)

// at is a clock that stands still.
func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// noon of a day in Shanghai, where the next day has begun in Auckland.
func noon() time.Time { return time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC) }

func TestRecords(t *testing.T) {
	for name, text := range map[string]bool{"times in milliseconds": false, "times as wall clocks": true} {
		t.Run(name, func(t *testing.T) {
			now := noon()
			zone := time.FixedZone("+13", 13*60*60)
			server := codeartstest.NewServer(codeartstest.Options{
				Now: func() time.Time { return now }, Location: zone, TextTimes: text, BuildTime: time.Hour,
			})
			defer server.Close()
			client := newClient(t, codearts.Options{Endpoint: server.URL})
			codearts.SetClock(client, at(now))
			for range 2 {
				if _, err := client.RunJob(t.Context(), runBody(t)); err != nil {
					t.Fatal(err)
				}
				now = now.Add(time.Minute)
			}
			if _, err := server.StartBuild(codeartstest.Build{JobID: jobID, Tag: "v1", Branch: "main"}); err != nil {
				t.Fatal(err)
			}

			got, err := client.Records(t.Context(), jobID, noon().Add(time.Minute), now, zone)
			if err != nil {
				t.Fatal(err)
			}
			want := []codearts.Record{{
				Number: "3", Start: noon().Add(2 * time.Minute), Executor: "person", JobRunningStatus: "Running", CommitID: got[0].CommitID,
			}, {
				Number: "2", Start: noon().Add(time.Minute), Executor: "AK", JobRunningStatus: "Running", CommitID: commit,
			}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if none, err := client.Records(t.Context(), jobID, now.Add(time.Second), now.Add(time.Hour), zone); err != nil || len(none) != 0 {
				t.Errorf("of the future: %v, %v", none, err)
			}

			source, err := client.Source(t.Context(), jobID, "3")
			if want := (codearts.Source{Commit: got[0].CommitID, Tag: "v1"}); err != nil || source != want {
				t.Errorf("it builds %+v (%v), want %+v", source, err, want)
			}
		})
	}
}

// Builds that are started while pages are read push others onto the next page.
func TestRecordsOfManyPages(t *testing.T) {
	now := noon()
	server := codeartstest.NewServer(codeartstest.Options{Now: func() time.Time { return now }, Location: time.UTC})
	defer server.Close()
	for range 250 {
		if _, err := server.StartBuild(codeartstest.Build{JobID: jobID}); err != nil {
			t.Fatal(err)
		}
	}
	pages := 0
	client := newClient(t, codearts.Options{Endpoint: "http://x", Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if pages++; pages == 2 {
			if _, err := server.StartBuild(codeartstest.Build{JobID: jobID}); err != nil {
				t.Error(err)
			}
		}
		r.URL.Host = strings.TrimPrefix(server.URL, "http://")
		return http.DefaultTransport.RoundTrip(r)
	})})
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	records, err := client.Records(t.Context(), jobID, now.Add(-time.Hour), now, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range records {
		if seen[r.Number] {
			t.Error("twice:", r.Number)
		}
		seen[r.Number] = true
	}
	if len(seen) != 250 || pages != 3 {
		t.Errorf("%d records on %d pages, want 250 on 3", len(seen), pages)
	}
}

// The requests for records, and what becomes of odd answers.
func TestRecordsProtocol(t *testing.T) {
	page := func(n, total int) string {
		return `{"result":{"total_record":"` + fmt.Sprint(total) + `","job_build_states":[` +
			strings.TrimSuffix(strings.Repeat(`{"number":1},`, n), ",") + `]},"error":null,"status":"success"}`
	}
	shanghai := time.FixedZone("+8", 8*60*60)
	tests := map[string]struct {
		from, to time.Time
		job      string
		answer   string
		status   int

		queries []string // the first ones
		count   int      // of queries
		fate    codearts.Fate
		fails   string // a part of the error; "" for success
	}{
		"bounds are rounded outwards": {
			from: noon().Add(999 * time.Millisecond), to: noon().Add(time.Millisecond + time.Second), answer: page(1, 1), count: 1,
			queries: []string{"end_time=2026-03-01%2012%3A00%3A02&page_index=0&page_size=100&start_time=2026-03-01%2012%3A00%3A00"},
		},
		"no list":                    {answer: `{"result":{"job_build_states":null}}`, count: 1},
		"a page smaller than asked":  {answer: page(10, 25), count: 3},
		"a total that never comes":   {answer: page(1, 99999999), count: 100, fate: codearts.FateDead, fails: "more than 10000 records"},
		"full pages without an end":  {answer: page(100, 0), count: 100, fate: codearts.FateDead, fails: "shorten the window"},
		"an error in a 200":          {answer: `{"error":{"code":"CB.00060211","reason":"slow"},"status":"error"}`, count: 1, fate: codearts.FateThrottled, fails: "too many requests"},
		"an error without a code":    {answer: `{"error":"nope","status":"fail","result":null}`, count: 1, fate: codearts.FateRetry, fails: "the service reports an error (200): nope"},
		"a page instead of JSON":     {answer: `<html>`, count: 1, fate: codearts.FateRetry, fails: "a page instead of JSON"},
		"nothing":                    {answer: ``, count: 1, fate: codearts.FateRetry, fails: "list records"},
		"no result":                  {answer: `{}`, count: 1, fate: codearts.FateRetry, fails: "not understood"},
		"a list that is none":        {answer: `{"result":{"job_build_states":{}}}`, count: 1, fate: codearts.FateRetry, fails: "not understood"},
		"a record that is none":      {answer: `{"result":{"job_build_states":[1]}}`, count: 1, fate: codearts.FateRetry, fails: "not understood"},
		"the service fails":          {status: 500, count: 1, fate: codearts.FateRetry, fails: "the service failed (500)"},
		"no such job":                {status: 422, answer: `{"error":{"code":"DEVCB.00031006"}}`, count: 1, fate: codearts.FateDead, fails: "no such job"},
		"a window of three months":   {from: noon().AddDate(0, -3, 0), to: noon(), answer: page(1, 1), count: 3},
		"a window that is backwards": {from: noon(), to: noon().Add(-time.Second), fate: codearts.FateDead, fails: "ends before it begins"},
		"a job id that is a path":    {job: "../../v3/jobs/stop", fate: codearts.FateDead, fails: "not 32 letters and digits"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var queries []string
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				queries = append(queries, r.URL.RawQuery)
				if r.Method != http.MethodGet || r.URL.Path != "/v1/record/"+jobID+"/list" {
					t.Errorf("%s %s", r.Method, r.URL.Path)
				}
				if test.status != 0 {
					w.WriteHeader(test.status)
				}
				_, _ = io.WriteString(w, test.answer)
			})
			if test.job == "" {
				test.job = jobID
			}
			if test.from.IsZero() {
				test.from, test.to = noon(), noon()
			}
			client := newClient(t, codearts.Options{Endpoint: url})
			_, err := client.Records(t.Context(), test.job, test.from, test.to, shanghai)
			if len(queries) != test.count {
				t.Errorf("%d queries, want %d", len(queries), test.count)
			}
			for i, want := range test.queries {
				if i < len(queries) && queries[i] != want {
					t.Errorf("query %d: %s, want %s", i, queries[i], want)
				}
			}
			if test.fails == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := asError(t, err); e.Fate != test.fate || !strings.Contains(e.Error(), test.fails) {
				t.Errorf("fate %v: %v, want %v and %q", e.Fate, err, test.fate, test.fails)
			}
		})
	}
}

func TestHistoryParameters(t *testing.T) {
	server := codeartstest.NewServer(codeartstest.Options{})
	defer server.Close()
	client := newClient(t, codearts.Options{Endpoint: server.URL})
	if _, err := client.RunJob(t.Context(), runBody(t)); err != nil {
		t.Fatal(err)
	}
	got, err := client.HistoryParameters(t.Context(), jobID, "1")
	if want := []codearts.Parameter{{Name: "codeBranch", Value: "main"}}; err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := client.HistoryParameters(t.Context(), jobID, "2"); asError(t, err).Fate != codearts.FateDead {
		t.Error("of a build that is not there:", err)
	}
	for _, no := range []string{"", "1/stop", "-1", "?"} {
		if _, err := client.Source(t.Context(), jobID, no); err == nil || !strings.Contains(err.Error(), "is not a number") {
			t.Errorf("build %q: %v", no, err)
		}
	}
}

// When summer time ends, a wall clock shows an hour twice. Whichever of the two the service means, it lists
// the whole window, which does not end before it begins.
func TestRecordsWhenSummerTimeEnds(t *testing.T) {
	for name, c := range map[string]struct {
		zone  string
		ends  time.Time
		shift time.Duration
	}{
		"Berlin":           {"Europe/Berlin", time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC), time.Hour},
		"Santiago":         {"America/Santiago", time.Date(2026, 4, 5, 3, 0, 0, 0, time.UTC), time.Hour},
		"Lord Howe Island": {"Australia/Lord_Howe", time.Date(2026, 4, 4, 15, 0, 0, 0, time.UTC), 30 * time.Minute},
		"Berlin, begins":   {"Europe/Berlin", time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), 0},
	} {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			var query url.Values
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				query = r.URL.Query()
				_, _ = io.WriteString(w, `{"result":{"job_build_states":[]}}`)
			})
			client := newClient(t, codearts.Options{Endpoint: address})
			// meanings are the times at which the wall clock shows this.
			meanings := func(text string) (all []time.Time) {
				wall, err := time.Parse("2006-01-02 15:04:05", text)
				if err != nil {
					t.Error(err)
				}
				for _, near := range []time.Duration{-12 * time.Hour, 12 * time.Hour} {
					_, offset := c.ends.Add(near).In(zone).Zone()
					if m := wall.Add(-time.Duration(offset) * time.Second); m.In(zone).Format("2006-01-02 15:04:05") == text {
						all = append(all, m)
					}
				}
				return all
			}
			for from := c.ends.Add(-3 * time.Hour); from.Before(c.ends.Add(3 * time.Hour)); from = from.Add(7 * time.Minute) {
				for _, long := range []time.Duration{0, time.Second, 5 * time.Minute, 50 * time.Minute, 2 * time.Hour} {
					if _, err := client.Records(t.Context(), jobID, from, from.Add(long), zone); err != nil {
						t.Fatal(err)
					}
					begin, end := query.Get("start_time"), query.Get("end_time")
					if end < begin {
						t.Errorf("%s for %s: the window is from %s to %s", from, long, begin, end)
					}
					for _, m := range meanings(begin) {
						if m.After(from) || from.Sub(m) > c.shift*2 {
							t.Errorf("%s begins with %s, which may be %s", from, begin, m)
						}
					}
					for _, m := range meanings(end) {
						if m.Before(from.Add(long)) || m.Sub(from.Add(long)) > c.shift*2 {
							t.Errorf("%s for %s ends with %s, which may be %s", from, long, end, m)
						}
					}
				}
			}
		})
	}
}

// Following reads no more pages than it needs.
func TestFollowing(t *testing.T) {
	now := noon()
	server := codeartstest.NewServer(codeartstest.Options{Now: func() time.Time { return now }, Location: time.UTC})
	defer server.Close()
	client := newClient(t, codearts.Options{Endpoint: server.URL})
	if found, err := client.Following(t.Context(), jobID, now, now, nil, []string{"1"}); err != nil || len(found) != 0 {
		t.Errorf("of a job without builds: %v, %v", found, err)
	}
	for range 1150 {
		if _, err := server.StartBuild(codeartstest.Build{JobID: jobID}); err != nil {
			t.Fatal(err)
		}
	}
	numbers := func(from, to int) (all []string) {
		for no := from; no <= to; no++ {
			all = append(all, fmt.Sprint(no))
		}
		return all
	}
	for name, test := range map[string]struct {
		numbers      []string
		count, pages int
	}{
		"none":                         {},
		"the newest hundred":           {numbers: numbers(1051, 1150), count: 100, pages: 1},
		"one, twice":                   {numbers: []string{"1100", "1100"}, count: 1, pages: 1},
		"some on the third page":       {numbers: numbers(930, 945), count: 16, pages: 3},
		"one that is not listed":       {numbers: []string{"1150", "1151"}, count: 1, pages: 10},
		"some beyond the tenth page":   {numbers: numbers(149, 152), count: 2, pages: 10},
		"one that is no number at all": {numbers: []string{"x"}, pages: 10},
	} {
		t.Run(name, func(t *testing.T) {
			before := server.Requests(codeartstest.PathList)
			found, err := client.Following(t.Context(), jobID, now, now, nil, test.numbers)
			if pages := server.Requests(codeartstest.PathList) - before; err != nil || len(found) != test.count || pages != test.pages {
				t.Errorf("%d records on %d pages, %v, want %d on %d", len(found), pages, err, test.count, test.pages)
			}
			for no, r := range found {
				if r.Number != no || r.JobRunningStatus != "Running" {
					t.Errorf("%s is %+v", no, r)
				}
			}
		})
	}
}
