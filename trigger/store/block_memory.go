package store

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// Lists by a value look at the filters of all blocks if few rows have it: of a million rows some megabytes,
// which take longer to read than to look at. So a process that gives lists keeps the newest blocks in memory.
// A block never changes but for emptied, which lists do not ask for.

const (
	// blockMemory bounds the filters of a table that are kept, in bytes: of about two million builds.
	blockMemory = 16 << 20
	// blockMemoryLasts is how long they are kept after the last list.
	blockMemoryLasts = time.Hour
	// blocksBehind is the most blocks that may have been written since, by whichever replica.
	blocksBehind = 64
)

// blockKeeper has the newest blocks of a table. Only blockLoop changes what it has.
type blockKeeper struct {
	wanted atomic.Int64             // when the last list began, in microseconds; 0 for never
	kept   atomic.Pointer[[]*block] // the newest first: all that end between the first and the last of them; nil for none
}

// wantBlocks says that there are lists: of whatever kind, the next one may be by a rare value.
func (s *Store) wantBlocks() {
	for i := range s.keepers {
		s.keepers[i].wanted.Store(micros(time.Now()))
	}
}

func (s *Store) keeper(t blockTable) *blockKeeper {
	if t.table == buildBlocks.table {
		return &s.keepers[0]
	}
	return &s.keepers[1]
}

// keepBlocks brings up to date what is kept of a table: filters of that many bytes at most.
func (s *Store) keepBlocks(ctx context.Context, t blockTable, most int) error {
	k := s.keeper(t)
	if wanted := k.wanted.Load(); wanted == 0 || time.Since(fromMicros(wanted)) > blockMemoryLasts {
		k.kept.Store(nil)
		return nil
	}
	kept, err := s.keptBlocks(ctx, t)
	if err != nil {
		return err
	}
	if kept == nil {
		if kept, err = s.newestBlocks(ctx, t, most); err != nil {
			return err
		}
	}
	var oldest int64 // that is not pruned
	if err := queryRow(ctx, s.db.reader(), `SELECT coalesce(min(last_seq), 0) FROM `+t.table+`_blocks`).Scan(&oldest); err != nil {
		return err
	}
	size := 0
	n := slices.IndexFunc(kept, func(b *block) bool {
		size += len(b.filter)
		return b.last < oldest || size > most
	})
	if n >= 0 {
		kept = slices.Clone(kept[:n]) // the others can be freed
	}
	if len(kept) == 0 {
		k.kept.Store(nil)
		return nil
	}
	k.kept.Store(&kept)
	return nil
}

// newestBlocks reads the newest blocks, until their filters have that many bytes.
func (s *Store) newestBlocks(ctx context.Context, t blockTable, most int) (all []*block, err error) {
	const n = 512
	began, size := time.Now(), 0
	for high := int64(math.MaxInt64); size < most; high = all[len(all)-1].last - 1 {
		some, err := s.blocks(ctx, t, span{0, high}, n, true)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		for _, b := range some {
			size += len(b.filter)
		}
		if len(some) < n {
			break
		}
	}
	s.log.LogAttrs(ctx, slog.LevelDebug, "blocks of lists are kept in memory", slog.String("table", t.table),
		slog.Int("blocks", len(all)), slog.Int("bytes", size), slog.Duration("took", time.Since(began)))
	return all, nil
}

// keptBlocks gives the blocks that are kept, and those that were written since. It gives none if the newest of
// them is not in the database any more: on SQLite, new rows get the seqs of rows that were deleted.
func (s *Store) keptBlocks(ctx context.Context, t blockTable) ([]*block, error) {
	kept := s.keeper(t).kept.Load()
	if kept == nil {
		return nil, nil
	}
	newest := (*kept)[0]
	since, err := s.blocks(ctx, t, span{newest.last, math.MaxInt64}, blocksBehind, true)
	if err != nil || len(since) == 0 {
		return nil, err
	}
	switch last := len(since) - 1; {
	case since[last].span != newest.span || since[last].earliest != newest.earliest || since[last].latest != newest.latest:
		return nil, nil
	case last == 0:
		return *kept, nil
	default:
		return slices.Concat(since[:last], *kept), nil
	}
}

// upTo gives n blocks at most that end at a seq or before, of blocks of which the newest is the first.
func upTo(blocks []*block, high int64, n int) []*block {
	blocks = blocks[sort.Search(len(blocks), func(i int) bool { return blocks[i].last <= high }):]
	return blocks[:min(n, len(blocks))]
}
