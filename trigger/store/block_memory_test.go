package store_test

import (
	"slices"
	"testing"
	"time"

	"buildbridge/trigger/store"
)

// listsByRef lists the build of each of some deliveries by its ref, which no other build has.
func listsByRef(t *testing.T, s *store.Store, all []*store.Delivery) {
	t.Helper()
	for i := 0; i < len(all); i += 50 {
		builds, _, err := s.Builds(t.Context(), store.BuildFilter{Ref: all[i].ID})
		if err != nil || len(builds) != 1 || builds[0].Delivery != all[i].ID {
			t.Errorf("of delivery %d, %d builds are listed: %v", i, len(builds), err)
		}
	}
}

func keptBlocks(t *testing.T, s *store.Store, want int) (size int) {
	t.Helper()
	n, size, err := store.KeptBlocks(t.Context(), s)
	if err != nil || n != want {
		t.Errorf("%d blocks are in memory, want %d: %v", n, want, err)
	}
	return size
}

// Lists by blocks in memory find the rows that came since, and those that got the seqs of deleted ones.
func blocksInMemory(t *testing.T, open func() *store.Store) {
	s := open()
	keptBlocks(t, s, 0)
	old := time.Now().Add(-100 * time.Hour)
	all := fill(t, s, 1100, old)
	size := keptBlocks(t, s, 4)
	listsByRef(t, s, all)
	listsByRef(t, s, acceptMany(t, s, 100, old)) // they have no block

	if err := store.KeepBlocks(t.Context(), s, size/2, time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, size2, err := store.KeptBlocks(t.Context(), s); err != nil || n == 0 || n > 3 || size2 > size/2 {
		t.Errorf("%d blocks of %d bytes are in memory (%v), of %d bytes at most", n, size2, err, size/2)
	}
	listsByRef(t, s, all)

	if _, err := s.Prune(t.Context(), store.Retention{Builds: time.Hour, Deliveries: time.Hour}, time.Now()); err != nil {
		t.Fatal(err)
	}
	keptBlocks(t, s, 0)
	some := acceptMany(t, s, 100, old)
	listsByRef(t, s, some)
	listsByRef(t, s, slices.Concat(some, fill(t, s, 1100, old)))
	keptBlocks(t, s, 4)

	if err := store.KeepBlocks(t.Context(), s, size, time.Now().Add(-2*time.Hour)); err != nil { // there was no list since
		t.Fatal(err)
	}
	keptBlocks(t, s, 0)
}

// A replica knows the blocks that others write, and reads them after its first list.
func TestBlocksInMemoryOfReplicas(t *testing.T) {
	t.Parallel()
	database := server.Database(t)
	open := opener(t, database)
	one, two := open(), open()
	all := fill(t, one, 300, time.Now())
	keptBlocks(t, one, 1)
	all = append(all, fill(t, two, 600, time.Now())...)
	keptBlocks(t, one, 3)
	listsByRef(t, one, all)
	three := open()
	keptBlocks(t, three, 0)
	listsByRef(t, three, all[:1])
	await(t, "blocks are in memory after a list", func() bool {
		n, _, err := store.KeptBlocks(t.Context(), three)
		return err == nil && n == 3
	})
	listsByRef(t, three, all)
}
