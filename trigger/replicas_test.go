package trigger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"buildbridge/mapping"
	"buildbridge/trigger/codearts/codeartstest"
	"buildbridge/trigger/store"
)

// replicas are three triggers on one Postgres and one simulator.
func replicas(t *testing.T, s settings) []*testTrigger {
	t.Helper()
	s.shared = codeartstest.NewServer(s.sim)
	t.Cleanup(s.shared.Close)
	s.path = server.Database(t)
	return []*testTrigger{newTestTrigger(t, s), newTestTrigger(t, s), newTestTrigger(t, s)}
}

func TestReplicasStartNothingTwice(t *testing.T) {
	t.Parallel()
	all := replicas(t, settings{sim: codeartstest.Options{RecordLag: 20 * time.Millisecond, CommitLag: 100 * time.Millisecond}})
	all[0].fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropAfter, Probability: 0.3})
	want := map[string]int{}
	var ids []string
	for i := range 60 {
		commit := fmt.Sprintf("%040x", i+1)
		one, two := push(commit), push(commit)
		one.Ref = fmt.Sprintf("refs/heads/b%d", i%7)
		two.Ref, two.Rule = one.Ref, "twin"
		want[commit] += 2
		ids = append(ids, all[i%3].deliver(t, one, two)...)
	}
	callers := map[string]bool{}
	for _, id := range ids {
		callers[all[0].await(t, id, store.Started).Caller] = true
	}
	got := map[string]int{}
	for _, what := range all[0].runs(t) {
		got[what]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(callers) < 2 {
		t.Errorf("%d replicas worked, want several", len(callers))
	}
}

func TestReplicasKeepTheOrderOfAnOrderingKey(t *testing.T) {
	t.Parallel()
	all := replicas(t, settings{})
	all[0].fault(t, codeartstest.Fault{Path: codeartstest.PathRun, Drop: codeartstest.DropBefore, Times: 2})
	var want, ids []string
	for i := range 12 {
		commit := fmt.Sprintf("%040x", i+1)
		want = append(want, commit)
		ids = append(ids, all[i%3].deliver(t, push(commit))...)
	}
	for _, id := range ids {
		all[0].await(t, id, store.Started)
	}
	if diff := cmp.Diff(want, all[0].runs(t)); diff != "" {
		t.Error(diff)
	}
}

func TestReplicasShareARateLimit(t *testing.T) {
	t.Parallel()
	limited := patient()
	limited.RateLimit = mapping.RateLimit{PerSecond: 30, Burst: 1}
	all := replicas(t, settings{target: limited})
	var ids []string
	begin := time.Now()
	for i := range 61 {
		p := push(commitA)
		p.Ref = fmt.Sprintf("refs/heads/b%d", i)
		ids = append(ids, all[i%3].deliver(t, p)...)
	}
	for _, id := range ids {
		all[0].await(t, id, store.Started)
	}
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("61 builds at 30 a second, all replicas together, took %s", took)
	}
}

// A backlog that is longer than any build waits for the limit goes on at the rate of the limit.
func TestBacklogOfARateLimit(t *testing.T) {
	t.Parallel()
	limited := patient()
	limited.RetryFor, limited.RateLimit = time.Hour, mapping.RateLimit{PerSecond: 3, Burst: 1}
	all := replicas(t, settings{target: limited})
	for i := range 300 {
		p := push(commitA)
		p.Ref = fmt.Sprintf("refs/heads/b%d", i)
		p.Commit = fmt.Sprintf("%040x", i+1)
		all[i%3].deliver(t, p)
	}
	begin, before := time.Now(), all[0].sim.RunCount()
	measure := time.NewTicker(time.Second)
	defer measure.Stop()
	n, took := 0, time.Duration(0)
	for took < 20*time.Second {
		<-measure.C
		n = all[0].sim.RunCount() - before
		if took = time.Since(begin); n > int(3*took.Seconds())+10 {
			t.Fatalf("%d builds in %s at 3 a second", n, took)
		}
	}
	if n < 40 {
		t.Errorf("%d builds in %s at 3 a second", n, took)
	}
}

func TestOneReplicaKeepsTheGauges(t *testing.T) {
	t.Parallel()
	keepers := 0
	for _, b := range replicas(t, settings{}) {
		n, err := testutil.GatherAndCount(b.reg, "buildbridge_queue_builds")
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			keepers++
		}
	}
	if keepers != 1 {
		t.Errorf("%d replicas have the gauges of the queue, want 1", keepers)
	}
}

// A replica that called and died does not renew its lease. As long as the lease lasts, the replica
// may still save its answer.
func TestCallOfADeadReplica(t *testing.T) {
	t.Parallel()
	all := replicas(t, settings{stopped: true})
	id := all[0].deliver(t, push(commitA))[0]
	row := all[0].await(t, id, store.Waiting)
	row.Service = strings.TrimPrefix(all[0].sim.URL, "http://")
	if _, err := all[0].store.BeginCall(t.Context(), row, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := all[1].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	until(t, "another replica goes on with the build of the dead one", func() bool {
		got := all[1].await(t, id, store.Calling, store.Unknown, store.Waiting, store.Started)
		if time.Since(begin) < 2*time.Second && (got.State != store.Calling || got.Caller != all[0].store.Caller()) {
			t.Fatalf("it did before the lease was over: %+v", got)
		}
		return got.State == store.Started
	})
	if took := time.Since(begin); took > store.Lease+10*time.Second {
		t.Errorf("it took %s", took)
	}
	if n := all[0].sim.RunCount(); n != 1 {
		t.Errorf("%d runs", n)
	}
}
