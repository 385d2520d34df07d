package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"buildbridge/handlers/admin"
	"buildbridge/trigger/store"
)

func TestBuildsByFilter(t *testing.T) {
	a := writable(t)
	_, one := a.accept(state(store.Dead), func(_ *store.Delivery, b *store.Build) { b.ReceivedAt = time.Unix(1000, 0) })
	_, two := a.accept(ref("refs/heads/größe & more"), func(_ *store.Delivery, b *store.Build) {
		b.Rule, b.Target, b.JobID, b.Repository, b.ReceivedAt = "docs", "south", "0b7c", "acme/docs", time.Unix(2000, 0)
	})
	two.State, two.Result = store.Started, store.Failure
	if err := a.store.Save(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	again, err := a.replay(t.Context(), store.Replayable{ID: one.ID})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		query url.Values
		want  []string
	}{
		"all":             {nil, []string{again.ID, two.ID, one.ID}},
		"by state":        {url.Values{"state": {"dead"}}, []string{one.ID}},
		"by result":       {url.Values{"result": {"failure"}}, []string{two.ID}},
		"by another":      {url.Values{"result": {"success"}}, nil},
		"by rule":         {url.Values{"rule": {"docs"}}, []string{two.ID}},
		"by target":       {url.Values{"target": {"south"}}, []string{two.ID}},
		"by job":          {url.Values{"job_id": {"0b7c"}}, []string{two.ID}},
		"by repository":   {url.Values{"repository": {"acme/docs"}}, []string{two.ID}},
		"by ref":          {url.Values{"ref": {"refs/heads/größe & more"}}, []string{two.ID}},
		"by short ref":    {url.Values{"ref": {"größe & more"}}, []string{two.ID}},
		"by tag":          {url.Values{"tag": {"v1"}}, nil},
		"by commit":       {url.Values{"commit": {two.Commit[:7]}}, []string{two.ID, one.ID}},
		"by another's":    {url.Values{"commit": {strings.Repeat("b", 40)}}, nil},
		"half a delivery": {url.Values{"delivery": {one.Delivery[:30]}}, []string{again.ID, one.ID}},
		"half a replay":   {url.Values{"replay_of": {one.ID[:30]}}, []string{again.ID}},
		"half of none":    {url.Values{"replay_of": {"ffff"}}, nil},
		"by delivery":     {url.Values{"delivery": {one.Delivery}}, []string{again.ID, one.ID}},
		"by replay":       {url.Values{"replay_of": {one.ID}}, []string{again.ID}},
		"by time":         {url.Values{"since": {"1970-01-01T00:16:40Z"}, "until": {"1970-01-01T08:33:20+08:00"}}, []string{one.ID}},
		"in pages":        {url.Values{"limit": {"1"}}, []string{again.ID, two.ID, one.ID}},
		"none":            {url.Values{"rule": {"cart' OR '1'='1"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			var got []string
			for query := test.query; ; {
				var page admin.BuildPage
				a.ask("GET", "/builds?"+query.Encode(), http.StatusOK, &page)
				if page.Builds == nil || query.Get("limit") != "" && len(page.Builds) != 1 {
					t.Errorf("a page has %v", page.Builds)
				}
				for _, b := range page.Builds {
					got = append(got, b.ID)
				}
				if page.Next == "" {
					break
				}
				query.Set("after", page.Next)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDeliveriesByFilter(t *testing.T) {
	a := writable(t)
	one, _ := a.accept(func(d *store.Delivery, _ *store.Build) { d.ReceivedAt = time.Unix(1000, 0) })
	two, _ := a.accept(func(d *store.Delivery, _ *store.Build) {
		d.Source, d.Repository, d.Ref = "gitee", "acme/docs", "refs/tags/v1"
	})
	for name, test := range map[string]struct {
		query url.Values
		want  []string
	}{
		"all":           {nil, []string{two.ID, one.ID}},
		"by source":     {url.Values{"source": {"gitee"}}, []string{two.ID}},
		"by repository": {url.Values{"repository": {"acme/shop"}}, []string{one.ID}},
		"by ref":        {url.Values{"ref": {"refs/tags/v1"}}, []string{two.ID}},
		"by short ref":  {url.Values{"ref": {"v1"}}, []string{two.ID}},
		"by tag":        {url.Values{"tag": {"v1"}}, []string{two.ID}},
		"by outcome":    {url.Values{"outcome": {"ignored"}}, nil},
		"by reason":     {url.Values{"reason": {"no_match"}}, nil},
		"by time":       {url.Values{"until": {"1970-01-01T00:16:41Z"}}, []string{one.ID}},
		"since then":    {url.Values{"since": {"1970-01-01T00:16:41Z"}}, []string{two.ID}},
		"in pages":      {url.Values{"limit": {"1"}}, []string{two.ID, one.ID}},
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			var got []string
			for query := test.query; ; {
				var page admin.DeliveryPage
				a.ask("GET", "/deliveries?"+query.Encode(), http.StatusOK, &page)
				for _, d := range page.Deliveries {
					got = append(got, d.ID)
				}
				if page.Next == "" {
					break
				}
				query.Set("after", page.Next)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParametersThatAreWrong(t *testing.T) {
	a := writable(t)
	_, b := a.accept(state(store.Dead))
	for name, test := range map[string]struct {
		method, path string
		says         string // all of these, separated by "|"
	}{
		"a state that is none":            {"GET", "/builds?state=ded", `state: "ded" is none of waiting, calling, unknown, started, dead`},
		"a name that is none":             {"GET", "/builds?sate=dead", `"sate": no such parameter; there are after, commit, delivery`},
		"a name in another case":          {"GET", "/builds?State=dead", `"State": no such parameter`},
		"a parameter twice":               {"GET", "/builds?rule=a&rule=b", "rule: given 2 times"},
		"an empty one":                    {"GET", "/builds?rule=", "rule: empty"},
		"a long one":                      {"GET", "/builds?rule=" + strings.Repeat("x", 5000), "rule: longer than 4096 bytes"},
		"one that is not text":            {"GET", "/builds?rule=%ff", "rule: not text"},
		"one that a database cannot hold": {"GET", "/builds?rule=a%00", "rule: not text"},
		"a time without a zone":           {"GET", "/builds?since=2026-01-31T08:00:00", "since: |RFC 3339"},
		"a time that is none":             {"GET", "/deliveries?until=now", "until: |RFC 3339"},
		"no rows":                         {"GET", "/builds?limit=0", `limit: "0" is not a number from 1 to 1000`},
		"too many rows":                   {"GET", "/deliveries?limit=1001", "limit: "},
		"a page of another list":          {"GET", "/builds?after=x", "after: this is not the next of an earlier page"},
		"another":                         {"GET", "/deliveries?after=01234567-89ab-cdef-0123-456789abcdef", "after: this is not the next of an earlier page"},
		"an outcome that is none":         {"GET", "/deliveries?outcome=refused", "outcome: |accepted, ignored, duplicate, rejected"},
		"half a commit":                   {"GET", "/builds?commit=6dcb09", `commit: "6dcb09" is no commit: give its id, or at least the first 7 digits of it`},
		"a branch for a commit":           {"GET", "/deliveries?commit=release/1", `commit: "release/1" is no commit`},
		"a tag and a ref":                 {"GET", "/builds?tag=v1&ref=v1", "tag: give ref or tag, not both"},
		"a query that is none":            {"GET", "/builds?rule=%zz", "the query is malformed"},
		"several of them":                 {"GET", "/builds?limit=x&state=y&z=1", "limit: |state: |\"z\": "},
		"a parameter for one build":       {"GET", "/builds/" + b.ID + "?x=1", `"x": there are no parameters here`},
		"and for its replay":              {"POST", "/builds/" + b.ID + "/replay?state=dead", "there are no parameters here"},
		"and for one delivery":            {"GET", "/deliveries/" + b.Delivery + "?x=1", "there are no parameters here"},
		"a replay of everything":          {"POST", "/builds/replay", "give at least one filter"},
		"a limit is no filter":            {"POST", "/builds/replay?limit=10", "give at least one filter"},
		"a replay of what goes on":        {"POST", "/builds/replay?state=waiting", "state: |needs no replay"},
		"a replay of what runs":           {"POST", "/builds/replay?result=running", "result: |needs no replay"},
		"a result that is none":           {"GET", "/builds?result=failed", `result: "failed" is none of running, success`},
		"and for its stop":                {"POST", "/builds/" + b.ID + "/stop?reason=x", "there are no parameters here"},
		"a count of everything":           {"GET", "/builds/replay", "give at least one filter"},
		"a count of what goes on":         {"GET", "/builds/replay?state=unknown", "state: |needs no replay"},
		"a misspelt filter of a replay":   {"POST", "/builds/replay?state=dead&rle=cart", `"rle": no such parameter`},
		"a page of another replay":        {"POST", "/builds/replay?state=dead&after=5", "after: this is not the next of an earlier page"},
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			got := a.refused(test.method, test.path, http.StatusBadRequest)
			for want := range strings.SplitSeq(test.says, "|") {
				if !strings.Contains(got, want) {
					t.Errorf("it says %q, want %q", got, want)
				}
			}
		})
	}
	var page admin.BuildPage
	if a.ask("GET", "/builds?replay_of="+b.ID, http.StatusOK, &page); len(page.Builds) != 0 {
		t.Error("something was replayed")
	}
}
