package pages_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

func TestTargets(t *testing.T) {
	b := newBridge(t)
	at := time.Unix(1e9, 0)
	b.overview.Targets = []store.TargetState{
		{
			Target: "north", InRules: true, Running: 3, Waiting: 7, Paused: 2, Held: 1, Oldest: at, Calling: 4, Unknown: 5,
			Good: at, Bad: at.Add(time.Second), Error: "no permission " + hostileName, Asked: time.Unix(2e9, 0),
		},
		{Target: "gone & " + hostileName, Waiting: 1},
	}
	b.overview.Sources = []store.SourceState{{Source: "github", Statuses: 11, Missed: 12, Error: "the token is wrong", Failing: 13}}
	b.overview.Replicas = []store.Replica{{Name: "one", Leads: true}, {Name: "two", Self: true}}
	for i := range 3 { // the same but for what differs from build to build
		b.build(func(b *store.Build) {
			b.State, b.Reason = store.Dead, fmt.Sprintf("run job: no permission (403 CB.1, request abcdef0123%d): give it", i)
		})
	}
	b.build(func(b *store.Build) { b.State, b.Reason = store.Dead, strings.Repeat("long ", 1000) })
	b.build(func(b *store.Build) { b.State, b.Reason = store.Waiting, "run job: throttled (429)" })
	b.build(func(b *store.Build) { b.State, b.Reason = store.Waiting, string(store.HoldRunning) })
	for _, reason := range []string{"", "ann says so"} {
		if _, err := b.store.Cancel(t.Context(), b.build().ID, "ann", reason); err != nil {
			t.Fatal(err)
		}
	}
	page := b.get("/targets", http.StatusOK)
	has(t, page, `<a name="north"`, `href="builds?target=north&amp;result=running">3</a>`, `>7</a>, 2 of them paused, 1 held by max_running, the oldest of the others since <time`,
		`state=calling">4</a>`, `state=unknown">5</a>`, "2001-09-09 01:46:40", "no permission &lt;script&gt;", "until <time",
		`name="gone &amp; &lt;script&gt;`, "It is not in the rules", `href="builds?target=gone%20%26%20%3cscript`,
		`class="number">3</td>`, "run job: no permission (403 CB.1): give it", "run job: throttled (429)", strings.Repeat("long ", 119),
		">11</td>", ">12</a>", "the token is wrong", "The refs of 13 repositories cannot be read",
		"one</code>, leads", "two</code>, shows this page")
	hasNot(t, page, "<script>alert", "abcdef0123", "ann says so", "max_running: earlier", "the newest 500", strings.Repeat("long ", 121))
}

func TestErrorsOfTargetsAreBounded(t *testing.T) {
	b := newBridge(t)
	b.overview.Targets = []store.TargetState{{Target: "north", InRules: true}}
	for _, which := range "abcdefghijklmno" {
		b.build(func(b *store.Build) { b.State, b.Reason = store.Dead, "reason "+string(which) })
	}
	has(t, b.get("/targets", http.StatusOK), "And 5 more reasons.")
	b.overview.Targets = nil // it is in the rules no more, and has dead builds
	has(t, b.get("/targets", http.StatusOK), `<a name="north"`, "reason a", "It is not in the rules")
}
