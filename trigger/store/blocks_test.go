package store_test

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"buildbridge/trigger/store"
)

// fill accepts n deliveries with one build each, and writes the blocks. Each has a repository of its own,
// and is received a second after the one before.
func fill(t *testing.T, s *store.Store, n int, start time.Time) []*store.Delivery {
	t.Helper()
	defer writeBlocks(t, s)
	return acceptMany(t, s, n, start)
}

func acceptMany(t *testing.T, s *store.Store, n int, start time.Time) (deliveries []*store.Delivery) {
	t.Helper()
	deliveries = make([]*store.Delivery, n)
	for i := range deliveries {
		d := delivery(newID())
		d.Commit = fmt.Sprintf("%07x%033d", i, 7)
		d.Source, d.Repository, d.ReceivedAt = fmt.Sprint("source", i%2), fmt.Sprint("acme/", i), start.Add(time.Duration(i)*time.Second)
		deliveries[i] = d
	}
	for many := range slices.Chunk(deliveries, 50) {
		var wg sync.WaitGroup
		for _, d := range many {
			wg.Go(func() {
				b := build(d)
				b.Repository, b.Ref, b.State = d.Repository, "refs/heads/"+d.ID, store.Dead
				if b.Commit = d.Commit; d.Source == "source1" { // a tag of that commit
					b.Commit, b.TagCommit = "", d.Commit
				}
				if _, err := s.Accept(t.Context(), d, []*store.Build{b}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	return deliveries
}

func writeBlocks(t *testing.T, s *store.Store) {
	t.Helper()
	if err := store.WriteBlocks(t.Context(), s, 0); err != nil {
		t.Fatal(err)
	}
}

// listed gives the repositories of the builds and deliveries that filters list, in pages.
func listed(t *testing.T, s *store.Store, b store.BuildFilter, d store.DeliveryFilter) (builds, deliveries []string) {
	t.Helper()
	b.Limit, d.Limit = store.MaxPage, 300
	for {
		page, next, err := s.Builds(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page {
			builds = append(builds, b.Repository)
		}
		if b.After = next; next == "" {
			break
		}
	}
	for {
		page, next, err := s.Deliveries(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			deliveries = append(deliveries, d.Repository)
		}
		if d.After = next; next == "" {
			sameOldestFirst(t, s, d, deliveries)
			return builds, deliveries
		}
	}
}

// Rows of blocks are listed like other rows, whatever is between them.
func listedByBlocks(t *testing.T, open func() *store.Store) {
	s := open()
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	ignored := delivery("ignored")
	ignored.Outcome, ignored.Source, ignored.Repository, ignored.ReceivedAt = store.Ignored, "source0", "acme/ignored", start
	s.LogIgnored(ignored)
	await(t, "the ignored one is written", func() bool { return second(s.Delivery(t.Context(), ignored.ID)) == nil })
	all := fill(t, s, 1100, start)
	for phrase, c := range map[string]struct {
		builds     store.BuildFilter
		deliveries store.DeliveryFilter
		want       func(i int) bool
		ignored    bool
	}{
		"all":              {want: func(int) bool { return true }, ignored: true},
		"a repository":     {store.BuildFilter{Repository: "acme/77"}, store.DeliveryFilter{Repository: "acme/77"}, func(i int) bool { return i == 77 }, false},
		"the newest":       {store.BuildFilter{Repository: "acme/1099"}, store.DeliveryFilter{Repository: "acme/1099"}, func(i int) bool { return i == 1099 }, false},
		"none":             {store.BuildFilter{Repository: "acme"}, store.DeliveryFilter{Repository: "acme"}, func(int) bool { return false }, false},
		"a state, a job":   {store.BuildFilter{State: "dead", JobID: "job"}, store.DeliveryFilter{Outcome: "accepted"}, func(int) bool { return true }, false},
		"another state":    {store.BuildFilter{State: "started", Rule: "cart"}, store.DeliveryFilter{Source: "none"}, func(int) bool { return false }, false},
		"a state that is":  {store.BuildFilter{State: "dead"}, store.DeliveryFilter{Ref: "main"}, func(int) bool { return true }, true},
		"in the queue":     {store.BuildFilter{State: "waiting"}, store.DeliveryFilter{Ref: "none"}, func(int) bool { return false }, false},
		"a ref":            {store.BuildFilter{Ref: all[700].ID}, store.DeliveryFilter{Repository: "acme/700", Ref: "main"}, func(i int) bool { return i == 700 }, false},
		"a delivery":       {store.BuildFilter{Delivery: all[700].ID}, store.DeliveryFilter{Repository: "acme/700"}, func(i int) bool { return i == 700 }, false},
		"a commit":         {store.BuildFilter{Commit: all[700].Commit}, store.DeliveryFilter{Commit: all[700].Commit}, func(i int) bool { return i == 700 }, false},
		"of a tag":         {store.BuildFilter{Commit: all[701].Commit}, store.DeliveryFilter{Commit: all[701].Commit}, func(i int) bool { return i == 701 }, false},
		"a short commit":   {store.BuildFilter{Commit: "000003F"}, store.DeliveryFilter{Commit: "000003F"}, func(i int) bool { return i == 63 }, false},
		"no commit":        {store.BuildFilter{Commit: "000003f1"}, store.DeliveryFilter{Commit: "000003f1"}, func(int) bool { return false }, false},
		"a commit, a repo": {store.BuildFilter{Commit: "0000040", Repository: "acme/64"}, store.DeliveryFilter{Commit: "0000040", Source: "source0"}, func(i int) bool { return i == 64 }, false},
		"a time":           {store.BuildFilter{Since: start.Add(300 * time.Second), Until: start.Add(600 * time.Second)}, store.DeliveryFilter{Since: start.Add(300 * time.Second), Until: start.Add(600 * time.Second)}, func(i int) bool { return i >= 300 && i < 600 }, false},
		"a target, a time": {store.BuildFilter{Target: "north", Until: start.Add(10 * time.Second)}, store.DeliveryFilter{Outcome: "accepted", Until: start.Add(10 * time.Second)}, func(i int) bool { return i < 10 }, false},
	} {
		t.Run(phrase, func(t *testing.T) {
			var want []string
			for i := range all {
				if c.want(i) {
					want = append(want, fmt.Sprint("acme/", i))
				}
			}
			slices.Sort(want)
			builds, deliveries := listed(t, s, c.builds, c.deliveries)
			if slices.Sort(builds); !slices.Equal(builds, want) {
				t.Errorf("%d builds: %s", len(builds), cmp.Diff(want, builds))
			}
			if c.ignored {
				want = append(want, ignored.Repository)
				slices.Sort(want)
			}
			if slices.Sort(deliveries); !slices.Equal(deliveries, want) {
				t.Errorf("%d deliveries: %s", len(deliveries), cmp.Diff(want, deliveries))
			}
		})
	}
	_, deliveries := listed(t, s, store.BuildFilter{}, store.DeliveryFilter{Source: "source0"})
	if len(deliveries) != 551 || deliveries[550] != ignored.Repository {
		t.Errorf("of a source, also of what was ignored: %d", len(deliveries))
	}
	for table, n := range blockCounts(t, s) {
		if n < 4 {
			t.Errorf("%s: %d blocks", table, n)
		}
	}
}

func blockCounts(t *testing.T, s *store.Store) map[string]int64 {
	t.Helper()
	counts, err := store.BlockCounts(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// Blocks are deleted with their rows: SQLite gives the seqs a second time.
func blocksAreForgotten(t *testing.T, open func() *store.Store) {
	s := open()
	for round := range 2 {
		start := time.Now().Add(-100 * time.Hour)
		all := fill(t, s, 600, start)
		now := start.Add(300*time.Second + time.Hour)
		for range 2 { // the older half, then the rest
			if _, err := s.Prune(t.Context(), store.Retention{Builds: time.Hour, Deliveries: time.Hour}, now); err != nil {
				t.Fatal(err)
			}
			for _, d := range all {
				_, err := s.Delivery(t.Context(), d.ID)
				if forgotten := d.ReceivedAt.Before(now.Add(-time.Hour)); errors.Is(err, store.ErrNotFound) != forgotten {
					t.Fatalf("round %d: %s: %v", round, d.Repository, err)
				}
				builds, deliveries := listed(t, s, store.BuildFilter{Repository: d.Repository}, store.DeliveryFilter{Repository: d.Repository})
				if len(builds) != len(deliveries) || (len(builds) == 0) != (err != nil) {
					t.Fatalf("round %d: %s: %d builds, %d deliveries are listed: %v", round, d.Repository, len(builds), len(deliveries), err)
				}
			}
			now = time.Now()
		}
		if got := blockCounts(t, s); got["builds"] != 0 || got["deliveries"] != 0 {
			t.Errorf("round %d: blocks of nothing: %v", round, got)
		}
	}
}

// A clock that was ahead does not keep later rows from being pruned.
func clockWasAhead(t *testing.T, open func() *store.Store) {
	s := open()
	fill(t, s, 300, time.Now().Add(1000*time.Hour))
	fill(t, s, 300, time.Now().Add(-1000*time.Hour))
	r := store.Retention{Bodies: time.Hour, Builds: time.Hour, Deliveries: time.Hour}
	if n, err := s.Prune(t.Context(), r, time.Now()); err != nil || n != 900 {
		t.Errorf("%d rows were changed (%v), want 300 builds, bodies and deliveries", n, err)
	}
}

// Bodies are pruned once, and a block without bodies is not read for them again.
func bodiesAreForgottenOnce(t *testing.T, open func() *store.Store) {
	s := open()
	all := fill(t, s, 520, time.Now().Add(-100*time.Hour))
	for _, want := range []int64{520, 0} {
		if n, err := s.Prune(t.Context(), store.Retention{Bodies: time.Hour}, time.Now()); err != nil || n != want {
			t.Errorf("%d were forgotten (%v), want %d", n, err, want)
		}
	}
	if d, err := s.Delivery(t.Context(), all[0].ID); err != nil || len(d.Body) > 0 {
		t.Errorf("got %v, %v", d, err)
	}
	if n, err := store.EmptiedBlocks(t.Context(), s); err != nil || n != 2 {
		t.Errorf("%d blocks are known to have no bodies (%v), want 2", n, err)
	}
}

// Of large bodies, each transaction prunes a few.
func largeBodiesAreForgotten(t *testing.T, open func() *store.Store) {
	s := open()
	for range 5 {
		d := delivery(newID())
		d.ReceivedAt = d.ReceivedAt.Add(-2 * time.Hour)
		d.Body = make([]byte, 3<<20)
		_, _ = crand.Read(d.Body)
		if _, err := s.Accept(t.Context(), d, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := store.BodiesAtOnce(t.Context(), s); err != nil || n != 2 {
		t.Errorf("%d bodies of 3 MiB at once (%v), want 2", n, err)
	}
	if n, err := s.Prune(t.Context(), store.Retention{Bodies: time.Hour}, time.Now()); err != nil || n != 5 {
		t.Errorf("%d were forgotten (%v), want 5", n, err)
	}
}

// A row that is committed after rows with higher seqs is in their block.
func TestBlocksWaitForTransactions(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	s := opener(t, database)()
	first := fill(t, s, 300, time.Now())
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO builds (id, delivery, rule, target, job_id, repository, ref, tag, commit_id, marker, body, newest, replay_of,
			state, due_at, reason, received_at, deadline)
		SELECT 'late', delivery, rule, target, job_id, 'acme/late', ref, tag, commit_id, marker, body, newest, replay_of, state, due_at, reason, received_at, deadline
		FROM builds WHERE repository = $1`, first[0].Repository); err != nil {
		t.Fatal(err)
	}
	acceptMany(t, s, 600, time.Now())
	if err := store.WriteBlocks(t.Context(), s, 10); err != nil {
		t.Fatal(err)
	}
	if got := blockCounts(t, s); got["builds"] != 1 {
		t.Errorf("%d blocks while one of their rows is not committed, want 1", got["builds"])
	}
	if err := errors.Join(tx.Commit(t.Context()), conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	writeBlocks(t, s)
	if got := blockCounts(t, s); got["builds"] != 3 {
		t.Errorf("%d blocks, want 3", got["builds"])
	}
	if builds, _ := listed(t, s, store.BuildFilter{Repository: "acme/late"}, store.DeliveryFilter{Repository: "none"}); len(builds) != 1 {
		t.Errorf("the late one is listed %d times", len(builds))
	}
}

// Replicas that write blocks at the same time write each once.
func TestBlocksOfReplicas(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	open := opener(t, database)
	one, two := open(), open()
	acceptMany(t, one, 1500, time.Now())
	var wg sync.WaitGroup
	for _, s := range []*store.Store{one, two} {
		wg.Go(func() {
			if err := store.WriteBlocks(t.Context(), s, 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := blockCounts(t, two); got["builds"] != 5 || got["deliveries"] != 5 {
		t.Errorf("got %v, want 5 of each", got)
	}
	builds, deliveries := listed(t, two, store.BuildFilter{Target: "north"}, store.DeliveryFilter{Source: "source1"})
	if len(builds) != 1500 || len(deliveries) != 750 {
		t.Errorf("%d builds and %d deliveries are listed", len(builds), len(deliveries))
	}
}
