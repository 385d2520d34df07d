package trigger_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"buildbridge/mapping"
	"buildbridge/trigger"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

func (b *testTrigger) pause(t *testing.T, p store.Pause) {
	t.Helper()
	if p.Reason == "" {
		p.Reason = "maintenance"
	}
	if _, err := b.Pause(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
}

func (b *testTrigger) resume(t *testing.T, kind store.PauseKind, name string) {
	t.Helper()
	if _, err := b.Resume(t.Context(), kind, name, mapping.By{Actor: "ops"}); err != nil {
		t.Fatal(err)
	}
}

// held waits until a pause holds a build.
func (b *testTrigger) held(t *testing.T, id string) (got *store.Build) {
	t.Helper()
	until(t, "build "+id+" is held", func() bool {
		var err error
		if got, err = b.store.Build(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return !got.PausedAt.IsZero()
	})
	return got
}

// series are the values of a metric, by the values of its labels in the order of their names.
func (b *testTrigger) series(t *testing.T, name string) map[string]float64 {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			values[strings.TrimSpace(strings.Join(labels, " "))] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

// What is paused stays so over a restart, is called once each and in order when it goes on, and the
// metrics say so.
func TestPauseOverARestart(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	b.pause(t, store.Pause{Kind: store.PauseTarget, Name: "north"})
	var ids []string
	for i := range 5 {
		ids = append(ids, b.deliver(t, push(fmt.Sprintf("%040d", i)))...)
	}
	b.held(t, ids[4])
	b.close(t)
	b.open(t, settings{})
	ids = append(ids, b.deliver(t, push(commitA))...)
	b.held(t, ids[5])
	until(t, "the metrics say so", func() bool { return b.series(t, "buildbridge_queue_held_builds")["pause north"] == 6 })
	if n, age := b.series(t, "buildbridge_queue_builds")["waiting north"], b.series(t, "buildbridge_queue_oldest_waiting_seconds")["north"]; n != 6 || age != 0 {
		t.Errorf("%v wait, the oldest for %v s", n, age)
	}
	since := b.series(t, "buildbridge_paused_since_timestamp_seconds")["target north"]
	if b.series(t, "buildbridge_paused")["target north"] != 1 || time.Since(time.Unix(int64(since), 0)) > time.Minute {
		t.Errorf("it is paused since %v", since)
	}
	if n := b.sim.RunCount(); n != 0 {
		t.Fatalf("%d were called", n)
	}
	b.resume(t, store.PauseTarget, "north")
	for _, id := range ids {
		b.await(t, id, store.Started)
	}
	if order := b.runs(t); !slices.IsSorted(order) || len(order) != 6 {
		t.Errorf("called in the order %v", order)
	}
	until(t, "the series of the pause end", func() bool {
		n, err := testutil.GatherAndCount(b.reg, "buildbridge_paused", "buildbridge_paused_since_timestamp_seconds")
		return err == nil && n == 0
	})
}

// A build whose deadline is over during a pause is not dead, and is called after it.
func TestPauseHoldsDeadline(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{target: func() mapping.Target { x := patient(); x.RetryFor = 300 * time.Millisecond; return x }()})
	if err := b.sim.AddFault(codeartstest.Fault{Path: codeartstest.PathRun, Status: http.StatusServiceUnavailable, Times: 1}); err != nil {
		t.Fatal(err)
	}
	b.pause(t, store.Pause{Kind: store.PauseRule, Name: "cart"})
	id := b.deliver(t, push(commitA))[0]
	got := b.held(t, id)
	until(t, "its deadline is over", func() bool { return time.Now().After(got.Deadline.Add(50 * time.Millisecond)) })
	b.resume(t, store.PauseRule, "cart")
	got = b.await(t, id, store.Started, store.Dead)
	if got.State == store.Dead && got.Attempts == 0 {
		t.Errorf("it is dead without a call: %s", got.Reason)
	}
	if got.Deadline.Before(got.ResumedAt) {
		t.Errorf("its deadline is %s, and the pause ended at %s", got.Deadline, got.ResumedAt)
	}
}

// One that was called before, and whose next try comes when its deadline is over, is held too.
func TestPauseBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	id := b.deliver(t, push(commitA))[0]
	late, err := b.store.Build(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	late.Reason = "run job: unavailable"
	if err := b.store.Save(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	b.sql(t, fmt.Sprintf("UPDATE builds SET deadline = %d", time.Now().Add(-time.Second).UnixMicro()))
	b.pause(t, store.Pause{Kind: store.PauseAll})
	if _, err := b.Work(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := b.held(t, id); got.State != store.Waiting {
		t.Errorf("got %+v", got)
	}
	b.resume(t, store.PauseAll, "")
	if _, err := b.Work(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	b.await(t, id, store.Started)
}

func TestPausedInRules(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{})
	target := trigger.Target{Target: patient(), Service: b.client(t, patient())}
	b.SetRules([]trigger.Target{target}, nil, pausedRules(t))
	id := b.deliver(t, push(commitA))[0]
	if got := b.held(t, id); got.Reason != "rule cart is paused in its file: until the freeze ends" {
		t.Errorf("got %q", got.Reason)
	}
	if _, err := b.Resume(t.Context(), store.PauseRule, "cart", mapping.By{}); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "in its file: until the freeze ends") {
		t.Errorf("got %v", err)
	}
	until(t, "the metric says so", func() bool { return b.series(t, "buildbridge_paused")["rule cart"] == 1 })
	b.setTargets(t, patient())
	b.await(t, id, store.Started)
}

func pausedRules(t *testing.T) *mapping.Ruleset {
	t.Helper()
	rules, _, err := mapping.Parse([]mapping.Provider{{Name: "github"}}, mapping.File{Name: "rules.yaml", Data: []byte(`version: 1
sources: {github: {provider: github, insecure: true}}
targets: {north: {region: cn-north-4, credentials: {token: {env: TOKEN}}}}
rules: [{name: cart, paused: until the freeze ends, repository: acme/shop, when: {push: {}}, jobs: [{job_id: ` + job + `}]}]
`)})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestPauseThatIsWrong(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	for phrase, c := range map[string]struct {
		pause store.Pause
		says  string
	}{
		"no such rule":       {store.Pause{Kind: store.PauseRule, Name: "crat"}, `no rule is called "crat"; did you mean "cart"?`},
		"no such target":     {store.Pause{Kind: store.PauseTarget, Name: "nroth"}, `no target "nroth"; did you mean "north"?`},
		"no such repository": {store.Pause{Kind: store.PauseRepository, Name: "acme/shpo"}, `no rule names the repository "acme/shpo"; did you mean "acme/shop"?`},
		"no name":            {store.Pause{Kind: store.PauseRule}, "every kind but all needs one"},
		"all with a name":    {store.Pause{Kind: store.PauseAll, Name: "north"}, "every kind but all needs one"},
		"no such kind":       {store.Pause{Kind: "job", Name: "x"}, `"job" is none of all, target, rule, repository`},
		"no reason":          {store.Pause{Kind: store.PauseAll, Reason: " "}, "reason: say why"},
		"in the past":        {store.Pause{Kind: store.PauseAll, Until: time.Now().Add(-time.Second)}, "is in the past"},
		"beyond a year":      {store.Pause{Kind: store.PauseAll, Until: time.Now().AddDate(1, 1, 0)}, "more than a year from now"},
	} {
		t.Run(phrase, func(t *testing.T) {
			if c.pause.Reason == "" {
				c.pause.Reason = "x"
			}
			if _, err := b.Pause(t.Context(), &c.pause); !errors.Is(err, store.ErrPause) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := b.Resume(t.Context(), store.PauseAll, "", mapping.By{}); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "nothing else is") {
		t.Errorf("got %v", err)
	}
	b.pause(t, store.Pause{Kind: store.PauseRepository, Name: "ACME/shop"})
	if _, err := b.Resume(t.Context(), store.PauseAll, "", mapping.By{}); err == nil || !strings.Contains(err.Error(), "paused are: repository acme/shop") {
		t.Errorf("got %v", err)
	}
	b.resume(t, store.PauseRepository, "acme/Shop")
}

// A process that is started with --hold touches nothing outside, until everything is resumed: what waits is
// held, and its deadline stands still. A later one without it keeps the builds.
func TestHold(t *testing.T) {
	t.Parallel()
	b := newFollower(t, settings{stopped: true})
	started := b.deliver(t, push(commitA))[0]
	if _, err := b.Work(t.Context(), started); err != nil {
		t.Fatal(err)
	}
	b.await(t, started, store.Started)
	waits, unknown := b.deliver(t, push(commitB))[0], b.deliver(t, tag("v1"))[0]
	b.sql(t, fmt.Sprintf("UPDATE builds SET deadline = %d WHERE id = '%s'", time.Now().Add(-time.Second).UnixMicro(), waits))
	b.sql(t, fmt.Sprintf("UPDATE builds SET state = 'unknown', service = '%s', called_at = received_at, due_at = 1 WHERE id = '%s'",
		strings.TrimPrefix(b.sim.URL, "http://"), unknown))
	b.close(t)
	before := b.sim.Requests("")
	b.open(t, settings{hold: true, target: following(), follow: each(time.Millisecond)})
	late := b.deliver(t, push(commitB))[0]
	for _, id := range []string{waits, late} {
		if got := b.held(t, id); got.State != store.Waiting || got.Reason != "everything is paused: started with --hold" {
			t.Errorf("got %+v", got)
		}
	}
	until(t, "the one without an answer was put back", func() bool {
		got := b.await(t, unknown, store.Unknown)
		return got.Worker == "" && got.DueAt.After(time.Now()) && len(got.Log) == 0
	})
	until(t, "the metrics say so", func() bool { return b.series(t, "buildbridge_queue_held_builds")["pause north"] == 2 })
	if age := b.series(t, "buildbridge_queue_oldest_waiting_seconds")["north"]; age != 0 {
		t.Errorf("the oldest has waited for %v s", age)
	}
	if n := b.sim.Requests(""); n != before {
		t.Errorf("it made %d requests", n-before)
	}
	b.close(t)

	b.open(t, settings{}) // as after a kill
	b.held(t, late)
	b.held(t, waits)
	b.close(t)

	b.open(t, settings{hold: true})
	b.resume(t, store.PauseAll, "")
	for _, id := range []string{waits, late, unknown} {
		b.await(t, id, store.Started)
	}
}

func TestHoldLooksAtNoRefs(t *testing.T) {
	t.Parallel()
	b, h := newCatchUp(t, "report", settings{hold: true})
	until(t, "a look is long due", func() bool {
		all, err := b.store.Repositories(t.Context())
		return err == nil && len(all) > 0 && time.Since(all[0].DueAt) > 5*every
	})
	if n := h.looked("acme/shop"); n != 0 {
		t.Errorf("%d looks", n)
	}
	b.resume(t, store.PauseAll, "")
	h.moreLooks(t, 1)
}

// A hold does not end with the pause that was there before.
func TestHoldHasNoEnd(t *testing.T) {
	t.Parallel()
	b := newTestTrigger(t, settings{stopped: true})
	end := time.Now().Add(100 * time.Millisecond)
	b.pause(t, store.Pause{Kind: store.PauseAll, Until: end})
	b.close(t)
	b.open(t, settings{hold: true})
	until(t, "the time of the pause is over", func() bool { return time.Now().After(end) })
	ended, err := b.store.EndPauses(t.Context()) // as the leader does
	if err != nil || len(ended) != 0 {
		t.Errorf("ended: %v, %v", ended, err)
	}
	pauses, _, err := b.Pauses(t.Context())
	if err != nil || len(pauses) != 1 || pauses[0].Reason != "started with --hold" || !pauses[0].Until.IsZero() {
		t.Errorf("got %+v, %v", pauses, err)
	}
	b.close(t)

	b.open(t, settings{stopped: true})
	b.pause(t, store.Pause{Kind: store.PauseAll, Reason: "moving house"}) // it has none either, and stays as it is
	b.close(t)
	b.open(t, settings{hold: true})
	if pauses, _, err := b.Pauses(t.Context()); err != nil || len(pauses) != 1 || pauses[0].Reason != "moving house" {
		t.Errorf("got %+v, %v", pauses, err)
	}
}
